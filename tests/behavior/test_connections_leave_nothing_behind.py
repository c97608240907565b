# SPDX-License-Identifier: GPL-3.0-or-later
"""Thousands of connections later a sidecar holds what it held before: descriptors, memory, series."""
import concurrent.futures
import os
import socket

from ca import sni
from mesh import wait_until
from pair import descriptor_count, echo_pair, is_sanitized, outcome, reset, resident_bytes
from tunnel import connect_message, open_tls

GROWTH_BYTES = 2 << 20  # over two thousand connections; a leak of 1 KiB each would show


def many(count, call):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: call(), range(count)))


def settled(pair):
    """Waits until nothing is open; (descriptors, resident bytes) of both sidecars."""
    sides = (pair.client, pair.server)
    wait_until(lambda: all(line.endswith(" 0") for side in sides for line in side.metrics().splitlines()
                           if line.startswith("remora_connections_open")), "every connection to end")
    # The scrape's own connection comes and goes, so the least of a few looks counts.
    return {side.name: (min(descriptor_count(side.process.pid) for _ in range(20)),
                        resident_bytes(side.process.pid)) for side in sides}


def check_churn(pair, count, call):
    many(300, call)
    before = settled(pair)
    many(count, call)

    def is_back():
        now = settled(pair)
        return all(now[name][0] <= before[name][0] for name in now) and now
    after = wait_until(is_back, f"as many descriptors as before ({before})")
    if not is_sanitized(pair.client.process.pid):
        growth = {name: after[name][1] - before[name][1] for name in after}
        assert max(growth.values()) < GROWTH_BYTES, growth


def test_two_thousand_short_connections(mesh, authority):
    pair, application = echo_pair(mesh, authority=authority, workers=2, access="off")
    check_churn(pair, 2000, pair.echo)
    assert application.count == 2300


def test_a_crowd_that_leaves_at_once(mesh, authority):
    """All idle at the same time, so that each has its own memory; then all end."""
    pair, _ = echo_pair(mesh, authority=authority, workers=1, access="off")

    def crowd():
        connections = [pair.connect() for _ in range(1200)]
        for connection in connections:
            connection.sendall(b"hello")
        for connection in connections:
            assert connection.recv(5) == b"hello"
        for connection in connections:
            connection.close()

    many(50, pair.echo)
    before = settled(pair)
    crowd()

    def is_back():
        now = settled(pair)
        is_bounded = is_sanitized(pair.client.process.pid) or all(
            now[name][1] - before[name][1] < GROWTH_BYTES for name in now)
        return is_bounded and all(now[name][0] <= before[name][0] for name in now)
    wait_until(is_back, f"descriptors and memory as before ({before})")


def test_two_thousand_resets(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority, workers=2, access="off")

    def cut():
        connection = pair.connect()
        connection.sendall(b"hello")
        connection.recv(5)
        reset(connection)

    check_churn(pair, 2000, cut)


def test_two_thousand_refusals(mesh, authority):
    """Denied by policy: a Reply each time."""
    pair, application = echo_pair(mesh, authority=authority, workers=2, access="off",
                                  allow=[authority.identity("someone-else")])
    check_churn(pair, 2000, pair.meet)
    assert application.count == 0


def test_two_thousand_failed_handshakes(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority, workers=2, access="off")

    def nonsense():
        with socket.create_connection(("127.0.0.1", pair.server.tunnel), 20) as connection:
            connection.sendall(b"x" + os.urandom(99))
            outcome(connection)

    check_churn(pair, 2000, nonsense)


def test_aborted_prefaces(mesh, authority):
    """Clients that go away in each state: after TCP, in the handshake, in the preface, in the transfer."""
    pair, _ = echo_pair(mesh, authority=authority, workers=2, access="off")
    leaf = authority.leaf(authority.identity("client"))
    name, message = sni(pair.server_id), connect_message()

    def abort():
        reset(socket.create_connection(("127.0.0.1", pair.server.tunnel), 20))
        raw = socket.create_connection(("127.0.0.1", pair.server.tunnel), 20)
        raw.sendall(b"\x16\x03\x01\x01\x00")
        reset(raw)
        for said in (b"", message[:5], message, message + b"x" * 1000):
            tls = open_tls(pair.server.tunnel, leaf, name)
            if said:
                tls.sendall(said)
            reset(tls)

    check_churn(pair, 150, abort)
