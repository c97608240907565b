# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS libraries that are not ours, as clients and as servers: Debian's OpenSSL and GnuTLS as programs, the newest
OpenSSL by pyOpenSSL (it has X25519MLKEM768), and tlslite-ng, which can be told to offer what nobody else would.

A client has `carry(said, length)`: it connects, says `said` and gives the `length` bytes that came back. Whatever
keeps it from that is a Refused with the library's own words.
"""
import contextlib
import pathlib
import select
import socket
import subprocess
import threading
import time

from OpenSSL import SSL, crypto
from tlslite.api import HandshakeSettings, TLSConnection, X509CertChain, parsePEMKey
from tlslite.errors import TLSError

from mesh import free_port, wait_until

WAIT_S = 60
AES_128, AES_256 = "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"
CHACHA = "TLS_CHACHA20_POLY1305_SHA256"
SUITES = (AES_128, AES_256, CHACHA)
# What the access log calls a group, as the libraries call it.
HYBRID, X25519, P256 = "X25519MLKEM768", "x25519", "secp256r1"


class Refused(Exception):
    """The other end did not carry what was said."""


class Program:
    """A program at whose standard input and output we sit."""

    def __init__(self, *words, stderr=subprocess.STDOUT):
        self.child = subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=stderr, bufsize=0)
        self.heard, self.process = b"", None

    def say(self, data):
        with contextlib.suppress(BrokenPipeError):
            self.child.stdin.write(data)
            self.child.stdin.flush()

    def hear(self, wanted):
        """Waits until `wanted(everything heard so far)` holds; its value."""
        end = time.monotonic() + WAIT_S
        while not (value := wanted(self.heard)):
            ready = select.select([self.child.stdout], [], [], max(0, end - time.monotonic()))[0]
            piece = self.child.stdout.read(65536) if ready else b""
            if not piece:
                raise Refused(f"{self.child.args[0]}: {self.heard[-3000:]!r}")
            self.heard += piece
        return value

    def end_input(self):
        with contextlib.suppress(BrokenPipeError):
            self.child.stdin.close()

    def hear_all(self):
        """Everything until it ends by itself."""
        with contextlib.suppress(Refused):
            self.hear(lambda heard: False)
        return self.heard

    def close(self):
        self.end_input()
        self.child.terminate()
        self.child.wait(WAIT_S)
        self.child.stdout.close()


def position(heard, mark):
    return heard.find(mark) + 1


def carry_by(words, said, length):
    program = Program(*words, stderr=subprocess.DEVNULL)  # where it tells of itself
    try:
        program.say(said)
        program.hear(lambda heard: len(heard) >= length)
        program.end_input()
        return program.hear_all()
    finally:
        program.close()


class Peer:
    """What every client and server is told: whose `leaf` it shows, and what it offers or takes."""

    def __init__(self, folder, leaf, *, alpn=None, suites=(), groups=(), version=None):
        self.folder, self.leaf = pathlib.Path(folder), leaf
        self.files = leaf.write(folder, "foreign") if leaf is not None else None
        self.alpn, self.suites, self.groups, self.version = alpn, tuple(suites), tuple(groups), version


class OpenSSLPeer(Peer):
    """The `openssl` command. The first of `groups` is the one whose share it sends."""

    names = {X25519: "X25519", P256: "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}

    def words(self):
        words = []
        if self.files:
            words += ["-cert", self.files[0], "-key", self.files[1], "-cert_chain", self.files[0]]
        if self.alpn:
            words += ["-alpn", self.alpn]
        if self.suites:
            words += ["-ciphersuites", ":".join(self.suites)]
        if self.groups:
            words += ["-groups", ":".join(self.names[one] for one in self.groups)]
        if self.version:
            words += [f"-tls{self.version.replace('.', '_')}", "-cipher", "ALL:@SECLEVEL=0"]
        return words

    def client(self, port, name):
        return ["openssl", "s_client", "-quiet", "-no_ign_eof", "-nocommands", "-connect", f"127.0.0.1:{port}",
                "-servername", name, *self.words()]

    def carry(self, port, name, said, length):
        return carry_by(self.client(port, name), said, length)

    def serve(self, *more):
        """(program, port) of a server that takes one client after the other."""
        program = Program("openssl", "s_server", "-accept", "127.0.0.1:0", *self.words(), *more)
        line = program.hear(lambda heard: position(heard, b"ACCEPT 127.0.0.1:") and
                            heard.partition(b"ACCEPT 127.0.0.1:")[2].partition(b"\n")[1] and
                            heard.partition(b"ACCEPT 127.0.0.1:")[2].partition(b"\n")[0])
        return program, int(line)


class GnuTLSPeer(Peer):
    """`gnutls-cli` and `gnutls-serv`."""

    names = {X25519: "GROUP-X25519", P256: "GROUP-SECP256R1", "secp384r1": "GROUP-SECP384R1",
             "secp521r1": "GROUP-SECP521R1"}
    ciphers = {AES_128: "AES-128-GCM", AES_256: "AES-256-GCM", CHACHA: "CHACHA20-POLY1305",
               "TLS_AES_128_CCM_SHA256": "AES-128-CCM"}

    def priority(self):
        text = f"NORMAL:-VERS-ALL:+VERS-TLS{self.version or '1.3'}"
        if self.suites:
            text += ":-CIPHER-ALL" + "".join(f":+{self.ciphers[one]}" for one in self.suites)
        if self.groups:
            text += ":-GROUP-ALL" + "".join(f":+{self.names[one]}" for one in self.groups)
        return text

    def words(self):
        words = ["--priority", self.priority()]
        if self.files:
            words += ["--x509certfile", self.files[0], "--x509keyfile", self.files[1]]
        if self.alpn:
            words += ["--alpn", self.alpn]
        return words

    def client(self, port, name):
        return ["gnutls-cli", "--port", port, "--sni-hostname", name, "--insecure", "--single-key-share",
                "--logfile", self.folder / "gnutls.log", *self.words(), "127.0.0.1"]

    def carry(self, port, name, said, length):
        return carry_by(self.client(port, name), said, length)

    def serve(self, *more):
        port = free_port()
        program = Program("stdbuf", "-oL", "gnutls-serv", "--port", port, *self.words(), *more)
        wait_until(lambda: accepts(port), "gnutls-serv to listen")
        return program, port


class NewOpenSSLPeer(Peer):
    """pyOpenSSL over the OpenSSL that cryptography brings along."""

    curves = {P256: "prime256v1"}

    def context(self, method):
        made = SSL.Context(method)
        made.set_verify(SSL.VERIFY_PEER, lambda *_: True)
        if self.files:
            made.use_certificate_chain_file(str(self.files[0]))
            made.use_privatekey_file(str(self.files[1]))
        if self.suites:
            made.set_tls13_ciphersuites(":".join(self.suites).encode())
        for one in self.groups:
            made.set_tmp_ecdh(crypto.get_elliptic_curve(self.curves[one]))
        if self.alpn:
            made.set_alpn_protos([self.alpn.encode()])
            made.set_alpn_select_callback(lambda _, offered: self.alpn.encode())
        return made

    def carry(self, port, name, said, length):
        with socket.create_connection(("127.0.0.1", port)) as raw:
            tls = SSL.Connection(self.context(SSL.TLS_CLIENT_METHOD), raw)
            tls.set_tlsext_host_name(name.encode())
            tls.set_connect_state()
            return self.talk(tls, said, length)

    @staticmethod
    def talk(tls, said, length):
        try:
            tls.do_handshake()
            tls.sendall(said)
            heard = b""
            while len(heard) < length:
                heard += tls.recv(65536)
            tls.shutdown()
            return heard
        except (SSL.Error, OSError) as error:
            raise Refused(str(error)) from error

    def handshake(self, raw):
        tls = SSL.Connection(self.context(SSL.TLS_SERVER_METHOD), raw)
        tls.set_accept_state()
        tls.do_handshake()
        return tls


class TlslitePeer(Peer):
    """Sends a share of the first of `groups` alone."""

    ciphers = {AES_128: "aes128gcm", AES_256: "aes256gcm", CHACHA: "chacha20-poly1305",
               "TLS_AES_128_CCM_SHA256": "aes128ccm"}

    def settings(self):
        settings = HandshakeSettings()
        settings.minVersion = settings.maxVersion = {None: (3, 4), "1.2": (3, 3), "1.1": (3, 2),
                                                     "1.0": (3, 1)}[self.version]
        settings.certificate_compression_send = []  # it would compress without being asked to
        settings.dhGroups = []
        if self.suites:
            settings.cipherNames = [self.ciphers[one] for one in self.suites]
        if self.groups:
            settings.eccCurves = list(self.groups)
            settings.keyShares = [self.groups[0]]
            settings.defaultCurve = self.groups[0]
        return settings

    def identity(self):
        if self.leaf is None:
            return None, None
        chain = X509CertChain()
        chain.parsePemList(self.leaf.chain_pem.decode())
        return chain, parsePEMKey(self.leaf.key_pem.decode(), private=True, implementations=["python"])

    def carry(self, port, name, said, length):
        with socket.create_connection(("127.0.0.1", port)) as raw:
            tls = TLSConnection(raw)
            try:
                tls.handshakeClientCert(*self.identity(), alpn=[self.alpn.encode()] if self.alpn else None,
                                        serverName=name, settings=self.settings())
                tls.sendall(said)
                heard = b""
                while len(heard) < length:
                    piece = tls.recv(65536)
                    if not piece:
                        raise Refused("ended")
                    heard += piece
                tls.close()
                return heard
            except (TLSError, OSError) as error:
                raise Refused(repr(error)) from error

    def handshake(self, raw):
        tls = TLSConnection(raw)
        chain, key = self.identity()
        tls.handshakeServer(certChain=chain, privateKey=key, reqCert=True, settings=self.settings(),
                            alpn=[self.alpn.encode()] if self.alpn else None)
        return tls


class Served:
    """A server in this process for one client: answers `reply`, then echoes. `peer` makes its handshakes."""

    def __init__(self, peer, reply):
        self.peer, self.reply, self.errors, self.process = peer, reply, [], None
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                raw, _ = self.socket.accept()
                with raw:
                    try:
                        self._serve(self.peer.handshake(raw))
                    except (SSL.Error, TLSError, OSError) as error:
                        self.errors.append(repr(error))

    def _serve(self, tls):
        got = b""
        while len(got) < 2 or len(got) < 2 + int.from_bytes(got[:2], "big"):  # the Connect
            got += tls.recv(65536)
        tls.sendall(self.reply + got[2 + int.from_bytes(got[:2], "big"):])
        with contextlib.suppress(SSL.ZeroReturnError):  # pyOpenSSL's way to say b""
            while data := tls.recv(65536):
                tls.sendall(data)
        (tls.shutdown if isinstance(tls, SSL.Connection) else tls.close)()

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        return True
    except OSError:
        return False
