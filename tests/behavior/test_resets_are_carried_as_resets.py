# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever is cut off learns it: a reset, a crash or a truncation is never mistaken for an orderly end."""
import contextlib
import signal
import socket
import threading

import pytest

from mesh import wait_until
from pair import echo_pair, outcome, read_all, reset


class Application:
    """Keeps each connection open until it is told, and notes how it ended."""

    def __init__(self):
        self.may_reset, self.is_here, self.ends = threading.Event(), threading.Event(), []
        self.connection = None

    def hold(self, connection):
        self.connection = connection
        connection.sendall(connection.recv(64))
        self.is_here.set()
        self.ends.append(outcome(connection))

    def reset_when_told(self, connection):
        connection.sendall(connection.recv(64))
        self.may_reset.wait(20)
        reset(connection)


def open_connection(pair):
    connection = pair.connect()
    connection.sendall(b"x")
    assert connection.recv(64) == b"x"
    return connection


def test_reset_of_the_client_reaches_the_application(mesh):
    application = Application()
    pair, _ = echo_pair(mesh, application.hold)
    reset(open_connection(pair))
    wait_until(lambda: application.ends, "the application to see the end")
    assert application.ends == [("reset", b"")]


def test_reset_of_the_application_reaches_the_client(mesh):
    application = Application()
    pair, _ = echo_pair(mesh, application.reset_when_told)
    with open_connection(pair) as connection:
        application.may_reset.set()
        assert outcome(connection) == ("reset", b"")
    # Both ends say whose reset it was: the one beside it, and the one that was told by the tunnel.
    wait_until(lambda: pair.client.process.access() and pair.server.process.access(), "access lines")
    assert pair.server.process.access()[0]["result"] == "application_reset"
    assert pair.client.process.access()[0]["result"] != "ok"


def test_reset_during_a_half_close_is_still_a_reset(mesh):
    """One direction ended in order; the other one is cut."""
    application = Application()
    pair, _ = echo_pair(mesh, application.reset_when_told)
    with open_connection(pair) as connection:
        connection.shutdown(socket.SHUT_WR)
        application.may_reset.set()
        assert outcome(connection) == ("reset", b"")


@pytest.mark.parametrize("victim", ["client", "server"])
def test_killed_sidecar_never_looks_like_an_orderly_end(mesh, victim):
    """kill -9 in the middle of a stream: the kernel must not end in order what nobody ended, neither
    beside the dead sidecar nor beyond the tunnel."""
    application = Application()
    pair, _ = echo_pair(mesh, application.hold)
    with open_connection(pair) as connection:
        application.is_here.wait(20)
        getattr(pair, victim).process.stop(signal.SIGKILL)
        assert outcome(connection) == ("reset", b"")
        wait_until(lambda: application.ends, "the application to see the end")
        assert application.ends == [("reset", b"")]
    survivor = pair.client if victim == "server" else pair.server
    wait_until(lambda: survivor.process.access(), "the access line")
    assert survivor.process.access()[0]["result"] in ("tunnel_truncated", "tunnel_reset")


def test_killed_sidecar_while_bytes_flow(mesh):
    """The client must not take the part that it got for the whole."""
    sent = threading.Event()

    def pour(connection):
        connection.recv(1)
        block = b"x" * 65536
        while True:
            connection.sendall(block)
            sent.set()

    pair, _ = echo_pair(mesh, pour)
    with pair.connect() as connection:
        connection.sendall(b"x")
        connection.recv(65536)
        sent.wait(20)
        pair.server.process.stop(signal.SIGKILL)
        assert outcome(connection)[0] == "reset"


def test_truncation_by_the_path_is_told_from_an_end(mesh):
    """A middleman that closes the TCP connection in order, without the tunnel's own end."""
    application = Application()
    pair, _ = echo_pair(mesh, application.hold, start=False)
    middle = socket.create_server(("127.0.0.1", 0))
    text = pair.client.config.read_text()
    pair.client.config.write_text(text.replace(f"endpoint: '127.0.0.1:{pair.server.tunnel}'",
                                               f"endpoint: '127.0.0.1:{middle.getsockname()[1]}'"))
    pair.server.start()
    pair.client.start()
    ends = []

    def carry(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)

    def run():
        ends.append(middle.accept()[0])
        ends.append(socket.create_connection(("127.0.0.1", pair.server.tunnel)))
        for source, target in (ends, reversed(ends)):
            threading.Thread(target=carry, args=(source, target), daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    with open_connection(pair) as connection:
        application.is_here.wait(20)
        for one in ends:
            one.shutdown(socket.SHUT_WR)  # FIN, no close_notify
        assert outcome(connection) == ("reset", b"")
        wait_until(lambda: application.ends, "the application to see the end")
        assert application.ends == [("reset", b"")]
    for sidecar in (pair.client, pair.server):
        wait_until(lambda: sidecar.process.access(), "the access line")
        assert sidecar.process.access()[0]["result"] == "tunnel_truncated"
    middle.close()


def test_orderly_end_is_no_reset(mesh):
    """The control of the tests above: the same set-up, ended in order, ends in order."""
    application = Application()
    pair, _ = echo_pair(mesh, application.hold)
    with open_connection(pair) as connection:
        connection.shutdown(socket.SHUT_WR)
        wait_until(lambda: application.ends, "the application to see the end")
        assert application.ends == [("eof", b"")]
        assert read_all(connection) == b""
    wait_until(lambda: pair.client.process.access(), "the access line")
    assert pair.client.process.access()[0]["result"] == "ok"
