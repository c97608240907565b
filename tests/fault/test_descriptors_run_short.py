# SPDX-License-Identifier: GPL-3.0-or-later
"""At the descriptor limit accepting pauses, what is accepted can be served, health answers, one line says so,
and service comes back with the descriptors."""
import resource
import socket

from crowd import Crowd
from mesh import http_get, wait_until
from pair import descriptor_count, echo_pair

LIMIT = 200


def low_limit():
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))


def start(mesh, authority, low, **options):
    pair, application = echo_pair(mesh, authority=authority, start=False, access="off", **options)
    for side in (pair.server, pair.client):
        side.start(preexec=low_limit if side is getattr(pair, low) else None)
    return pair, application


def shortage_lines(sidecar):
    return [line for line in sidecar.process.events() if line.get("event") == "listener_out_of_resources"]


def check_shortage(pair, short, established, crowd):
    """While it lasts, and when it is over."""
    wait_until(lambda: short.metric("remora_accept_pauses_total") >= 1, "a pause", process=short.process)
    for connection in established:
        connection.sendall(b"still here")
        assert connection.recv(64) == b"still here"
    # Look-ups, files and the control connection have descriptors left; health has used one of them.
    assert descriptor_count(short.process.pid) < LIMIT - 8
    assert http_get(f"127.0.0.1:{short.health}", "/healthz/ready")[0] == 200
    crowd.close()
    for connection in established:
        connection.close()
    wait_until(pair.works, "service to come back", process=short.process)
    assert len(shortage_lines(short)) == 1


def echoing(pair, count):
    """Connections that stand: a byte went there and back."""
    made = []
    for _ in range(count):
        connection = pair.connect()
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        made.append(connection)
    return made


def test_server_at_its_limit(mesh, authority):
    """Silent strangers take what there is, on two workers; connections that stand do not notice."""
    pair, _ = start(mesh, authority, "server", workers=2)
    established = echoing(pair, 10)
    crowd = mesh.add(Crowd(pair.server.tunnel, 2 * LIMIT))
    check_shortage(pair, pair.server, established, crowd)


def test_client_at_its_limit_serves_whom_it_accepts(mesh, authority):
    """Applications that the client's sidecar accepts get their tunnel; the others wait in the kernel's queue
    and get theirs later. Nobody is reset, and no endpoint is blamed."""
    pair, application = start(mesh, authority, "client")
    established = echoing(pair, 10)
    crowd = mesh.add(Crowd(pair.port, LIMIT, say=b"hello"))
    wait_until(lambda: pair.client.metric("remora_accept_pauses_total") >= 1, "a pause",
               process=pair.client.process)
    for connection in crowd.connections:  # as each ends, another one comes in
        connection.settimeout(20)
        assert connection.recv(5) == b"hello"
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
        connection.close()
    assert application.count == LIMIT + 10
    assert pair.client.metric("remora_endpoint_failures_total", service="web") == 0
    check_shortage(pair, pair.client, established, crowd)
