# SPDX-License-Identifier: GPL-3.0-or-later
"""A peer that is not ours judges, and all it says is an alert: the sidecar that was refused says which, what that can
mean, and what its own certificate, chain and clock say about it; for a peer that says nothing, what is left."""
import socket
import threading
import time

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from ca import Authority, sni
from errors import assert_judged, assert_narrowed, event_of
from mesh import EchoServer, Process, Sidecar, free_port, wait_until
from pair import Pair, fixed_outbound, write_identity
from servers import accepts, run
from tunnel import ALPN

STRANGER = Authority("stranger.example")
DAY_S = 24 * 3600
CHAIN = "2 certificates, spiffe://example.org/ns/default/sa/"  # what the refused end says of its own


class Files:
    """What a judging program of the command line is given: a good certificate, our root, another root, and a CRL."""

    def __init__(self, folder, authority, own, revoked=()):
        self.own = own
        self.words = {"alpn": ALPN, "sni": sni(own), "now": int(time.time())}
        self.words["certificate"], self.words["key"] = authority.leaf(own).write(folder, "judge")
        self.words["root"] = authority.write_bundle(folder, "judge")
        self.words["stranger"] = STRANGER.write_bundle(folder, "stranger")
        self.words["crl"] = folder / "judge.crl"
        self.words["crl"].write_bytes(authority.crl_pem(*revoked))
        self.words["chain"] = folder / "judge.chain"  # OpenSSL looks for the issuer of a CRL among these, too
        self.words["chain"].write_bytes(authority.bundle_pem)

    def fill(self, words, **more):
        return [str(word).format(**self.words, **more) for word in words]


# --- A server judges the sidecar that calls it ------------------------------------------------------------------

S_SERVER = ("openssl", "s_server", "-accept", "127.0.0.1:{port}", "-cert", "{certificate}", "-cert_chain",
            "{certificate}", "-key", "{key}", "-rev", "-alpn")
STRICT = ("{alpn}", "-Verify", "3", "-verify_return_error", "-CAfile")
GNUTLS_SERV = ("gnutls-serv", "--echo", "-q", "-p", "{port}", "--x509certfile", "{certificate}", "--x509keyfile",
               "{key}", "--alpn", "{alpn}", "--require-client-cert", "--verify-client-cert", "--x509cafile",
               "{stranger}")


def calling(mesh, authority, port, leaf=None):
    """A sidecar that made one call to the server at `port`, in vain."""
    listen = free_port()
    leaf = leaf or authority.leaf(authority.identity("client"))
    sidecar = mesh.add(Sidecar(
        mesh.folder, "client", outbound=[fixed_outbound(f"127.0.0.1:{listen}", port, authority.identity("web"))],
        identity_yaml=write_identity(mesh.folder, "client", leaf, authority.bundle_pem))).start()
    assert Pair.of(sidecar, listen).meet() == ("reset", b"")
    return sidecar


def serving(mesh, files, words):
    """The port of a program that listens."""
    port = free_port()
    judge = Process("judge", files.fill(words, port=port), mesh.folder)
    mesh.add(Running(judge))
    wait_until(lambda: accepts(port), "the judge to listen", process=judge)
    return port


class Running:
    def __init__(self, process):
        self.process = process

    def close(self):
        self.process.child.kill()
        self.process.child.wait()


@pytest.mark.parametrize("words, alert, says", [
    ((*S_SERVER, *STRICT, "{stranger}"), "unknown_ca", ["it trusts no root of our chain", CHAIN]),
    ((*S_SERVER, *STRICT, "{root}", "-attime", "{later}"), "certificate_expired",
     ["by our clock our certificate is valid for another", "the two clocks differ"]),
    ((*S_SERVER, *STRICT, "{root}", "-attime", "{earlier}"), "bad_certificate",
     ["it does not accept our certificate", "spiffe://example.org/ns/default/sa/client"]),
    ((*S_SERVER, *STRICT, "{root}", "-crl_check", "-CRL", "{crl}"), "certificate_revoked",
     ["it holds our certificate (spiffe://example.org/ns/default/sa/client) for revoked"]),
    ((*S_SERVER, "h2"), "no_application_protocol", ["none of the application protocols (ALPN) that we offered"]),
    ((*S_SERVER, "{alpn}", "-servername", "other.example.org", "-servername_fatal", "-cert2", "{certificate}", "-key2",
      "{key}"), "unrecognized_name", ["it does not serve the name that we asked for (SNI)"]),
    ((*S_SERVER, "{alpn}", "-ciphersuites", "TLS_AES_128_CCM_SHA256"), "handshake_failure",
     ["it shares no cipher suite, group or signature algorithm with us"]),
    ((*S_SERVER, "{alpn}", "-groups", "P-521"), "handshake_failure",
     ["it shares no cipher suite, group or signature algorithm with us"]),
], ids=["unknown_ca", "expired", "not yet valid", "revoked", "alpn", "sni", "suite", "group"])
def test_client_that_openssl_refuses(mesh, authority, words, alert, says):
    leaf = authority.leaf(authority.identity("client"))
    files = Files(mesh.folder, authority, authority.identity("web"), revoked=[leaf])
    files.words["later"], files.words["earlier"] = files.words["now"] + DAY_S // 2, files.words["now"] - DAY_S // 2
    assert_narrowed(calling(mesh, authority, serving(mesh, files, words), leaf), "outbound", alert, *says)


