# SPDX-License-Identifier: GPL-3.0-or-later
"""Peers that mean harm, over plain sockets with hyper-h2's frames: each is cut off by name or by its
deadline, and the server goes on serving others."""

import re
import socket
import struct
import time

import hpack
import hyperframe.frame as frames
import pytest

from conftest import WAIT_S, Stub

MAGIC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ENHANCE_YOUR_CALM = 0xB
HEADERS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/test.Echo/Silent"),
    (":authority", "x"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
]


class Attacker:
    def __init__(self, server, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(WAIT_S)
        self.socket.connect(("127.0.0.1", server.port))
        self.encoder = hpack.Encoder()
        self.buffer = b""
        self.is_closed = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *items):
        data = b"".join(
            item if isinstance(item, bytes) else item.serialize() for item in items
        )
        try:
            self.socket.sendall(data)
        except OSError:
            self.is_closed = True

    def preface(self, settings=None):
        self.send(MAGIC, frames.SettingsFrame(0, settings=settings or {}))

    def request(self, stream_id, headers=None, flags=("END_HEADERS",)):
        block = self.encoder.encode(headers or HEADERS)
        return frames.HeadersFrame(stream_id, block, flags=list(flags))

    def read_frames(self):
        """Until the server closes; yields frames."""
        while True:
            while len(self.buffer) >= 9:
                frame, length = frames.Frame.parse_frame_header(memoryview(self.buffer[:9]))
                if len(self.buffer) < 9 + length:
                    break
                frame.parse_body(memoryview(self.buffer[9 : 9 + length]))
                self.buffer = self.buffer[9 + length :]
                yield frame
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                return
            if not data:
                return
            self.buffer += data

    def goaway_code(self):
        """The code of the last GOAWAY before the end, or None."""
        code = None
        for frame in self.read_frames():
            if isinstance(frame, frames.GoAwayFrame):
                code = frame.error_code
        return code


@pytest.fixture
def attacker(server):
    with Attacker(server) as one:
        yield one


@pytest.fixture(autouse=True)
def others_are_served(server):
    """Whatever the attack was, another client is served afterwards."""
    yield
    with server.channel() as channel:
        assert Stub(channel).unary(b"alive", timeout=WAIT_S) == b"alive"


def resident_kib(server):
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


def ended_with(server, attacker, detail):
    """GOAWAY says ENHANCE_YOUR_CALM if it still got through; the log names the attack."""
    assert attacker.goaway_code() in (ENHANCE_YOUR_CALM, None)
    attacker.socket.close()  # the server waits a while for our end
    deadline = time.monotonic() + WAIT_S
    while detail not in "".join(server.errors):
        assert time.monotonic() < deadline, "".join(server.errors)


def test_rapid_reset(server, attacker):
    attacker.preface()
    for i in range(5000):
        attacker.send(
            attacker.request(2 * i + 1), frames.RstStreamFrame(2 * i + 1, error_code=8)
        )
        if attacker.is_closed:
            break
    ended_with(server, attacker, "rapid reset")


def test_ping_flood(server, attacker):
    attacker.preface()
    ping = frames.PingFrame(0, opaque_data=b"12345678").serialize()
    for _ in range(100):
        attacker.send(ping * 1000)
    ended_with(server, attacker, "flood of control frames")


def test_settings_flood(server, attacker):
    attacker.preface()
    settings = frames.SettingsFrame(0, settings={4: 65535}).serialize()
    for _ in range(100):
        attacker.send(settings * 1000)
    ended_with(server, attacker, "flood of control frames")


def test_empty_data_flood(server, attacker):
    attacker.preface()
    attacker.send(attacker.request(1))
    empty = frames.DataFrame(1, b"").serialize()
    for _ in range(100):
        attacker.send(empty * 1000)
    ended_with(server, attacker, "flood of control frames")


def test_continuation_flood(server, attacker):
    attacker.preface()
    block = attacker.encoder.encode(HEADERS)
    attacker.send(frames.HeadersFrame(1, block))
    part = frames.ContinuationFrame(1, attacker.encoder.encode([("x-pad", "v" * 100)]))
    attacker.send(part.serialize() * 10000)
    ended_with(server, attacker, "flood of control frames")


def test_continuation_of_endless_headers(server, attacker):
    attacker.preface()
    attacker.send(frames.HeadersFrame(1, attacker.encoder.encode(HEADERS)))
    for i in range(20):
        block = attacker.encoder.encode([(f"x-{i}", "v" * 16000)])
        attacker.send(frames.ContinuationFrame(1, block))
    ended_with(server, attacker, "flood of control frames")


def test_headers_over_16_kib_are_refused_alone(attacker):
    attacker.preface()
    many = [(f"x-{i}", "v" * 100) for i in range(200)]
    block = attacker.encoder.encode(HEADERS + many)
    attacker.send(frames.HeadersFrame(1, block[:16000]))
    attacker.send(frames.ContinuationFrame(1, block[16000:], flags=["END_HEADERS"]))
    for frame in attacker.read_frames():
        if isinstance(frame, frames.RstStreamFrame):
            assert frame.stream_id == 1
            assert frame.error_code == ENHANCE_YOUR_CALM
            return
        assert not isinstance(frame, frames.GoAwayFrame)
    raise AssertionError("closed without a reset")


