#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds the sidecar as the container image has it: build_static.sh SOURCE BUILD [CMAKE ARGUMENT...]
set -euo pipefail
source=$1
build=$2
shift 2
cd "$source"
cmake --preset static -B "$build" "$@"
cmake --build "$build" -- remora-sidecar
