# SPDX-License-Identifier: GPL-3.0-or-later
"""Applications that listen on, or dial, a Unix socket instead of a port."""
import os
import pwd
import socket
import stat
import threading

import pytest

from mesh import EchoServer, Sidecar, free_port, wait_until
from pair import Pair, fixed_outbound, outcome, read_all, write_identity

LARGE = os.urandom(8 << 20)


class Ends:
    """A client's sidecar that listens on a path, a server's sidecar whose target is one."""

    def __init__(self, mesh, authority, more="", target=None, listen=None):
        self.path = mesh.folder / "front"
        self.target = mesh.folder / "back"
        self.application = mesh.add(EchoServer(path=self.target))
        server_id = authority.identity("web")
        self.server = mesh.add(Sidecar(
            mesh.folder, "web", services=[("web", 80, target or f"unix:{self.target}")],
            identity_yaml=write_identity(mesh.folder, "web", authority.leaf(server_id),
                                         authority.bundle_pem))).start()
        self.client = mesh.add(Sidecar(
            mesh.folder, "client",
            outbound=[fixed_outbound(listen or f"unix:{self.path}", self.server.tunnel, server_id, more=more)],
            identity_yaml=write_identity(mesh.folder, "client",
                                         authority.leaf(authority.identity("client")),
                                         authority.bundle_pem))).start()

    def connect(self, address=None):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        connection.connect(address or str(self.path))
        return connection


def test_bytes_and_ends_both_ways(mesh, authority):
    ends = Ends(mesh, authority)
    with ends.connect() as connection:
        sender = threading.Thread(target=lambda: (connection.sendall(LARGE),
                                                                connection.shutdown(socket.SHUT_WR)))
        sender.start()
        assert read_all(connection) == LARGE
        sender.join()
    assert ends.application.count == 1
    wait_until(ends.server.process.access, "the access line")
    assert ends.server.process.access()[0]["application"] == f"unix:{ends.target}"


@pytest.mark.parametrize("more, mode", [("", 0o600), (", socket_mode: '0660'", 0o660),
                                        (", socket_mode: '0666'", 0o666)])
def test_socket_has_the_mode_that_was_asked_for(mesh, authority, more, mode):
    """Only our own user by default: whoever reaches the socket acts as this workload."""
    ends = Ends(mesh, authority, more=more)
    found = os.stat(ends.path)
    assert stat.S_IMODE(found.st_mode) == mode
    assert found.st_uid == os.geteuid()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_other_users_are_kept_out(mesh, authority):
    ends = Ends(mesh, authority)
    mesh.folder.chmod(0o755)
    nobody = pwd.getpwnam("nobody").pw_uid
    child = os.fork()
    if child == 0:
        os.setuid(nobody)
        try:
            ends.connect()
        except PermissionError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def test_abstract_socket_is_carried(mesh, authority):
    name = f"remora-test-{os.getpid()}"
    ends = Ends(mesh, authority, listen=f"unix:@{name}")
    with ends.connect(f"\0{name}") as connection:
        connection.sendall(b"hello")
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b"hello"


def test_missing_target_is_said_by_name(mesh, authority):
    ends = Ends(mesh, authority, target=f"unix:{mesh.folder}/nobody-here")
    with ends.connect() as connection:
        outcome(connection)
    ends.server.process.wait_event("refused", reason="application_unreachable", detail="nobody-here")
    ends.client.process.wait_event("refused", reason="unreachable", detail="application_unreachable")


def test_refusal_with_unread_bytes_is_a_reset(mesh, authority):
    """A Unix socket resets only what left bytes unread; a request that nobody took is such."""
    ends = Ends(mesh, authority, target=f"unix:{mesh.folder}/nobody-here")
    with ends.connect() as connection:
        connection.sendall(os.urandom(100000))
        assert outcome(connection) == ("reset", b"")


def test_path_of_a_dead_process_is_replaced(mesh, authority):
    """After a crash the path is still there; nobody answers on it."""
    path = mesh.folder / "front"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    ends = Ends(mesh, authority)
    with ends.connect() as connection:
        connection.sendall(b"hello")
        assert connection.recv(5) == b"hello"


def test_path_is_removed_at_the_end(mesh, authority):
    ends = Ends(mesh, authority)
    assert ends.path.exists()
    assert ends.client.stop() == 0
    assert not ends.path.exists()


def test_several_workers_share_a_path(mesh, authority):
    """A path has one listener, whichever worker holds it."""
    application = mesh.add(EchoServer())
    server_id, path = authority.identity("web"), mesh.folder / "shared"
    server = mesh.add(Sidecar(
        mesh.folder, "web", services=[("web", 80, application.address)], workers=2,
        identity_yaml=write_identity(mesh.folder, "web", authority.leaf(server_id),
                                     authority.bundle_pem))).start()
    port = free_port()
    client = mesh.add(Sidecar(
        mesh.folder, "client", workers=2,
        outbound=[fixed_outbound(f"unix:{path}", server.tunnel, server_id),
                  fixed_outbound(f"127.0.0.1:{port}", server.tunnel, server_id)],
        identity_yaml=write_identity(mesh.folder, "client", authority.leaf(authority.identity("client")),
                                     authority.bundle_pem))).start()
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b"hello")
            connection.shutdown(socket.SHUT_WR)
            assert read_all(connection) == b"hello"
    Pair.of(client, port).echo()
    assert application.count == 21
