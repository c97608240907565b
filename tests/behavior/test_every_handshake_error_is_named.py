# SPDX-License-Identifier: GPL-3.0-or-later
"""Each way a handshake fails, from both sides, with peers that are not ours: the sidecar that judges names it
exactly, in its log, access log and metrics, with what was wanted and what was found."""
import contextlib
import random
import socket
import ssl
import struct
import threading

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from tlslite.api import HandshakeSettings, TLSConnection, X509CertChain, parsePEMKey
from tlslite.errors import TLSError
from tlslite.extensions import ALPNExtension
from tlslite.messages import ClientHello

from ca import HOUR, Authority, Leaf, sni, utc_now
from errors import assert_judged, event_of, table
from mesh import EchoServer, Sidecar, free_port
from pair import Pair, fixed_outbound, write_identity
from servers import run
from tunnel import ALPN, FakeServer, connect_message, open_tls

FOREIGN = Authority("other.example")
SAME_NAME = Authority("example.org")  # another CA that claims our trust domain


# --- Certificates: the same ones at either end ------------------------------------------------------------------

def wrong_leaf(authority, fault, own):
    """A certificate with exactly one thing wrong; `own` is the SPIFFE ID that it should prove."""
    now = utc_now()
    # Its own root is put into the bundle: see roots_of().
    deep = authority_of(fault)
    return {
        "unknown_issuer": lambda: SAME_NAME.leaf(own),
        "self_signed": lambda: authority.self_signed(own),
        "missing_intermediate": lambda: authority.leaf(own, with_intermediate=False),
        "wrong_order": lambda: reordered(deep.leaf(own)),
        "chain_too_long": lambda: deep.leaf(own),
        "chain_too_long (many)": lambda: padded(authority.leaf(own)),
        "certificate_expired": lambda: authority.leaf(own, not_before=now - 3 * HOUR, not_after=now - 2 * HOUR),
        "not_yet_valid": lambda: authority.leaf(own, not_before=now + 2 * HOUR, not_after=now + 3 * HOUR),
        "no_spiffe_id": lambda: authority.leaf(uris=[], dns=["spiffe.example.org"]),
        "several_spiffe_ids": lambda: authority.leaf(uris=[own, authority.identity("second")]),
        "bad_spiffe_id": lambda: authority.leaf(uris=["https://example.org/ns/default/sa/web"]),
        "unknown_trust_domain": lambda: FOREIGN.leaf(FOREIGN.identity("web")),
        "not_anchored": lambda: FOREIGN.leaf(own),
        "wrong_usage": lambda: authority.leaf(own, usages=[ExtendedKeyUsageOID.CODE_SIGNING]),
        "leaf_is_ca": lambda: authority.leaf(own, is_ca=True),
        "wrong_identity": lambda: authority.leaf(authority.identity("someone-else")),
    }[fault]()


DEEP = Authority("example.org", depth=2)
TOO_DEEP = Authority("example.org", depth=2, path_length=0)


def authority_of(fault):
    return TOO_DEEP if fault == "chain_too_long" else DEEP


def roots_of(authority, fault):
    """The bundle of the end that judges."""
    return authority.bundle_pem + (authority_of(fault).bundle_pem
                                   if fault in ("wrong_order", "chain_too_long") else b"")


def reordered(leaf):
    return Leaf([leaf.chain[0], *reversed(leaf.chain[1:])], leaf.key)


def padded(leaf):
    return Leaf(leaf.chain + [Authority(f"other{i}.example").intermediate for i in range(6)], leaf.key)


