#!/usr/bin/env bash
# What ci/verify.sh checks with small numbers, with large ones: for a night, on the same code. Each number can be set
# in the environment. It edits nothing but the target directory, with one exception: of a property that fails, proptest writes
# the case into `proptest-regressions` beside the sources, to be committed with the repair; the gate repeats it from then on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Seeds of the simulation.
seeds=${LEASEHOLD_NIGHTLY_SEEDS:-500000}
# Cases of each property, inputs of each decoder.
cases=${LEASEHOLD_NIGHTLY_CASES:-100000}
inputs=${LEASEHOLD_NIGHTLY_INPUTS:-3000000}
# How often the tests with live servers are run: what fails once in many rounds is found by many rounds.
rounds=${LEASEHOLD_NIGHTLY_ROUNDS:-3}
# The services whose conformance suites are run, and the mutants, by name; all of them if there is none.
read -ra services <<<"${LEASEHOLD_NIGHTLY_SERVICES:-memory etcd zookeeper redis redis_cluster postgres}"
read -ra mutants <<<"${LEASEHOLD_NIGHTLY_MUTANTS:-}"

# Minutes of each fault of the chaos runs, and of what has to bear a long time; the services that they are run on.
fault_minutes=${LEASEHOLD_NIGHTLY_FAULT_MINUTES:-2}
endurance_minutes=${LEASEHOLD_NIGHTLY_ENDURANCE_MINUTES:-60}

. ci/steps.sh

# Every case over every recipe.
conformance() {
    local service suite
    for service in "${services[@]}"; do
        suite=(--package leasehold-tests --test "conformance_$service")
        [ "$service" != postgres ] || suite=(--package leasehold-postgres --test conformance)
        LEASEHOLD_NIGHTLY=1 cargo test --locked --all-features "${suite[@]}"
    done
}

# The crates that have properties.
properties() {
    PROPTEST_CASES=$cases cargo test --locked --package leasehold-core --all-features --lib --test properties
}

# With a fresh seed each night; one that fails is printed.
fuzz() {
    cargo run --locked --profile proof --package leasehold-fuzz -- --iterations "$inputs"
}

# Every byte of every conversation.
byte_sweep() {
    LEASEHOLD_NIGHTLY=1 cargo test --locked --all-features --package leasehold-tests --test byte_sweep -- --test-threads=1 --nocapture
}

endurance() {
    local service
    for service in etcd zookeeper redis; do
        ci/chaos.sh --service "$service" --scenario load
        ci/chaos.sh --service "$service" --scenario endurance --minutes "$endurance_minutes"
    done
}

tests() {
    local round
    for ((round = 1; round <= rounds; round++)); do
        printf 'round %d of %d\n' "$round" "$rounds"
        cargo test --locked --workspace --all-features --no-fail-fast 2>&1 | tee "$tests_log"
    done
}

step 'install' ci/install.sh
step 'simulation' ci/simulation.sh "$seeds"
# Its runs are exhaustive: there is no larger number to give it.
step 'model' ci/model.sh
step 'properties' properties
step 'fuzzing' fuzz
step 'conformance' conformance
step 'tests' tests
step 'byte sweep' byte_sweep
step 'chaos, each fault' ci/chaos.sh --each --minutes "$fault_minutes"
step 'chaos, endurance' endurance
step 'packages build' ci/release.sh --build
step 'mutants' ci/mutants.sh "${mutants[@]}"

all_done
