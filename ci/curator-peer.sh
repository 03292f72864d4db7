#!/usr/bin/env bash
# Compiles the program by which the tests meet Curator, and prints the class path that runs it. It is compiled once, and then found.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source=$root/tests/tests/interop_zookeeper/curator/CuratorPeer.java
classes=${CARGO_TARGET_DIR:-$root/target}/curator
javac=${LEASEHOLD_JAVAC_BIN:-javac}
# Each of Debian's jars names the others that it needs.
jars=${LEASEHOLD_CURATOR_CLASSPATH:-/usr/share/java/curator-recipes.jar:/usr/share/java/slf4j-simple.jar}

fail() {
    echo "ci/curator-peer.sh: $*" >&2
    exit 1
}

command -v "$javac" >/dev/null || fail "no $javac (Debian package default-jdk-headless, or LEASEHOLD_JAVAC_BIN)"
if [ -z "${LEASEHOLD_CURATOR_CLASSPATH:-}" ] && ! [ -e "${jars%%:*}" ]; then
    fail "no ${jars%%:*} (Debian package libcurator-recipes-java, or LEASEHOLD_CURATOR_CLASSPATH)"
fi
wanted=$("$javac" -version 2>&1 && echo "$jars" && cat "$source")

mkdir -p "$classes"
# Of several tests that come at once one compiles.
exec 9>"$classes.lock"
flock 9
if [ "$(cat "$classes/made-of" 2>/dev/null)" != "$wanted" ]; then
    "$javac" -Xlint:all,-path,-processing -Werror -cp "$jars" -d "$classes" "$source" >&2 || fail "$source does not compile"
    printf '%s\n' "$wanted" >"$classes/made-of"
fi
printf '%s:%s\n' "$classes" "$jars"