# Fault, and what the sentence must hold.
CERTIFICATES = [
    ("unknown_issuer", ["is no root that we trust", "example.org"]),
    ("self_signed", ["home-made", "was issued by itself"]),
    ("missing_intermediate", ["example.org issuer", "was not sent"]),
    ("wrong_order", ["each of the 3 certificates sent must come before its issuer"]),
    ("chain_too_long", ["path length", "found 3 certificates"]),
    ("chain_too_long (many)", ["wanted at most 6 certificates, found more"]),
    ("certificate_expired", ["valid from 20", "our clock says 20", "2h", "too late"]),
    ("not_yet_valid", ["valid from 20", "our clock says 20", "too early", "one of the two clocks is wrong"]),
    ("no_spiffe_id", ["wanted one URI SAN, found 0"]),
    ("several_spiffe_ids", ["wanted one URI SAN, found 2"]),
    ("bad_spiffe_id", ["wanted spiffe://<trust domain>/<path>, found https://example.org/ns/default/sa/web"]),
    ("unknown_trust_domain", ["wanted trust domain example.org, found spiffe://other.example/ns/default/sa/web"]),
    ("not_anchored", ["found spiffe://example.org/ns/default/sa/"]),
    ("leaf_is_ca", ["found spiffe://example.org/ns/default/sa/"]),
]
FEDERATED = {"not_anchored": [FOREIGN]}  # trusted, for its own domain only


# --- The sidecar as the server that judges ----------------------------------------------------------------------

@pytest.fixture
def server(mesh, authority):
    """start(fault) gives a sidecar that hosts web:80, with the bundle for this fault."""
    application = mesh.add(EchoServer())

    def start(fault=""):
        sidecar = mesh.add(Sidecar(
            mesh.folder, "web", services=[("web", 80, application.address)],
            identity_yaml=write_identity(mesh.folder, "web", authority.leaf(authority.identity("web")),
                                         roots_of(authority, fault), FEDERATED.get(fault, [])))).start()
        sidecar.server_name = sni(authority.identity("web"))
        return sidecar

    yield start
    assert application.count == 0  # whatever was wrong, nothing passed


def visit(sidecar, leaf, server_name=None, **options):
    """OpenSSL at its tunnel port; it must not get an answer."""
    with pytest.raises((ssl.SSLError, ConnectionResetError, BrokenPipeError)):
        with open_tls(sidecar.tunnel, leaf, server_name or sidecar.server_name, **options) as tls:
            tls.sendall(connect_message() + b"secret words")
            assert tls.recv(1) != b""


@pytest.mark.parametrize("fault, says", [*CERTIFICATES, (
    "wrong_usage", ["wanted digitalSignature and clientAuth, found digitalSignature another usage"])],
    ids=lambda value: value if isinstance(value, str) else "")
def test_server_names_a_wrong_certificate(server, authority, fault, says):
    sidecar = server(fault)
    visit(sidecar, wrong_leaf(authority, fault, authority.identity("client")))
    assert_judged(sidecar, "server", fault.split(" ")[0], *says)


def test_server_names_a_missing_certificate(server):
    sidecar = server()
    visit(sidecar, None)
    assert_judged(sidecar, "server", "no_certificate", "wanted a certificate chain, found none")


def command(sidecar, authority, *words):
    """A TLS program of the command line at the tunnel port, with a good certificate; it must fail."""
    folder = sidecar.folder
    certificate, key = authority.leaf(authority.identity("client")).write(folder, "peer")
    filled = {"port": sidecar.tunnel, "certificate": certificate, "key": key, "sni": sidecar.server_name}
    return run(*[str(word).format(**filled) for word in words], input="")


S_CLIENT = ("openssl", "s_client", "-connect", "127.0.0.1:{port}", "-servername", "{sni}", "-alpn", ALPN, "-cert",
            "{certificate}", "-key", "{key}", "-brief")
GNUTLS = ("gnutls-cli", "--insecure", "--sni-hostname", "{sni}", "--alpn", ALPN, "--x509certfile", "{certificate}",
          "--x509keyfile", "{key}", "-p", "{port}", "127.0.0.1", "--priority")


