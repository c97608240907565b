#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Remora in about a minute: a control plane, nginx (web) and redis (cache) each beside its own sidecar, and a
# client whose sidecar offers both on local ports; each in a network namespace of its own where the machine
# allows it. Certificates live 20 seconds and rotate under load; not one request may fail. Then three
# attempts that must be refused, by name. Everything it started is removed again.
#
#   deploy/demo.sh           run it
#   deploy/demo.sh --keep    leave it running and print what to try
set -euo pipefail
cd "$(dirname "$0")/.."
repo=$PWD
keep=no
case "${1:-}" in
    "") ;;
    --keep) keep=yes ;;
    *) echo "usage: deploy/demo.sh [--keep]" >&2; exit 2 ;;
esac

load_seconds=${REMORA_DEMO_SECONDS:-42}
lifetime=20s
domain=demo.mesh

# --- Showing what happens. -------------------------------------------------------------------------------
bold=$'\033[1m' green=$'\033[32m' red=$'\033[31m' plain=$'\033[0m'
[ -t 1 ] || bold='' green='' red='' plain=''
step() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
good() { printf '  %sok%s    %s\n' "$green" "$plain" "$*"; }
failures=0
bad() { printf '  %sWRONG%s %s\n' "$red" "$plain" "$*"; failures=$((failures + 1)); }
die() { printf '%sdemo: %s%s\n' "$red" "$*" "$plain" >&2; exit 1; }

# --- Build. ------------------------------------------------------------------------------------------------
step "Dependencies and build (nothing to do the second time)"
deploy/install-deps.sh
launcher=()
if command -v ccache >/dev/null; then launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache); fi
cmake --preset release -DREMORA_TESTS=OFF "${launcher[@]}" >/dev/null
cmake --build --preset release -- remora-sidecar remora-control remora
sidecar=$repo/build/release/sidecar/remora-sidecar
control=$repo/build/release/control/remora-control
remora_bin=$repo/build/release/cli/remora
"$sidecar" --version

