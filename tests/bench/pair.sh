#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A pair of sidecars in the foreground, for side-by-side measurements: application -> OUT (plaintext) ->
# outbound sidecar -> mTLS -> inbound sidecar on IN -> BACKEND. Identity from the files in DIR: a.key b.key
# a-full.pem b-full.pem root.pem. Ends on SIGTERM. This shell becomes the outbound sidecar, so that nothing but
# the two is measured; the inbound one is its child and ends with it.
#
#   tests/bench/pair.sh DIR OUT IN BACKEND
#
# RESUME=0        no session resumption
# TUNNEL=PORT     where the outbound sidecar dials, when something stands before IN
# WRAPPER=CMD     run both under this command
# REMORA_SIDECAR  the program; the release build when unset
set -euo pipefail
dir=$1 out=$2 in=$3 backend=$4
root=$(cd "$(dirname "$0")/../.." && pwd)
sidecar=${REMORA_SIDECAR:-$root/build/release/sidecar/remora-sidecar}
resumption=true
[[ ${RESUME:-1} != 0 ]] || resumption=false
read -ra wrapper <<<"${WRAPPER:-}"
work=$(mktemp -d "$dir/remora-XXXXXX")
chmod 600 "$dir/a.key" "$dir/b.key"
common() { # name; health and metrics on sockets, so that no port is taken from the measurement
    cat <<YAML
identity:
  files: {certificate: "$dir/$1-full.pem", key: "$dir/$1.key", bundle: "$dir/root.pem"}
health: "unix:$work/$1-health.sock"
metrics: "unix:$work/$1-metrics.sock"
local: {listen: off}
workers: 1
resumption: $resumption
log: {access: all, level: warn}
YAML
}
{
    common a
    cat <<YAML
outbound:
  - {listen: "127.0.0.1:$out", service: backend, port: 80, endpoint: "127.0.0.1:${TUNNEL:-$in}",
     identity: "spiffe://mesh.local/ns/default/sa/b"}
YAML
} >"$work/a.yaml"
{
    common b
    cat <<YAML
inbound:
  listen: 127.0.0.1:$in
  services:
    - {name: backend, port: 80, target: "127.0.0.1:$backend"}
YAML
} >"$work/b.yaml"
setpriv --pdeathsig TERM "${wrapper[@]}" "$sidecar" --config "$work/b.yaml" &
exec "${wrapper[@]}" "$sidecar" --config "$work/a.yaml"
