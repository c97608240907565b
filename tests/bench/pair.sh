#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A pair of sidecars in the foreground, for side-by-side measurements: application -> OUT (plaintext) ->
# outbound sidecar -> mTLS -> inbound sidecar on IN -> BACKEND. Identity from the files in DIR: a.pem a.key
# b.pem b.key a-full.pem b-full.pem root.pem. Ends on SIGTERM. RESUME=0 switches resumption off.
#
#   tests/bench/pair.sh DIR OUT IN BACKEND
set -euo pipefail
dir=$1 out=$2 in=$3 backend=$4
root=$(cd "$(dirname "$0")/../.." && pwd)
sidecar=${REMORA_SIDECAR:-$root/build/release/sidecar/remora-sidecar}
resumption=true
[ "${RESUME:-1}" != 0 ] || resumption=false
work=$(mktemp -d "$dir/remora-XXXXXX")
chmod 600 "$dir/a.key" "$dir/b.key"
identity() { # name
    printf 'identity:\n  files:\n    certificate: %s\n    key: %s\n    bundle: %s\n' \
        "$dir/$1-full.pem" "$dir/$1.key" "$dir/root.pem"
}
common() { # health and metrics sockets, so that no port is taken from the test
    printf 'health: unix:%s/%s-health.sock\nmetrics: unix:%s/%s-metrics.sock\nworkers: 1\nresumption: %s\nlog: {access: errors, level: warn}\n' \
        "$work" "$1" "$work" "$1" "$resumption"
}
{
    identity a
    printf 'outbound:\n  - listen: 127.0.0.1:%s\n    service: backend\n    port: 80\n    endpoint: 127.0.0.1:%s\n    identity: spiffe://mesh.local/ns/default/sa/b\n' "$out" "$in"
    common a
} > "$work/a.yaml"
{
    identity b
    printf 'inbound:\n  listen: 127.0.0.1:%s\n  services:\n    - {name: backend, port: 80, target: "127.0.0.1:%s"}\n' "$in" "$backend"
    common b
} > "$work/b.yaml"
children=()
"$sidecar" --config "$work/b.yaml" & children+=($!)
"$sidecar" --config "$work/a.yaml" & children+=($!)
stop() { kill -TERM "${children[@]}" 2>/dev/null || true; wait; exit 0; }
trap stop TERM INT
wait -n || true
stop