@pytest.mark.parametrize("words, name, says", [
    ((*S_CLIENT, "-tls1_2"), "wrong_version", "wanted TLSv1.3, found TLSv1.2"),
    ((*GNUTLS, "NORMAL:-VERS-ALL:+VERS-TLS1.2:+VERS-TLS1.1"), "wrong_version", "wanted TLSv1.3, found TLSv1.2"),
    ((*S_CLIENT, "-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"), "no_common_suite",
     "AES-GCM or ChaCha20-Poly1305, found TLS_AES_128_CCM_SHA256"),
    ((*GNUTLS, "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-256-CCM:+AES-128-CCM"), "no_common_suite",
     "found TLS_AES_128_CCM_SHA256"),
    ((*S_CLIENT, "-tls1_3", "-groups", "P-384:P-521"), "no_common_group",
     "wanted X25519MLKEM768, x25519 or secp256r1, found secp384r1, secp521r1"),
    ((*GNUTLS, "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-SECP384R1"), "no_common_group", "found secp384r1"),
], ids=["version openssl", "version gnutls", "suite openssl", "suite gnutls", "group openssl", "group gnutls"])
def test_server_names_what_the_hello_lacks(server, authority, words, name, says):
    sidecar = server()
    assert command(sidecar, authority, *words).returncode != 0
    assert_judged(sidecar, "server", name, says)


@pytest.mark.parametrize("name, options, says", [
    ("sni_missing", {"server_name": ""}, "wanted one of our 1 names, found none"),
    ("sni_unknown", {"server_name": "web.example.org"}, "found web.example.org"),
    ("alpn_missing", {"alpn": ()}, "wanted remora/1, the client offered none"),
    ("alpn_mismatch", {"alpn": ("h2", "http/1.1")}, "wanted remora/1, found h2,http/1.1"),
], ids=lambda value: value if isinstance(value, str) and "_" in value else "")
def test_server_names_a_wrong_name_in_the_hello(server, authority, name, options, says):
    sidecar = server()
    leaf = authority.leaf(authority.identity("client"))
    options = {"server_name": sidecar.server_name, **options}
    with pytest.raises((ssl.SSLError, ConnectionResetError, BrokenPipeError)):
        with open_tls(sidecar.tunnel, leaf, options.pop("server_name") or None, **options) as tls:
            tls.recv(1)
    assert_judged(sidecar, "server", name, says)


@pytest.mark.parametrize("name, first, says", [
    ("not_tls", b"GET / HTTP/1.1\r\nHost: web\r\n\r\n", "wanted a TLS record, found plain HTTP"),
    ("not_tls", b"SSH-2.0-OpenSSH_9.2\r\n", "wanted a TLS record, found what is no TLS record"),
    ("closed", b"\x16\x03\x01\x02\x00\x01", "in order, but too early"),
    ("protocol", b"\x16\x03\x01\x00\x04\x0b\x00\x00\x00", "wolfSSL error"),
], ids=["http", "ssh", "half a hello", "another message"])
def test_server_names_what_is_no_hello(server, name, first, says):
    sidecar = server()
    with socket.create_connection(("127.0.0.1", sidecar.tunnel), 20) as raw:
        raw.sendall(first)
        with contextlib.suppress(OSError):
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(4096):
                pass
    assert_judged(sidecar, "server", name, says)


def tlslite(leaf, other_key=False):
    """(chain, key) for tlslite-ng; with another's key where an honest program would refuse the pair."""
    chain = X509CertChain()
    chain.parsePemList(leaf.chain_pem.decode())
    key_pem = (SAME_NAME.leaf("spiffe://example.org/x") if other_key else leaf).key_pem.decode()
    return chain, parsePEMKey(key_pem, private=True, implementations=["python"])


def tlslite_settings():
    settings = HandshakeSettings()
    settings.minVersion = settings.maxVersion = (3, 4)
    settings.certificate_compression_send = settings.certificate_compression_receive = []
    return settings


