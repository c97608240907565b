# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of the sidecar's local API that shares no code with it: grpcio over the Unix socket."""
import contextlib

import grpc
import pytest

import stubs

Status = grpc.StatusCode
WAIT_S = 30  # for an answer that comes; reached only when it does not

[(local_pb2, local_pb2_grpc)] = stubs.load("remora/sidecar/v1/local")


class Local:
    """One connection to a sidecar's socket; a method is a call: `local.GetStatus()`."""

    def __init__(self, socket):
        self.channel = grpc.insecure_channel(f"unix:{socket}", options=[
            ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)])
        self.stub = local_pb2_grpc.LocalStub(self.channel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def __getattr__(self, method):
        # Two messages are no requests of a method's name.
        request = getattr(local_pb2, f"{method}Request")
        return lambda **fields: getattr(self.stub, method)(request(**fields), timeout=WAIT_S)

    def connections(self, **filters):
        return [one for piece in self.ListConnections(**filters) for one in piece.connections]


@contextlib.contextmanager
def refused(status, *parts):
    """The call inside ends with exactly `status`, and its sentence holds every part."""
    with pytest.raises(grpc.RpcError) as caught:
        yield caught
    error = caught.value
    assert error.code() == status, error
    for part in parts:
        assert part in error.details(), error
    assert error.details().strip(), "a refusal without a sentence"