def test_client_whose_usage_openssl_refuses(mesh, authority):
    """The other end narrows as far as the alert goes."""
    leaf = authority.leaf(authority.identity("client"), usages=[ExtendedKeyUsageOID.SERVER_AUTH])
    files = Files(mesh.folder, authority, authority.identity("web"))
    port = serving(mesh, files, (*S_SERVER, *STRICT, "{root}"))
    assert_narrowed(calling(mesh, authority, port, leaf), "outbound", "unsupported_certificate",
                    "it does not accept our certificate (spiffe://example.org/ns/default/sa/client)", "wrong identity, use")


def test_client_that_gnutls_refuses(mesh, authority):
    files = Files(mesh.folder, authority, authority.identity("web"))
    assert_narrowed(calling(mesh, authority, serving(mesh, files, GNUTLS_SERV)), "outbound", "access_denied",
                    "it does not accept our certificate (spiffe://example.org/ns/default/sa/client): untrusted")


def test_client_at_an_old_server(mesh, authority):
    """Both ends know this one by its name."""
    files = Files(mesh.folder, authority, authority.identity("web"))
    port = serving(mesh, files, (*S_SERVER, "{alpn}", "-tls1_2"))
    assert_judged(calling(mesh, authority, port), "client", "wrong_version", "wanted TLSv1.3", "it speaks no TLS 1.3")


# --- A client judges the sidecar that it calls ------------------------------------------------------------------

S_CLIENT = ("openssl", "s_client", "-connect", "127.0.0.1:{port}", "-servername", "{sni}", "-alpn", "{alpn}", "-cert",
            "{certificate}", "-key", "{key}", "-verify_return_error", "-CAfile")
GNUTLS_CLI = ("gnutls-cli", "--sni-hostname", "{sni}", "--alpn", "{alpn}", "--x509certfile", "{certificate}",
              "--x509keyfile", "{key}", "--x509cafile", "{stranger}", "-p", "{port}", "127.0.0.1")


@pytest.mark.parametrize("words, alert, says", [
    ((*S_CLIENT, "{stranger}"), "unknown_ca", ["it trusts no root of our chain", CHAIN]),
    ((*S_CLIENT, "{root}", "-attime", "{later}"), "certificate_expired",
     ["by our clock our certificate is valid for another", "the two clocks differ"]),
    ((*S_CLIENT, "{root}", "-attime", "{earlier}"), "bad_certificate", ["it does not accept our certificate"]),
    ((*S_CLIENT, "{root}", "-crl_check", "-CRL", "{crl}"), "certificate_revoked",
     ["it holds our certificate (spiffe://example.org/ns/default/sa/web) for revoked"]),
    ((*S_CLIENT, "{root}", "-verify_hostname", "web.example.org"), "bad_certificate",
     ["it does not accept our certificate (spiffe://example.org/ns/default/sa/web): untrusted, wrong identity"]),
    (GNUTLS_CLI, "bad_certificate", ["it does not accept our certificate (spiffe://example.org/ns/default/sa/web)"]),
], ids=["unknown_ca", "expired", "not yet valid", "revoked", "name", "gnutls"])
def test_server_that_a_client_refuses(mesh, authority, words, alert, says):
    application = mesh.add(EchoServer())
    leaf = authority.leaf(authority.identity("web"))
    sidecar = mesh.add(Sidecar(
        mesh.folder, "web", services=[("web", 80, application.address)],
        identity_yaml=write_identity(mesh.folder, "web", leaf, authority.bundle_pem))).start()
    files = Files(mesh.folder, authority, authority.identity("client"), revoked=[leaf])
    files.words["sni"] = sni(authority.identity("web"))
    files.words["later"], files.words["earlier"] = files.words["now"] + DAY_S // 2, files.words["now"] - DAY_S // 2
    run(*files.fill(words, port=sidecar.tunnel), input="")
    assert_narrowed(sidecar, "inbound", alert, *says)
    event_of(sidecar, "handshake_failed", error="refused_by_peer", text=alert)
    assert application.count == 0


# --- A peer that says nothing at all ----------------------------------------------------------------------------

def test_silence_is_a_timeout_at_either_end(mesh, authority):
    """Half a hello and then nothing, at both ends at a time."""
    application = mesh.add(EchoServer())
    server = mesh.add(Sidecar(
        mesh.folder, "web", services=[("web", 80, application.address)],
        identity_yaml=write_identity(mesh.folder, "web", authority.leaf(authority.identity("web")),
                                     authority.bundle_pem))).start()
    with socket.create_connection(("127.0.0.1", server.tunnel), 30) as raw:
        raw.sendall(b"\x16\x03\x01\x02")
        silent = mesh.add(EchoServer(lambda connection: threading.Event().wait(60)))
        client = calling(mesh, authority, silent.port)
        assert_judged(client, "client", "timeout", "no end of the handshake after 10", "not one byte was received")
        assert_judged(server, "server", "timeout", "no end of the handshake after 10")
        assert "not one byte" not in event_of(server, "handshake_failed")["text"]
    assert application.count == 0
