#!/bin/sh
# Runs every fuzz target for SECONDS, with the stable toolchain and no cargo-fuzz:
#
#     fuzz/run.sh SECONDS [TARGET...]
#
# JOBS targets run at a time (1 unless set). What stops a target is kept below fuzz/artifacts, and the exit code is
# 1; to see it again: target/fuzz/TRIPLE/release/TARGET fuzz/artifacts/TARGET/FILE
#
# The flags are those of cargo-fuzz (its src/project.rs), without a sanitizer: there is no unsafe code of ours to watch.
set -eu
cd "$(dirname "$0")/.."

seconds=${1:?usage: fuzz/run.sh SECONDS [TARGET...]}
shift
[ $# -gt 0 ] || set -- $(for file in fuzz/targets/*.rs; do basename "$file" .rs; done)

triple=$(rustc -vV | sed -n 's/^host: //p')
coverage='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4'
coverage="$coverage -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
# With a target named, build scripts and macros are not instrumented. Link-time optimisation would be done anew for
# each target, and merge what coverage should tell apart.
RUSTFLAGS="$coverage -Cdebug-assertions -Coverflow-checks --cfg fuzzing" \
CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=line-tables-only \
    cargo build --quiet --release --package tokenkeep-fuzz --target "$triple" --target-dir target/fuzz

# What targets make for a while lies here, and goes with this script.
TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT INT TERM

run_target() {
    target=$1
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target" "fuzz/seeds/$target"
    log="$TMPDIR/$target.log"
    begun=$(date +%s)
    if "target/fuzz/$triple/release/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="fuzz/artifacts/$target/" \
        "fuzz/corpus/$target" "fuzz/seeds/$target" >"$log" 2>&1; then
        verdict=ok
    else
        verdict=FOUND
    fi
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    covered=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    printf '%-16s %-5s %12s executions %8s edges %6s s\n' \
        "$target" "$verdict" "${executions:-?}" "${covered:-?}" "$(($(date +%s) - begun))"
    if [ "$verdict" = FOUND ]; then
        tail -n 40 "$log" >&2
        touch "$TMPDIR/found"
    fi
}

jobs=${JOBS:-1}
running=0
for target in "$@"; do
    run_target "$target" &
    running=$((running + 1))
    if [ "$running" -ge "$jobs" ]; then
        wait
        running=0
    fi
done
wait
[ ! -e "$TMPDIR/found" ]
