# SPDX-License-Identifier: GPL-3.0-or-later
"""One sidecar, several identities from files, also of different trust domains: the server name chooses which one
answers, each serves and calls as itself only, each is renewed by itself."""
import socket
import ssl

import pytest

import tunnel
from ca import Authority, sni
from mesh import EchoServer, Sidecar, free_port, wait_until
from pair import Pair, echo_pair, fixed_outbound, write_identity

SECOND_DOMAIN = "second.example"


class Host:
    """`web` (80) belongs to the first identity, `bill` (81) to the second one, of another trust domain."""

    def __init__(self, mesh, authority):
        self.mesh, self.first, self.second = mesh, authority, Authority(SECOND_DOMAIN)
        self.first_id, self.second_id = authority.identity("web"), self.second.identity("bill")
        self.application = mesh.add(EchoServer())
        self.write_second()
        more = (f"identities:\n  - {{name: billing, certificate: {mesh.folder}/bill.pem, "
                f"key: {mesh.folder}/bill.key, bundle: {mesh.folder}/bill.bundle.pem, "
                f"federated: [{{trust_domain: {authority.trust_domain}, bundle: {mesh.folder}/web.bundle.pem}}]}}\n")
        self.server = mesh.add(Sidecar(
            mesh.folder, "web", services=[("web", 80, self.application.address)],
            identity_yaml=write_identity(mesh.folder, "web", authority.leaf(self.first_id),
                                         authority.bundle_pem), extra=more,
            allow={"web": [f"spiffe://{authority.trust_domain}/**"]}))
        text = self.server.config.read_text().replace(
            "  services:\n", f"  services:\n    - {{name: bill, port: 81, target: '{self.application.address}', "
                             f"as: billing, allow: ['spiffe://{authority.trust_domain}/**', "
                             f"'spiffe://{SECOND_DOMAIN}/**']}}\n")
        self.server.config.write_text(text)
        self.server.start()

    def write_second(self):
        self.second_leaf = self.second.leaf(self.second_id)
        write_identity(self.mesh.folder, "bill", self.second_leaf, self.second.bundle_pem)

    def client(self, leaf, identity, service, port):
        listen = free_port()
        sidecar = self.mesh.add(Sidecar(
            self.mesh.folder, f"client-{service}",
            outbound=[fixed_outbound(f"127.0.0.1:{listen}", self.server.tunnel, identity, service, port)],
            identity_yaml=write_identity(self.mesh.folder, f"client-{service}", leaf, self.first.bundle_pem,
                                         [self.second])))
        sidecar.start()
        return Pair.of(sidecar, listen)

    def certificate(self, server_name):
        """The SPIFFE ID that answers for `server_name`, as OpenSSL sees it."""
        leaf = self.first.leaf(self.first.identity("someone"))
        with tunnel.open_tls(self.server.tunnel, leaf, server_name) as connection:
            der = connection.getpeercert(binary_form=True)
        return next(one for one in (self.first_id, self.second_id) if one.encode() in der)


@pytest.fixture
def host(mesh, authority):
    return Host(mesh, authority)


def test_each_service_answers_as_its_identity(host, authority):
    client = authority.leaf(authority.identity("client"))
    host.client(client, host.first_id, "web", 80).echo()
    host.client(client, host.second_id, "bill", 81).echo()
    wait_until(lambda: len(host.server.process.access()) == 2, "access lines")
    assert {(line["service"], line["local_identity"]) for line in host.server.process.access()} == {
        ("web", host.first_id), ("bill", host.second_id)}


def test_name_chooses_the_certificate(host):
    assert host.certificate(sni(host.first_id)) == host.first_id
    assert host.certificate(sni(host.second_id)) == host.second_id


def test_unknown_name_is_refused(host):
    with pytest.raises((ssl.SSLError, OSError)):
        host.certificate("x" * 26 + ".example.org")
    host.server.process.wait_event("handshake_failed", error="sni_unknown")


def test_service_of_another_identity_is_not_exposed(host, authority):
    """Service and port must belong to the identity that this very handshake presented."""
    leaf = authority.leaf(authority.identity("client"))
    for identity, service, port in ((host.first_id, "bill", 81), (host.second_id, "web", 80)):
        with tunnel.open_tls(host.server.tunnel, leaf, sni(identity)) as connection:
            connection.sendall(tunnel.connect_message(service, port))
            assert tunnel.read_reply(connection) == (tunnel.DENIED, "service_not_exposed")


