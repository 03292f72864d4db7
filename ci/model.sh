#!/usr/bin/env bash
# Checks the model of the contract and the engine: `ci/model.sh [LEAST-STATES]`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo run --quiet --locked --profile proof --package leasehold-model -- --least "${1:-20000000}"
