# SPDX-License-Identifier: GPL-3.0-or-later
"""The load generator's figures are what the other end has seen, and wrong or missing bytes are no answers."""
import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import threading
import time

import pytest

LOAD = pathlib.Path(os.environ["REMORA_BUILD_DIR"]) / "tests" / "bench" / "bench_load"
PERIOD = 65521
ACK_BYTES = 1 << 20


def make_pattern():
    state, out = 1, bytearray()
    for _ in range(PERIOD):
        state = (state * 1103515245 + 12345) & 0xFFFFFFFF
        out.append((state >> 16) & 0xFF)
    return bytes(out)


PATTERN = make_pattern()


def pattern(offset, length):
    offset %= PERIOD
    return (PATTERN * ((offset + length) // PERIOD + 1))[offset:offset + length]


class Server:
    """A backend that shares no code with the load; counts connections and requests."""

    def __init__(self, body=pattern, hold_seconds=0, cut_after=None, wrong_acks=0):
        self.body, self.hold_seconds, self.cut_after, self.wrong_acks = body, hold_seconds, cut_after, wrong_acks
        self.accepted, self.requests, self.sunk, self.sunk_right = 0, 0, 0, True
        self.lock, self.sinks = threading.Lock(), []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.accepted += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, connection.makefile("rb") as lines:
            try:
                while (head := self.read_head(lines)):
                    if head.startswith("POST /sink"):
                        self.sinks.append(threading.current_thread())
                        self.sink(connection, lines)
                        return
                    self.answer(connection, int(re.match(r"GET /(\d+) ", head).group(1)))
                    if "Connection: close" in head:
                        return
            except OSError:
                pass  # the load has gone

    @staticmethod
    def read_head(lines):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = lines.readline()
            if not line:
                return ""
            head += line
        return head.decode()

    def answer(self, connection, size):
        with self.lock:
            self.requests += 1
            number = self.requests
        if number == 2 and self.hold_seconds:
            time.sleep(self.hold_seconds)
        data = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + self.body(0, size)
        if self.cut_after is not None and number > 1:
            connection.sendall(data[:-self.cut_after])
            connection.shutdown(socket.SHUT_RDWR)
            return
        connection.sendall(data[:30])  # the header in two pieces
        connection.sendall(data[30:])

    def sink(self, connection, lines):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        at = 0
        while data := lines.read1(65536):
            self.sunk += len(data)
            self.sunk_right = self.sunk_right and data == pattern(at, len(data))
            if at // ACK_BYTES != (at + len(data)) // ACK_BYTES:
                connection.sendall(struct.pack("=QQ", at + len(data), self.wrong_acks))
            at += len(data)

    def close(self):
        self.listener.close()


@pytest.fixture
def serve():
    servers = []

    def start(**how):
        servers.append(Server(**how))
        return servers[-1]
    yield start
    for server in servers:
        server.close()


def load(mode, port, stdin=None, **options):
    argv = [LOAD, mode, "--port", str(port)]
    for name, value in options.items():
        argv += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False, input=stdin)
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    return ran, {line["event"]: line for line in lines}


@pytest.fixture
def backend():
    process = subprocess.Popen([LOAD, "backend"], stdout=subprocess.PIPE, text=True)
    yield json.loads(process.stdout.readline())["port"]
    process.terminate()
    process.wait()
    process.stdout.close()


def test_answers_are_what_the_server_gave(serve):
    server = serve()
    ran, said = load("keepalive", server.port, connections=4, bytes=3000, count=200)
    assert ran.returncode == 0, ran.stderr
    end = said["end"]
    assert server.accepted == 4 and end["opened"] == 0 and end["failures"] == 0
    assert 200 <= end["answers"] <= server.requests <= end["answers"] + 3 * 4
    assert end["answers"] * 3000 <= end["body_bytes"] <= (end["answers"] + 4) * 3000


def test_churn_opens_a_connection_for_each_answer(serve):
    server = serve()
    ran, said = load("churn", server.port, connections=4, bytes=10, count=100)
    assert ran.returncode == 0, ran.stderr
    answers = said["end"]["answers"]
    assert 100 <= answers < 104
    # Those before the beginning, those in the count, and those still on their way at its end.
    assert 4 + answers <= server.requests <= server.accepted <= 4 + answers + 4


def test_empty_answers_are_answers(serve):
    ran, said = load("keepalive", serve().port, bytes=0, count=50)
    assert (ran.returncode, said["end"]["answers"], said["end"]["body_bytes"]) == (0, 50, 0)


@pytest.mark.parametrize("how", [
    {"body": lambda offset, size: b"x" * size},
    {"body": lambda offset, size: pattern(offset + 1, size)},
    {"body": lambda offset, size: pattern(offset, size - 1) + b"\0"},
    {"body": lambda offset, size: pattern(offset, size + 1)},
    {"cut_after": 1},
])
def test_wrong_and_cut_answers_are_failures(serve, how):
    ran, said = load("keepalive", serve(**how).port, bytes=1000, count=500)
    assert ran.returncode == 1 and "end" not in said
    assert "too many connections fail" in ran.stderr


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    ran, _ = load("keepalive", port)
    assert ran.returncode == 1 and "too many connections fail" in ran.stderr


def test_uploads_count_what_has_arrived(serve):
    server = serve()
    ran, said = load("bulk", server.port, upload=True, connections=2, count=4 * ACK_BYTES)
    assert ran.returncode == 0, ran.stderr
    assert said["end"]["connections"] == server.accepted == 2
    for thread in server.sinks:
        thread.join()
    assert server.sunk_right
    assert 4 * ACK_BYTES <= said["end"]["bytes"] <= server.sunk


def test_a_backend_that_received_other_bytes_ends_the_measurement(serve):
    ran, said = load("bulk", serve(wrong_acks=1).port, upload=True, count=4 * ACK_BYTES)
    assert ran.returncode == 1 and "end" not in said
    assert "received other bytes" in ran.stderr


def test_a_stall_is_felt_by_all_requests_that_were_due(serve):
    # The second answer takes a second, on the only connection: all that become due meanwhile wait, at least
    # until the window, which ends 0.3 s earlier, is over.
    server = serve(hold_seconds=1)
    ran, said = load("open", server.port, connections=1, rate=400, seconds=0.4)
    assert ran.returncode == 0, ran.stderr
    end = said["end"]
    assert end["unanswered"] == 0
    assert end["answers"] > 100  # of about 160 that were due
    assert end["p50_us"] > 300_000


def test_held_connections_stand_until_let_go(serve):
    server = serve()
    ran, said = load("hold", server.port, stdin="", connections=200)
    assert ran.returncode == 0, ran.stderr
    assert said["begin"]["standing"] == server.accepted == server.requests == 200
    assert said["end"]["lost"] == 0


def receive(connection, length):
    data = b""
    while len(data) < length:
        piece = connection.recv(length - len(data))
        assert piece, f"ended after {len(data)} of {length} bytes"
        data += piece
    return data


def test_backend_answers_with_the_pattern(backend):
    with socket.create_connection(("127.0.0.1", backend)) as connection:
        for size in (0, 5, 300_000):
            request = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % size
            connection.sendall(request[:7])
            connection.sendall(request[7:])
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
            assert receive(connection, len(head) + size) == head + pattern(0, size)
        connection.sendall(b"GET /3 HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert connection.makefile("rb").read().endswith(b"\r\n\r\n" + pattern(0, 3))


def test_backend_streams_the_pattern(backend):
    with socket.create_connection(("127.0.0.1", backend)) as connection:
        connection.sendall(b"GET /stream HTTP/1.1\r\n\r\n")
        receive(connection, len(b"HTTP/1.1 200 OK\r\n\r\n"))
        assert receive(connection, 500_000) == pattern(0, 500_000)


@pytest.mark.parametrize("spoiled", [False, True])
def test_backend_checks_what_it_sinks(backend, spoiled):
    data = bytearray(pattern(0, ACK_BYTES + 70_000))
    if spoiled:
        data[12345] ^= 1
    with socket.create_connection(("127.0.0.1", backend)) as connection:
        connection.sendall(b"POST /sink HTTP/1.1\r\n\r\n")
        receive(connection, len(b"HTTP/1.1 200 OK\r\n\r\n"))
        connection.sendall(data)
        received, wrong = struct.unpack("=QQ", receive(connection, 16))
    assert ACK_BYTES <= received <= len(data)
    assert (wrong > 0) == spoiled
