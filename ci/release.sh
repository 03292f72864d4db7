#!/usr/bin/env bash
# Checks that a release could be made, offline and without making one: that all packages can be packed, and say what a registry asks for.
#
#   ci/release.sh            metadata, safety, packing
#   ci/release.sh --build    and each package is built from what was packed, which takes minutes
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. ci/published.sh

# Every crate forbids unsafe code, by the workspace's lints.
no_unsafe_code() {
    local manifest
    grep -qx 'unsafe_code = "forbid"' Cargo.toml || { echo 'the workspace does not forbid unsafe code' >&2; return 1; }
    for manifest in crates/*/Cargo.toml examples/Cargo.toml tests/Cargo.toml tests/chaos/Cargo.toml; do
        if ! grep -A 1 -x '\[lints\]' "$manifest" | grep -qx 'workspace = true'; then
            echo "$manifest does not take the workspace's lints" >&2
            return 1
        fi
    done
    echo 'no crate has unsafe code'
}

# What is published is what is listed, in an order in which each comes after what it depends on, and has what a registry shows.
metadata() {
    cargo metadata --locked --offline --no-deps --format-version 1 | python3 -c '
import json, os, sys
order = sys.argv[1].split()
packages = {p["name"]: p for p in json.load(sys.stdin)["packages"]}
wrong = []
published = {name for name, p in packages.items() if p["publish"] != []}
if published != set(order):
    wrong.append(f"published and listed differ: {sorted(published ^ set(order))}")
for place, name in enumerate(order):
    p = packages[name]
    for field in ("description", "license", "readme", "keywords", "categories", "rust_version"):
        if not p[field]:
            wrong.append(f"{name} has no {field}")
    if len(p["keywords"]) > 5 or len(p["categories"]) > 5:
        wrong.append(f"{name} has more than five keywords or categories")
    folder = os.path.dirname(p["manifest_path"])
    for file in ("LICENSE-MIT", "LICENSE-APACHE"):
        if not os.path.exists(os.path.join(folder, file)):
            wrong.append(f"{name} would be published without {file}")
    for dependency in p["dependencies"]:
        other = dependency["name"]
        if other in packages and dependency["kind"] != "dev":
            if other not in order[:place]:
                wrong.append(f"{name} comes before {other}, on which it depends")
            if dependency["req"] == "*":
                wrong.append(f"{name} asks for no version of {other}")
print("\n".join(wrong) or f"{len(order)} crates to publish: " + ", ".join(order))
sys.exit(bool(wrong))
' "$published"
}

# Cargo packs siblings that nobody has published yet by what it has packed of them.
packages() {
    local arguments=(--locked --offline --allow-dirty --quiet) crate
    for crate in $published; do
        arguments+=(--package "$crate")
    done
    cargo package "${arguments[@]}" "$@"
    find target/package -maxdepth 1 -name '*.crate' -printf '%s %f\n' | sort -k 2
}

case ${1:-} in
    '') build=(--no-verify) ;;
    --build) build=() ;;
    *)
        echo "usage: ci/release.sh [--build]" >&2
        exit 2
        ;;
esac

no_unsafe_code
metadata
packages "${build[@]}"