def test_slow_first_request(server):
    """Five seconds to a complete first request, whatever came of it."""
    attackers = [Attacker(server) for _ in range(5)]
    _, half_a_magic, preface_only, headers_only, half_a_message = attackers
    half_a_magic.send(MAGIC[:10])
    for one in (preface_only, headers_only, half_a_message):
        one.preface()
    headers_only.send(headers_only.request(1))
    half_a_message.send(half_a_message.request(1), frames.DataFrame(1, b"\0\0\0\0\x10half"))
    for one in attackers:
        assert one.goaway_code() == ENHANCE_YOUR_CALM
        one.socket.close()


def test_more_streams_than_allowed(attacker):
    attacker.preface()
    for i in range(150):
        attacker.send(attacker.request(2 * i + 1))
    refused = 0
    for frame in attacker.read_frames():
        if isinstance(frame, frames.RstStreamFrame):
            assert frame.error_code == 7  # REFUSED_STREAM
            refused += 1
            if refused == 50:
                return
        elif isinstance(frame, frames.GoAwayFrame):
            return  # after our SETTINGS were acknowledged it is a connection error
    raise AssertionError("closed without a word")


def message(payload):
    return struct.pack(">BI", 0, len(payload)) + payload


def test_never_reading_the_answers(server):
    """Asks for 6 GiB in all and reads nothing: memory stays bounded."""
    before = resident_kib(server)
    with Attacker(server, receive_buffer=4096) as one:
        # Windows wide open, so that only our own queues hold it back.
        one.preface({4: 2**31 - 1})
        one.send(frames.WindowUpdateFrame(0, window_increment=2**31 - 1 - 65535))
        pour = [(n, "/test.Echo/Pour" if n == ":path" else v) for n, v in HEADERS]
        body = message(b"1000 65000")
        for i in range(100):
            stream_id = 2 * i + 1
            one.send(
                one.request(stream_id, pour),
                frames.DataFrame(stream_id, body, flags=["END_STREAM"]),
            )
        with server.channel() as channel:  # served meanwhile
            for _ in range(20):
                assert Stub(channel).unary(b"alive", timeout=WAIT_S) == b"alive"
        # 16 MiB of queues at most; the sanitizer's own overhead multiplies that.
        assert resident_kib(server) - before < 200 * 1024
    # Nothing is left behind (the exit code tells of leaks).


def test_a_large_message_is_refused_by_its_prefix(attacker):
    attacker.preface()
    attacker.send(attacker.request(1), frames.DataFrame(1, b"\0\xff\xff\xff\xff"))
    for frame in attacker.read_frames():
        if isinstance(frame, frames.HeadersFrame):
            fields = dict(hpack.Decoder().decode(frame.data))
            assert fields["grpc-status"] == "8"
            return
    raise AssertionError("no status")


@pytest.mark.parametrize(
    "change, status",
    [
        ({":method": "GET"}, "405"),
        ({"content-type": "text/plain"}, "415"),
        ({"content-type": "application/grpcfoo"}, "415"),
        ({"content-type": None}, "415"),
    ],
)
def test_what_is_not_grpc_gets_an_http_status(attacker, change, status):
    attacker.preface()
    headers = [(n, change.get(n, v)) for n, v in HEADERS if change.get(n, v) is not None]
    attacker.send(attacker.request(1, headers, ("END_HEADERS", "END_STREAM")))
    for frame in attacker.read_frames():
        if isinstance(frame, frames.HeadersFrame):
            assert dict(hpack.Decoder().decode(frame.data))[":status"] == status
            return
    raise AssertionError("no answer")


@pytest.mark.parametrize(
    "headers, body, grpc_status",
    [
        ({"te": None}, b"", "13"),
        ({"grpc-timeout": "x"}, b"", "13"),
        ({"grpc-timeout": "123456789S"}, b"", "13"),
        ({"grpc-timeout": "0n"}, b"", "4"),
        ({"grpc-timeout": "1n"}, message(b"a"), "4"),
        ({}, b"", "12"),  # no message
        ({}, message(b"a") + message(b"b"), "12"),  # two
        ({}, b"\0\0\0\0\x05abc", "13"),  # cut
        ({}, b"\0\0", "13"),
        ({}, b"\x01\0\0\0\x01a", "13"),  # compressed without grpc-encoding
        ({"grpc-encoding": "gzip"}, b"\x01\0\0\0\x01a", "12"),
        ({"grpc-encoding": "identity"}, b"\x01\0\0\0\x01a", "13"),
        ({}, b"\x02\0\0\0\x01a", "13"),
    ],
)
def test_malformed_calls_get_their_status(attacker, headers, body, grpc_status):
    attacker.preface()
    fields = [(n, headers.get(n, v)) for n, v in HEADERS if headers.get(n, v) is not None]
    fields += [(n, v) for n, v in headers.items() if n.startswith("grpc-")]
    attacker.send(attacker.request(1, fields))
    attacker.send(frames.DataFrame(1, body, flags=["END_STREAM"]))
    for frame in attacker.read_frames():
        if isinstance(frame, frames.HeadersFrame):
            assert dict(hpack.Decoder().decode(frame.data))["grpc-status"] == grpc_status
            return
    raise AssertionError("no status")


def test_other_protocols_are_closed(server):
    for hello in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\0\x01", b"\0" * 100):
        with Attacker(server) as one:
            one.send(hello + b"\0" * 50)
            one.goaway_code()  # ends at all
