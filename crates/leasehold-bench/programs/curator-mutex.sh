#!/usr/bin/env bash
# Compiles the program that measures Curator's mutex, and prints the class path that runs it. It is compiled once, and then found.
# Curator's release is the one that curator/pom.xml names, from Maven's repository, or else Debian's; the program tells which.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source=$here/curator/CuratorMutex.java
classes=${CARGO_TARGET_DIR:-$here/../../../target}/curator-mutex
javac=${LEASEHOLD_JAVAC_BIN:-javac}
debian=/usr/share/java/curator-recipes.jar:/usr/share/java/slf4j-simple.jar

fail() {
    echo "curator-mutex.sh: $*" >&2
    exit 1
}

# The class path of Maven's release.
from_maven() {
    command -v mvn >/dev/null &&
        mvn --batch-mode --quiet --file "$here/curator/pom.xml" dependency:build-classpath \
            -Dmdep.outputFile="$classes/class-path" >&2 &&
        cat "$classes/class-path"
}

command -v "$javac" >/dev/null || fail "no $javac (Debian package default-jdk-headless, or LEASEHOLD_JAVAC_BIN)"
mkdir -p "$classes"
classes=$(cd "$classes" && pwd)
exec 9>"$classes.lock"
flock 9
made_of=$(cat "$source" "$here/curator/pom.xml" && "$javac" -version 2>&1)
if [ "$(cat "$classes/made-of" 2>/dev/null)" != "$made_of" ]; then
    if [ -n "${LEASEHOLD_CURATOR_CLASSPATH:-}" ]; then
        jars=$LEASEHOLD_CURATOR_CLASSPATH
    elif ! jars=$(from_maven); then
        jars=$debian
        [ -e "${debian%%:*}" ] ||
            fail "no Maven (Debian package maven) with its repository, and no ${debian%%:*} (libcurator-recipes-java)"
    fi
    "$javac" -Xlint:all,-path,-processing,-classfile -cp "$jars" -d "$classes" "$source" >&2 || fail "$source does not compile"
    printf '%s\n' "$jars" >"$classes/jars"
    printf '%s\n' "$made_of" >"$classes/made-of"
fi
printf '%s:%s\n' "$classes" "$(cat "$classes/jars")"