def test_server_names_a_proof_by_another_key(server, authority):
    sidecar = server()
    chain, key = tlslite(authority.leaf(authority.identity("client")), other_key=True)
    with socket.create_connection(("127.0.0.1", sidecar.tunnel), 20) as raw:
        tls = TLSConnection(raw)
        with pytest.raises((TLSError, OSError)):
            tls.handshakeClientCert(chain, key, alpn=[ALPN.encode()], serverName=sidecar.server_name,
                                    settings=tlslite_settings())
            tls.read(min=1, max=1)
    assert_judged(sidecar, "server", "bad_certificate", "wolfSSL error")


@pytest.mark.parametrize("port", ["health", "metrics_port"])
def test_tls_at_a_plaintext_port_is_named(server, port):
    sidecar = server()
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        open_tls(getattr(sidecar, port), None, "web.example.org", alpn=()).close()
    what, _, remedy = table()["tls_on_plain_port"]
    text = event_of(sidecar, "handshake_failed", error="tls_on_plain_port", remote="127.0.0.1:")["text"]
    assert text.startswith(what) and text.endswith(remedy)
    assert sidecar.metric("remora_tls_handshakes_total", role="server", result="tls_on_plain_port") == 1


# --- The sidecar as the client that judges ----------------------------------------------------------------------

@pytest.fixture
def client(mesh, authority):
    """call(port, fault): the outcome of one connection through a sidecar whose endpoint is `port`."""
    def call(port, fault=""):
        listen = free_port()
        sidecar = mesh.add(Sidecar(
            mesh.folder, "client",
            outbound=[fixed_outbound(f"127.0.0.1:{listen}", port, authority.identity("web"))],
            identity_yaml=write_identity(mesh.folder, "client", authority.leaf(authority.identity("client")),
                                         roots_of(authority, fault), FEDERATED.get(fault, [])))).start()
        assert Pair.of(sidecar, listen).meet(b"secret words") == ("reset", b"")
        return sidecar

    return call


@pytest.mark.parametrize("fault, says", [*CERTIFICATES, (
    "wrong_usage", ["wanted digitalSignature and serverAuth, found digitalSignature another usage"]), (
    "wrong_identity", ["wanted spiffe://example.org/ns/default/sa/web, found "
                       "spiffe://example.org/ns/default/sa/someone-else"])],
    ids=lambda value: value if isinstance(value, str) else "")
def test_client_names_a_wrong_certificate(mesh, client, authority, fault, says):
    server = mesh.add(FakeServer(wrong_leaf(authority, fault, authority.identity("web"))))
    sidecar = client(server.port, fault)
    assert_judged(sidecar, "client", fault.split(" ")[0], *says)
    assert server.got == b""


class RawServer(EchoServer):
    """Answers the ClientHello with bytes of ours; `answer(hello)` makes them."""

    def __init__(self, answer):
        self.answer = answer
        super().__init__(self.meet)

    def meet(self, connection):
        hello = connection.recv(65536)
        connection.sendall(self.answer(hello) if callable(self.answer) else self.answer)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


X25519MLKEM768, X25519, SECP521R1 = 0x11ec, 0x001d, 0x0019
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


def server_hello(hello, *, version=0x0304, suite=0x1301, group=None, is_retry=False, bit=0):
    """A ServerHello, or a HelloRetryRequest for `group`, in answer to the record `hello`. RFC 8446 4.1.3."""
    session_id = hello[43:44 + hello[43]]
    extensions = struct.pack(">HHH", 43, 2, version) if version == 0x0304 else b""
    if group is not None:
        length = 1120 if group == X25519MLKEM768 else 32
        key = random.randbytes(length - 1) + bytes([bit])  # the highest bit of an X25519 key is 0
        share = struct.pack(">H", group) + (b"" if is_retry else struct.pack(">H", length) + key)
        extensions += struct.pack(">HH", 51, len(share)) + share
    legacy = min(version, 0x0303)
    body = (struct.pack(">H", legacy) + (RETRY if is_retry else random.randbytes(32)) + session_id +
            struct.pack(">HBH", suite, 0, len(extensions)) + extensions)
    return (struct.pack(">BHH", 22, 0x0303, len(body) + 4) + b"\x02" + struct.pack(">I", len(body))[1:] + body)


