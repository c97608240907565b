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
failed=() # presets with a red test: the others run all the same, so that one run tells everything
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

configure() { # preset
    cmake --preset "$1" "${launcher[@]}" >/dev/null
}

build() { # preset, targets (none: everything)
    local preset=$1
    shift
    step "build: $preset"
    cmake --build --preset "$preset" -- -j "$jobs" "$@"
}

# The unit tests with this label, as build targets (remora_unit_test() names them alike).
targets_of() { # preset, label
    ctest --test-dir "build/$1" -N -L "$2" 2>/dev/null | sed -nE 's/.* (unit\.[^ ]+)$/\1/p' | tr . _
}

run() { # preset, ctest arguments
    local preset=$1
    shift
    step "tests: $preset $*"
    # Many tests wait for sockets and timers rather than compute: one more than processors.
    ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j $((jobs + 1)) "$@" ||
        failed+=("$preset")
}

configure ci
build ci
run ci "${filter[@]}"
if [ "$mode" = all ]; then
    configure asan-ubsan
    build asan-ubsan
    run asan-ubsan -L 'unit|fault|fuzz|behavior|interop'
    configure tsan
    mapfile -t targets < <(targets_of tsan threads)
    build tsan remora-sidecar remora-control remora "${targets[@]}"
    run tsan -L threads
fi
if [ ${#failed[@]} -gt 0 ]; then
    echo "tests/run.sh: failing tests in: ${failed[*]} (named above)" >&2
    exit 8
fi
