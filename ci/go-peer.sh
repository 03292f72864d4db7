#!/usr/bin/env bash
# Builds the program in Go that the interoperability tests meet etcd's own client in, and prints its path.
# tests/peers/go/go.mod names the client's version; it is built when something has changed, and then found.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
program=${CARGO_TARGET_DIR:-$root/target}/peers/go-peer
go=${LEASEHOLD_GO_BIN:-go}

fail() {
    echo "ci/go-peer.sh: $*" >&2
    exit 1
}

command -v "$go" >/dev/null || fail "no $go (Debian package golang-go, or LEASEHOLD_GO_BIN)"

mkdir -p "${program%/*}"
# Of several tests that come at once one builds it.
exec 9>"$program.lock"
flock 9
cd "$root/tests/peers/go"
# Without a C compiler, and with the client as go.sum knows it.
CGO_ENABLED=0 "$go" build -mod=readonly -trimpath -o "$program" . >&2 ||
    fail "cannot build the client go.etcd.io/etcd/client/v3 from the module proxy"
printf '%s\n' "$program"
