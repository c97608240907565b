# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is thrown at the tunnel port, nothing of it reaches an application, the reason is named, and the
sidecar goes on serving those who may."""
import contextlib
import os
import socket
import ssl
import struct
import subprocess

import pytest

from ca import sni
from mesh import wait_until
from pair import echo_pair, outcome
from servers import run
from tunnel import DENIED, OK, connect_message, framed, number_field, open_tls, read_reply, text_field

MARK = b"must-not-arrive"


class Target:
    """A sidecar under attack, with a well-behaved client's sidecar beside it."""

    def __init__(self, mesh, authority, **options):
        self.pair, self.application = echo_pair(mesh, authority=authority, **options)
        self.authority = authority
        self.server = self.pair.server
        self.port = self.server.tunnel
        self.name = sni(self.pair.server_id)
        self.leaf = authority.leaf(authority.identity("attacker"))

    def tls(self, **options):
        """An authenticated connection: a workload of our own domain that misbehaves."""
        return open_tls(self.port, options.pop("leaf", self.leaf), options.pop("name", self.name), **options)

    def expect(self, result):
        """The access log names the result once; the application saw nothing; honest clients are served."""
        wait_until(lambda: self.results(), f"an access line that says {result}", 30, self.server.process)
        assert self.results() == [result]
        assert self.application.count == 0
        self.pair.echo()
        assert self.application.count == 1

    def results(self):
        return [line["result"] for line in self.server.process.access()]


@pytest.fixture
def target(mesh, authority):
    return Target(mesh, authority)


# --- Before TLS ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("said, result", [
    (b"GET / HTTP/1.1\r\nHost: web\r\n\r\n" + MARK, "not_tls"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "not_tls"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "not_tls"),
    (b"\0" * 4096, "not_tls"),
    (b"\x16\x03\x01\xff\xff" + b"\xff" * 70000, "protocol"),
    (b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", "protocol"),
    (b"\x17\x03\x03\x00\x05hello", "not_tls"),
], ids=["http", "http2", "ssh", "zeros", "huge record", "server hello", "data record"])
def test_what_is_no_handshake_is_cut_off(target, said, result):
    with socket.create_connection(("127.0.0.1", target.port), 20) as connection:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(said)
        answer = outcome(connection)[1]
    assert MARK not in answer and len(answer) <= 7, answer
    target.expect(result)


def test_curl_without_tls_gets_no_answer(target):
    result = run("curl", "-sS", "--max-time", "20", f"http://127.0.0.1:{target.port}/")
    assert result.returncode != 0 and result.stdout == ""
    target.expect("not_tls")


def test_random_bytes_do_no_harm(mesh, target):
    """A few hundred beginnings, half of them with a plausible record header."""
    for number in range(300):
        said = os.urandom(number * 7 % 600)
        if number % 2 == 0:
            said = b"\x16\x03\x01" + struct.pack(">H", len(said)) + said
        with socket.create_connection(("127.0.0.1", target.port), 20) as connection:
            with contextlib.suppress(OSError):
                connection.sendall(said)
                connection.shutdown(socket.SHUT_WR)
                outcome(connection)
    assert target.application.count == 0
    target.pair.echo()
    assert target.server.process.poll() is None


def test_silent_client_is_cut_off(target):
    """Not one byte of a handshake: its deadline ends it."""
    with socket.create_connection(("127.0.0.1", target.port), 60) as connection:
        outcome(connection)
    target.expect("timeout")


def test_trickled_handshake_is_cut_off(target):
    """One byte a second must not hold a connection open for ever."""
    with socket.create_connection(("127.0.0.1", target.port), 60) as connection:
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
        connection.settimeout(1.0)
        try:
            for byte in hello:
                connection.sendall(bytes([byte]))
                try:
                    assert connection.recv(64) in (b"",)
                    break
                except TimeoutError:
                    continue
            else:
                raise AssertionError("nobody cut it off")
        except (ConnectionResetError, BrokenPipeError):
            pass
    target.expect("timeout")


# --- TLS, but not ours --------------------------------------------------------------------------------


def test_old_versions_are_refused(target):
    for version in ("-tls1_2", "-tls1_1"):
        result = run("openssl", "s_client", version, "-connect", f"127.0.0.1:{target.port}",
                     "-servername", target.name, "-cipher", "ALL@SECLEVEL=0", stdin=subprocess.DEVNULL)
        assert result.returncode != 0
        assert "Cipher is (NONE)" in result.stdout
    wait_until(lambda: len(target.results()) == 2, "two access lines")
    assert target.results() == ["wrong_version"] * 2
    assert target.application.count == 0
    target.pair.echo()


def test_client_without_certificate_is_refused(target):
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        with target.tls(leaf=None) as tls:
            tls.sendall(connect_message() + MARK)
            read_reply(tls)
    target.expect("no_certificate")


@pytest.mark.parametrize("alpn, result", [((), "alpn_missing"), (("http/1.1",), "alpn_mismatch"),
                                          (("h2",), "alpn_mismatch"), (("remora/2",), "alpn_mismatch")])
