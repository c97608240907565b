#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds and runs every test: units, structure, behaviour, faults, interoperability; then the units again
# under AddressSanitizer + UndefinedBehaviorSanitizer and, for what has threads, ThreadSanitizer.
#
#   tests/run.sh            everything (what CI runs)
#   tests/run.sh quick      only the first build and its tests
#   tests/run.sh -R REGEX   only tests whose name matches, first build only
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }
jobs=$(nproc)
mode=all
filter=()
case "${1:-}" in
    "") ;;
    quick) mode=quick ;;
    -R) mode=quick; filter=(-R "${2:?a regular expression is missing}") ;;
    *) echo "usage: tests/run.sh [quick | -R REGEX]" >&2; exit 2 ;;
esac

step "dependencies"
deploy/install-deps.sh

launcher=()
if command -v ccache >/dev/null; then
    launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
fi

build() { # preset
    step "build: $1"
    cmake --preset "$1" "${launcher[@]}" >/dev/null
    cmake --build --preset "$1" -- -j "$jobs"
}

run() { # preset, ctest arguments
    local preset=$1
    shift
    step "tests: $preset $*"
    ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j "$jobs" "$@"
}

build ci
run ci "${filter[@]}"
if [ "$mode" = all ]; then
    build asan-ubsan
    run asan-ubsan -L 'unit|fault|fuzz|behavior|interop'
    build tsan
    run tsan -L 'threads'
fi
