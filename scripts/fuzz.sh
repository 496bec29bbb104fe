#!/bin/sh
# Fuzzes every target of fuzz/ with as many inputs as asked for (10 million by default).
set -eu
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
runs=${1:-10000000}

if ! cargo fuzz --version >/dev/null 2>&1; then
    say "installing cargo-fuzz"
    quietly cargo install --locked --root "$TOOLCHAIN/cargo" cargo-fuzz
fi

# cargo-fuzz wants nightly's flags; the stable compiler takes them when told so.
export RUSTC_BOOTSTRAP=1
for target in $(cargo fuzz list); do
    say "fuzzing $target: $runs inputs"
    cargo fuzz run "$target" -s none -- "-runs=$runs"
done
