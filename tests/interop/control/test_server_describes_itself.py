# SPDX-License-Identifier: GPL-3.0-or-later
"""Health, and contracts that any gRPC tool can read from the running server; health and metrics over HTTP
for probes."""
import subprocess
import urllib.request

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from client import WAIT_S, Admin, Status, connect, connect_admin, refused
from mesh import REPO, http_get, identity

SERVICES = {
    "remora.identity.v1.Identity", "remora.mesh.v1.Mesh", "remora.admin.v1.Admin",
    "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
}
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
Request = reflection_pb2.ServerReflectionRequest


@pytest.fixture(scope="module", params=["network", "socket"])
def caller(request, control):
    with connect(control) if request.param == "network" else connect_admin(control) as opened:
        yield opened


# --- Health.

@pytest.mark.parametrize("service", ["", *sorted(SERVICES)])
def test_check(caller, service):
    health = health_pb2_grpc.HealthStub(caller.channel)
    answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=WAIT_S)
    assert answer.status == SERVING


def test_check_of_what_is_not_there(caller):
    health = health_pb2_grpc.HealthStub(caller.channel)
    with refused(Status.NOT_FOUND):
        health.Check(health_pb2.HealthCheckRequest(service="no.Such"), timeout=WAIT_S)


def test_watch_tells_of_the_drain(mesh):
    """Watchers learn that the server goes away before their connection ends."""
    control = mesh.start_control()
    with connect(control) as caller:
        health = health_pb2_grpc.HealthStub(caller.channel)
        watches = {service: health.Watch(health_pb2.HealthCheckRequest(service=service))
                   for service in ("", "remora.mesh.v1.Mesh", "no.Such")}
        assert next(watches[""]).status == SERVING
        assert next(watches["remora.mesh.v1.Mesh"]).status == SERVING
        assert next(watches["no.Such"]).status == UNKNOWN
        control.process.signal(15)
        assert next(watches[""]).status == NOT_SERVING
        assert next(watches["remora.mesh.v1.Mesh"]).status == NOT_SERVING
    assert control.process.child.wait(WAIT_S) == 0


# --- Reflection.

def ask(caller, version, *questions):
    method = caller.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=Request.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString)
    return list(method(iter(questions), timeout=WAIT_S))


VERSIONS = pytest.mark.parametrize("version", ["v1", "v1alpha"])


@VERSIONS
def test_services_are_listed(caller, version):
    (answer,) = ask(caller, version, Request(list_services=""))
    assert {one.name for one in answer.list_services_response.service} == SERVICES


@VERSIONS
@pytest.mark.parametrize("service", sorted(SERVICES))
def test_every_contract_resolves(caller, version, service):
    """From the answer alone: with its imports, in an order that can be made."""
    (answer,) = ask(caller, version, Request(file_containing_symbol=service))
    files = {}
    for der in answer.file_descriptor_response.file_descriptor_proto:
        file = descriptor_pb2.FileDescriptorProto.FromString(der)
        files[file.name] = file
    pool = descriptor_pool.DescriptorPool()

    def add(name):
        for dependency in files[name].dependency:
            add(dependency)
        pool.Add(files[name])

    add(next(iter(files)))
    descriptor = pool.FindServiceByName(service)
    assert descriptor.methods
    for method in descriptor.methods:
        assert method.input_type.full_name and method.output_type.full_name


def test_served_contracts_are_those_of_the_tree(caller, tmp_path):
    """Field by field, against what protoc makes of the .proto files."""
    names = [f"remora/{one}/v1/{one}.proto" for one in ("identity", "mesh", "admin")]
    target = tmp_path / "set"
    subprocess.run(["protoc", f"--proto_path={REPO / 'proto'}", "--include_imports",
                    f"--descriptor_set_out={target}", *names], check=True)
    expected = {file.name: file for file in
                descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes()).file}
    for name in names:
        (answer,) = ask(caller, "v1", Request(file_by_filename=name))
        served = descriptor_pb2.FileDescriptorProto.FromString(
            answer.file_descriptor_response.file_descriptor_proto[0])
        assert served == expected[name]


def test_call_through_reflected_types_only(control):
    """What grpcurl does: no stub, no .proto, only what the server tells."""
    with connect_admin(control) as caller:
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(caller.channel))
        method = pool.FindServiceByName("remora.admin.v1.Admin").FindMethodByName("CreateService")
        request_class, answer_class = (message_factory.GetMessageClass(one) for one in
                                       (method.input_type, method.output_type))
        request = request_class()
        request.service.name, request.service.port = "reflected", 81
        request.service.identities.append(identity("web"))
        answer = caller.channel.unary_unary(
            "/remora.admin.v1.Admin/CreateService",
            request_serializer=request_class.SerializeToString,
            response_deserializer=answer_class.FromString)(request, timeout=WAIT_S)
        assert (answer.name, answer.port) == ("reflected", 81)
    with Admin(control) as admin:
        assert "reflected" in admin.services()


# --- HTTP.

def test_http_health_and_metrics(control, admin, anyone):
    address = f"127.0.0.1:{control.health}"
    assert http_get(address, "/healthz/live")[0] == 200
    assert http_get(address, "/healthz/ready")[0] == 200
    assert http_get(address, "/nothing")[0] == 404

    def figures():
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=WAIT_S) as answer:
            lines = answer.read().decode().splitlines()
        return {line.split()[0]: float(line.split()[1]) for line in lines if not line.startswith("#")}

    before = figures()
    anyone.issue(token=admin.create_token(identity("web")).token)
    with refused(Status.UNAUTHENTICATED):
        anyone.issue()
    after = figures()
    for name, more in (("remora_control_certificates_issued_total", 1),
                       ("remora_control_certificates_refused_total", 1)):
        assert after[name] - before[name] == more, name
