#!/usr/bin/env bash
# Breaks the library on purpose and shows that the tests see it: each file of ci/mutants re-introduces a bug into a copy of the
# sources, and each case that it names must fail with it and pass without.
#
# usage: ci/mutants.sh [MUTANT...]; without one, all of them
#
# The copy gets all mutants at once, each behind a switch that it asks at run time, so that it is built once; the
# sources themselves have neither mutants nor switches.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly mutants=ci/mutants
readonly work=$PWD/target/mutants
# What a case may take, in seconds; those that fail do so within the cases' own patience, which the switch makes 8 seconds; a mutant that spins shares
# the cores with the others and takes longer, and the contract's cases are patient for 30 seconds.
readonly limit=75
# Cases are waits for the most part.
readonly at_once=$((2 * $(nproc)))

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# header MUTANT FIELD: what the header of the patch says, a line for each time that the field occurs.
header() {
    sed -n -e '/^---/q' -e "s/^$2: //p" "$mutants/$1.patch"
}

# names: all mutants.
names() {
    local patch
    for patch in "$mutants"/*.patch; do
        patch=$(basename "$patch" .patch)
        [ "$patch" = 00-switch ] || echo "$patch"
    done
}

# claims MUTANT: the cases that kill it, a line each: how (fails, hangs), the executable, the case.
claims() {
    header "$1" Killed-by | sed 's/^/fails /'
    header "$1" Killed-by-time-out | sed 's/^/hangs /'
}

# row MUTANT: its row in the table.
row() {
    local behaviour=${1%%-*} killers
    # shellcheck disable=SC2016 # not expressions
    killers=$(claims "$1" | sed -e 's/^[a-z]* \(.*\)$/`\1`/' | paste -sd, | sed 's/,/, /g')
    [[ $behaviour == r* ]] && behaviour=rule || behaviour=$(sed -e 's/^0//' -e 's/[a-z]$//' <<<"$behaviour")
    # shellcheck disable=SC2016 # not expressions
    printf '| %s | %s | %s | `%s` | %s |\n' \
        "$behaviour" "$(header "$1" Peer)" "$(header "$1" Breaks)" "$1" "$killers"
}

# Every mutant has a row and every row that names a mutant has one.
check_table() {
    local name
    for name in $(names); do
        [ -n "$(header "$name" Breaks)" ] || fail "$name: its header does not say what it breaks"
        [ -n "$(claims "$name")" ] || fail "$name: its header names no case that kills it"
        grep -qFx -- "$(row "$name")" "$mutants/README.md" ||
            fail "$mutants/README.md lacks the row of $name, which is: $(row "$name")"
    done
    # shellcheck disable=SC2016 # not an expression
    [ "$(grep -c '^|.*| `[0-9r][^ ]*` |' "$mutants/README.md")" -eq "$(names | wc -l)" ] ||
        fail "$mutants/README.md has rows of mutants that are not there"
}

copy_and_break() {
    local patch
    rm -rf "$work/tree" "$work/log"
    mkdir -p "$work/tree" "$work/log"
    git ls-files -z | xargs -0 cp --parents --preserve=mode,timestamps --target-directory="$work/tree"
    # Of another version, so that what is built of the copy does not take the place of what is built of the sources.
    sed -i 's/^version = "\(.*\)"$/version = "\1+mutants"/' "$work/tree/Cargo.toml"
    sed -i '/^name = "leasehold/{n;s/"$/+mutants"/}' "$work/tree/Cargo.lock"
    for patch in "$mutants"/*.patch; do
        # Without fuzz: a patch that does not find its place must not find another.
        if ! patch --directory="$work/tree" --strip=1 --fuzz=0 --forward --no-backup-if-mismatch --reject-file=- \
            <"$patch" >"$work/log/patch" 2>&1; then
            cat "$work/log/patch" >&2
            fail "$patch does not apply any more"
        fi
    done
}

# Builds what the mutants' cases are in, and notes the paths of the executables.
build() {
    local executables executable targets=(--lib)
    executables=$(for name in $(names); do claims "$name"; done | cut -d' ' -f2 | sort -u)
    for executable in $executables; do
        [[ $executable == leasehold_* ]] || targets+=(--test "$executable")
    done
    # All features, as in the other builds: so what the copies of the sources have in common with the sources, everything
    # that is not of this workspace, is built already.
    if ! (cd "$work/tree" && CARGO_TARGET_DIR=$work/.. cargo test --locked --workspace --all-features --no-run \
        "${targets[@]}") >"$work/log/build" 2>&1; then
        cat "$work/log/build" >&2
        fail "the mutants do not compile"
    fi
    for executable in $executables; do
        sed -n "s/^ *Executable .*(\(.*\/$executable-[0-9a-f]*\))$/\1/p" "$work/log/build" >"$work/log/path.$executable"
        [ -s "$work/log/path.$executable" ] || fail "no executable is called $executable"
    done
}

# judge MUTANT EXECUTABLE CASE: how the case ends with the mutant, or without one if its name is none.
judge() {
    local mutant=$1 executable=$2 case=$3 log status=0
    log=$work/log/$mutant.$executable.${case//:/_}
    (cd "$work/tree" && LEASEHOLD_MUTANT=$mutant LEASEHOLD_RECORD=$work/record timeout --kill-after=1 "$limit" \
        "$(cat "$work/log/path.$executable")" --exact "$case") >"$log" 2>&1 || status=$?
    if ! grep -q '^running 1 test$' "$log"; then
        echo missing
        return
    fi
    case $status in
        0) echo passes ;;
        101) echo fails ;;
        # A case that has panicked has failed, though what the mutant does may keep its process from ending.
        124 | 137) if grep -q "panicked at" "$log"; then echo fails; else echo hangs; fi ;;
        *) echo "ends with status $status" ;;
    esac
}

# run NAMES: judges all cases of the mutants; answers a line each: mutant, executable, case, how it ends.
run() {
    local name baseline=$1
    shift
    for name in "$@"; do
        claims "$name" | cut -d' ' -f2- | sed "s/^/${baseline:-$name} /"
    done | sort -u |
        xargs -P "$at_once" -L 1 "${BASH_SOURCE[0]}" --judge
}

case ${1:-} in
    # For itself.
    --judge)
        echo "$2 $3 $4 $(judge "$2" "$3" "$4")"
        exit
        ;;
    # The table's rows, to be copied.
    --rows)
        for name in $(names); do row "$name"; done
        exit
        ;;
esac

chosen=("$@")
[ ${#chosen[@]} -gt 0 ] || mapfile -t chosen < <(names)
for name in "${chosen[@]}"; do
    [ -e "$mutants/$name.patch" ] || fail "there is no mutant $name"
done

check_table
copy_and_break
started=$SECONDS
build
printf 'built in %d s\n' $((SECONDS - started))

# The check checked: without a mutant every case passes.
run none "${chosen[@]}" >"$work/log/baseline"
if grep -v ' passes$' "$work/log/baseline" >&2; then
    fail "these fail without a mutant; see $work/log"
fi
printf '%d cases pass without a mutant\n' "$(wc -l <"$work/log/baseline")"

run '' "${chosen[@]}" >"$work/log/verdicts"
killed=0
for name in "${chosen[@]}"; do
    how=killed
    by=
    while read -r ends executable case; do
        verdict=$(sed -n "s/^$name $executable $case //p" "$work/log/verdicts")
        [ "$verdict" = "$ends" ] || how=SURVIVED
        [ "$ends $verdict" != 'hangs hangs' ] || verdict='time-out'
        by+="${by:+, }$executable $case ($verdict)"
    done < <(claims "$name")
    [ "$how" = SURVIVED ] || killed=$((killed + 1))
    printf '%-8s %s: %s\n' "$how" "$name" "$by"
done
printf 'mutants killed %d/%d\n' "$killed" "${#chosen[@]}"
[ "$killed" -eq ${#chosen[@]} ] || fail "see $work/log"
