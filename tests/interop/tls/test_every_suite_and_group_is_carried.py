# SPDX-License-Identifier: GPL-3.0-or-later
"""Each suite and each group that we have, with each TLS library that has it, as client at an edge and at a tunnel
port and as server behind an outbound listener; and one HelloRetryRequest for whoever brings another key share."""
import pytest
from tlslite.messages import ClientHello

from ca import sni
from mesh import EchoServer, Mesh, Sidecar, free_port, wait_until
from pair import Pair, fixed_outbound, write_identity
from tls_peers import (AES_128, HYBRID, P256, SUITES, X25519, GnuTLSPeer, NewOpenSSLPeer, OpenSSLPeer, Served,
                       TlslitePeer)
from tls_wire import Tap
from tunnel import ALPN, connect_message, reply_message

P384 = "secp384r1"
MESSAGE = b"hello from another library\n"
REPLY = reply_message()

# (library, suites it offers, groups it offers, suite and group that must be chosen, retries on the wire)
OFFERS = [(library, (suite,), (X25519,), suite, X25519, 0)
          for library in (OpenSSLPeer, GnuTLSPeer, TlslitePeer) for suite in SUITES]
OFFERS += [(library, (), (P256,), None, P256, 0)
           for library in (OpenSSLPeer, GnuTLSPeer, NewOpenSSLPeer, TlslitePeer)]
OFFERS += [(NewOpenSSLPeer, (suite,), (), suite, HYBRID, 0) for suite in SUITES]
OFFERS += [(library, (AES_128,), (P384, group), AES_128, group, 1)
           for library in (OpenSSLPeer, GnuTLSPeer, TlslitePeer) for group in (X25519, P256)]


def offer_name(offer):
    library, suites, groups, *_ = offer
    return f"{library.__name__} {' '.join((*suites, *groups))}"


@pytest.fixture(scope="module")
def mesh():
    started = Mesh()
    yield started
    started.close()
    started.remove()


@pytest.fixture(scope="module")
def inbound(mesh, authority):
    """A sidecar with an edge; (sidecar, port of the edge)."""
    application, port = mesh.add(EchoServer()), free_port()
    leaf = authority.leaf(authority.identity("web"), dns=["web.example.org"])
    sidecar = Sidecar(mesh.folder, "web", services=[("web", 80, application.address)], edges=[(port, "web")],
                      identity_yaml=write_identity(mesh.folder, "web", leaf, authority.bundle_pem))
    return mesh.add(sidecar).start(), port


@pytest.fixture(scope="module")
def leaf(authority):
    return authority.leaf(authority.identity("foreign"))


def next_access(sidecar, before):
    wait_until(lambda: len(sidecar.process.access()) > before, "the access line", process=sidecar.process)
    return sidecar.process.access()[before]


def check(line, passage, offer):
    _, _, _, suite, group, retries = offer
    assert (line["result"], line["tls"], line["group"]) == ("ok", "TLSv1.3", group)
    if suite:
        assert line["suite"] == suite
    assert (passage.client_hellos(), passage.retries()) == (1 + retries, retries)


@pytest.mark.parametrize("offer", OFFERS, ids=offer_name)
@pytest.mark.parametrize("where", ["edge", "tunnel"])
def test_client_is_served(mesh, authority, inbound, leaf, where, offer):
    sidecar, edge = inbound
    library, suites, groups, *_ = offer
    before, at_edge = len(sidecar.process.access()), where == "edge"
    tap = Tap(edge if at_edge else sidecar.tunnel)
    peer = library(mesh.folder, leaf, alpn=None if at_edge else ALPN, suites=suites, groups=groups)
    name = "web.example.org" if at_edge else sni(authority.identity("web"))
    preface, reply = (b"", b"") if at_edge else (connect_message(), REPLY)
    try:
        assert peer.carry(tap.port, name, preface + MESSAGE, len(reply + MESSAGE)) == reply + MESSAGE
        check(next_access(sidecar, before), tap.last, offer)
    finally:
        tap.close()


