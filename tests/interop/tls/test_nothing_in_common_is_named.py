# SPDX-License-Identifier: GPL-3.0-or-later
"""A peer of another library that shares no version, suite or group with us gets no byte through; the log, the
access log and the metric of the end that judges name what is missing, and our other end narrows the alert."""
import pytest

from ca import sni
from mesh import EchoServer, Sidecar, free_port, wait_until
from pair import Pair, fixed_outbound, write_identity
from tls_peers import GnuTLSPeer, OpenSSLPeer, Refused, TlslitePeer
from tunnel import ALPN, connect_message

CCM, P521 = "TLS_AES_128_CCM_SHA256", "secp521r1"
OLD = {"version": "1.2"}, "wrong_version"
OLDER = {"version": "1.1"}, "wrong_version"
SUITE = {"suites": (CCM,)}, "no_common_suite"
GROUP = {"groups": (P521,)}, "no_common_group"

OFFERS = [(library, *offer) for library in (OpenSSLPeer, GnuTLSPeer, TlslitePeer)
          for offer in (OLD, OLDER, SUITE, GROUP)]


def offer_name(offer):
    return f"{offer[0].__name__} {offer[1]}"


@pytest.mark.parametrize("offer", OFFERS, ids=offer_name)
def test_client_is_refused_by_name(mesh, authority, offer):
    library, told, name = offer
    application, edge = mesh.add(EchoServer()), free_port()
    leaf = authority.leaf(authority.identity("web"), dns=["web.example.org"])
    sidecar = mesh.add(Sidecar(
        mesh.folder, "web", services=[("web", 80, application.address)], edges=[(edge, "web")],
        identity_yaml=write_identity(mesh.folder, "web", leaf, authority.bundle_pem))).start()
    foreign = authority.leaf(authority.identity("foreign"))
    for number, (port, asked, alpn) in enumerate([(edge, "web.example.org", None),
                                                  (sidecar.tunnel, sni(authority.identity("web")), ALPN)]):
        peer = library(mesh.folder, foreign, alpn=alpn, **told)
        with pytest.raises(Refused):
            peer.carry(port, asked, connect_message() + b"secret words\n", 1)
        wait_until(lambda: len(sidecar.process.access()) > number, "the access line", process=sidecar.process)
    assert [line["result"] for line in sidecar.process.access()] == [name, name]
    assert sidecar.metric("remora_tls_handshakes_total", role="server", result=name) == 2
    sidecar.process.wait_event("handshake_failed", error=name)
    assert application.count == 0


@pytest.mark.parametrize("told, results", [
    ({"version": "1.2"}, ("wrong_version", "refused_by_peer")),
    ({"suites": (CCM,)}, ("refused_by_peer",)),
    ({"groups": (P521,)}, ("refused_by_peer",))], ids=["version", "suite", "group"])
@pytest.mark.parametrize("library", [OpenSSLPeer, GnuTLSPeer])
def test_server_is_left_by_name(mesh, authority, library, told, results):
    """The server judges what it and we have in common: our end says which alert it sent."""
    peer = library(mesh.folder, authority.leaf(authority.identity("web")), alpn=ALPN, **told)
    server, port = peer.serve()
    mesh.add(server)
    listen = free_port()
    client = mesh.add(Sidecar(
        mesh.folder, "client", outbound=[fixed_outbound(f"127.0.0.1:{listen}", port, authority.identity("web"))],
        identity_yaml=write_identity(mesh.folder, "client", authority.leaf(authority.identity("client")),
                                     authority.bundle_pem))).start()
    assert Pair.of(client, listen).meet(b"secret words") == ("reset", b"")
    wait_until(client.process.access, "the access line", process=client.process)
    line = client.process.access()[0]
    assert line["result"] in results
    if line["result"] == "refused_by_peer":
        assert line["detail"].startswith("alert ")
    assert client.metric("remora_tls_handshakes_total", role="client", result=line["result"]) == 1
    client.process.wait_event("handshake_failed", error=line["result"])