def test_trust_is_that_of_the_chosen_identity(host):
    """A workload of the second domain may come by the second identity, which trusts both domains; the first one
    knows nothing of that domain."""
    leaf = host.second.leaf(host.second.identity("client"))
    with tunnel.open_tls(host.server.tunnel, leaf, sni(host.second_id)) as connection:
        connection.sendall(tunnel.connect_message("bill", 81))
        assert tunnel.read_reply(connection) == (tunnel.OK, "")
    with pytest.raises((ssl.SSLError, OSError)):
        with tunnel.open_tls(host.server.tunnel, leaf, sni(host.first_id)) as connection:
            connection.sendall(tunnel.connect_message("web", 80))
            tunnel.read_reply(connection)
    host.server.process.wait_event("handshake_failed", error="unknown_trust_domain")


def test_second_identity_is_renewed_by_itself(host, authority):
    pair = host.client(authority.leaf(authority.identity("client")), host.second_id, "bill", 81)
    with pair.connect() as living:
        living.sendall(b"before")
        assert living.recv(6) == b"before"
        host.write_second()
        host.server.process.wait_event("certificate_in_force", serial=host.second_leaf.serial)
        living.sendall(b"after")
        assert living.recv(5) == b"after"
    pair.echo()


def test_calls_go_out_as_the_named_identity(mesh, authority):
    """`as` on an outbound listener: the server sees the second identity."""
    target, _ = echo_pair(mesh, authority=authority)
    listen = free_port()
    other = authority.leaf(authority.identity("other"))
    write_identity(mesh.folder, "more", other, authority.bundle_pem)
    more = (f"identities:\n  - {{name: other, certificate: {mesh.folder}/more.pem, key: {mesh.folder}/more.key, "
            f"bundle: {mesh.folder}/more.bundle.pem}}\n")
    caller = mesh.add(Sidecar(
        mesh.folder, "caller",
        outbound=[fixed_outbound(f"127.0.0.1:{listen}", target.server.tunnel, target.server_id,
                                 more=", as: other")],
        identity_yaml=write_identity(mesh.folder, "caller", authority.leaf(authority.identity("caller")),
                                     authority.bundle_pem), extra=more)).start()
    Pair.of(caller, listen).echo()
    wait_until(target.server.process.access, "access lines")
    assert target.server.process.access()[0]["peer_identity"] == authority.identity("other")
    wait_until(caller.process.access, "access lines")
    assert caller.process.access()[0]["local_identity"] == authority.identity("other")


def test_edge_shows_the_identity_of_its_service(mesh, authority):
    application = mesh.add(EchoServer())
    edge = free_port()
    second = authority.identity("second")
    write_identity(mesh.folder, "more", authority.leaf(second), authority.bundle_pem)
    server = mesh.add(Sidecar(
        mesh.folder, "web", services=[("web", 80, application.address)], edges=[(edge, "web")],
        identity_yaml=write_identity(mesh.folder, "web", authority.leaf(authority.identity("web")),
                                     authority.bundle_pem),
        extra=f"identities:\n  - {{name: more, certificate: {mesh.folder}/more.pem, key: {mesh.folder}/more.key, "
              f"bundle: {mesh.folder}/more.bundle.pem}}\n"))
    text = server.config.read_text()
    server.config.write_text(text.replace("name: web,", "name: web, as: more,"))
    server.start()
    with tunnel.open_tls(edge, authority.leaf(authority.identity("client")), None, alpn=()) as connection:
        assert second.encode() in connection.getpeercert(binary_form=True)
        connection.sendall(b"hello")
        assert connection.recv(5) == b"hello"


def test_missing_file_of_one_identity_stops_the_start(mesh, authority):
    sidecar = mesh.add(Sidecar(
        mesh.folder, "web",
        identity_yaml=write_identity(mesh.folder, "web", authority.leaf(authority.identity("web")),
                                     authority.bundle_pem),
        extra="identities:\n  - {name: more, certificate: /nowhere/c.pem, key: /nowhere/c.key, bundle: /nowhere/b}\n"))
    sidecar.start(ready=False)
    wait_until(lambda: sidecar.process.poll() is not None, "the start to fail")
    assert sidecar.process.poll() != 0
    assert "/nowhere/c.pem" in sidecar.process.stderr()


def test_name_in_pieces_chooses_all_the_same(host):
    """One byte at a time."""
    leaf = host.first.leaf(host.first.identity("someone"))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = tunnel.context(ssl.PROTOCOL_TLS_CLIENT, leaf).wrap_bio(incoming, outgoing,
                                                                 server_hostname=sni(host.second_id))
    with socket.create_connection(("127.0.0.1", host.server.tunnel), 20) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        done = False
        while not done:
            try:
                tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    raw.send(bytes((byte,)))
                incoming.write(raw.recv(65536))
        assert host.second_id.encode() in tls.getpeercert(binary_form=True)
