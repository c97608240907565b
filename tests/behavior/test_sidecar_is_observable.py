# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator reads: readiness that says what it waits for, metrics as documented, one access line for each
connection with all its facts."""
import json
import re
import resource
import socket

import pytest

from ca import sni
from mesh import REPO, Sidecar, free_port, http_get, wait_until
from pair import echo_pair, read_all, reset
from tunnel import connect_message, open_tls, read_reply

ACCESS_FIELDS = {
    "time", "category", "connection", "direction", "result", "service", "port", "local_identity",
    "peer_identity", "peer_serial", "peer_expires_s", "remote", "application", "sent_bytes",
    "received_bytes", "duration_ms", "tls", "suite", "group", "resumed", "handshake_ms", "detail"}


# --- Health -------------------------------------------------------------------------------------------


def test_ready_and_live(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority)
    address = f"127.0.0.1:{pair.server.health}"
    assert http_get(address, "/healthz/ready") == (200, "ready\n")
    assert http_get(address, "/healthz/live") == (200, "live\n")
    assert http_get(address, "/metrics")[0] == 404
    assert http_get(f"127.0.0.1:{pair.server.metrics_port}", "/healthz/ready")[0] == 404


def test_readiness_says_what_it_waits_for(mesh, authority):
    """No control plane at the address: alive, not ready, and it says why."""
    nobody = free_port()
    bundle = authority.write_bundle(mesh.folder, "td")
    token = mesh.folder / "token"
    token.write_text("rmt1.0123456789abcdef.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA."
                     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n")
    token.chmod(0o600)
    sidecar = mesh.add(Sidecar(mesh.folder, "web", identity_yaml=f"""\
  control:
    address: 127.0.0.1:{nobody}
    trust_domain: example.org
    bundle: {bundle}
    join_token_file: {token}
