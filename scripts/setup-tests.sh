#!/bin/sh
# What `make test` needs beyond scripts/setup.sh: a second browser, the proxies that the relay
# is measured against, promtool, a Redis and the network's tools for fleets, and a test bed under
# target/testbed: Playwright clients of several versions (npm and PyPI) and a data directory with
# the same versions installed.
# --clients-only leaves out the data directory, which needs the binary built.
set -eu
"$(dirname "$0")/setup.sh"
. "$(dirname "$0")/lib.sh"
only_one_at_a_time

NODE_CLIENTS="1.62.1 1.64.1 1.65.1"
# PyPI's numbers are not the driver's: 1.65.2 there speaks 1.65.1.
PYTHON_CLIENTS="1.62.0 1.65.2"

system_packages() {
    wanted=
    have haproxy || wanted="$wanted haproxy"
    have nginx || wanted="$wanted nginx-light"
    have promtool || wanted="$wanted prometheus"
    have redis-server || wanted="$wanted redis-server"
    have redis-cli || wanted="$wanted redis-tools"
    have openssl || wanted="$wanted openssl"
    # Hosts of the test bed are network namespaces, and nft loses what they send each other.
    have ip || wanted="$wanted iproute2"
    have nft || wanted="$wanted nftables"
    have firefox-esr || { refresh_apt; ! apt_offers firefox-esr || wanted="$wanted firefox-esr"; }
    python3 -c 'import ensurepip, venv' 2>/dev/null || wanted="$wanted python3 python3-venv"
    # shellcheck disable=SC2086
    [ -z "$wanted" ] || apt_install $wanted
    have firefox-esr || die "Firefox ESR is not here, and apt does not offer it" \
        "the tests drive it: install firefox-esr (Mozilla's packages have it for Ubuntu)"
}

# A folder is finished when its stamp is there: an interrupted install is done again.
finished() { [ -e "$1/.finished" ]; }
finish() { touch "$1/.finished"; }

node_clients() {
    for version in $NODE_CLIENTS; do
        folder=$TESTBED/npm/$version
        finished "$folder" && continue
        say "fetching @playwright/test $version"
        rm -rf "$folder"
        mkdir -p "$folder"
        echo '{"private":true}' >"$folder/package.json"
        PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 quietly npm install --silent --no-audit --no-fund \
            --prefix "$folder" "@playwright/test@$version" ||
            die "npm could not fetch @playwright/test $version"
        finish "$folder"
    done
}

python_clients() {
    for version in $PYTHON_CLIENTS; do
        folder=$TESTBED/python/$version
        finished "$folder" && continue
        say "fetching Python's playwright $version"
        rm -rf "$folder"
        mkdir -p "$TESTBED/python"
        quietly python3 -m venv "$folder"
        quietly "$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
            "playwright==$version" || die "pip could not fetch playwright $version"
        finish "$folder"
    done
}

# Whether a version is installed with as many working browsers as the tests need: Chromium, and
# Firefox for the versions with which the system's works.
serves() {
    case $1 in
    1.65.*) needed=1 ;;
    *) needed=2 ;;
    esac
    works=$(grep -c '"error": null' "$TESTBED/data/playwright/$1/flotilla.json" 2>/dev/null || true)
    [ "${works:-0}" -ge "$needed" ]
}

# The binary that installs is the one that the tests run, so it is built once.
browsers() {
    missing=
    for version in $NODE_CLIENTS; do
        serves "$version" || missing="$missing $version"
    done
    [ -n "$missing" ] || return 0
    say "installing Playwright$missing in the test bed"
    (cd "$ROOT" && quietly cargo build --quiet -p flotilla) || die "flotilla does not build"
    # shellcheck disable=SC2086
    FLOTILLA_DATA=$TESTBED/data quietly "$TARGET/debug/flotilla" browsers install $missing ||
        die "flotilla browsers install$missing failed"
    for version in $missing; do
        serves "$version" || die "the browsers of Playwright $version do not all work here" \
            "FLOTILLA_DATA=$TESTBED/data flotilla browsers list tells which and why"
    done
}

system_packages
node_clients
python_clients
[ "${1:-}" = --clients-only ] || browsers
