# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGTERM: what runs may finish within the deadline, what is new is told to go elsewhere, then the process ends
with status 0; a good first process of a container, too."""
import hashlib
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from ca import sni
from mesh import SIDECAR, EchoServer, Sidecar, free_port, wait_until
from pair import Pair, echo_pair, fixed_outbound, outcome, read_all, write_identity
from tunnel import DRAINING, connect_message, open_tls, read_reply

BLOCK = os.urandom(1 << 20)
BLOCKS = 32


def half_sent(connection, may_go_on):
    """Sends a part, then waits for the word, then sends the rest and ends."""
    connection.recv(1)
    for number in range(BLOCKS):
        if number == BLOCKS // 2:
            may_go_on.wait(60)
        connection.sendall(BLOCK)


@pytest.mark.parametrize("victim", ["client", "server"])
@pytest.mark.parametrize("workers", [1, 3])
def test_running_transfer_completes(mesh, authority, victim, workers):
    may_go_on = threading.Event()
    pair, _ = echo_pair(mesh, lambda connection: half_sent(connection, may_go_on), authority=authority,
                        workers=workers)
    sidecar = getattr(pair, victim)
    with pair.connect() as connection:
        connection.sendall(b"!")
        received = connection.recv(1 << 20)
        sidecar.process.signal(signal.SIGTERM)
        sidecar.process.wait_event("draining")
        assert "draining" in sidecar.ready()[1] and sidecar.ready()[0] == 503
        may_go_on.set()
        received += read_all(connection)
    assert hashlib.sha256(received).digest() == hashlib.sha256(BLOCK * BLOCKS).digest()
    assert sidecar.process.child.wait(45) == 0
    assert sidecar.process.has_event("drained", cut="0")
    assert [line["result"] for line in sidecar.process.access()] == ["ok"]


@pytest.mark.parametrize("workers", [1, 4])
def test_new_tunnels_are_told_to_go_elsewhere(mesh, authority, workers):
    """As long as anything runs, new tunnels get an answer, on every worker, and do not prolong the drain."""
    pair, application = echo_pair(mesh, authority=authority, workers=workers)
    leaf = authority.leaf(authority.identity("late"))
    with pair.connect() as standing:
        standing.sendall(b"before")
        assert standing.recv(6) == b"before"
        pair.server.process.signal(signal.SIGTERM)
        pair.server.process.wait_event("draining")
        for _ in range(8):
            with open_tls(pair.server.tunnel, leaf, sni(pair.server_id)) as tls:
                tls.sendall(connect_message())
                assert read_reply(tls) == (DRAINING, "draining")
        assert pair.meet() == ("reset", b"")
        pair.client.process.wait_event("refused", reason="draining")
        standing.sendall(b"after")
        assert standing.recv(5) == b"after"
    assert pair.server.process.child.wait(45) == 0
    assert application.count == 1


def test_applications_own_connections_go_on_while_one_runs(mesh, authority):
    """The application beside a draining sidecar may be finishing its work: it still gets out."""
    pair, _ = echo_pair(mesh, authority=authority, workers=3)
    with pair.connect() as standing:
        standing.sendall(b"before")
        assert standing.recv(6) == b"before"
        pair.client.process.signal(signal.SIGTERM)
        pair.client.process.wait_event("draining")
        for _ in range(12):
            pair.echo()
        standing.sendall(b"after")
        assert standing.recv(5) == b"after"
    assert pair.client.process.child.wait(45) == 0
    assert {line["result"] for line in pair.client.process.access()} == {"ok"}


def test_connection_that_came_during_the_drain_is_waited_for(mesh, authority):
    """Whichever worker has it: the drain ends when the last one is done, not when the first ones were."""
    pair, _ = echo_pair(mesh, authority=authority, workers=4)
    first = pair.connect()
    first.sendall(b"before")
    assert first.recv(6) == b"before"
    pair.client.process.signal(signal.SIGTERM)
    pair.client.process.wait_event("draining")
    late = [pair.connect() for _ in range(12)]
    for connection in late:
        connection.sendall(b"late")
        assert connection.recv(4) == b"late"
    first.shutdown(socket.SHUT_WR)
    assert read_all(first) == b""
    for connection in late:
        connection.sendall(b"still served")
        assert connection.recv(12) == b"still served"
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b""
    assert pair.client.process.child.wait(45) == 0
    assert {line["result"] for line in pair.client.process.access()} == {"ok"}


@pytest.mark.parametrize("victim", ["client", "server"])
def test_deadline_cuts_what_does_not_end(mesh, authority, victim):
    pair, _ = echo_pair(mesh, authority=authority, workers=2, extra="timeouts: {drain: 1s}\n")
    sidecar = getattr(pair, victim)
    with pair.connect() as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        sidecar.process.signal(signal.SIGTERM)
        assert outcome(connection) == ("reset", b"")
    assert sidecar.process.child.wait(45) == 0
    assert sidecar.process.has_event("drained", cut="1")
    assert [line["result"] for line in sidecar.process.access()] == ["drain_deadline"]


def test_deadline_cuts_what_came_during_the_drain(mesh, authority):
    """A worker that was idle at first and is not any more has the same deadline."""
    pair, _ = echo_pair(mesh, authority=authority, workers=4, extra="timeouts: {drain: 3s}\n")
    first = pair.connect()
    first.sendall(b"before")
    assert first.recv(6) == b"before"
    pair.client.process.signal(signal.SIGTERM)
    pair.client.process.wait_event("draining")
    late = [pair.connect() for _ in range(1)]
    for connection in late:
        connection.sendall(b"late")
        assert connection.recv(4) == b"late"
    first.shutdown(socket.SHUT_WR)
    assert read_all(first) == b""
    for connection in late:
        assert outcome(connection) == ("reset", b"")
    assert pair.client.process.child.wait(45) == 0
    assert pair.client.process.has_event("drained", cut="1")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_idle_sidecar_ends_without_waiting(mesh, authority, number):
    """The drain's deadline is a minute here; nothing runs, so nothing is waited for."""
    pair, _ = echo_pair(mesh, authority=authority, workers=2, extra="timeouts: {drain: 60s}\n")
    pair.echo()
    for sidecar in (pair.client, pair.server):
        sidecar.process.signal(number)
        assert sidecar.process.child.wait(45) == 0