""")).start(ready=False)
    wait_until(lambda: "does not answer" in sidecar.ready()[1], "readiness to say it", process=sidecar.process)
    status, text = sidecar.ready()
    assert status == 503
    assert text.startswith("waiting for a first certificate: ") and f"127.0.0.1:{nobody}" in text
    assert http_get(f"127.0.0.1:{sidecar.health}", "/healthz/live") == (200, "live\n")


def test_health_port_stands_slow_and_hostile_clients(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority)
    slow = [socket.create_connection(("127.0.0.1", pair.server.health), 20) for _ in range(20)]
    for connection in slow:
        connection.sendall(b"GET /healthz/re")
    for said in (b"\0" * 100000, b"GET " + b"/" * 100000, b"\xff\xff\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", pair.server.health), 20) as connection:
            try:
                connection.sendall(said)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(65536)
            except OSError:
                pass
    assert pair.server.ready() == (200, "ready\n")
    for connection in slow:
        connection.close()


# --- Metrics ------------------------------------------------------------------------------------------


def catalogue():
    """Names and labels that the code declares."""
    text = (REPO / "sidecar" / "metrics_catalogue.c").read_text()
    entries = re.findall(r'\.name =\s*"([a-z_]+)"(.*?)(?=\[SIDECAR|\Z)', text, re.DOTALL)
    found = {}
    for name, body in entries:
        labels = re.search(r"\.labels = \{([^}]*)\}", body)
        found[name] = re.findall(r'"([a-z_]+)"', labels.group(1)) if labels else []
    return found


def test_every_metric_is_documented_with_its_labels():
    readme = (REPO / "README.md").read_text()
    declared = catalogue()
    assert len(declared) >= 16
    for name, labels in declared.items():
        row = re.search(rf"^\| `{name}` \|([^|]*)\|", readme, re.MULTILINE)
        assert row, f"README.md does not document {name}"
        assert re.findall(r"`([a-z_]+)`", row.group(1)) == labels, f"labels of {name}"
    for name in re.findall(r"^\| `(remora_[a-z_]+)` \|", readme, re.MULTILINE):
        assert name in declared or name.startswith("remora_control_"), f"README.md documents {name}"


SERIES = re.compile(r'^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*)\})? (-?[0-9.e+-]+|\+Inf|NaN)$')


def test_metrics_parse_and_add_up(mesh, authority):
    """Prometheus text format, every series of a declared metric; counters match what was done."""
    pair, _ = echo_pair(mesh, authority=authority, workers=3)
    for _ in range(30):
        pair.echo(b"x" * 1000)
    wait_until(lambda: pair.server.metric("remora_connections_total", direction="inbound", service="web",
                                          result="ok") == 30, "thirty ends")
    declared, helped, typed = catalogue(), set(), {}
    for line in pair.server.metrics().splitlines():
        if line.startswith("# HELP "):
            helped.add(line.split()[2])
        elif line.startswith("# TYPE "):
            typed[line.split()[2]] = line.split()[3]
        elif line:
            match = SERIES.match(line)
            assert match, line
            base = re.sub(r"_(bucket|sum|count)$", "", match.group(1))
            name = base if typed.get(base) == "histogram" else match.group(1)
            assert name in declared and name in helped and name in typed, line
            labels = re.findall(r'([a-z_]+)="', match.group(2) or "")
            assert [label for label in labels if label != "le"] == declared[name], line
    server, client = pair.server, pair.client
    assert server.metric("remora_bytes_total", direction="inbound", flow="received") == 30000
    assert server.metric("remora_bytes_total", direction="inbound", flow="sent") == 30000
    assert client.metric("remora_bytes_total", direction="outbound", flow="sent") == 30000
    assert client.metric("remora_bytes_total", direction="outbound", flow="received") == 30000
    assert server.metric("remora_tls_handshakes_total", role="server", result="ok") == 30
    assert client.metric("remora_tls_handshakes_total", role="client", result="ok") == 30
    assert client.metric("remora_tls_handshake_seconds_count", role="client") == 30
    assert server.metric("remora_connections_open", direction="inbound") == 0
    buckets = re.findall(r'remora_connection_seconds_bucket\{direction="inbound",le="([^"]+)"\} (\d+)',
                         server.metrics())
    counts = [int(count) for _, count in buckets]
    assert buckets[-1] == ("+Inf", "30") and counts == sorted(counts)


def test_open_connections_are_counted_while_they_are_open(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority, workers=2)
    connections = [pair.connect() for _ in range(7)]
    for connection in connections:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
    assert pair.client.metric("remora_connections_open", direction="outbound") == 7
    assert pair.server.metric("remora_connections_open", direction="inbound") == 7
    for connection in connections:
        connection.close()
    wait_until(lambda: pair.server.metric("remora_connections_open", direction="inbound") == 0, "the ends")


def test_names_from_the_wire_do_not_make_series(mesh, authority):
    """What a peer asks for is not a label: an attacker must not fill the metrics."""
    pair, _ = echo_pair(mesh, authority=authority)
    leaf = authority.leaf(authority.identity("client"))
    for number in range(20):
        with open_tls(pair.server.tunnel, leaf, sni(pair.server_id)) as tls:
            tls.sendall(connect_message(f"made-up-{number}"))
            read_reply(tls)
    wait_until(lambda: pair.server.metric("remora_connections_total", direction="inbound",
                                          result="service_not_exposed") == 20, "twenty ends")
    assert "made-up" not in pair.server.metrics()


def test_shortage_of_descriptors_is_counted_and_survived(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority, start=False)
    pair.server.start(preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60)))
    pair.client.start()
    pair.echo()
    # They say nothing, so each holds its descriptor.
    crowd = [socket.create_connection(("127.0.0.1", pair.server.tunnel), 20) for _ in range(100)]
    pair.server.process.wait_event("listener_out_of_resources")
    for connection in crowd:
        reset(connection)
    wait_until(pair.works, "service to come back")
    assert pair.server.metric("remora_accept_pauses_total") >= 1


# --- Access log ---------------------------------------------------------------------------------------


def test_access_line_has_every_fact(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority)
    with pair.connect() as connection:
        local = "%s:%d" % connection.getsockname()
        connection.sendall(b"12345")
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b"12345"
    wait_until(lambda: pair.client.process.access() and pair.server.process.access(), "access lines")
    here, there = pair.client.process.access()[0], pair.server.process.access()[0]
    for line in (here, there):
        assert set(line) == ACCESS_FIELDS
        assert line["result"] == "ok" and line["detail"] == ""
        assert (line["service"], line["port"]) == ("web", 80)
        assert line["tls"] == "TLSv1.3" and line["suite"].startswith("TLS_") and line["resumed"] is False
        assert line["group"] in ("X25519MLKEM768", "X25519", "SECP256R1")
        assert re.fullmatch(r"[0-9a-f]{32}", line["connection"])
        assert re.fullmatch(r"([0-9a-f]{2})+", line["peer_serial"])
        assert 3500 < line["peer_expires_s"] <= 3600
        assert (line["sent_bytes"], line["received_bytes"]) == (5, 5)
    assert here["connection"] == there["connection"]
    assert (here["direction"], there["direction"]) == ("outbound", "inbound")
    assert (here["local_identity"], here["peer_identity"]) == (pair.client_id, pair.server_id)
    assert (there["local_identity"], there["peer_identity"]) == (pair.server_id, pair.client_id)
    assert here["application"] == local
    assert here["remote"] == f"127.0.0.1:{pair.server.tunnel}"


@pytest.mark.parametrize("mode, expected", [("off", []), ("errors", ["not_tls"]), ("all", ["ok", "not_tls"])])
def test_access_log_modes(mesh, authority, mode, expected):
    pair, _ = echo_pair(mesh, authority=authority, access=mode)
    pair.echo()
    wait_until(lambda: pair.server.metric("remora_connections_total", result="ok") == 1, "the first end")
    with socket.create_connection(("127.0.0.1", pair.server.tunnel), 20) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        try:
            connection.recv(64)
        except ConnectionResetError:
            pass
    wait_until(lambda: pair.server.metric("remora_connections_total", result="not_tls") == 1, "the second end")
    assert [line["result"] for line in pair.server.process.access()] == expected


def test_log_as_text_is_for_people(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority, start=False)
    for sidecar in (pair.server, pair.client):
        sidecar.config.write_text(sidecar.config.read_text().replace("format: json", "format: text"))
        sidecar.start()
    pair.echo()
    wait_until(lambda: "result=ok" in pair.client.process.stdout(), "the access line")
    line = pair.client.process.stdout().splitlines()[0]
    assert not line.startswith("{") and f"peer_identity={pair.server_id}" in line


def test_what_peers_send_cannot_forge_a_line(mesh, authority):
    """A certificate's name is text from outside: line ends and quotes in it stay inside their field."""
    pair, _ = echo_pair(mesh, authority=authority)
    leaf = authority.leaf(uris=['spiffe://example.org/a"}\n{"event":"forged"'])
    try:
        with open_tls(pair.server.tunnel, leaf, sni(pair.server_id)) as tls:
            tls.sendall(connect_message())
            tls.recv(1)
    except OSError:
        pass
    pair.server.process.wait_event("handshake_failed")
    for line in (pair.server.process.stderr() + pair.server.process.stdout()).splitlines():
        assert json.loads(line).get("event") != "forged"