def outbound_to(mesh, authority, name, port):
    """A sidecar in front of another library's server, as a Pair without our own inbound."""
    listen = free_port()
    sidecar = Sidecar(
        mesh.folder, name, outbound=[fixed_outbound(f"127.0.0.1:{listen}", port, authority.identity("web"))],
        identity_yaml=write_identity(mesh.folder, name, authority.leaf(authority.identity("client")),
                                     authority.bundle_pem))
    return Pair.of(mesh.add(sidecar).start(), listen)


# As a server's choice: our client offers a share of the hybrid group alone, so that each other group costs a retry.
CHOICES = [(OpenSSLPeer, (suite,), (X25519,), suite, X25519, 1) for suite in SUITES]
CHOICES += [(library, (), (P256,), None, P256, 1) for library in (OpenSSLPeer, NewOpenSSLPeer)]
CHOICES += [(NewOpenSSLPeer, (suite,), (), suite, HYBRID, 0) for suite in SUITES]


@pytest.mark.parametrize("choice", CHOICES, ids=offer_name)
def test_server_is_reached(mesh, authority, choice):
    library, suites, groups, *_ = choice
    peer = library(mesh.folder, authority.leaf(authority.identity("web")), alpn=ALPN, suites=suites, groups=groups)
    if library is OpenSSLPeer:
        server, port = peer.serve("-Verify", "3")
    else:
        server = Served(peer, REPLY)
        port = server.port
    tap = Tap(port)
    pair = outbound_to(mesh, authority, f"client-{CHOICES.index(choice)}", tap.port)
    try:
        with pair.connect() as connection:
            connection.sendall(MESSAGE)
            if library is OpenSSLPeer:
                server.hear(lambda heard: MESSAGE in heard)
                server.say(REPLY + MESSAGE)
            received = b""
            while len(received) < len(MESSAGE):
                received += connection.recv(64)
            assert received == MESSAGE
            server.close()
        line = next_access(pair.client, 0)
        assert line["group"] == choice[4] and line["suite"] == (choice[3] or line["suite"])
        assert (tap.last.client_hellos(), tap.last.retries()) == (1 + choice[5], choice[5])
    finally:
        tap.close()
        server.close()


@pytest.mark.parametrize("suites, groups", [*(((suite,), (X25519,)) for suite in SUITES), ((), (P256,))],
                         ids=[*SUITES, P256])
def test_gnutls_server_is_reached(mesh, authority, suites, groups):
    """gnutls-serv answers text only: what it says of the handshake must do."""
    peer = GnuTLSPeer(mesh.folder, authority.leaf(authority.identity("web")), alpn=ALPN, suites=suites,
                      groups=groups)
    server, port = peer.serve("--echo", "--require-client-cert")
    tap = Tap(port)
    pair = outbound_to(mesh, authority, f"gnutls-{'-'.join((*suites, *groups))}", tap.port)
    try:
        with pair.connect():
            said = server.hear(lambda heard: b"- Application protocol: remora/1" in heard and heard)
            assert b"- Version: TLS1.3" in said and b"- Client Signature: ECDSA-SECP256R1-SHA256" in said
            server.close()
            line = next_access(pair.client, 0)
        assert line["group"] == groups[0] and line["suite"] in (suites or SUITES)
        assert pair.client.metric("remora_tls_handshakes_total", role="client", result="ok") == 1
        assert tap.last.retries() == 1
    finally:
        tap.close()
        server.close()


def test_server_that_sends_a_cookie_is_reached(mesh, authority, monkeypatch):
    """RFC 8446 4.2.2: the cookie of a HelloRetryRequest is in the second ClientHello. OpenSSL and GnuTLS send none,
    so no other peer here would miss it. tlslite-ng also wants the extensions in the first hello's order (4.1.2),
    which wolfSSL changes and no other peer looks at: that comparison is left out."""
    monkeypatch.setattr(ClientHello, "__ne__", lambda self, other: False, raising=False)
    peer = TlslitePeer(mesh.folder, authority.leaf(authority.identity("web")), alpn=ALPN, groups=(X25519,))
    server = mesh.add(Served(peer, REPLY))
    pair = outbound_to(mesh, authority, "cookie", server.port)
    assert pair.works()
