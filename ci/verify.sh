#!/usr/bin/env bash
# The one gate: whatever has to hold for a commit, it checks, and it edits nothing but the target directory.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The clients of the services, and what comes with them: only those who ask for a service get them.
readonly client_crates='^(etcd-client|zookeeper-client|redis|tonic|prost|rustls|ring|aws-lc|rsasl)([ -]|$)'
readonly most_quickstart_crates=35

. ci/steps.sh

# crates CARGO-TREE-ARGUMENT...: the crates that a build of the package takes, a line each.
crates() {
    cargo tree --locked --edges normal,build --prefix none --format '{p}' "$@" |
        sed -e 's/ (\*)$//' -e 's/ (.*)$//' | sort -u
}

one_msrv() {
    local declared manifest
    declared=$(grep -rEn --include=Cargo.toml '^\s*rust-version\s*=' Cargo.toml crates examples tests || true)
    if [ "$(wc -l <<<"$declared")" -ne 1 ] || [[ $declared != Cargo.toml:* ]]; then
        printf 'rust-version stands once, in the workspace; found:\n%s\n' "$declared" >&2
        return 1
    fi
    for manifest in crates/*/Cargo.toml examples/Cargo.toml tests/Cargo.toml tests/chaos/Cargo.toml; do
        if ! grep -q '^rust-version\.workspace = true$' "$manifest"; then
            echo "$manifest does not take its rust-version from the workspace" >&2
            return 1
        fi
    done
    echo "$declared"
}

features_one_by_one() {
    local features
    for features in '' memory tracing metrics tracing,metrics etcd etcd-tls zookeeper zookeeper-sasl zookeeper-tls redis redis-tls \
        memory,etcd memory,zookeeper memory,redis etcd,zookeeper etcd,redis zookeeper,redis memory,etcd,zookeeper,redis; do
        echo "features: ${features:-none}"
        cargo clippy --quiet --locked --package leasehold --lib \
            --no-default-features --features "$features" -- --deny warnings
    done
}

no_client_uninvited() {
    local choice list found
    for choice in '' --no-default-features; do
        # shellcheck disable=SC2086 # no choice, no argument
        list=$(crates --package leasehold $choice)
        if found=$(grep -E "$client_crates" <<<"$list"); then
            printf 'leasehold %s pulls in:\n%s\n' "${choice:-with default features}" "$found" >&2
            return 1
        fi
    done
    # The check checked: who asks for a service gets its client.
    list=$(crates --package leasehold --features etcd,zookeeper,redis)
    if [ "$(grep -cE '^(etcd-client|zookeeper-client|redis) ' <<<"$list")" -ne 3 ]; then
        printf 'the clients are not where this looks for them:\n%s\n' "$list" >&2
        return 1
    fi
}

small_quickstart() {
    local list count
    list=$(crates --package leasehold-examples)
    count=$(wc -l <<<"$list")
    echo "$count crates"
    if [ "$count" -gt "$most_quickstart_crates" ]; then
        printf 'the quickstart takes more than %d crates:\n%s\n' "$most_quickstart_crates" "$list" >&2
        return 1
    fi
}

shell_scripts() {
    local script
    local scripts=(ci/*.sh examples/*.sh crates/leasehold-bench/*.sh crates/leasehold-bench/programs/*.sh .ci/run)
    for script in "${scripts[@]}"; do
        bash -n "$script"
        [ -x "$script" ] || { echo "$script is not executable" >&2; return 1; }
    done
    shellcheck "${scripts[@]}"
}

# lane CARGO-TEST-ARGUMENT...: some of the tests. Those with live servers mostly wait, for time-outs and expiries: more of them than
# cores at once keep the cores busy. The few of a program that keep a core busy by themselves take turns of their own accord.
lane() {
    local threads
    threads=$(($(nproc) * 3))
    cargo test --locked --workspace --all-features --no-fail-fast "$@" -- --test-threads="$((threads > 12 ? 12 : threads))" 2>&1
}

# Cargo runs one program of tests after the other; so there are two lanes. About half of the time is that of the programs whose names
# begin with c, of the conformance suites above all.
tests() {
    local conformance status=0
    rm -rf "$LEASEHOLD_RECORD"
    mkdir -p "$(dirname "$tests_log")"
    cargo test --quiet --locked --workspace --all-features --no-run
    lane --test 'c*' >"$tests_log.conformance" &
    conformance=$!
    lane --lib --bins --test '[!c]*' | tee "$tests_log" || status=1
    wait "$conformance" || status=1
    tee -a "$tests_log" <"$tests_log.conformance"
    lane --doc | tee -a "$tests_log" || status=1
    return "$status"
}

# Every behaviour ran over every backend, or there is a reason.
what_ran_where() {
    cargo run --quiet --locked --package leasehold-testkit --bin leasehold-conformance-table -- \
        "$LEASEHOLD_RECORD" memory etcd zookeeper redis postgres
}

# What was shared with which other client, and that the README says the same.
interoperability() {
    cargo run --quiet --locked --package leasehold-testkit --bin leasehold-interop-table -- "$LEASEHOLD_RECORD" README.md
}

export LEASEHOLD_RECORD="$PWD/target/conformance"

step 'install' ci/install.sh
step 'shell scripts' shell_scripts
step 'format' cargo fmt --all --check
step 'one MSRV' one_msrv
step 'no client crate uninvited' no_client_uninvited
step 'a small quickstart' small_quickstart
step 'clippy' cargo clippy --locked --workspace --all-targets --all-features -- --deny warnings
step 'features one by one' features_one_by_one
step 'licences' ci/licences.sh
step 'release' ci/release.sh
step 'documentation' env RUSTDOCFLAGS='--deny warnings' cargo doc --locked --workspace --all-features --no-deps
step 'tests' tests
step 'what ran where' what_ran_where
step 'interoperability' interoperability
step 'examples' ci/examples.sh
step 'chaos' ci/chaos.sh --minutes 10
step 'mutants' ci/mutants.sh
step 'model' ci/model.sh
step 'simulation' ci/simulation.sh

all_done
