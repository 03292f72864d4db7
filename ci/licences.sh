#!/usr/bin/env bash
# Checks what the published crates are built from, offline: that each crate of others is under a licence which ours goes with, and that
# none is there in two versions but those listed here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. ci/published.sh

# What may be linked into a program under MIT or Apache-2.0 without more than a notice.
readonly allowed=' MIT Apache-2.0 Apache-2.0+LLVM-exception BSD-2-Clause BSD-3-Clause BSL-1.0 ISC Unicode-3.0 Unlicense Zlib '

# In two versions, since two of our dependencies ask for two: a line of its own for each, and why.
readonly doubles='
ahash
getrandom
hashbrown
heck
prettyplease
syn
thiserror
thiserror-impl
'

# The crates that are linked or run at build time, with all features.
tree() {
    local packages=() crate
    for crate in $published; do
        packages+=(--package "$crate")
    done
    cargo tree --locked --offline "${packages[@]}" --all-features --edges normal,build --prefix none "$@"
}

# is_allowed EXPRESSION: whether the licences that an SPDX expression leaves to choose from are allowed.
is_allowed() {
    local word value='' expression=${1//\// OR }
    expression=${expression// WITH /+}
    expression=${expression//(/ ( }
    expression=${expression//)/ ) }
    for word in $expression; do
        case $word in
            OR) value+='||' ;;
            AND) value+='&&' ;;
            '(' | ')') value+=$word ;;
            *) if [[ $allowed == *" $word "* ]]; then value+=1; else value+=0; fi ;;
        esac
    done
    [ -n "$value" ] && ((value))
}

licences() {
    local line licence bad=0 seen=0
    while IFS= read -r line; do
        licence=${line%%|*}
        seen=$((seen + 1))
        if ! is_allowed "$licence"; then
            echo "${line#*|} is under ${licence:-no licence that it names}" >&2
            bad=1
        fi
    done < <(tree --format '{l}|{p}' | grep -F '|' | sed 's/ (\*)$//' | sort -u)
    # A tree that could not be read has no crates.
    if [ "$seen" -lt 20 ] || [ "$bad" -ne 0 ]; then
        echo "$seen crates were looked at" >&2
        return 1
    fi
    echo "$seen crates, all under licences that are allowed"
}

duplicates() {
    local found
    found=$(tree --format '{p}' | sed -e 's/ (\*)$//' -e 's/ (.*)$//' | sort -u | awk '{ print $1 }' | uniq -d)
    if ! diff <(grep . <<<"$doubles" | sort) <(grep . <<<"$found" | sort); then
        echo 'in two versions: what stands with < is listed and is not, what stands with > is and is not listed' >&2
        return 1
    fi
    echo "$(grep -c . <<<"$found") crates in more than one version, as listed"
}

# The check checked.
is_allowed '(MIT OR GPL-3.0) AND Unicode-3.0' && ! is_allowed 'MIT AND GPL-3.0' && ! is_allowed '' && is_allowed 'MIT/Apache-2.0'

licences
duplicates
