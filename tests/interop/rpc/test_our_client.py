# SPDX-License-Identifier: GPL-3.0-or-later
"""Our client calls a server that is not ours: grpcio's."""

import os
import subprocess
import threading
from concurrent import futures

import grpc
import pytest

from conftest import WAIT_S

BINARY = os.path.join(os.environ["REMORA_BUILD_DIR"], "tests/interop/rpc/rpc_call")


class Service(grpc.GenericRpcHandler):
    """Bytes in, bytes out."""

    def __init__(self):
        self.metadata = {}
        self.is_cancelled = threading.Event()

    def service(self, details):
        self.metadata = dict(details.invocation_metadata)
        name = details.method.split("/")[-1]
        if name == "Unary":
            return grpc.unary_unary_rpc_method_handler(lambda request, _: request)
        if name == "Refused":
            return grpc.unary_unary_rpc_method_handler(self.refuse)
        if name == "Sleepy":
            return grpc.unary_unary_rpc_method_handler(self.sleep)
        if name == "Chat":
            return grpc.stream_stream_rpc_method_handler(lambda requests, _: requests)
        if name == "Upload":
            return grpc.stream_unary_rpc_method_handler(
                lambda requests, _: b"%d" % sum(len(request) for request in requests)
            )
        if name == "Early":
            return grpc.stream_unary_rpc_method_handler(lambda requests, _: next(requests))
        if name == "Large":
            return grpc.unary_unary_rpc_method_handler(lambda _, __: bytes((4 << 20) + 1))
        if name == "Pour":
            return grpc.unary_stream_rpc_method_handler(
                lambda request, _: (b"p" * 65536 for _ in range(200))
            )
        return None

    def refuse(self, _, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "nö: 100%\nno")

    def sleep(self, request, context):
        context.add_callback(self.is_cancelled.set)
        self.is_cancelled.wait(WAIT_S)
        return request


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def port(service):
    server = grpc.server(
        futures.ThreadPoolExecutor(4),
        handlers=[service],
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    number = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield number
    server.stop(0).wait(WAIT_S)


def call(port, method, deadline_ms=0, count=1, size=0):
    """The lines that our client printed; sanitizers speak through the exit code."""
    arguments = [BINARY, str(port), f"/test.S/{method}", str(deadline_ms), str(count), str(size)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize("size", [0, 1, 16384, 1 << 20, 4 << 20])
def test_unary(port, size):
    first = ord("m") if size > 0 else -1
    assert call(port, "Unary", 5000, size=size) == [
        f"message {size} {first}",
        "closed OK ",
        "ended ok",
    ]


def test_metadata_is_what_the_protocol_asks_for(port, service):
    call(port, "Unary")
    assert service.metadata["user-agent"] == "remora/0.1.0"


def test_status_and_text(port):
    lines = call(port, "Refused")
    assert lines[0] == "closed FAILED_PRECONDITION nö: 100%"
    assert lines[1:] == ["no", "ended ok"]


def test_unknown_method(port):
    assert call(port, "Missing")[0].startswith("closed UNIMPLEMENTED")


def test_deadline_is_told_to_the_server(port, service):
    assert call(port, "Sleepy", 100)[0].startswith("closed DEADLINE_EXCEEDED")
    assert service.is_cancelled.wait(WAIT_S)


def test_streaming_both_ways(port):
    lines = call(port, "Chat", count=500, size=1000)
    assert lines == ["message 1000 109"] * 500 + ["closed OK ", "ended ok"]


def test_large_upload_waits_for_the_server(port):
    """60 MiB against queues of 1 MiB."""
    lines = call(port, "Upload", count=1000, size=60000)
    assert lines[1:] == ["closed OK ", "ended ok"]


def test_server_that_ends_before_our_last_message(port):
    lines = call(port, "Early", count=1000, size=60000)
    assert lines == ["message 60000 109", "closed OK ", "ended ok"]


def test_large_download(port):
    assert call(port, "Pour") == ["message 65536 112"] * 200 + ["closed OK ", "ended ok"]


def test_message_over_our_limit(port):
    lines = call(port, "Large")
    assert lines[0].startswith("closed RESOURCE_EXHAUSTED")
    assert lines[1:] == ["ended ok"]


def test_nobody_listens():
    arguments = [BINARY, "1", "/a.A/B", "0", "1", "1"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.stdout == "failed connect refused\n"
