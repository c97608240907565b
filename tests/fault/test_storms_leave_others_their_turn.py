# SPDX-License-Identifier: GPL-3.0-or-later
"""Thousands that connect at once, or connect and say nothing, neither stall nor keep out anybody else."""
import selectors
import socket
import ssl
import threading

import limits
from ca import sni
from crowd import Crowd, affordable, client_hello
from mesh import http_get, wait_until
from pair import Pair, echo_pair, is_sanitized, outcome, read_all, resident_bytes
from tunnel import context

LIMITS = limits.read()
SILENT = 10000
STORM = 5000
HANDSHAKES, PER_SOURCE = 600, 400  # configured here, so that the limits are met by few


def limited(total=HANDSHAKES, per_source=PER_SOURCE):
    return f"limits: {{handshakes: {total}, handshakes_per_source: {per_source}}}\n"


def under_way(sidecar):
    return sidecar.metric("remora_tls_handshakes_under_way")


def test_silent_crowd_keeps_nobody_out(mesh, authority):
    """Ten thousand silent connections from one address: a bounded number stays, honest clients pass, from
    that very address too, and what they cost comes back."""
    pair, _ = echo_pair(mesh, authority=authority, access="off", extra=limited())
    pair.echo()
    pid = pair.server.process.pid
    before = resident_bytes(pid)
    count = affordable(SILENT)
    crowd = mesh.add(Crowd(pair.server.tunnel, count))
    wait_until(lambda: pair.server.metric("remora_tls_handshakes_limited_total", action="put_out") >=
               count - PER_SOURCE, "the crowd to be limited", process=pair.server.process)
    assert under_way(pair.server) <= PER_SOURCE
    assert len(crowd.alive()) <= PER_SOURCE
    for _ in range(20):
        pair.echo()
    if not is_sanitized(pid):
        assert resident_bytes(pid) - before < PER_SOURCE * LIMITS["handshake_bytes"] + (4 << 20)
    assert http_get(f"127.0.0.1:{pair.server.health}", "/healthz/live")[0] == 200
    crowd.close()
    wait_until(lambda: under_way(pair.server) == 0, "the handshakes to end")


def test_silent_crowd_does_not_hide_health(mesh, authority):
    """More silent connections to the health port than it holds: a probe is answered all the same."""
    pair, _ = echo_pair(mesh, authority=authority, access="off")
    crowd = mesh.add(Crowd(pair.server.health, LIMITS["http_connections"] * 2))
    for _ in range(5):
        assert http_get(f"127.0.0.1:{pair.server.health}", "/healthz/ready")[0] == 200
    assert len(crowd.alive()) <= LIMITS["http_connections"]


def test_two_sources_share_the_room(mesh, authority):
    """A source that fills its share puts out its own; those of another address stay."""
    pair, _ = echo_pair(mesh, authority=authority, access="off", extra=limited())
    quiet = mesh.add(Crowd(pair.server.tunnel, 50, source="127.0.0.2"))
    loud = mesh.add(Crowd(pair.server.tunnel, 1000, source="127.0.0.3"))
    wait_until(lambda: pair.server.metric("remora_tls_handshakes_limited_total", action="put_out") >=
               1000 - PER_SOURCE, "the loud one to be limited", process=pair.server.process)
    assert pair.server.metric("remora_connections_total", direction="inbound",
                              result="handshake_put_out") >= 1000 - PER_SOURCE
    assert len(quiet.alive()) == 50
    assert len(loud.alive()) <= PER_SOURCE
    pair.echo()


def test_hellos_at_once_are_paced(mesh, authority):
    """Thousands of ClientHellos that arrive together are answered in many turns; a connection that stands is
    served in between, and so is health."""
    pair, _ = echo_pair(mesh, authority=authority, access="off", extra=limited(STORM, STORM))
    hello = client_hello(context(ssl.PROTOCOL_TLS_CLIENT, authority.leaf(pair.client_id)),
                         sni(pair.server_id))
    with pair.connect() as established:
        established.sendall(b"before")
        assert established.recv(64) == b"before"
        served = []
        done = threading.Event()

        def talk():
            while not done.is_set():
                established.sendall(b"x" * 100)
                got = 0
                while got < 100:
                    got += len(established.recv(100))
                served.append(pair.server.metric("remora_tls_handshake_full_turns_total"))

        talker = threading.Thread(target=talk)
        talker.start()
        count = affordable(STORM // 5 if is_sanitized(pair.server.process.pid) else STORM)
        crowd = mesh.add(Crowd(pair.server.tunnel, count, say=hello))
        for connection in crowd.connections:
            assert connection.recv(1) == b"\x16"
        done.set()
        talker.join()
    # Answers came while handshakes were waiting for their turn.
    assert len([one for one in served if 0 < one < max(served)]) >= 3, served
    assert http_get(f"127.0.0.1:{pair.server.health}", "/healthz/ready")[0] == 200


class QuickEcho:
    """An echo for thousands of connections: one thread, one message each."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.count, self.process = 0, None
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.socket, selectors.EVENT_READ)
        self.is_closed = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.is_closed:
            for key, _ in self.selector.select(0.2):
                if key.fileobj is self.socket:
                    self.count += 1
                    self.selector.register(self.socket.accept()[0], selectors.EVENT_READ)
                    continue
                data = key.fileobj.recv(4096)
                if data:
                    key.fileobj.sendall(data)
                else:
                    self.selector.unregister(key.fileobj)
                    key.fileobj.close()

    def close(self):
        self.is_closed = True
        self.thread.join()
        self.selector.close()
        self.socket.close()


def test_applications_connect_at_once(mesh, authority):
    """Five thousand connections through two sidecars, opened before any is served: all are."""
    application = mesh.add(QuickEcho())
    pair = Pair(mesh, application.address, authority=authority, access="off")
    # The sidecars hold two descriptors for each, and run under the limit of this process.
    count = affordable(1000 if is_sanitized(pair.server.process.pid) else STORM, 3)
    crowd = mesh.add(Crowd(pair.port, count, say=b"hello"))
    assert http_get(f"127.0.0.1:{pair.client.health}", "/healthz/ready")[0] == 200
    assert http_get(f"127.0.0.1:{pair.server.health}", "/healthz/ready")[0] == 200
    results = {}
    for connection in crowd.connections:
        connection.settimeout(60)
        connection.shutdown(socket.SHUT_WR)
        result = outcome(connection)
        results[result] = results.get(result, 0) + 1
    assert results == {("eof", b"hello"): count}
    assert application.count == count
    with pair.connect() as connection:
        connection.sendall(b"after")
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b"after"