def test_no_payload_and_no_secret_is_logged(mesh, authority):
    """At the most talkative level, after successes and failures."""
    pair, _ = echo_pair(mesh, authority=authority)
    pair.echo(b"payload-marker" * 10)
    with socket.create_connection(("127.0.0.1", pair.server.tunnel), 20) as connection:
        connection.sendall(b"payload-marker" * 10)
    pair.server.process.wait_event("handshake_failed")
    for sidecar in (pair.server, pair.client):
        text = sidecar.process.stderr() + sidecar.process.stdout()
        assert "payload-marker" not in text and "PRIVATE KEY" not in text


def test_flood_of_failures_is_counted_not_repeated(mesh, authority):
    """Attackers do not write our logs: lines are limited, and say how many were left out."""
    pair, _ = echo_pair(mesh, authority=authority, access="off")
    for _ in range(500):
        with socket.create_connection(("127.0.0.1", pair.server.tunnel), 20) as connection:
            connection.sendall(b"nonsense")
    wait_until(lambda: pair.server.metric("remora_tls_handshakes_total", role="server",
                                          result="not_tls") == 500, "five hundred failures")
    lines = [line for line in pair.server.process.events() if line["event"] == "handshake_failed"]
    assert 1 <= len(lines) < 250
    with socket.create_connection(("127.0.0.1", pair.server.tunnel), 20) as connection:
        connection.sendall(b"nonsense")
