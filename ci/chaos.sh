#!/usr/bin/env bash
# Worker processes over real clusters under real faults, judged by the history checker:
#
#     ci/chaos.sh [--minutes M]                 a selection on etcd, ZooKeeper and Redis, in M minutes in all (10)
#     ci/chaos.sh --service etcd --fault pause-leader --seed 7 --minutes 2
#                                               one run: one fault, two at once (NAME+NAME), or all of them by chance (all)
#     ci/chaos.sh --each                        every fault of every service singly, and random pairs, M minutes each (2)
#     ci/chaos.sh --service etcd --scenario load|endurance
#     ci/chaos.sh --list                        the faults
#
# Histories, a report and a page with a timeline go to target/chaos. A violation ends it with status 1, and the command that repeats the run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Three programs, of which the first starts the others.
cargo build --quiet --locked --package leasehold-chaos --bins
target=${CARGO_TARGET_DIR:-target}
exec "$target/debug/leasehold-chaos" --dir "$target/chaos" "$@"
