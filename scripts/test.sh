#!/bin/sh
# The gate, in the order of cost: format, lints, tests, documentation.
set -eu
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

# The real browsers are what takes time here, and most tests wait for one of them: more of them
# at once than there are cores, with the test bed's own limit on grids.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-6}"
export CARGO_TERM_PROGRESS_WHEN=never

step() {
    say ""
    say "== $*"
    began=$(date +%s)
    "$@"
    say "== done in $(($(date +%s) - began)) s"
}

documentation() { RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps; }

step scripts/setup-tests.sh
step cargo fmt --all --check -- --color never
step cargo clippy --quiet --workspace --all-targets -- -D warnings
step documentation
# Last, so that the runner's own closing lines are the last words.
say ""
say "== tests"
exec cargo test --workspace --no-fail-fast
