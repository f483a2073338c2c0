#!/bin/sh
# Runs the kernel's tests on a library built with AddressSanitizer and UndefinedBehaviorSanitizer: every path,
# every entry point. Any finding ends the run.
set -eu

cd "$(dirname "$0")/.."
DIRECTORY=build/sanitize
LIBRARY=$DIRECTORY/_kernel.so
COMPILER=${CC:-cc}

mkdir -p "$DIRECTORY"
# -O1 keeps the reports readable; the fast paths choose their instructions by themselves.
"$COMPILER" -std=c11 -O1 -g -fno-omit-frame-pointer -fPIC -shared -fvisibility=hidden -Wall -Wextra -Werror \
    -fsanitize=address,undefined -fno-sanitize-recover=all p2pnode/coding/native/*.c -o "$LIBRARY"

# Python itself is not instrumented, so the sanitizer must be there before it. Python keeps much until it ends, so
# leaks are not looked for; with plain malloc every buffer of Python and numpy has its guards.
P2PNODE_TEST_KERNEL_LIBRARY=$PWD/$LIBRARY \
LD_PRELOAD="$("$COMPILER" -print-file-name=libasan.so) $("$COMPILER" -print-file-name=libubsan.so)" \
ASAN_OPTIONS=detect_leaks=0:halt_on_error=1:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1 PYTHONMALLOC=malloc \
    .venv/bin/python -m pytest -q -p no:cacheprovider tests/coding/test_kernel.py tests/coding/test_kernels_agree.py