@pytest.mark.parametrize("name, answer, says", [
    ("wrong_version", lambda hello: server_hello(hello, version=0x0303, suite=0xc02b),
     "wanted TLSv1.3, found TLSv1.2"),
    ("no_common_suite", lambda hello: server_hello(hello, suite=0x1304, group=X25519MLKEM768), "found TLS_AES_128_CCM_SHA256"),
    ("no_common_group", lambda hello: server_hello(hello, group=SECP521R1, is_retry=True),
     "wanted X25519MLKEM768, x25519 or secp256r1, found secp521r1"),
    ("not_tls", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "wanted a TLS record, found plain HTTP"),
    ("not_tls", b"-ERR unknown command\r\n", "found what is no TLS record"),
    ("closed", b"", "in order, but too early"),
    ("protocol", b"\x16\x03\x03\x00\x04\x0b\x00\x00\x00", "wolfSSL error"),
    ("protocol", lambda hello: server_hello(hello, group=X25519), "wolfSSL error"),
    ("protocol", lambda hello: server_hello(hello, group=X25519MLKEM768, bit=0x80), "wolfSSL error"),
], ids=["version", "suite", "group", "http", "redis", "nothing", "another message", "share not asked for",
        "share that is none"])
def test_client_names_a_wrong_answer(mesh, client, name, answer, says):
    server = mesh.add(RawServer(answer))
    assert_judged(client(server.port), "client", name, says)


def test_client_names_a_server_that_speaks_first(mesh, client):
    """SMTP, FTP, SSH and MariaDB greet before they are asked."""
    def greet(connection):
        connection.sendall(b"220 mail.example.org ESMTP\r\n")
        while connection.recv(65536):
            pass

    server = mesh.add(EchoServer(greet))
    assert_judged(client(server.port), "client", "not_tls", "wanted a TLS record, found what is no TLS record")


def test_client_names_a_server_without_alpn(mesh, client, authority):
    server = mesh.add(FakeServer(authority.leaf(authority.identity("web")), alpn=()))
    assert_judged(client(server.port), "client", "alpn_missing", "wanted remora/1, the other end chose none")
    assert b"secret words" not in server.got


class OddServer(EchoServer):
    """tlslite-ng, which does what no honest server would."""

    def __init__(self, leaf, other_key=False):
        self.chain, self.key = tlslite(leaf, other_key)
        self.got = b""
        super().__init__(self.meet)

    def meet(self, connection):
        tls = TLSConnection(connection)
        with contextlib.suppress(TLSError, OSError):
            tls.handshakeServer(certChain=self.chain, privateKey=self.key, alpn=[ALPN.encode()], reqCert=True,
                                settings=tlslite_settings())
            self.got = bytes(tls.read(min=1, max=65536))


@pytest.fixture
def lenient(monkeypatch):
    """tlslite-ng wants the second hello after a HelloRetryRequest in the first one's order; the sidecar's TLS library
    orders its extensions anew."""
    monkeypatch.setattr(ClientHello, "__ne__", lambda self, other: False, raising=False)


def test_client_names_a_proof_by_another_key(mesh, client, authority, lenient):
    server = mesh.add(OddServer(authority.leaf(authority.identity("web")), other_key=True))
    assert_judged(client(server.port), "client", "bad_certificate", "wolfSSL error")
    assert server.got == b""


def test_client_names_a_protocol_it_did_not_offer(mesh, client, authority, lenient, monkeypatch):
    """Whatever is offered, the server chooses h2."""
    real = ALPNExtension.create

    def other(self, protocol_names=None):
        is_choice = threading.current_thread() is not threading.main_thread()
        return real(self, [bytearray(b"h2")] if is_choice else protocol_names)

    monkeypatch.setattr(ALPNExtension, "create", other)
    server = mesh.add(OddServer(authority.leaf(authority.identity("web"))))
    assert_judged(client(server.port), "client", "alpn_mismatch", "wanted remora/1, found another")
    assert server.got == b""
