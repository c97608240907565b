# SPDX-License-Identifier: GPL-3.0-or-later
"""grpc.health.v1 with grpcio's own stubs."""

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from conftest import WAIT_S

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


def ask(service):
    return health_pb2.HealthCheckRequest(service=service)


@pytest.fixture
def health(channel):
    return health_pb2_grpc.HealthStub(channel)


def test_check(health):
    assert health.Check(ask(""), timeout=WAIT_S).status == SERVING
    assert health.Check(ask("test.Echo"), timeout=WAIT_S).status == SERVING
    with pytest.raises(grpc.RpcError) as caught:
        health.Check(ask("no.Such"), timeout=WAIT_S)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.RpcError) as caught:
        health.Check(ask("x" * 1000), timeout=WAIT_S)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_watch_is_told_of_changes(health, server):
    watch = health.Watch(ask("test.Echo"), timeout=WAIT_S)
    assert next(watch).status == SERVING
    server.tell("health down")
    assert next(watch).status == NOT_SERVING
    assert health.Check(ask("test.Echo"), timeout=WAIT_S).status == NOT_SERVING
    assert health.Check(ask(""), timeout=WAIT_S).status == SERVING
    server.tell("health up")
    assert next(watch).status == SERVING
    watch.cancel()


def test_watch_of_an_unknown_service_stays_open(health):
    watch = health.Watch(ask("no.Such"), timeout=WAIT_S)
    assert next(watch).status == SERVICE_UNKNOWN
    watch.cancel()


def test_watchers_learn_of_the_drain(health, server):
    watch = health.Watch(ask(""), timeout=WAIT_S)
    assert next(watch).status == SERVING
    server.drain()
    assert next(watch).status == NOT_SERVING
    with pytest.raises(grpc.RpcError) as caught:
        next(watch)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    server.next_line("drained")