def test_idle_sidecar_ends_with_a_zero_deadline(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority, extra="timeouts: {drain: 0s}\n")
    with pair.connect() as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        assert pair.server.stop() == 0
        assert outcome(connection) == ("reset", b"")


def test_handshakes_in_progress_do_not_hold_the_drain(mesh, authority):
    """Silent clients at the tunnel port are cut by their own deadline or by the drain's; the end comes."""
    pair, _ = echo_pair(mesh, authority=authority, extra="timeouts: {drain: 2s}\n")
    silent = [socket.create_connection(("127.0.0.1", pair.server.tunnel), 20) for _ in range(5)]
    wait_until(lambda: pair.server.metric("remora_connections_open", direction="inbound") == 5,
               "the silent clients to be accepted")
    pair.server.process.signal(signal.SIGTERM)
    assert pair.server.process.child.wait(45) == 0
    for connection in silent:
        connection.close()


def test_second_signal_changes_nothing(mesh, authority):
    """An impatient supervisor does not cut a transfer short."""
    may_go_on = threading.Event()
    pair, _ = echo_pair(mesh, lambda connection: half_sent(connection, may_go_on), authority=authority)
    with pair.connect() as connection:
        connection.sendall(b"!")
        received = connection.recv(1 << 20)
        for _ in range(3):
            pair.server.process.signal(signal.SIGTERM)
        pair.server.process.signal(signal.SIGHUP)
        pair.server.process.wait_event("draining")
        may_go_on.set()
        received += read_all(connection)
    assert len(received) == len(BLOCK) * BLOCKS
    assert pair.server.process.child.wait(45) == 0


# --- As the first process of a container --------------------------------------------------------------


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a new PID namespace needs root")


def inner_pid(unshare_pid):
    """The process that unshare forked: number 1 in its own namespace."""
    children = pathlib.Path(f"/proc/{unshare_pid}/task/{unshare_pid}/children").read_text().split()
    return int(children[0]) if children else None


@needs_root
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_first_process_of_a_namespace_ends_on_signals(mesh, authority, number):
    """The kernel drops signals without a handler for PID 1; ours has them from the start."""
    application = mesh.add(EchoServer())
    server_id = authority.identity("web")
    server = mesh.add(Sidecar(
        mesh.folder, "web", services=[("web", 80, application.address)],
        argv_prefix=["unshare", "--pid", "--fork", "--kill-child"],
        identity_yaml=write_identity(mesh.folder, "web", authority.leaf(server_id),
                                     authority.bundle_pem))).start()
    port = free_port()
    client = mesh.add(Sidecar(
        mesh.folder, "client",
        outbound=[fixed_outbound(f"127.0.0.1:{port}", server.tunnel, server_id)],
        identity_yaml=write_identity(mesh.folder, "client", authority.leaf(authority.identity("client")),
                                     authority.bundle_pem))).start()
    Pair.of(client, port).echo()
    pid = inner_pid(server.process.pid)
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    assert [line.split()[-1] for line in status.splitlines() if line.startswith("NSpid:")] == ["1"]
    os.kill(pid, number)
    assert server.process.child.wait(45) == 0
    assert server.process.has_event("drained")


@needs_root
def test_signal_before_the_start_is_done_is_not_lost(mesh, authority):
    """A container that is stopped at once must not hang until it is killed."""
    server_id = authority.identity("web")
    sidecar = Sidecar(mesh.folder, "web", services=[("web", 80, "127.0.0.1:1")],
                      identity_yaml=write_identity(mesh.folder, "web", authority.leaf(server_id),
                                                   authority.bundle_pem))
    for _ in range(20):
        child = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", SIDECAR, "--config",
                                  sidecar.config], stderr=subprocess.PIPE)
        pid = wait_until(lambda: inner_pid(child.pid), "the namespace's first process")
        wait_until(lambda: b"remora-sidecar" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() and
                   has_handler(pid, signal.SIGTERM), "its signal handlers")
        os.kill(pid, signal.SIGTERM)
        assert child.wait(45) == 0, child.stderr.read().decode()
        child.stderr.close()


def has_handler(pid, number):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return int(caught, 16) >> (number - 1) & 1
