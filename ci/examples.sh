#!/usr/bin/env bash
# Runs the examples, each of which fails unless what it prints is so: all without a server, and then, over one etcd, one
# ZooKeeper and one Redis, all that can.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What the longest may take, in seconds.
readonly patience=90

features=()

# run EXAMPLE [ARGUMENT...]
run() {
    local name=$1
    shift
    printf '\n-- %s\n' "$name${*:+ $*}"
    case $name in
        compare) set -- --workers 4 --rounds 40 "$@" ;;
    esac
    timeout "$patience" cargo run --quiet --locked --package leasehold-examples "${features[@]}" \
        --example "$name" -- "$@"
}

build() {
    cargo build --quiet --locked --package leasehold-examples "${features[@]}" --examples
}

without_a_server() {
    local name names
    unset LEASEHOLD_ETCD_URL LEASEHOLD_ZOOKEEPER_URL LEASEHOLD_REDIS_URL
    names=$(sed -n '/^\[\[example\]\]$/,/^name/s/^name = "\(.*\)"$/\1/p' examples/Cargo.toml)
    build
    for name in $names; do
        # It has an exporter that the others do without.
        [ "$name" != metrics ] || continue
        run "$name"
    done
    features=(--features metrics)
    run metrics
}

over_services() {
    local name url
    # These find the services in the environment.
    for name in rolling_job paused_holder migration compare quorum_lock; do
        run "$name"
    done
    printf '\n-- interop\n'
    timeout "$patience" examples/interop.sh "${CARGO_TARGET_DIR:-target}/debug/leasehold"
    for name in examples/*.rs; do
        grep -q 'url_argument()?' "$name" || continue
        name=$(basename "$name" .rs)
        for url in "$LEASEHOLD_ETCD_URL" "$LEASEHOLD_ZOOKEEPER_URL" "$LEASEHOLD_REDIS_URL"; do
            run "$name" --url "$url"
        done
    done
}

case ${1:-} in
    '')
        without_a_server
        features=(--features "etcd zookeeper redis metrics")
        build
        # As the tests have built it.
        cargo build --quiet --locked --workspace --all-features --bin leasehold
        ci/with-servers.sh "${BASH_SOURCE[0]}" over-services
        ;;
    # For itself.
    over-services)
        features=(--features "etcd zookeeper redis metrics")
        over_services
        ;;
    *)
        echo "usage: ci/examples.sh" >&2
        exit 2
        ;;
esac
