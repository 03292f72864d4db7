#!/usr/bin/env bash
# The steps of a run, one after the other, up to the first that fails: to be sourced.

current=
steps=0

# Where a step of this name keeps what its many tests say.
readonly tests_log="$PWD/target/tests.log"

# step NAME COMMAND...: runs the command, and says how long it took.
step() {
    current=$1
    shift
    printf '\n==> %s\n' "$current"
    local start=$SECONDS
    "$@"
    printf -- '--- %s: %d s\n' "$current" $((SECONDS - start))
    steps=$((steps + 1))
}

# all_done: what comes last.
all_done() {
    printf '\nOK: %d steps in %d s\n' "$steps" "$SECONDS"
}

finish() {
    local status=$?
    if [ "$status" -ne 0 ]; then
        if [ "$current" = tests ] && [ -f "$tests_log" ]; then
            # Once more what failed, where a reader of the end finds it.
            grep -E '^test .*FAILED|^test panicked|panicked at|^error: .* failed' -A 2 "$tests_log" >&2 || true
        fi
        printf '\nFAILED in "%s" after %d s\n' "$current" "$SECONDS" >&2
    fi
}
trap finish EXIT