def test_wrong_alpn_is_refused(target, alpn, result):
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        with target.tls(alpn=alpn) as tls:
            tls.sendall(connect_message() + MARK)
            read_reply(tls)
    target.expect(result)


@pytest.mark.parametrize("name, result", [(None, "sni_missing"), ("web.example.org", "sni_unknown"),
                                          ("localhost", "sni_unknown")])
def test_absent_or_unknown_server_name_is_refused(target, name, result):
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        with target.tls(name=name) as tls:
            tls.sendall(connect_message() + MARK)
            read_reply(tls)
    target.expect(result)


def test_server_name_in_other_letters_is_ours(target):
    with target.tls(name=target.name.upper()) as tls:
        tls.sendall(connect_message())
        assert read_reply(tls) == (OK, "")


# --- A workload of our own that misbehaves ------------------------------------------------------------


def long_name(length):
    return text_field(1, "a" * length) + number_field(2, 80) + text_field(3, bytes(16))


@pytest.mark.parametrize("preface", [
    b"\0\0",                                     # an empty message
    b"\xff\xff" + b"x" * 2000,                   # longer than any
    b"\x04\x01" + b"\0" * 1025,                  # one byte longer than the limit
    framed(b"\xff" * 40),                        # no protobuf
    framed(long_name(254)),                      # the name of no service
    framed(text_field(1, "we b") + number_field(2, 80) + text_field(3, bytes(16))),
    framed(text_field(1, "web\0x") + number_field(2, 80) + text_field(3, bytes(16))),
    framed(text_field(1, "../web") + number_field(2, 80) + text_field(3, bytes(16))),
    framed(text_field(1, "") + number_field(2, 80) + text_field(3, bytes(16))),
    framed(text_field(1, "web") + number_field(2, 0) + text_field(3, bytes(16))),
    framed(text_field(1, "web") + number_field(2, 65536 + 80) + text_field(3, bytes(16))),
    framed(text_field(1, "web") + number_field(2, 80) + text_field(3, bytes(15))),
    framed(text_field(1, "web") + number_field(2, 80)),
    b"GET / HTTP/1.1\r\nHost: web\r\n\r\n" + b"x" * 20000,
], ids=["empty", "huge", "too long by one", "no protobuf", "long name", "space in name", "NUL in name",
        "path as name", "no name", "port 0", "port beyond 65535", "short id", "no id", "HTTP"])
def test_malformed_preface_is_refused(target, preface):
    with target.tls() as tls:
        tls.sendall(preface + MARK)
        status, reason = read_reply(tls)
    assert (status, reason) == (DENIED, "preface_malformed")
    target.expect("preface_malformed")


@pytest.mark.parametrize("service, port", [
    ("database", 80), ("web", 81), ("web", 15008), ("web", 15001), ("web", 15020), ("web", 15021),
    ("web", 22), ("localhost", 80), ("127.0.0.1", 80), ("web.", 80), ("remora", 15021),
])
def test_undeclared_service_or_port_is_refused(target, service, port):
    """The target comes from the configuration, never from the peer."""
    with target.tls() as tls:
        tls.sendall(connect_message(service, port) + MARK)
        status, reason = read_reply(tls)
    assert status == DENIED
    assert reason == ("preface_malformed" if service.endswith(".") else "service_not_exposed")
    target.expect(reason)


def test_silence_after_the_handshake_is_cut_off(target):
    with target.tls(timeout=60) as tls:
        with pytest.raises((ssl.SSLError, ConnectionResetError, EOFError)):
            read_reply(tls)
    target.expect("preface_timeout")


def test_trickled_preface_is_cut_off(target):
    """Each byte alone is no progress that counts: the whole Connect has one deadline."""
    message = connect_message()
    with target.tls(timeout=60) as tls:
        tls.settimeout(0.5)
        try:
            for byte in message:
                tls.sendall(bytes([byte]))
                try:
                    tls.recv(1)
                    break
                except TimeoutError:
                    continue
            else:
                raise AssertionError("nobody cut it off")
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
            pass
    target.expect("preface_timeout")


def test_preface_in_single_bytes_is_understood(target):
    """The control of the test above: slow is not wrong."""
    with target.tls() as tls:
        for byte in connect_message():
            tls.sendall(bytes([byte]))
        tls.sendall(b"hello")
        assert read_reply(tls) == (OK, "")
        assert tls.recv(5) == b"hello"


def test_half_a_preface_and_the_end(target):
    with target.tls() as tls:
        tls.sendall(connect_message()[:10])
        tls.shutdown(socket.SHUT_WR)
        with pytest.raises((ssl.SSLError, ConnectionResetError, EOFError)):
            read_reply(tls)
    target.expect("preface_missing")


def test_many_silent_clients_do_not_keep_others_out(mesh, target):
    """Five hundred connections that say nothing, and an honest client beside them."""
    silent = [socket.create_connection(("127.0.0.1", target.port), 20) for _ in range(500)]
    # The silent ones hold out for ten seconds; an honest client must not wait for that.
    target.pair.echo(timeout=8)
    for connection in silent:
        connection.close()
    assert target.application.count == 1
