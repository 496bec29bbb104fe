#!/bin/sh
# What `make up` needs, on a fresh Debian or Ubuntu machine: a linker, Rust, Node with npm, a
# browser. Quiet and quick when everything is there.
set -eu
. "$(dirname "$0")/lib.sh"
only_one_at_a_time

linker() {
    have cc || apt_install gcc libc6-dev
}

rust_version() { rustc --version 2>/dev/null | awk '{print $2}'; }

rust() {
    have cargo || install_rust
    version=$(rust_version)
    at_least "${version:-0}" "$MIN_RUST" && return 0
    have rustup && say "updating Rust ${version:-} to the stable release" &&
        quietly rustup update stable
    version=$(rust_version)
    at_least "${version:-0}" "$MIN_RUST" || die \
        "Rust ${version:-} is too old: $MIN_RUST or newer is needed" \
        "install rustup from https://rustup.rs and run: rustup default stable"
}

install_rust() {
    say "installing Rust"
    if ! have rustup && { refresh_apt; apt_offers rustup; }; then
        apt_install rustup
    fi
    if have rustup; then
        quietly rustup default stable
    else
        apt_install curl ca-certificates
        quietly sh -c 'curl --proto =https -sSf https://sh.rustup.rs |
            sh -s -- -y --profile minimal -c rustfmt -c clippy' || true
    fi
    have cargo || die "there is no Rust here, and rustup could not be had" \
        "install Rust $MIN_RUST or newer from https://rustup.rs"
}

node_major() { node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/'; }
node_is_new_enough() { [ "$(node_major || echo 0)" -ge "$MIN_NODE" ] 2>/dev/null; }

node_and_npm() {
    node_is_new_enough && have npm && return 0
    have node || apt_install nodejs
    have npm || apt_install npm
    node_is_new_enough && return 0
    # Debian 12's Node is too old for today's Playwright; npm carries the binary of a newer one.
    case $(uname -m) in
    x86_64) arch=x64 ;;
    aarch64) arch=arm64 ;;
    *) die "Node $(node --version) is too old: $MIN_NODE is needed" "install it from https://nodejs.org" ;;
    esac
    say "fetching Node 22 (the system's is $(node --version))"
    mkdir -p "$TOOLCHAIN"
    quietly npm install --silent --no-audit --no-fund --prefix "$TOOLCHAIN" \
        "node-linux-$arch@22" npm@10 || true
    hash -r
    node_is_new_enough || die "Node $MIN_NODE or newer is needed, and npm could not fetch it" \
        "install it from https://nodejs.org, so that 'node --version' answers v$MIN_NODE or more"
}

# Debian's headless shell is the browser for servers. Ubuntu has none in apt: there
# `flotilla browsers install` fetches Playwright's own, which needs only the libraries.
browser() {
    have chromium-headless-shell && return 0
    [ -z "$(find "$HOME/.cache/ms-playwright" -maxdepth 1 -name 'chromium*' 2>/dev/null)" ] || return 0
    refresh_apt
    if apt_offers chromium-headless-shell; then
        apt_install chromium-headless-shell
    else
        say "no chromium-headless-shell in apt: Playwright's own browser will be used"
        quietly as_root env "PATH=$PATH" npx --yes playwright-core install-deps chromium ||
            say "warning: the libraries that a browser needs could not be installed"
    fi
}

linker
rust
node_and_npm
browser
