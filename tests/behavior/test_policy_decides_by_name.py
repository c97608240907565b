# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may reach a service: the own trust domain by default, exactly those on a list where there is one. A
refusal is named at both ends."""
import pytest

from ca import Authority
from mesh import EchoServer, Sidecar, free_port, wait_until
from pair import Pair, echo_pair, fixed_outbound, write_identity

FOREIGN = Authority("other.example")


@pytest.mark.parametrize("allow", [
    None,                                               # the own domain
    ["spiffe://example.org/ns/default/sa/client"],      # exactly
    ["spiffe://example.org/ns/*/sa/client"],
    ["spiffe://example.org/ns/default/sa/cli*"],
    ["spiffe://example.org/**"],
    ["spiffe://example.org/ns/other/**", "spiffe://example.org/ns/default/**"],
])
def test_who_matches_is_carried(mesh, authority, allow):
    pair, _ = echo_pair(mesh, authority=authority, allow=allow)
    pair.echo()


@pytest.mark.parametrize("allow", [
    ["spiffe://example.org/ns/default/sa/other"],
    ["spiffe://example.org/ns/default/sa/clien"],
    ["spiffe://example.org/ns/default/sa/client2"],
    ["spiffe://example.org/ns/*"],                      # '*' stays within one segment
    ["spiffe://example.org/ns/other/**"],
    ["spiffe://other.example/**"],
])
def test_who_matches_nothing_is_denied_by_name(mesh, authority, allow):
    pair, application = echo_pair(mesh, authority=authority, allow=allow)
    assert pair.meet(b"secret words") == ("reset", b"")
    pair.client.process.wait_event("refused", reason="denied_by_peer", detail="guarded")
    pair.server.process.wait_event("refused", reason="guarded", peer_identity=pair.client_id, service="web")
    assert application.count == 0
    # Both lines carry the same connection id and both identities.
    wait_until(lambda: pair.client.process.access() and pair.server.process.access(), "access lines")
    here, there = pair.client.process.access()[0], pair.server.process.access()[0]
    assert here["connection"] == there["connection"] and len(here["connection"]) == 32
    assert (here["local_identity"], here["peer_identity"]) == (pair.client_id, pair.server_id)
    assert (there["local_identity"], there["peer_identity"]) == (pair.server_id, pair.client_id)
    assert (here["result"], there["result"]) == ("denied_by_peer", "guarded")
    assert pair.server.metric("remora_connections_total", direction="inbound", service="web",
                              result="guarded") == 1


def test_foreign_domain_is_denied_by_default(mesh, authority):
    """Its bundle is known, so it is authenticated; nobody allowed it."""
    pair, application = echo_pair(mesh, authority=authority,
                                  client_leaf=FOREIGN.leaf(FOREIGN.identity("client")),
                                  client_bundle=FOREIGN.bundle_pem, client_federated=[authority],
                                  server_federated=[FOREIGN])
    assert pair.meet() == ("reset", b"")
    pair.server.process.wait_event("refused", reason="default_deny",
                                   peer_identity=FOREIGN.identity("client"))
    pair.client.process.wait_event("refused", reason="denied_by_peer", detail="default_deny")
    assert application.count == 0


def test_each_service_has_its_own_list(mesh, authority):
    """One sidecar, two services, one client: one list lets it in, the other does not."""
    web, database = mesh.add(EchoServer()), mesh.add(EchoServer())
    server_id, client_id = authority.identity("web"), authority.identity("client")
    server = mesh.add(Sidecar(
        mesh.folder, "server", services=[("web", 80, web.address), ("database", 5432, database.address)],
        allow={"database": [authority.identity("web")]},
        identity_yaml=write_identity(mesh.folder, "server", authority.leaf(server_id),
                                     authority.bundle_pem))).start()
    ports = {"web": free_port(), "database": free_port()}
    client = mesh.add(Sidecar(
        mesh.folder, "client",
        outbound=[fixed_outbound(f"127.0.0.1:{ports['web']}", server.tunnel, server_id),
                  fixed_outbound(f"127.0.0.1:{ports['database']}", server.tunnel, server_id,
                                 service="database", port=5432)],
        identity_yaml=write_identity(mesh.folder, "client", authority.leaf(client_id),
                                     authority.bundle_pem))).start()
    Pair.of(client, ports["web"]).echo()
    assert Pair.of(client, ports["database"]).meet() == ("reset", b"")
    server.process.wait_event("refused", reason="guarded", service="database")
    assert (web.count, database.count) == (1, 0)


def test_list_that_changes_ends_live_connections(mesh, authority):
    """Policy applies to what already stands."""
    pair, _ = echo_pair(mesh, authority=authority)
    with pair.connect() as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        pair.server.allow = {"web": [authority.identity("other")]}
        pair.server.write_config()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    wait_until(pair.server.process.access, "the access line")
    assert pair.server.process.access()[0]["result"] == "guarded"
    wait_until(pair.client.process.access, "the access line")
    assert pair.client.process.access()[0]["result"] != "ok"
