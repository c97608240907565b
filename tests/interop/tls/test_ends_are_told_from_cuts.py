# SPDX-License-Identifier: GPL-3.0-or-later
"""A close_notify ends one direction, and the other one goes on; a connection that ends without one is cut, and the
application learns that. OpenSSL and GnuTLS are the other end, as client and as server."""
import socket
import threading

import pytest
from OpenSSL import SSL

from mesh import EchoServer, Sidecar, free_port, wait_until
from pair import Pair, fixed_outbound, outcome, read_all, write_identity
from tls_peers import GnuTLSPeer, NewOpenSSLPeer, OpenSSLPeer, Program
from tls_wire import Tap
from tunnel import ALPN, receive_exactly, reply_message


class Application:
    """Greets, and notes how its peer ended."""

    def __init__(self):
        self.ends, self.is_here, self.farewell = [], threading.Event(), b"goodbye\n"

    def serve(self, connection):
        connection.sendall(connection.recv(64))
        self.is_here.set()
        self.ends.append(outcome(connection))
        connection.sendall(self.farewell)

    def end(self):
        wait_until(lambda: self.ends, "the application to see the end")
        return self.ends[0]


@pytest.fixture
def inbound(mesh, authority):
    """(sidecar, a tap before its edge, application)."""
    application, port = Application(), free_port()
    server = mesh.add(EchoServer(application.serve))
    leaf = authority.leaf(authority.identity("web"), dns=["web.example.org"])
    sidecar = mesh.add(Sidecar(
        mesh.folder, "web", services=[("web", 80, server.address)], edges=[(port, "web")],
        identity_yaml=write_identity(mesh.folder, "web", leaf, authority.bundle_pem))).start()
    return sidecar, mesh.add(Tap(port)), application


def result_of(sidecar):
    wait_until(sidecar.process.access, "the access line", process=sidecar.process)
    return sidecar.process.access()[0]["result"]


def client_of(mesh, authority, library, port):
    peer = library(mesh.folder, authority.leaf(authority.identity("foreign")))
    program = mesh.add(Program(*peer.client(port, "web.example.org")))
    program.say(b"hello\n")
    program.hear(lambda heard: heard.endswith(b"hello\n"))
    return program


@pytest.mark.parametrize("library", [OpenSSLPeer, GnuTLSPeer])
def test_orderly_end_of_a_client_is_an_end(mesh, authority, inbound, library):
    sidecar, tap, application = inbound
    client_of(mesh, authority, library, tap.port).end_input()
    assert application.end() == ("eof", b"")


@pytest.mark.parametrize("library", [OpenSSLPeer, GnuTLSPeer])
@pytest.mark.parametrize("how", ["killed", "cut on the way"])
def test_cut_of_a_client_is_a_reset(mesh, authority, inbound, library, how):
    sidecar, tap, application = inbound
    client = client_of(mesh, authority, library, tap.port)
    application.is_here.wait(60)
    if how == "killed":
        client.child.kill()
    else:
        tap.last.cut()
    assert application.end() == ("reset", b"")
    assert result_of(sidecar) == "tunnel_truncated"


def test_client_may_end_its_direction_first(mesh, authority, inbound):
    """After OpenSSL's close_notify the application still answers, and ends in its own time."""
    sidecar, tap, application = inbound
    peer = NewOpenSSLPeer(mesh.folder, authority.leaf(authority.identity("foreign")))
    with socket.create_connection(("127.0.0.1", tap.port)) as raw:
        tls = SSL.Connection(peer.context(SSL.TLS_CLIENT_METHOD), raw)
        tls.set_tlsext_host_name(b"web.example.org")
        tls.set_connect_state()
        tls.do_handshake()
        tls.sendall(b"hello\n")
        assert receive_exactly(tls, 6) == b"hello\n"
        tls.shutdown()
        assert application.end() == ("eof", b"")
        assert receive_exactly(tls, 8) == b"goodbye\n"
        with pytest.raises(SSL.ZeroReturnError):  # the application's end, as a close_notify
            tls.recv(1)
    assert result_of(sidecar) == "ok"


class Server:
    """pyOpenSSL's end of one tunnel, in the hands of the test."""

    def __init__(self, mesh, authority):
        self.peer = NewOpenSSLPeer(mesh.folder, authority.leaf(authority.identity("web")), alpn=ALPN)
        self.socket, self.process = socket.create_server(("127.0.0.1", 0)), None
        self.raw = None
        listen = free_port()
        outbound = fixed_outbound(f"127.0.0.1:{listen}", self.socket.getsockname()[1], authority.identity("web"))
        self.pair = Pair.of(mesh.add(Sidecar(
            mesh.folder, "client", outbound=[outbound],
            identity_yaml=write_identity(mesh.folder, "client", authority.leaf(authority.identity("client")),
                                         authority.bundle_pem))).start(), listen)
        mesh.add(self)

    def accept(self):
        """The tunnel, once its Connect was answered."""
        self.raw = self.socket.accept()[0]
        tls = self.peer.handshake(self.raw)
        receive_exactly(tls, int.from_bytes(receive_exactly(tls, 2), "big"))
        tls.sendall(reply_message())
        return tls

    def close(self):
        self.socket.close()
        if self.raw is not None:
            self.raw.close()


def test_server_may_end_its_direction_first(mesh, authority):
    server = Server(mesh, authority)
    with server.pair.connect() as connection:
        tls = server.accept()
        tls.sendall(b"welcome\n")
        tls.shutdown()
        assert read_all(connection) == b"welcome\n"
        connection.sendall(b"thanks\n")
        assert receive_exactly(tls, 7) == b"thanks\n"
        connection.shutdown(socket.SHUT_WR)
        with pytest.raises(SSL.ZeroReturnError):
            tls.recv(1)
        server.close()
    assert result_of(server.pair.client) == "ok"


def test_cut_of_a_server_is_a_reset(mesh, authority):
    """FIN without close_notify: what came before it is not the whole."""
    server = Server(mesh, authority)
    with server.pair.connect() as connection:
        tls = server.accept()
        tls.sendall(b"half of it")
        assert receive_exactly(connection, 10) == b"half of it"
        server.raw.shutdown(socket.SHUT_WR)
        assert outcome(connection) == ("reset", b"")
    assert result_of(server.pair.client) == "tunnel_truncated"


def test_killed_openssl_server_is_a_reset(mesh, authority):
    program, port = OpenSSLPeer(mesh.folder, authority.leaf(authority.identity("web")), alpn=ALPN).serve("-Verify", "3")
    mesh.add(program)
    listen = free_port()
    client = mesh.add(Sidecar(
        mesh.folder, "client", outbound=[fixed_outbound(f"127.0.0.1:{listen}", port, authority.identity("web"))],
        identity_yaml=write_identity(mesh.folder, "client", authority.leaf(authority.identity("client")),
                                     authority.bundle_pem))).start()
    with Pair.of(client, listen).connect() as connection:
        connection.sendall(b"hello\n")
        program.hear(lambda heard: b"hello\n" in heard)
        program.say(reply_message() + b"half of it\n")
        assert receive_exactly(connection, 11) == b"half of it\n"
        program.child.kill()
        assert outcome(connection) == ("reset", b"")
    assert result_of(client) in ("tunnel_truncated", "tunnel_reset")