# --- A place of its own. -------------------------------------------------------------------------------------
work=$(mktemp -d "${TMPDIR:-/tmp}/remora-demo-XXXXXX")
chmod 755 "$work"
pids=()
namespaces=()
tag=rd$$
stop_all() {
    local pid ns
    for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do
        for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
        kill -KILL "$pid" 2>/dev/null || true
    done
    for ns in "${namespaces[@]}"; do ip netns del "$ns" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do
        if kill -0 "$pid" 2>/dev/null; then echo "demo: process $pid is still there" >&2; fi
    done
    rm -rf "$work"
}
finish() {
    local status=$?
    trap - EXIT INT TERM
    if [ "$status" != 0 ] && [ -d "$work" ]; then
        printf '\n%sThe last lines of each log:%s\n' "$bold" "$plain" >&2
        tail -n 5 "$work"/*.err >&2 2>/dev/null || true
    fi
    if [ "$keep" = no ] || [ "$status" != 0 ]; then stop_all; fi
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

# One namespace per host on a common switch; without the right to make them, everything on loopback.
declare -A address=([control]=10.77.0.1 [web]=10.77.0.2 [cache]=10.77.0.3 [client]=10.77.0.4 [mallory]=10.77.0.5)
make_namespaces() {
    local name
    ip netns add "$tag-sw" 2>/dev/null || return 1
    namespaces+=("$tag-sw")
    ip -n "$tag-sw" link add br0 type bridge && ip -n "$tag-sw" link set br0 up || return 1
    for name in control web cache client mallory; do
        ip netns add "$tag-$name" || return 1
        namespaces+=("$tag-$name")
        ip link add "$tag$name" netns "$tag-sw" type veth peer name eth0 netns "$tag-$name" || return 1
        ip -n "$tag-sw" link set "$tag$name" master br0 up || return 1
        ip -n "$tag-$name" addr add "${address[$name]}/24" dev eth0 || return 1
        ip -n "$tag-$name" link set eth0 up && ip -n "$tag-$name" link set lo up || return 1
    done
}
if make_namespaces 2>"$work/namespaces.err"; then
    in_ns() { local name=$1; shift; ip netns exec "$tag-$name" "$@"; }
    become() { local name=$1; shift; exec ip netns exec "$tag-$name" "$@"; }
    tunnel() { echo "${address[$1]}:15008"; }
    port_offset() { echo 0; }
    where="in its own network namespace"
else
    for ns in "${namespaces[@]}"; do ip netns del "$ns" 2>/dev/null || true; done
    namespaces=()
    in_ns() { shift; "$@"; }
    become() { shift; exec "$@"; }
    declare -A offset=([control]=0 [web]=100 [cache]=200 [client]=300 [mallory]=400)
    for name in "${!address[@]}"; do address[$name]=127.0.0.1; done
    port_offset() { echo "${offset[$1]}"; }
    tunnel() { echo "127.0.0.1:$((15008 + $(port_offset "$1")))"; }
    where="on loopback (no right to make network namespaces here)"
fi
health() { echo "127.0.0.1:$((15021 + $(port_offset "$1")))"; }
metrics() { echo "127.0.0.1:$((15020 + $(port_offset "$1")))"; }

start() { # host, log name, command
    local host=$1 name=$2
    shift 2
    # exec, so that the process that is remembered, and ended, is the program itself.
    (become "$host" "$@") >"$work/$name.out" 2>"$work/$name.err" </dev/null &
    pids+=($!)
}
wait_for() { # seconds, what, command
    local seconds=$1 what=$2
    shift 2
    for _ in $(seq $((seconds * 20))); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.05
    done
    die "waited $seconds s in vain for $what"
}
remora() { "$remora_bin" --socket "$work/admin.sock" "$@"; }
id() { echo "spiffe://$domain/ns/demo/sa/$1"; }

# --- Control plane. ---------------------------------------------------------------------------------------------
step "Control plane: a fresh CA for $domain, certificates of $lifetime"
cat >"$work/control.yaml" <<YAML
trust_domain: $domain
data_dir: $work/control
listen: ${address[control]}:15010
admin_socket: {path: $work/admin.sock}
health: 127.0.0.1:15014
test_lifetimes: true
certificates: {lifetime: $lifetime}
log: {format: json}
YAML
"$control" init --config "$work/control.yaml"
start control control "$control" serve --config "$work/control.yaml"
wait_for 10 "the control plane" remora status
good "running $where"

step "Services and single-use join tokens"
remora service create web --port 80 --identity "$(id web)" --allow "$(id client)"
remora service create cache --port 6379 --identity "$(id cache)" --allow "$(id client)"
for name in web cache client mallory; do
    remora token create --identity "$(id $name)" --out "$work/$name.token" >/dev/null
done
remora service list
remora token list

# --- Workloads. -------------------------------------------------------------------------------------------------
write_sidecar() { # host; the rest of the YAML comes on standard input
    local host=$1
    {
        cat <<YAML
identity:
  control:
    address: ${address[control]}:15010
    trust_domain: $domain
    join_token_file: $work/$host.token
health: $(health "$host")
metrics: $(metrics "$host")
local: {listen: "unix:$work/$host.sock"}
log: {format: json, access: all}
YAML
        cat
    } >"$work/$host.yaml"
}
step "Real applications beside their sidecars, each $where"
head -c 4194304 /dev/urandom >"$work/blob"
blob_sha=$(sha256sum "$work/blob" | cut -d' ' -f1)
echo "hello from nginx behind its sidecar" >"$work/index.html"
web_port=$((8080 + $(port_offset web)))
redis_port=$((6390 + $(port_offset cache)))
cat >"$work/nginx.conf" <<CONF
worker_processes 1;
daemon off;
user root;
pid $work/nginx.pid;
error_log stderr warn;
events { worker_connections 2048; }
http {
    access_log off;
    keepalive_requests 1000000;
    keepalive_timeout 300s;
    client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work; uwsgi_temp_path $work; scgi_temp_path $work;
    server { listen 127.0.0.1:$web_port; root $work; default_type application/octet-stream;
             location ~ ^/(index.html|blob)?$ { index index.html; } location / { return 404; } }
}
CONF
start web nginx nginx -p "$work" -c "$work/nginx.conf"
start cache redis redis-server --port "$redis_port" --bind 127.0.0.1 --save "" --appendonly no --dir "$work"
write_sidecar web <<YAML
inbound:
  listen: $(tunnel web)
  services: [{name: web, port: 80, target: "127.0.0.1:$web_port"}]
YAML
write_sidecar cache <<YAML
inbound:
  listen: $(tunnel cache)
  services: [{name: cache, port: 6379, target: "127.0.0.1:$redis_port"}]
YAML
write_sidecar client <<YAML
outbound:
  - {listen: "127.0.0.1:18080", service: web}
  - {listen: "127.0.0.1:16379", service: cache}
YAML
for name in web cache client; do
    start "$name" "$name" "$sidecar" --config "$work/$name.yaml"
done
for name in web cache client; do
    wait_for 15 "the sidecar of $name" in_ns "$name" curl -fs -m 1 "http://$(health $name)/healthz/ready"
    good "$name is ready"
done
endpoints_known() {
    remora service list --json | python3 -c 'import json,sys; sys.exit(any(not s["endpoints"] for s in json.load(sys.stdin)["services"]))'
}
wait_for 10 "both endpoints in the registry" endpoints_known
wait_for 10 "the client to reach web" in_ns client curl -fs -m 2 http://127.0.0.1:18080/
wait_for 10 "the client to reach cache" in_ns client redis-cli -p 16379 ping

step "Traffic: curl to nginx, redis-cli to redis, both through mTLS"
printf '  curl      %s\n' "$(in_ns client curl -fsS -m 5 http://127.0.0.1:18080/)"
printf '  redis-cli set/get: %s %s\n' "$(in_ns client redis-cli -p 16379 set greeting hi)" "$(in_ns client redis-cli -p 16379 get greeting)"

# --- Rotation under load. -----------------------------------------------------------------------------------------
step "Load over $load_seconds s: 220 new connections/s, 32 keep-alive, 4 long streams with checksums; certificates rotate"
renewals() { in_ns "$1" curl -fs -m 2 "http://$(metrics "$1")/metrics" | awk '$1 == "remora_certificate_renewals_total{result=\"ok\"}" {print int($2)}'; }
declare -A before
for name in web cache client; do before[$name]=$(renewals "$name"); done
redis_failed=0
(
    # A steady trickle to redis beside it.
    for _ in $(seq $((load_seconds * 5))); do
        in_ns client redis-cli -p 16379 incr demo >/dev/null || echo failed
        sleep 0.2
    done
) >"$work/redis-load.log" 2>&1 &
redis_pid=$!
if in_ns client python3 "$repo/deploy/demo/load.py" --address 127.0.0.1:18080 --seconds "$load_seconds" --rate 220 \
    --keep-alive 32 --streams 4 --path / --stream-path /blob --stream-sha256 "$blob_sha" >"$work/load.json"; then
    load_ok=yes
else
    load_ok=no
fi
wait "$redis_pid" || true
redis_failed=$(grep -c . "$work/redis-load.log" || true)
python3 - "$work/load.json" <<'PY'
import json, sys
r = json.load(open(sys.argv[1]))
print(f"  {r['new_connections']} new connections ({r['new_per_second']}/s), {r['keep_alive_requests']} keep-alive requests, "
      f"{r['streams_complete']} streams ({r['stream_bytes'] >> 20} MiB) with right checksums, {r['failed']} failed")
for name, count in r["failures"].items():
    print(f"    {count} x {name}")
PY
if [ "$load_ok" = yes ]; then good "zero failed requests, counted without retries"; else bad "requests failed"; fi
python3 -c 'import json,sys; sys.exit(json.load(open(sys.argv[1]))["new_per_second"] < 200)' "$work/load.json" &&
    good "at least 200 new connections a second" || bad "fewer than 200 new connections a second"
if [ "$redis_failed" = 0 ]; then good "redis: zero failed commands"; else bad "redis: $redis_failed failures"; fi
for name in web cache client; do
    rotations=$(($(renewals "$name") - before[$name]))
    if [ "$rotations" -ge 3 ]; then good "$name rotated its certificate $rotations times meanwhile"; else bad "$name rotated only $rotations times"; fi
done

step "Who talked to whom"
python3 - "$work/client.out" <<'PY'
import json, sys
seen = {}
for line in open(sys.argv[1]):
    try:
        entry = json.loads(line)
    except ValueError:
        continue
    key = (entry.get("local_identity"), entry.get("peer_identity"), entry.get("service"))
    if entry.get("result") == "ok" and key[1]:
        # Of all connections the one whose peer had the freshest certificate when it ended.
        count, best = seen.get(key, (0, entry))
        seen[key] = (count + 1, max(best, entry, key=lambda e: e["peer_expires_s"]))
for (a, b, service), (count, e) in seen.items():
    print(f"  {a}\n    -> {b}  (service {service}, {count} connections)\n"
          f"       {e['tls']}, {e['suite']}, {e['group']}, peer serial {e['peer_serial']}, {e['peer_expires_s']} s left when it ended")
if len(seen) < 2:
    sys.exit("fewer than two pairs talked")
PY
remora certificates

# --- Refusals. ------------------------------------------------------------------------------------------------------
logged() { # log, pattern
    grep -E "$2" "$work/$1" | tail -1
}
refused() { # what, log, pattern
    local line=
    for _ in $(seq 100); do
        line=$(logged "$2" "$3" || true)
        [ -z "$line" ] || break
        sleep 0.05
    done
    if [ -n "$line" ]; then
        good "$1"
        printf '        %s\n' "$(printf '%s' "$line" | cut -c1-400)"
    else
        bad "$1: not found in $2: $3"
    fi
}
step "Refused: plaintext to the tunnel port"
if in_ns mallory curl -s -m 3 "http://$(tunnel web)/" >/dev/null 2>&1; then bad "plaintext was answered"; fi
refused "the inbound sidecar names it" web.err '"error":"not_tls"'

step "Refused: a certificate from another CA, with the client's own SPIFFE ID in it"
(
    cd "$work"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout rogue-ca.key -out rogue-ca.pem -days 1 \
        -subj "/O=rogue" -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout rogue.key -out rogue.csr -subj "/"
    printf 'subjectAltName=critical,URI:%s\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=critical,CA:FALSE\n' \
        "$(id client)" >rogue.ext
    openssl x509 -req -in rogue.csr -CA rogue-ca.pem -CAkey rogue-ca.key -CAcreateserial -days 1 -extfile rogue.ext -out rogue.pem
) >"$work/openssl.log" 2>&1
sni=$(python3 - "$(id web)" "$domain" <<'PY'
import base64, hashlib, sys
print(base64.b32encode(hashlib.sha256(sys.argv[1].encode()).digest()).decode().lower()[:26] + "." + sys.argv[2])
PY
)
(sleep 1) | in_ns mallory timeout 5 openssl s_client -connect "$(tunnel web)" -servername "$sni" -alpn remora/1 -tls1_3 \
    -cert "$work/rogue.pem" -key "$work/rogue.key" >"$work/s_client.log" 2>&1 || true
refused "the inbound sidecar names it" web.err '"error":"(unknown_issuer|missing_intermediate|self_signed|untrusted_chain|not_anchored)"'
if grep -Eq 'alert (unknown ca|bad certificate|certificate unknown)' "$work/s_client.log"; then
    good "the impostor was told: $(grep -Eo 'alert [a-z ]+' "$work/s_client.log" | head -1)"
else
    bad "the impostor saw no TLS alert"
fi

step "Refused: mallory, a valid workload, claims to be the service web"
write_sidecar mallory <<YAML
inbound:
  listen: $(tunnel mallory)
  services: [{name: web, port: 80, target: "127.0.0.1:9"}]
YAML
start mallory mallory "$sidecar" --config "$work/mallory.yaml"
refused "the control plane names it" control.err 'does not own the service'
refused "mallory's own sidecar says why" mallory.err 'does not own the service'
if remora service show web --json | grep -q "$(id mallory)"; then bad "mallory is an endpoint of web"; else good "no endpoint of mallory's ever reached the mesh"; fi
remora status

if [ "$failures" != 0 ]; then die "$failures things were not as said"; fi
printf '\n%sEverything was as said.%s\n' "$green$bold" "$plain"

if [ "$keep" = yes ]; then
    cat >"$work/stop.sh" <<STOP
#!/bin/sh
kill ${pids[*]} 2>/dev/null
sleep 1
for ns in ${namespaces[*]:-}; do ip netns del "\$ns"; done
rm -rf "$work"
STOP
    chmod +x "$work/stop.sh"
    prefix=
    [ ${#namespaces[@]} = 0 ] || prefix="ip netns exec $tag-client "
    cat <<TEXT

It is still running. Try:
  ${prefix}curl http://127.0.0.1:18080/
  ${prefix}redis-cli -p 16379 info server
  $remora_bin --socket $work/admin.sock status
  $remora_bin --socket $work/admin.sock certificates
  $remora_bin --sidecar-socket $work/client.sock top
  tail -f $work/client.out        # access log of the client's sidecar
End it with:
  $work/stop.sh
TEXT
fi
