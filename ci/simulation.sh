#!/usr/bin/env bash
# The engine and the recipes in simulated worlds: ci/simulation.sh [SEEDS], or with the options of leasehold-simulation,
# such as --seed 17 --verbose for one of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The dice of tokio's select! and of its channels have a seed only so; no other build is made this way.
export RUSTFLAGS="${RUSTFLAGS:-} --cfg tokio_unstable"
readonly build=(--quiet --locked --profile proof --package leasehold-simulation)

case ${1:-} in
--*)
    exec cargo run "${build[@]}" -- "$@"
    ;;
*)
    # Without the flag there would be no tests, and nobody would miss them.
    cargo test "${build[@]}" -- --list | grep -c ": test$"
    cargo test "${build[@]}"
    cargo run "${build[@]}" -- --seeds "${1:-20000}"
    ;;
esac
