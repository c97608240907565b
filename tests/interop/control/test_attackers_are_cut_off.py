# SPDX-License-Identifier: GPL-3.0-or-later
"""Peers that keep no rule are cut off by name or by a deadline, on the TLS port itself; everybody else is
served."""
import contextlib
import socket
import ssl
import threading

import hpack
import hyperframe.frame as frames
import pytest

from client import WAIT_S, Admin, Status, connect, identity_pb2, refused
from mesh import identity

WEB = identity("web")
MAGIC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ENHANCE_YOUR_CALM, REFUSED_STREAM = 0xB, 7
WATCH = "/remora.identity.v1.Identity/WatchTrust"
EMPTY_MESSAGE = bytes(5)


@pytest.fixture(autouse=True)
def others_are_served(control):
    """Whatever happened, another client is served afterwards, at once."""
    yield
    with Admin(control) as admin, connect(control) as caller:
        next(caller.identity.WatchTrust(identity_pb2.WatchTrustRequest(), timeout=WAIT_S))
        assert admin.status().trust_domain == "example.org"
    assert control.process.poll() is None


class Attacker:
    """HTTP/2 frames over TLS 1.3."""

    def __init__(self, control):
        context = ssl.create_default_context(cafile=control.bundle)
        context.check_hostname = False
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection(("127.0.0.1", control.port), WAIT_S)
        self.socket = context.wrap_socket(plain, server_hostname="localhost")
        self.socket.settimeout(WAIT_S)
        self.encoder = hpack.Encoder()
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.socket.close()

    def send(self, *items):
        """False once the server has closed."""
        data = b"".join(item if isinstance(item, bytes) else item.serialize() for item in items)
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def preface(self):
        self.send(MAGIC, frames.SettingsFrame(0))

    def request(self, stream_id, path=WATCH, body=EMPTY_MESSAGE):
        block = self.encoder.encode([
            (":method", "POST"), (":scheme", "https"), (":path", path), (":authority", "localhost"),
            ("te", "trailers"), ("content-type", "application/grpc")])
        return (frames.HeadersFrame(stream_id, block, flags=["END_HEADERS"]).serialize() +
                frames.DataFrame(stream_id, body, flags=["END_STREAM"]).serialize())

    def read_frames(self):
        """Until the server closes."""
        while True:
            while len(self.buffer) >= 9:
                frame, length = frames.Frame.parse_frame_header(memoryview(self.buffer[:9]))
                if len(self.buffer) < 9 + length:
                    break
                frame.parse_body(memoryview(self.buffer[9:9 + length]))
                self.buffer = self.buffer[9 + length:]
                yield frame
            try:
                data = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLError):
                return
            if not data:
                return
            self.buffer += data

    def goaway_code(self):
        """Reads to the end; the code of the last GOAWAY, or None."""
        code = None
        for frame in self.read_frames():
            if isinstance(frame, frames.GoAwayFrame):
                code = frame.error_code
        return code


@pytest.fixture
def attacker(control):
    with Attacker(control) as one:
        yield one


def test_a_hundred_streams(control, attacker):
    """More at once are refused one by one, while the first hundred stand."""
    attacker.preface()
    # Our SETTINGS are not acknowledged: beyond them it would be a connection error.
    for i in range(120):
        attacker.send(attacker.request(2 * i + 1))
    served, refused_streams = set(), set()
    for frame in attacker.read_frames():
        if isinstance(frame, frames.RstStreamFrame):
            assert frame.error_code == REFUSED_STREAM
            refused_streams.add(frame.stream_id)
        elif isinstance(frame, frames.DataFrame) and frame.data:
            served.add(frame.stream_id)
        assert not isinstance(frame, frames.GoAwayFrame)
        if len(refused_streams) == 20 and len(served) == 100:
            break
    assert served == {2 * i + 1 for i in range(100)}


def test_the_stream_after_a_hundred_waits_for_one_to_end(control):
    """How a client that keeps the rules meets the limit."""
    with connect(control) as caller:
        streams = [caller.identity.WatchTrust(identity_pb2.WatchTrustRequest(), timeout=60)
                   for _ in range(100)]
        for one in streams:
            assert next(one).trust_domain == "example.org"
        last = caller.identity.WatchTrust(identity_pb2.WatchTrustRequest(), timeout=60)
        streams[0].cancel()
        assert next(last).trust_domain == "example.org"
        for one in [last, *streams[1:]]:
            one.cancel()


def test_rapid_reset(control, attacker):
    attacker.preface()
    for i in range(20000):
        if not attacker.send(attacker.request(2 * i + 1),
                             frames.RstStreamFrame(2 * i + 1, error_code=8)):
            break
    assert attacker.goaway_code() in (ENHANCE_YOUR_CALM, None)  # None: it was lost on the way
    attacker.socket.close()
    control.process.wait_event("connection_ended", detail="rapid reset")


def test_five_seconds_to_a_first_request(control):
    """Whatever came of it. Each is closed; none keeps a connection for nothing."""
    attackers = [Attacker(control) for _ in range(4)]
    silent, preface_only, half_a_magic, half_a_request = attackers
    half_a_magic.send(MAGIC[:10])
    for one in (preface_only, half_a_request):
        one.preface()
    half_a_request.send(half_a_request.request(1)[:40])
    for one in attackers:
        assert one.goaway_code() in (ENHANCE_YOUR_CALM, None)
        one.socket.close()


def test_stream_without_a_hello(control, admin, anyone):
    svid = anyone.issue(token=admin.create_token(WEB).token)
    with connect(control, svid) as caller:
        blocked = contextlib.ExitStack()
        next(caller.identity.WatchTrust(identity_pb2.WatchTrustRequest()))  # the first request
        with refused(Status.DEADLINE_EXCEEDED, "no Hello within 5 seconds"):
            next(caller.mesh.Sync(never(blocked)))
        blocked.close()


def never(stack):
    """A request stream that says nothing until the test is over."""
    event = threading.Event()
    stack.callback(event.set)
    event.wait(WAIT_S)
    yield from ()


def test_tls_handshake_that_never_begins(control):
    """10 seconds; here only that it does end, and that it is one of many."""
    idle = [socket.create_connection(("127.0.0.1", control.port), WAIT_S) for _ in range(50)]
    for one in idle:
        with contextlib.suppress(ConnectionResetError):
            assert one.recv(1) == b""
        one.close()


@pytest.mark.parametrize("hello", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x00\x05hello",
                                   bytes(1000), b"\xff" * 1000])
def test_what_is_no_tls(control, hello):
    with socket.create_connection(("127.0.0.1", control.port), WAIT_S) as one:
        one.sendall(hello)
        with contextlib.suppress(ConnectionResetError):
            while one.recv(1000):
                pass


@pytest.mark.parametrize("version, protocols", [
    (ssl.TLSVersion.TLSv1_2, ["h2"]), (ssl.TLSVersion.TLSv1_3, ["http/1.1"]),
    (ssl.TLSVersion.TLSv1_3, None)])
def test_only_tls_1_3_with_h2(control, version, protocols):
    context = ssl.create_default_context(cafile=control.bundle)
    context.minimum_version = context.maximum_version = version
    if protocols:
        context.set_alpn_protocols(protocols)
    with socket.create_connection(("127.0.0.1", control.port), WAIT_S) as plain:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            with context.wrap_socket(plain, server_hostname="localhost") as one:
                one.settimeout(WAIT_S)
                one.recv(1)
                raise ConnectionError("closed without a word")
