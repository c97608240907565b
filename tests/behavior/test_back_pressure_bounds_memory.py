# SPDX-License-Identifier: GPL-3.0-or-later
"""A reader that does not read stops the writer at the other end; no sidecar in between collects what waits."""
import hashlib
import os
import socket
import threading

import pytest

from mesh import wait_until
from pair import echo_pair, is_sanitized, resident_bytes

GROWTH_BYTES = 16 << 20  # for what eight stalled connections may hold in two sidecars
STALLED = 8
BLOCK = os.urandom(1 << 20)


def fill(connection):
    """Writes until nobody takes any more for a while; how much was taken."""
    connection.settimeout(1.0)
    taken = 0
    try:
        while taken < 1 << 30:
            taken += connection.send(BLOCK[taken % len(BLOCK):])
    except TimeoutError:
        return taken
    raise AssertionError(f"{taken} bytes were taken though nobody reads")


@pytest.mark.parametrize("reader", ["application", "client"])
def test_stalled_reader_stops_the_writer(mesh, reader):
    """Each connection takes what the sockets hold and then stops; the bytes are complete afterwards."""
    may_read = threading.Event()
    results = []

    def read_late(connection, want):
        may_read.wait(60)
        digest, length = hashlib.sha256(), 0
        while length < want or want == 0:
            piece = connection.recv(1 << 18)
            if not piece:
                break
            digest.update(piece)
            length += len(piece)
        return length, digest.hexdigest()

    def expected(length):
        digest = hashlib.sha256()
        digest.update((BLOCK * (length // len(BLOCK) + 1))[:length])
        return digest.hexdigest()

    filled = []

    def application(connection):
        assert connection.recv(1) == b"!"
        if reader == "application":
            results.append(read_late(connection, 0))
            return
        filled.append(fill(connection))
        may_read.wait(60)
        connection.shutdown(socket.SHUT_WR)

    pair, _ = echo_pair(mesh, application)
    connections = [pair.connect() for _ in range(STALLED)]
    for connection in connections:
        connection.sendall(b"!")
    before = {side: resident_bytes(side.process.pid) for side in (pair.client, pair.server)}
    if reader == "application":
        threads = [threading.Thread(target=lambda c=c: filled.append(fill(c))) for c in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    wait_until(lambda: len(filled) == STALLED, "all writers to stall", 60)
    growth = {side.name: resident_bytes(side.process.pid) - size for side, size in before.items()}
    if not is_sanitized(pair.client.process.pid):
        assert max(growth.values()) < GROWTH_BYTES, growth
    may_read.set()
    if reader == "application":
        for connection in connections:
            connection.shutdown(socket.SHUT_WR)
        wait_until(lambda: len(results) == STALLED, "the application to read all", 60)
    else:
        for connection in connections:
            connection.settimeout(30)
            results.append(read_late(connection, 0))
    assert sorted(length for length, _ in results) == sorted(filled)
    assert all(digest == expected(length) for length, digest in results)
    for connection in connections:
        connection.close()


def test_stalled_connection_does_not_slow_the_others(mesh):
    """One worker; one connection that nobody reads; another one is served as if it were alone."""
    may_read = threading.Event()

    def application(connection):
        if connection.recv(1) == b"!":
            may_read.wait(60)
            return
        connection.sendall(b"served")
        connection.shutdown(socket.SHUT_WR)

    pair, _ = echo_pair(mesh, application)
    with pair.connect() as stalled:
        stalled.sendall(b"!")
        fill(stalled)
        for _ in range(20):
            with pair.connect() as connection:
                connection.sendall(b"?")
                assert connection.recv(64) == b"served"
        may_read.set()
