#!/usr/bin/env bash
# Builds the program that measures the Mutex of etcd's own client in Go, and prints its path.
# go/go.mod names the client's version; it is built when something has changed, and then found.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=${CARGO_TARGET_DIR:-$here/../../../target}/peers/go-mutex
go=${LEASEHOLD_GO_BIN:-go}

fail() {
    echo "go-mutex.sh: $*" >&2
    exit 1
}

command -v "$go" >/dev/null || fail "no $go (Debian package golang-go, or LEASEHOLD_GO_BIN)"

mkdir -p "${program%/*}"
program=$(cd "${program%/*}" && pwd)/go-mutex
exec 9>"$program.lock"
flock 9
cd "$here/go"
CGO_ENABLED=0 "$go" build -mod=readonly -trimpath -o "$program" . >&2 ||
    fail "cannot build the client go.etcd.io/etcd/client/v3 from the module proxy"
printf '%s\n' "$program"
