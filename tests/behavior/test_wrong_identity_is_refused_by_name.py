# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate that does not prove exactly what is wanted carries nothing. The end that judges names the
fault exactly, in its log, its access log and its metrics; the other end says that it was refused."""
import ssl

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from ca import HOUR, Authority, sni, utc_now
from mesh import EchoServer, Sidecar, free_port, wait_until
from pair import Pair, echo_pair, fixed_outbound, write_identity
from tunnel import FakeServer, connect_message, open_tls

FOREIGN = Authority("other.example")
SAME_NAME = Authority("example.org")  # another CA that claims our trust domain


def wrong_leaf(authority, fault, own):
    """A certificate with exactly one thing wrong; `own` is the SPIFFE ID that it should prove."""
    now = utc_now()
    dates = {"certificate_expired": {"not_before": now - 2 * HOUR, "not_after": now - HOUR},
             "not_yet_valid": {"not_before": now + HOUR, "not_after": now + 2 * HOUR}}
    if fault in dates:
        return authority.leaf(own, **dates[fault])
    return {
        "wrong_identity": lambda: authority.leaf(authority.identity("someone-else")),
        "no_spiffe_id": lambda: authority.leaf(uris=[]),
        "no_spiffe_id (a DNS name that looks like one)":
            lambda: authority.leaf(uris=[], dns=["spiffe.example.org"]),
        "several_spiffe_ids": lambda: authority.leaf(uris=[own, authority.identity("second")]),
        "bad_spiffe_id": lambda: authority.leaf(uris=["https://example.org/ns/default/sa/web"]),
        "wrong_usage": lambda: authority.leaf(own, usages=[ExtendedKeyUsageOID.CODE_SIGNING]),
        "leaf_is_ca": lambda: authority.leaf(own, is_ca=True),
        "missing_intermediate": lambda: authority.leaf(own, with_intermediate=False),
        "unknown_issuer": lambda: SAME_NAME.leaf(own),
        "unknown_trust_domain": lambda: FOREIGN.leaf(FOREIGN.identity("web")),
        "not_anchored": lambda: FOREIGN.leaf(own),
    }[fault]()


FAULTS = ["certificate_expired", "not_yet_valid", "no_spiffe_id", "no_spiffe_id (a DNS name that looks like one)",
          "several_spiffe_ids", "bad_spiffe_id", "wrong_usage", "leaf_is_ca", "missing_intermediate",
          "unknown_issuer", "unknown_trust_domain", "not_anchored"]


def federated(fault):
    """For "not_anchored" the foreign root is trusted, for its own domain only."""
    return [FOREIGN] if fault == "not_anchored" else []


@pytest.mark.parametrize("fault", [*FAULTS, "wrong_identity"])
def test_server_with_a_wrong_certificate_gets_no_byte(mesh, authority, fault):
    server_id, client_id = authority.identity("web"), authority.identity("client")
    server = mesh.add(FakeServer(wrong_leaf(authority, fault, server_id)))
    port = free_port()
    client = mesh.add(Sidecar(
        mesh.folder, "client", outbound=[fixed_outbound(f"127.0.0.1:{port}", server.port, server_id)],
        identity_yaml=write_identity(mesh.folder, "client", authority.leaf(client_id),
                                     authority.bundle_pem, federated(fault)))).start()
    pair = Pair.of(client, port)
    assert pair.meet(b"secret words") == ("reset", b"")
    name = fault.split(" ")[0]
    client.process.wait_event("handshake_failed", error=name, wanted_identity=server_id,
                              remote=f"127.0.0.1:{server.port}")
    assert client.metric("remora_tls_handshakes_total", role="client", result=name) == 1
    wait_until(client.process.access, "the access line")
    assert client.process.access()[0]["result"] == name
    assert server.got == b""


@pytest.mark.parametrize("fault", FAULTS)
def test_client_with_a_wrong_certificate_reaches_nothing(mesh, authority, fault):
    application = mesh.add(EchoServer())
    server_id = authority.identity("web")
    server = mesh.add(Sidecar(
        mesh.folder, "web", services=[("web", 80, application.address)],
        identity_yaml=write_identity(mesh.folder, "web", authority.leaf(server_id),
                                     authority.bundle_pem, federated(fault)))).start()
    leaf = wrong_leaf(authority, fault, authority.identity("client"))
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        with open_tls(server.tunnel, leaf, sni(server_id)) as tls:
            tls.sendall(connect_message() + b"secret words")
            assert tls.recv(1) != b""
    name = fault.split(" ")[0]
    server.process.wait_event("handshake_failed", error=name, remote="127.0.0.1:")
    assert server.metric("remora_tls_handshakes_total", role="server", result=name) == 1
    wait_until(server.process.access, "the access line")
    assert server.process.access()[0]["result"] == name
    assert application.count == 0


def test_dates_and_clocks_are_said(mesh, authority):
    """Whoever reads the log learns which dates, which clock, and by how much."""
    server_id = authority.identity("web")
    server = mesh.add(FakeServer(wrong_leaf(authority, "certificate_expired", server_id)))
    port = free_port()
    client = mesh.add(Sidecar(
        mesh.folder, "client", outbound=[fixed_outbound(f"127.0.0.1:{port}", server.port, server_id)],
        identity_yaml=write_identity(mesh.folder, "client", authority.leaf(authority.identity("client")),
                                     authority.bundle_pem))).start()
    Pair.of(client, port).meet()
    client.process.wait_event("handshake_failed", text="our clock says")
    client.process.wait_event("handshake_failed", text="1h")


def test_both_ends_name_an_unknown_client_ca(mesh, authority):
    """Two real sidecars: the server's judges, the client's learns that it was refused and why that may be."""
    pair, application = echo_pair(mesh, authority=authority,
                                  client_leaf=SAME_NAME.leaf(authority.identity("client")),
                                  client_bundle=authority.bundle_pem + SAME_NAME.bundle_pem)
    assert pair.meet() == ("reset", b"")
    pair.server.process.wait_event("handshake_failed", error="unknown_issuer")
    pair.client.process.wait_event("refused", reason="refused_by_peer", detail="unknown_ca")
    assert application.count == 0


def test_both_ends_name_an_unknown_server_ca(mesh, authority):
    pair, application = echo_pair(mesh, authority=authority,
                                  server_leaf=SAME_NAME.leaf(authority.identity("web")),
                                  server_bundle=authority.bundle_pem + SAME_NAME.bundle_pem)
    assert pair.meet() == ("reset", b"")
    pair.client.process.wait_event("handshake_failed", error="unknown_issuer",
                                   wanted_identity=authority.identity("web"))
    pair.server.process.wait_event("handshake_failed", error="refused_by_peer", text="unknown_ca")
    assert application.count == 0


def test_both_ends_name_another_identity(mesh, authority):
    """The right CA, another workload: its sidecar is not even asked by its name."""
    pair, application = echo_pair(mesh, authority=authority,
                                  server_leaf=authority.leaf(authority.identity("database")))
    assert pair.meet() == ("reset", b"")
    pair.server.process.wait_event("handshake_failed", error="sni_unknown")
    pair.client.process.wait_event("handshake_failed", error="refused_by_peer", text="unrecognized_name",
                                   wanted_identity=authority.identity("web"))
    assert application.count == 0


@pytest.mark.parametrize("key", ["p256", "p384", "rsa"])
def test_every_accepted_kind_of_key_is_carried(mesh, key):
    """The control of the tests above: foreign CAs' usual keys work at both ends."""
    ca = Authority(key=key)
    pair, _ = echo_pair(mesh, authority=ca, server_leaf=ca.leaf(ca.identity("web"), key=key),
                        client_leaf=ca.leaf(ca.identity("client"), key=key))
    pair.echo()


def test_federated_domain_is_carried_when_it_is_allowed(mesh, authority):
    """Two trust domains that know each other's bundles: each leaf ends at its own domain's root."""
    pair, _ = echo_pair(mesh, authority=authority, client_leaf=FOREIGN.leaf(FOREIGN.identity("client")),
                        client_bundle=FOREIGN.bundle_pem, client_federated=[authority],
                        server_federated=[FOREIGN], allow=["spiffe://other.example/**"])
    pair.echo()
    wait_until(pair.server.process.access, "the access line")
    assert pair.server.process.access()[0]["peer_identity"] == FOREIGN.identity("client")
