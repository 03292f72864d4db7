#!/usr/bin/env bash
# Runs a command with one etcd, one Redis and one ZooKeeper, on free ports, for as long as the command runs:
#
#     ci/with-servers.sh [--tmpfs|--disk] COMMAND [ARGUMENT...]
#
# The command finds them by LEASEHOLD_ETCD_URL, LEASEHOLD_REDIS_URL and LEASEHOLD_ZOOKEEPER_URL. Its exit status is passed on.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
exec cargo run --quiet --locked --manifest-path "$root/Cargo.toml" \
    --package leasehold-testkit --bin leasehold-with-servers -- "$@"
