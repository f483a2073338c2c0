#!/bin/sh
# Builds .venv from the lock files. Does nothing, in milliseconds, when it is up to date.
#
# Two stamps inside .venv say what it was built from: one for the locked packages, one for the
# project's own installation. A stamp is written last, so an interrupted run starts again.
set -eu

cd "$(dirname "$0")/.."
VENV=.venv
SUPPORTED="Python 3.11, 3.12 or 3.13"
IDENTIFY='import sys; print(sys.version, sys.base_prefix)'

fail() {
    echo "setup: $*" >&2
    exit 1
}

is_supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null
}

# Prints the name of a supported Python. Names with a version come first, because plain python3 may be
# older, and the one that the project is developed with before all. Each is run: version managers put
# names on the PATH that only print an error. The upper bound is coincurve's, see locks/README.md.
find_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_supported "$PYTHON" || fail "PYTHON=$PYTHON is not $SUPPORTED."
        echo "$PYTHON"
        return
    fi
    for candidate in python3.11 python3.12 python3.13 python3; do
        if is_supported "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "$SUPPORTED is missing: none of python3.11, python3.12, python3.13 and python3 on the PATH is one." \
        "Install one, or name it: make setup PYTHON=/path/to/python3.11"
}

check_venv_module() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null && return
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    fail "$1 has no venv module. On Debian and Ubuntu: apt install python$version-venv"
}

# Twice quiet: errors only.
install() {
    "$VENV/bin/python" -m pip install -qq --no-input --disable-pip-version-check "$@"
}

# Nothing enters that the lock does not list, and nothing needs a compiler: two packages of pure Python
# publish no wheel and are built by the locked setuptools, all others come as wheels.
install_locked() {
    install --no-deps --require-hashes --no-compile --no-build-isolation --use-pep517 \
        --only-binary :all: --no-binary varint,python-baseconv "$@"
}

# An environment works only in the directory where it was built, so that is part of the key.
environment_key=$({ pwd; cat tools/setup.sh locks/*.txt; } | cksum)
# The compiled kernel is built with the project's own installation; CC=false goes without it.
project_key=$({ echo "${CC:-}"; cat pyproject.toml setup.py p2pnode/coding/native/*; } | cksum)

has_stamp() {
    [ -x "$VENV/bin/python" ] && [ -f "$VENV/$1.stamp" ] && [ "$(cat "$VENV/$1.stamp")" = "$2" ]
}

# Whoever names no PYTHON is content with the one that is there.
has_wanted_python() {
    [ -z "${PYTHON:-}" ] || [ "$("$PYTHON" -c "$IDENTIFY" 2>/dev/null)" = "$("$VENV/bin/python" -c "$IDENTIFY")" ]
}

if ! has_stamp environment "$environment_key" || ! has_wanted_python; then
    python=$(find_python)
    check_venv_module "$python"
    echo "setup: building $VENV with $("$python" --version), about a minute"
    "$python" -m venv --clear "$VENV"
    install_locked -r locks/build.txt
    install_locked -r locks/run.txt -r locks/dev.txt
    # trio-typing, which libp2p imports, carries stubs of an old trio and an old outcome, and mypy would
    # prefer them to the types that both have in their own code by now.
    rm -rf "$VENV"/lib/python*/site-packages/trio-stubs "$VENV"/lib/python*/site-packages/outcome-stubs
    # On all processors, which pip does not do. A file for another Python version may fail: no harm.
    "$VENV/bin/python" -m compileall -q -j 0 "$VENV/lib" >/dev/null || true
    echo "$environment_key" >"$VENV/environment.stamp"
fi
if ! has_stamp project "$project_key"; then
    # Editable, which also keeps the package crypto out of site-packages: docs/adr/0001.
    install --no-deps --no-build-isolation --editable .
    [ -f p2pnode/coding/_kernel.so ] ||
        echo "setup: the compiled kernel was not built (is there a C compiler?): coding works, but slowly"
    # Ten nodes start at once in the demo: where PYTHONDONTWRITEBYTECODE is set, each would compile all of it.
    "$VENV/bin/python" -m compileall -q p2pnode wire crypto testnet >/dev/null || true
    echo "$project_key" >"$VENV/project.stamp"
    echo "setup: $VENV is ready"
fi
