#!/usr/bin/env bash
# Makes the Python environment of the tests and benchmarks that meet clients in Python, and prints its interpreter's path.
# It holds what ci/python-requirements.txt names, is made once, and then found.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
requirements=$root/ci/python-requirements.txt
venv=${CARGO_TARGET_DIR:-$root/target}/python
python=${LEASEHOLD_PYTHON_BIN:-python3}

fail() {
    echo "ci/python-venv.sh: $*" >&2
    exit 1
}

command -v "$python" >/dev/null || fail "no $python (Debian package python3-venv, or LEASEHOLD_PYTHON_BIN)"
wanted=$("$python" --version && cat "$requirements")

mkdir -p "$venv"
# Of several tests that come at once one makes it.
exec 9>"$venv.lock"
flock 9
if [ "$(cat "$venv/made-of" 2>/dev/null)" != "$wanted" ]; then
    "$python" -m venv --clear "$venv" >&2 || fail "cannot make an environment (Debian package python3-venv)"
    while read -r package; do
        "$venv/bin/python" -m pip --quiet --disable-pip-version-check install "$package" >&2 ||
            fail "cannot install $package from the package index"
    done < <(grep -v '^#' "$requirements")
    printf '%s\n' "$wanted" >"$venv/made-of"
fi
printf '%s\n' "$venv/bin/python"
