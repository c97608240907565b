# SPDX-License-Identifier: GPL-3.0-or-later
"""Ordinary TLS programs verify an edge by its DNS name and are known to it by their certificates, as a control plane
issues them; and an application's own TLS passes through the mesh untouched."""
import http.client
import ssl

import pytest

from mesh import Sidecar, free_port, identity, wait_until
from pair import fixed_outbound, write_identity
from servers import run, start_nginx
from tls_peers import Program

NAME = "web.example.org"


@pytest.fixture
def edge(mesh, authority):
    """(sidecar, port): nginx behind an edge."""
    web, port = mesh.add(start_nginx(mesh.folder)), free_port()
    (mesh.folder / "html" / "page").write_text("hello through the edge\n")
    leaf = authority.leaf(authority.identity("web"), dns=[NAME])
    sidecar = mesh.add(Sidecar(mesh.folder, "web", services=[("web", 80, web.address)], edges=[(port, "web")],
                               identity_yaml=write_identity(mesh.folder, "web", leaf, authority.bundle_pem)))
    authority.leaf(authority.identity("caller")).write(mesh.folder, "caller")
    return sidecar.start(), port


def python_context(mesh):
    context = ssl.create_default_context(cafile=mesh.folder / "web.bundle.pem")
    context.load_cert_chain(mesh.folder / "caller.pem", mesh.folder / "caller.key")
    return context


class Connection(http.client.HTTPSConnection):
    """To an edge of this machine, by another name."""

    def __init__(self, port, name, context):
        super().__init__("127.0.0.1", port, context=context, timeout=60)
        self.name = name

    def connect(self):
        http.client.HTTPConnection.connect(self)
        self.sock = self._context.wrap_socket(self.sock, server_hostname=self.name)


def test_python_keeps_a_connection_for_many_requests(mesh, authority, edge):
    sidecar, port = edge
    connection = Connection(port, NAME, python_context(mesh))
    for _ in range(10):
        connection.request("GET", "/page")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"hello through the edge\n")
    connection.close()
    wait_until(sidecar.process.access, "the access line")
    assert len(sidecar.process.access()) == 1
    assert sidecar.process.access()[0]["peer_identity"] == authority.identity("caller")


def test_python_refuses_a_name_that_the_edge_has_not(mesh, edge):
    """Its verification works, so that the test above means something."""
    _, port = edge
    with pytest.raises(ssl.SSLCertVerificationError, match="web.example.net"):
        Connection(port, "web.example.net", python_context(mesh)).request("GET", "/page")


@pytest.mark.parametrize("name, is_served", [(NAME, True), ("web.example.net", False)])
def test_gnutls_verifies_the_edge(mesh, edge, name, is_served):
    _, port = edge
    program = mesh.add(Program(
        "gnutls-cli", "--port", port, "--sni-hostname", NAME, "--verify-hostname", name, "--x509cafile",
        mesh.folder / "web.bundle.pem", "--x509certfile", mesh.folder / "caller.pem", "--x509keyfile",
        mesh.folder / "caller.key", "127.0.0.1"))
    program.say(b"GET /page HTTP/1.0\r\n\r\n")
    heard = program.hear_all()
    assert (b"hello through the edge" in heard) is is_served, heard
    assert (b"The certificate is trusted" in heard) is is_served, heard


def test_tls_of_the_application_passes_untouched(mesh, authority, edge):
    """TLS within the tunnel: the edge itself is the server behind a second pair."""
    _, port = edge
    pair_folder = mesh.folder / "pair"
    pair_folder.mkdir()
    inner = mesh.add(Sidecar(
        pair_folder, "host", services=[("tls", 443, f"127.0.0.1:{port}")],
        identity_yaml=write_identity(pair_folder, "host", authority.leaf(identity("host")), authority.bundle_pem)))
    listen = free_port()
    client = mesh.add(Sidecar(
        pair_folder, "client", identity_yaml=write_identity(
            pair_folder, "client", authority.leaf(identity("client")), authority.bundle_pem),
        outbound=[fixed_outbound(f"127.0.0.1:{listen}", inner.tunnel, identity("host"), "tls", 443)]))
    inner.start()
    client.start()
    result = run("curl", "-sS", "--cacert", mesh.folder / "web.bundle.pem", "--cert", mesh.folder / "caller.pem",
                 "--key", mesh.folder / "caller.key", "--resolve", f"{NAME}:{listen}:127.0.0.1",
                 f"https://{NAME}:{listen}/page")
    assert (result.returncode, result.stdout) == (0, "hello through the edge\n"), result.stderr
