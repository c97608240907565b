# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of hostile or careless authorities: each is refused by the right name at whichever end judges, and
what is merely unusual is carried. The peers are OpenSSL, as client and as server."""
import copy

import pytest

from ca import HOUR, MINUTE, Authority, Leaf, new_key, sni, utc_now
from mesh import EchoServer, Sidecar, free_port, wait_until
from pair import Pair, fixed_outbound, write_identity
from tls_peers import NewOpenSSLPeer, Refused, Served
from tunnel import ALPN, FakeServer, connect_message, reply_message

ID = "spiffe://example.org/ns/default/sa/web"
REPLY = reply_message()


def under(authority, intermediate, key):
    """The same authority issuing by another intermediate."""
    other = copy.copy(authority)
    other.intermediate, other.intermediates, other.intermediate_key = intermediate, [intermediate], key
    return other


def short_lived(authority, end):
    """An authority whose intermediate ends at `end`."""
    key = new_key("p256")
    return under(authority, authority._authority("short issuer", key, authority.root, authority.root_key, 0, end), key)


def with_extra(leaf, certificates):
    return Leaf([*leaf.chain, *certificates], leaf.key)


def wrong_id(text):
    return lambda authority: authority.leaf(uris=[text])


BAD_IDS = {
    "other scheme": "https://example.org/ns/default/sa/web",
    "upper-case scheme": "SPIFFE://example.org/ns/default/sa/web",
    "no trust domain": "spiffe:///ns/default/sa/web", "empty segment": "spiffe://example.org/ns//sa/web",
    "dot segment": "spiffe://example.org/ns/./sa/web", "dotdot": "spiffe://example.org/ns/other/../default/sa/web",
    "percent": "spiffe://example.org/ns/default/sa/%77eb", "trailing slash": f"{ID}/",
    "upper-case domain": "spiffe://EXAMPLE.org/ns/default/sa/web", "port": "spiffe://example.org:443/ns/default/sa/web",
    "user": "spiffe://root@example.org/ns/default/sa/web", "query": f"{ID}?a=b", "fragment": f"{ID}#a",
    "2049 bytes": ID + "/" + "a" * (2048 - len(ID)), "space": f"{ID} ", "line feed": f"{ID}\n",
}
# What RFC 5280 does not allow in a URI at all is not even taken apart.
NO_URIS = {"empty": "", "no scheme": "example.org/ns/default/sa/web", "NUL at the end": f"{ID}\0",
           "NUL and more": f"{ID}\0.example.net/x"}
CASES = {name: ("bad_spiffe_id", wrong_id(text)) for name, text in BAD_IDS.items()}
CASES |= {name: ("bad_certificate", wrong_id(text)) for name, text in NO_URIS.items()}
CASES |= {
    "no SAN": ("no_spiffe_id", lambda ca: ca.leaf(uris=[])),
    "DNS SAN that reads like an ID": ("no_spiffe_id", lambda ca: ca.leaf(uris=[], dns=[ID])),
    "two IDs": ("several_spiffe_ids", lambda ca: ca.leaf(uris=[ID, f"{ID}2"])),
    "the same ID twice": ("several_spiffe_ids", lambda ca: ca.leaf(uris=[ID, ID])),
    "an ID and another URI": ("several_spiffe_ids", lambda ca: ca.leaf(uris=[ID, "https://example.org/"])),
    "100 IDs": ("several_spiffe_ids", lambda ca: ca.leaf(uris=[f"{ID}{i}" for i in range(100)])),
    "seven certificates": ("chain_too_long", lambda ca: with_extra(
        ca.leaf(ID), [Authority("example.org").root for _ in range(6)])),
    "expired intermediate": ("certificate_expired", lambda ca: short_lived(ca, utc_now() - MINUTE).leaf(ID)),
}


@pytest.mark.parametrize("case", CASES)
def test_client_reaches_nothing(mesh, authority, case):
    name, make = CASES[case]
    application = mesh.add(EchoServer())
    sidecar = start_inbound(mesh, authority, application)
    with pytest.raises(Refused):
        carry(mesh, authority, sidecar, make(authority))
    wait_until(sidecar.process.access, "the access line", process=sidecar.process)
    assert sidecar.process.access()[0]["result"] == name
    assert sidecar.metric("remora_tls_handshakes_total", role="server", result=name) == 1
    sidecar.process.wait_event("handshake_failed", error=name)
    assert application.count == 0


@pytest.mark.parametrize("case", CASES)
def test_server_gets_no_byte(mesh, authority, case):
    name, make = CASES[case]
    server = mesh.add(FakeServer(make(authority)))
    pair = start_outbound(mesh, authority, server.port)
    assert pair.meet(b"secret words") == ("reset", b"")
    wait_until(pair.client.process.access, "the access line", process=pair.client.process)
    assert pair.client.process.access()[0]["result"] == name
    assert pair.client.metric("remora_tls_handshakes_total", role="client", result=name) == 1
    pair.client.process.wait_event("handshake_failed", error=name, wanted_identity=ID)
    assert server.got == b""


UNUSUAL = {
    "100 DNS names": lambda ca: ca.leaf(ID, dns=[f"host-{i}.example.org" for i in range(100)]),
    "root sent along": lambda ca: with_extra(ca.leaf(ID), [ca.root]),
    "wildcard and IDs in DNS names": lambda ca: ca.leaf(ID, dns=["*.example.org", "spiffe.example.net"]),
}


@pytest.mark.parametrize("case", UNUSUAL)
def test_unusual_certificates_are_carried(mesh, authority, case):
    leaf = UNUSUAL[case](authority)
    sidecar = start_inbound(mesh, authority, mesh.add(EchoServer()))
    assert carry(mesh, authority, sidecar, leaf) == REPLY + b"hello"
    assert start_outbound(mesh, authority, served(mesh, leaf).port).works()


def test_longest_id_is_carried(mesh, authority):
    """2,048 bytes (SPIFFE-ID.md 2.3)."""
    longest = ID + "/" + "a" * (2047 - len(ID))
    assert len(longest) == 2048
    sidecar = start_inbound(mesh, authority, mesh.add(EchoServer()))
    assert carry(mesh, authority, sidecar, authority.leaf(longest)) == REPLY + b"hello"
    wait_until(sidecar.process.access, "the access line")
    assert sidecar.process.access()[0]["peer_identity"].startswith(longest[:512])  # a line has its bounds


def test_chain_of_more_than_is_read_is_refused(mesh, authority):
    """Some fifty certificates, more bytes than a Certificate message may have: cut off at either end."""
    huge = with_extra(authority.leaf(ID), [authority.root] * 50)
    application = mesh.add(EchoServer())
    sidecar = start_inbound(mesh, authority, application)
    with pytest.raises(Refused):
        carry(mesh, authority, sidecar, huge)
    server = mesh.add(FakeServer(huge))
    pair = start_outbound(mesh, authority, server.port)
    assert pair.meet(b"secret words") == ("reset", b"")
    for judge in (sidecar, pair.client):
        wait_until(judge.process.access, "the access line", process=judge.process)
        assert judge.process.access()[0]["result"] == "protocol"
        judge.process.wait_event("handshake_failed", text="message too large")
    assert (application.count, server.got) == (0, b"")


def test_intermediate_of_another_peer_does_not_help(mesh, authority):
    """Each chain stands alone, though the judge has just seen the missing certificate."""
    whole, alone = authority.leaf(ID), authority.leaf(ID, with_intermediate=False)
    application = mesh.add(EchoServer())
    sidecar = start_inbound(mesh, authority, application)
    assert carry(mesh, authority, sidecar, whole) == REPLY + b"hello"
    with pytest.raises(Refused):
        carry(mesh, authority, sidecar, alone)
    assert results_of(sidecar, 2) == ["ok", "missing_intermediate"]
    assert application.count == 1

    server = served(mesh, whole)
    pair = start_outbound(mesh, authority, server.port, extra="resumption: false\n")
    assert pair.works()
    server.peer = NewOpenSSLPeer(mesh.folder, alone, alpn=ALPN)
    assert pair.meet() == ("reset", b"")
    assert results_of(pair.client, 2) == ["ok", "missing_intermediate"]


def test_intermediate_that_has_since_expired_is_not_believed(mesh, authority):
    """A chain that was good when its links were first seen."""
    end = utc_now().replace(microsecond=0) + MINUTE / 10
    leaf = short_lived(authority, end).leaf(ID, not_after=utc_now() + HOUR)
    sidecar = start_inbound(mesh, authority, mesh.add(EchoServer()))
    pair = start_outbound(mesh, authority, served(mesh, leaf).port)
    assert carry(mesh, authority, sidecar, leaf) == REPLY + b"hello"
    assert pair.works()
    wait_until(lambda: utc_now() > end + MINUTE / 60, "the intermediate's end")
    with pytest.raises(Refused):
        carry(mesh, authority, sidecar, leaf)
    assert pair.meet() == ("reset", b"")
    for judge in (sidecar, pair.client):
        assert results_of(judge, 2) == ["ok", "certificate_expired"]


def results_of(sidecar, count):
    wait_until(lambda: len(sidecar.process.access()) >= count, "access lines", process=sidecar.process)
    return [line["result"] for line in sidecar.process.access()]


def served(mesh, leaf):
    return mesh.add(Served(NewOpenSSLPeer(mesh.folder, leaf, alpn=ALPN), REPLY))


def start_inbound(mesh, authority, application):
    return mesh.add(Sidecar(
        mesh.folder, "web", services=[("web", 80, application.address)],
        identity_yaml=write_identity(mesh.folder, "web", authority.leaf(ID), authority.bundle_pem))).start()


def start_outbound(mesh, authority, port, extra=""):
    listen = free_port()
    leaf = authority.leaf(authority.identity("client"))
    return Pair.of(mesh.add(Sidecar(
        mesh.folder, "client", outbound=[fixed_outbound(f"127.0.0.1:{listen}", port, ID)], extra=extra,
        identity_yaml=write_identity(mesh.folder, "client", leaf, authority.bundle_pem))).start(), listen)


def carry(mesh, authority, sidecar, leaf):
    peer = NewOpenSSLPeer(mesh.folder, leaf, alpn=ALPN)
    said = connect_message() + b"hello"
    return peer.carry(sidecar.tunnel, sni(authority.identity("web")), said, len(REPLY + b"hello"))
