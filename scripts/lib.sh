# Shared by the set-up scripts: sourced, never run.

ROOT=$(cd "$(dirname "$0")/.." && pwd)
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
TOOLCHAIN=$ROOT/target/toolchain
TESTBED=${FLOTILLA_TESTBED:-$ROOT/target/testbed}
PATH=$TOOLCHAIN/node_modules/.bin:$TOOLCHAIN/cargo/bin:$HOME/.cargo/bin:$PATH
export PATH

MIN_RUST=1.90
MIN_NODE=20

say() { printf '%s\n' "$*" >&2; }
die() {
    say "error: $1"
    [ $# -lt 2 ] || say "hint: $2"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# Runs of these scripts that start together wait for each other.
only_one_at_a_time() {
    mkdir -p "$ROOT/target"
    exec 9>"$ROOT/target/.setup.lock"
    flock 9
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        die "this needs root: $*" "run the script as root, or install sudo"
    fi
}

# A command's words are shown only when it fails.
quietly() {
    log=$(mktemp)
    if "$@" >"$log" 2>&1 9>&-; then
        rm -f "$log"
    else
        tail -n 40 "$log" >&2
        rm -f "$log"
        return 1
    fi
}

apt_refreshed=no
refresh_apt() {
    [ "$apt_refreshed" = no ] || return 0
    quietly as_root apt-get update || say "warning: the package lists could not be refreshed"
    apt_refreshed=yes
}

# Whether apt could install it (not whether it has been).
apt_offers() {
    candidate=$(apt-cache policy "$1" 2>/dev/null | awk '/Candidate:/ {print $2}')
    [ -n "$candidate" ] && [ "$candidate" != "(none)" ]
}

apt_has() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

# Installs what is missing of the named packages, and starts none of their services: a
# policy-rc.d that says no stands in the way for as long as it takes.
apt_install() {
    missing=
    for package in "$@"; do
        apt_has "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    have apt-get || die "missing:$missing" "this is no Debian or Ubuntu: install them by hand"
    refresh_apt
    say "installing$missing"
    policy=/usr/sbin/policy-rc.d
    guard=no
    if [ ! -e "$policy" ]; then
        guard=yes
        trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT INT TERM
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
    # shellcheck disable=SC2086
    installed=yes
    quietly as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends $missing || installed=no
    if [ "$guard" = yes ]; then
        as_root rm -f "$policy"
        trap - EXIT INT TERM
    fi
    [ "$installed" = yes ] || die "apt could not install$missing" "see its words above"
}

# at_least 1.95.0 1.90: whether the first version is the second or newer.
at_least() {
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}
