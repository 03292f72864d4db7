#!/usr/bin/env bash
# Installs the Debian packages that building with every feature and testing need, as far as they are missing.
# Asks no network unless one is, and leaves no server running.
set -euo pipefail

missing=()

# need PACKAGE TEST...: the package is missing if the test fails.
need() {
    local package=$1
    shift
    "$@" >/dev/null || missing+=("$package")
}

need protobuf-compiler command -v protoc
need libprotobuf-dev test -e /usr/include/google/protobuf/descriptor.proto
need etcd-server command -v "${LEASEHOLD_ETCD_BIN:-etcd}"
need redis-server command -v "${LEASEHOLD_REDIS_BIN:-redis-server}"
need etcd-client command -v etcdctl
need golang-go command -v "${LEASEHOLD_GO_BIN:-go}"
need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
need gcc command -v cc
need iproute2 command -v ip
need nftables command -v nft
need strace command -v "${LEASEHOLD_STRACE_BIN:-strace}"
need util-linux command -v nsenter
need mount command -v mount
need libc6-dev test -e /usr/include/stdlib.h
need patch command -v patch
need shellcheck command -v shellcheck
need groff-base command -v groff
need sqlite3 command -v sqlite3
need python3-venv "${LEASEHOLD_PYTHON_BIN:-python3}" -c "import ensurepip, venv"
need default-jre-headless command -v "${LEASEHOLD_JAVA_BIN:-java}"
need default-jdk-headless command -v "${LEASEHOLD_JAVAC_BIN:-javac}"
need libcurator-recipes-java test -e /usr/share/java/curator-recipes.jar
if [ -z "${LEASEHOLD_ZOOKEEPER_CLASSPATH:-}" ]; then
    need zookeeper test -e /usr/share/java/zookeeper.jar
fi
if [ -z "${LEASEHOLD_POSTGRES_BIN:-}" ]; then
    need postgresql compgen -G '/usr/lib/postgresql/*/bin/postgres'
fi

if [ ${#missing[@]} -eq 0 ]; then
    echo "nothing to install"
    exit 0
fi

if ! command -v apt-get >/dev/null; then
    echo "missing: what the Debian packages ${missing[*]} hold; install it by this system's means" >&2
    exit 1
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "missing: ${missing[*]}; run as root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

# Debian starts a server as its package is installed, unless this says no. A policy that exists is the machine's own.
policy=/usr/sbin/policy-rc.d
ours=
cleanup() {
    if [ -n "$ours" ]; then
        "${as_root[@]}" rm -f "$policy"
    fi
}
trap cleanup EXIT
if ! [ -e "$policy" ]; then
    ours=yes
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" install -m 755 /dev/stdin "$policy"
fi

# PostgreSQL's package also makes a cluster, unless this says no. Ours are made by those who need them.
clusters=/etc/postgresql-common/createcluster.conf
if [[ " ${missing[*]} " == *" postgresql "* ]] && ! [ -e "$clusters" ]; then
    "${as_root[@]}" install -d "${clusters%/*}"
    echo 'create_main_cluster = false' | "${as_root[@]}" install -m 644 /dev/stdin "$clusters"
fi

echo "installing ${missing[*]}"
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}"

# The policy holds for the installation; this, for the next boot.
for service in etcd-server:etcd redis-server:redis-server postgresql:postgresql; do
    if [[ " ${missing[*]} " == *" ${service%:*} "* ]] && command -v systemctl >/dev/null; then
        "${as_root[@]}" systemctl --quiet disable "${service#*:}.service" ||
            echo "note: ${service#*:}.service may start at the next boot" >&2
    fi
done
echo "installed ${missing[*]}"
