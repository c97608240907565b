# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs without a sidecar (curl, openssl) come in through an edge listener, with a certificate that the
mesh trusts and that the service's rules allow; nobody else does."""
import ssl
import subprocess

import pytest

from ca import HOUR, Authority, utc_now
from mesh import EchoServer, Sidecar, free_port, wait_until
from pair import write_identity
from servers import run, start_nginx
from tunnel import connect_message, open_tls

FOREIGN = Authority("other.example")


class Edge:
    def __init__(self, mesh, authority, target, allow=None):
        self.mesh, self.authority = mesh, authority
        self.port = free_port()
        self.server_id = authority.identity("web")
        self.sidecar = mesh.add(Sidecar(
            mesh.folder, "web", services=[("web", 80, target)], edges=[(self.port, "web")],
            allow={"web": allow} if allow is not None else None,
            identity_yaml=write_identity(mesh.folder, "web",
                                         authority.leaf(self.server_id, dns=["web.example.org"]),
                                         authority.bundle_pem))).start()
        self.leaf = authority.leaf(authority.identity("curl"))

    def curl(self, path, leaf, *words):
        certificate, key = leaf.write(self.mesh.folder, "curl")
        key.chmod(0o600)
        return run("curl", "-sS", "--max-time", "20", "--cacert", self.mesh.folder / "web.bundle.pem",
                   "--cert", certificate, "--key", key, "--resolve",
                   f"web.example.org:{self.port}:127.0.0.1", *words,
                   f"https://web.example.org:{self.port}{path}")

    def refuses(self, leaf, result):
        """The other end is cut off and the access log says why."""
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            with open_tls(self.port, leaf, "web.example.org", alpn=()) as tls:
                tls.sendall(b"secret words")
                assert tls.recv(64) != b""
        wait_until(self.sidecar.process.access, "the access line")
        line = self.sidecar.process.access()[0]
        assert (line["direction"], line["result"]) == ("edge", result)


def test_curl_with_a_certificate_is_served(mesh, authority):
    web = mesh.add(start_nginx(mesh.folder))
    (mesh.folder / "html" / "page").write_text("hello through the edge\n")
    edge = Edge(mesh, authority, web.address)
    result = edge.curl("/page", edge.leaf)
    assert (result.returncode, result.stdout) == (0, "hello through the edge\n"), result.stderr
    wait_until(edge.sidecar.process.access, "the access line")
    line = edge.sidecar.process.access()[0]
    assert (line["direction"], line["result"], line["service"]) == ("edge", "ok", "web")
    assert line["peer_identity"] == authority.identity("curl")
    assert line["tls"] == "TLSv1.3" and line["peer_serial"].lstrip("0") == edge.leaf.serial.lstrip("0")


def test_openssl_with_a_certificate_is_served(mesh, authority):
    application = mesh.add(EchoServer(lambda connection: connection.sendall(connection.recv(64))))
    edge = Edge(mesh, authority, application.address)
    certificate, key = edge.leaf.write(mesh.folder, "client")
    result = run("openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{edge.port}", "-servername",
                 "web.example.org", "-CAfile", mesh.folder / "web.bundle.pem", "-verify_return_error",
                 "-cert", certificate, "-key", key, "-cert_chain", certificate,
                 input="hello\n")
    assert "hello\n" in result.stdout, result.stderr
    assert application.count == 1


def test_client_without_certificate_is_refused(mesh, authority):
    application = mesh.add(EchoServer())
    Edge(mesh, authority, application.address).refuses(None, "no_certificate")
    assert application.count == 0


def test_foreign_certificate_is_refused(mesh, authority):
    application = mesh.add(EchoServer())
    edge = Edge(mesh, authority, application.address)
    edge.refuses(FOREIGN.leaf(FOREIGN.identity("curl")), "unknown_trust_domain")
    assert application.count == 0


def test_expired_certificate_is_refused(mesh, authority):
    application = mesh.add(EchoServer())
    edge = Edge(mesh, authority, application.address)
    edge.refuses(authority.leaf(authority.identity("curl"), not_before=utc_now() - 2 * HOUR,
                                not_after=utc_now() - HOUR), "certificate_expired")
    assert application.count == 0


def test_identity_that_is_not_allowed_is_refused(mesh, authority):
    application = mesh.add(EchoServer())
    edge = Edge(mesh, authority, application.address, allow=[authority.identity("someone-else")])
    edge.refuses(edge.leaf, "guarded")
    assert application.count == 0


def test_old_tls_is_refused(mesh, authority):
    edge = Edge(mesh, authority, "127.0.0.1:1")
    certificate, key = edge.leaf.write(mesh.folder, "client")
    result = run("openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{edge.port}",
                 "-cert", certificate, "-key", key, stdin=subprocess.DEVNULL)
    assert result.returncode != 0 and "Cipher is (NONE)" in result.stdout


def test_plain_http_is_refused(mesh, authority):
    edge = Edge(mesh, authority, "127.0.0.1:1")
    result = run("curl", "-sS", "--max-time", "20", f"http://127.0.0.1:{edge.port}/")
    assert result.returncode != 0 and result.stdout == ""
    wait_until(edge.sidecar.process.access, "the access line")
    assert edge.sidecar.process.access()[0]["result"] == "not_tls"


def test_edge_carries_no_other_service(mesh, authority):
    """There is no preface at an edge: what looks like one is the application's bytes."""
    application = mesh.add(EchoServer())
    edge = Edge(mesh, authority, application.address)
    message = connect_message("database", 5432)
    with open_tls(edge.port, edge.leaf, None, alpn=()) as tls:
        tls.sendall(message)
        assert tls.recv(len(message)) == message
    assert edge.sidecar.metric("remora_edge_sni_fallback_total") == 1
