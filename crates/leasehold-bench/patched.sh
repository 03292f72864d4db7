#!/usr/bin/env bash
# Runs the benchmark with the crate zookeeper-client patched by patches/zookeeper-client-nodelay.patch, and adds the rows to the results:
#
#     crates/leasehold-bench/patched.sh [--disk] [OPTION...]
#
# The patched crate lies in the target directory; Cargo.lock is as it was when this ends.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
crate=$target/patched/zookeeper-client

cd "$root"
# Where the crate's source is, once it was fetched.
manifest=$(cargo metadata --locked --format-version 1 |
    grep -o '"manifest_path":"[^"]*/zookeeper-client-[0-9.]*/Cargo.toml"' | head -1 | cut -d'"' -f4)
[ -n "$manifest" ] || { echo "patched.sh: zookeeper-client is no dependency" >&2; exit 1; }

rm -rf "$crate"
mkdir -p "${crate%/*}"
cp -r "${manifest%/*}" "$crate"
patch --directory="$crate" --strip=1 --quiet <"$here/patches/zookeeper-client-nodelay.patch"

kept=$(mktemp)
cp Cargo.lock "$kept"
trap 'cp "$kept" Cargo.lock; rm -f "$kept"' EXIT
cargo run --release --package leasehold-bench \
    --config "patch.crates-io.zookeeper-client.path=\"$crate\"" -- \
    run zookeeper --as 'TCP_NODELAY' --only leasehold --only 'leasehold, one coordinator' --only zookeeper-client "$@"
