# SPDX-License-Identifier: GPL-3.0-or-later
"""Our gRPC echo server as a process, and ways to talk to it."""

import os
import queue
import signal
import subprocess
import threading

import grpc
import pytest

BINARY = os.path.join(os.environ["REMORA_BUILD_DIR"], "tests/interop/rpc/rpc_echo")
WAIT_S = 20  # for what must happen; reached only when it does not


class EchoServer:
    """Every line that the server prints goes into `lines`."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [BINARY, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.is_draining = False
        self.lines = queue.Queue()
        self.errors = []
        self._readers = [
            threading.Thread(target=self._read_output, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self.port = int(self.next_line("port ").split()[1])

    def _read_output(self):
        for line in self.process.stdout:
            self.lines.put(line.strip())
        self.lines.put("")

    def _read_errors(self):
        for line in self.process.stderr:
            self.errors.append(line)

    def next_line(self, prefix):
        """The next printed line that begins with `prefix`."""
        while True:
            line = self.lines.get(timeout=WAIT_S)
            if line == "":
                raise AssertionError("the server ended: " + "".join(self.errors))
            if line.startswith(prefix):
                return line

    def tell(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def channel(self):
        # A channel of its own for each test: grpcio shares connections otherwise.
        options = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_receive_message_length", 64 << 20),
            ("grpc.max_send_message_length", 64 << 20),
        ]
        return grpc.insecure_channel(f"127.0.0.1:{self.port}", options=options)

    def drain(self):
        """SIGTERM, once: while it exits, a second one would kill it."""
        if not self.is_draining and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.is_draining = True

    def stop(self):
        """The exit code says that nothing leaked (sanitizers) and all was closed."""
        self.drain()
        code = self.process.wait(timeout=WAIT_S)
        for reader in self._readers:
            reader.join(timeout=WAIT_S)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
        assert code == 0, "".join(self.errors)


@pytest.fixture
def server():
    echo = EchoServer()
    yield echo
    echo.stop()


@pytest.fixture
def large_server():
    echo = EchoServer("--large")
    yield echo
    echo.stop()


@pytest.fixture
def channel(server):
    with server.channel() as opened:
        yield opened


class Stub:
    """Methods of test.Echo; messages are bytes."""

    def __init__(self, channel):
        self.unary = channel.unary_unary("/test.Echo/Unary")
        self.refused = channel.unary_unary("/test.Echo/Refused")
        self.silent = channel.unary_unary("/test.Echo/Silent")
        self.chat = channel.stream_stream("/test.Echo/Chat")
        self.pour = channel.unary_stream("/test.Echo/Pour")
        self.missing = channel.unary_unary("/test.Echo/Missing")


@pytest.fixture
def stub(channel):
    return Stub(channel)
