# SPDX-License-Identifier: GPL-3.0-or-later
"""Key updates in the middle of a connection, of OpenSSL and of tlslite-ng: their own, and those that want one of ours
in return. Bytes go on passing both ways, at either end, and none is lost."""
import socket

import pytest
from tlslite.api import TLSConnection
from tlslite.constants import KeyUpdateMessageType

from ca import sni
from mesh import EchoServer, Sidecar, free_port, wait_until
from pair import Pair, fixed_outbound, write_identity
from tls_peers import OpenSSLPeer, Program, TlslitePeer
from tunnel import ALPN, connect_message, receive_exactly, reply_message

WANTED, UNWANTED = KeyUpdateMessageType.update_requested, KeyUpdateMessageType.update_not_requested


@pytest.fixture
def inbound(mesh, authority):
    """A sidecar with an edge; (sidecar, port of the edge)."""
    application, port = mesh.add(EchoServer()), free_port()
    leaf = authority.leaf(authority.identity("web"), dns=["web.example.org"])
    sidecar = Sidecar(mesh.folder, "web", services=[("web", 80, application.address)], edges=[(port, "web")],
                      identity_yaml=write_identity(mesh.folder, "web", leaf, authority.bundle_pem))
    return mesh.add(sidecar).start(), port


def last_result(sidecar):
    wait_until(sidecar.process.access, "the access line", process=sidecar.process)
    return sidecar.process.access()[0]["result"]


@pytest.mark.parametrize("command", ["K", "k"], ids=["wants ours", "its own"])
def test_openssl_client_updates(mesh, authority, inbound, command):
    sidecar, edge = inbound
    peer = OpenSSLPeer(mesh.folder, authority.leaf(authority.identity("foreign")))
    words = [word for word in peer.client(edge, "web.example.org") if word not in ("-quiet", "-nocommands")]
    client = mesh.add(Program(*words))
    for number in range(5):
        client.say(f"before {number}\n".encode())
        client.hear(lambda heard: f"before {number}\n".encode() in heard)
        client.say(f"{command}\n".encode())
        client.hear(lambda heard: heard.count(b"KEYUPDATE") == number + 1)
        client.say(f"after {number}\n".encode())
        client.hear(lambda heard: f"after {number}\n".encode() in heard)
    client.end_input()
    assert last_result(sidecar) == "ok"


@pytest.mark.parametrize("command", ["K", "k"], ids=["wants ours", "its own"])
def test_openssl_server_updates(mesh, authority, command):
    server, port = OpenSSLPeer(mesh.folder, authority.leaf(authority.identity("web")), alpn=ALPN).serve("-Verify", "3")
    mesh.add(server)
    pair = outbound_to(mesh, authority, port)
    with pair.connect() as connection:
        connection.sendall(b"hello\n")
        server.hear(lambda heard: b"hello\n" in heard)
        server.say(reply_message() + b"welcome\n")
        assert receive_exactly(connection, 8) == b"welcome\n"
        for number in range(5):
            server.say(f"{command}\n".encode())
            connection.sendall(f"to {number}\n".encode())
            server.hear(lambda heard: f"to {number}\n".encode() in heard)
            server.say(b"x from\n")
            assert receive_exactly(connection, 7) == b"x from\n"
        server.say(b"Q\n")
        assert server.hear_all().count(b"SSL_do_handshake -> 1") == 5


@pytest.mark.parametrize("kind", [WANTED, UNWANTED], ids=["wants ours", "its own"])
def test_hundred_updates_in_a_stream(mesh, authority, inbound, kind):
    """Each followed by bytes under the new keys, and all of them echoed under ours."""
    sidecar, _ = inbound
    peer = TlslitePeer(mesh.folder, authority.leaf(authority.identity("foreign")), alpn=ALPN)
    with socket.create_connection(("127.0.0.1", sidecar.tunnel), 60) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = TLSConnection(raw)
        tls.handshakeClientCert(*peer.identity(), alpn=[ALPN.encode()], settings=peer.settings(),
                                serverName=sni(authority.identity("web")))
        tls.sendall(connect_message())
        assert receive_exactly(tls, 4) == reply_message()
        keys = bytes(tls.session.cl_app_secret), bytes(tls.session.sr_app_secret)
        for number in range(100):
            said = f"{number:1000}".encode()
            for _ in tls.send_keyupdate_request(kind):
                pass
            tls.sendall(said)
            assert receive_exactly(tls, len(said)) == said
        assert bytes(tls.session.cl_app_secret) != keys[0]
        assert (bytes(tls.session.sr_app_secret) != keys[1]) is (kind == WANTED)
        tls.close()
    assert last_result(sidecar) == "ok"


def outbound_to(mesh, authority, port):
    listen = free_port()
    sidecar = Sidecar(
        mesh.folder, "client", outbound=[fixed_outbound(f"127.0.0.1:{listen}", port, authority.identity("web"))],
        identity_yaml=write_identity(mesh.folder, "client", authority.leaf(authority.identity("client")),
                                     authority.bundle_pem))
    return Pair.of(mesh.add(sidecar).start(), listen)
