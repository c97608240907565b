# SPDX-License-Identifier: GPL-3.0-or-later
"""A live connection whose peer is no longer trusted ends as a cut, never as an orderly end; the end that judges says
why, and the other one never takes it for an end."""
import socket

import pytest
from OpenSSL import SSL

from ca import HOUR, MINUTE, sni, utc_now
from mesh import EchoServer, Sidecar, wait_until
from pair import echo_pair, joined_pair, outcome, write_identity
from tls_peers import NewOpenSSLPeer
from tunnel import ALPN, connect_message, receive_exactly, reply_message

GRACE = "timeouts: {connection_grace: 1s}\n"


def short_leaf(authority, account):
    return authority.leaf(authority.identity(account), not_before=utc_now() - HOUR,
                          not_after=utc_now() + MINUTE / 20)


def access_of(sidecar):
    wait_until(sidecar.process.access, "the access line", process=sidecar.process)
    return sidecar.process.access()[0]


def open_connection(pair):
    connection = pair.connect()
    connection.sendall(b"x")
    assert connection.recv(1) == b"x"
    return connection


def ends(mesh, judged):
    """A pair whose `judged` end was revoked: (judge, other end), both with their access lines."""
    pair, _, control = joined_pair(mesh)
    judge, other = (pair.server, pair.client) if judged == "client" else (pair.client, pair.server)
    who = pair.client_id if judged == "client" else pair.server_id
    serial = next(one["serial"] for one in control.json("certificates")["certificates"] if one["identity"] == who)
    with open_connection(pair) as connection:
        control.remora("revoke", "certificate", serial, "--reason", "stolen")
        assert outcome(connection) == ("reset", b"")
    return access_of(judge), access_of(other)


@pytest.mark.parametrize("judged", ["client", "server"])
def test_revoked_lineage_is_cut_and_named(mesh, judged):
    judge, other = ends(mesh, judged)
    assert (judge["result"], judge["detail"]) == ("certificate_revoked", "ended by the mesh")
    assert other["result"] != "ok" and other["connection"] == judge["connection"]


@pytest.mark.parametrize("judged", ["client", "server"])
def test_revoked_end_is_told_that_the_mesh_ended_it(mesh, judged):
    """user_canceled arrives before the close; what our own view says of us narrows the reason."""
    _, other = ends(mesh, judged)
    assert other["result"] == "tunnel_cancelled"
    assert other["detail"].startswith("user_canceled; our own certificate")


def test_server_past_its_grace_is_left(mesh, authority):
    """No control plane vouches for it: it ends at its notAfter and the grace."""
    pair, _ = echo_pair(mesh, authority=authority, extra=GRACE, server_leaf=short_leaf(authority, "web"))
    with open_connection(pair) as connection:
        assert outcome(connection) == ("reset", b"")
    assert access_of(pair.client)["result"] == "certificate_expired"
    assert access_of(pair.server)["result"] != "ok"


def test_foreign_client_past_its_grace_sees_no_orderly_end(mesh, authority):
    application = mesh.add(EchoServer())
    sidecar = mesh.add(Sidecar(
        mesh.folder, "web", services=[("web", 80, application.address)], extra=GRACE,
        identity_yaml=write_identity(mesh.folder, "web", authority.leaf(authority.identity("web")),
                                     authority.bundle_pem))).start()
    peer = NewOpenSSLPeer(mesh.folder, short_leaf(authority, "foreign"), alpn=ALPN)
    with socket.create_connection(("127.0.0.1", sidecar.tunnel)) as raw:
        tls = SSL.Connection(peer.context(SSL.TLS_CLIENT_METHOD), raw)
        tls.set_tlsext_host_name(sni(authority.identity("web")).encode())
        tls.set_connect_state()
        tls.do_handshake()
        tls.sendall(connect_message() + b"hello")
        assert receive_exactly(tls, 9) == reply_message() + b"hello"
        with pytest.raises(SSL.Error) as ended:
            tls.recv(1)
        assert not isinstance(ended.value, SSL.ZeroReturnError)
    assert access_of(sidecar)["result"] == "certificate_expired"
