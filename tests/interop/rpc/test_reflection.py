# SPDX-License-Identifier: GPL-3.0-or-later
"""Server reflection with grpcio's own client: our contracts can be read from a running server."""

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from conftest import WAIT_S

Request = reflection_pb2.ServerReflectionRequest
METHODS = [
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
]


@pytest.fixture(params=METHODS)
def ask(channel, request):
    """Asks any number of questions in one stream. v1 has the messages of v1alpha."""
    method = channel.stream_stream(
        request.param,
        request_serializer=Request.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )

    def do(*questions):
        return list(method(iter(questions), timeout=WAIT_S))

    return do


@pytest.fixture
def database(channel):
    return ProtoReflectionDescriptorDatabase(channel)


def test_services_are_listed(ask):
    (answer,) = ask(Request(host="h", list_services="*"))
    names = {service.name for service in answer.list_services_response.service}
    assert names == {
        "test.Echo",
        "remora.identity.v1.Identity",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert answer.valid_host == "h"
    assert answer.original_request == Request(host="h", list_services="*")


def files_of(answer):
    files = answer.file_descriptor_response.file_descriptor_proto
    return [descriptor_pb2.FileDescriptorProto.FromString(bytes_) for bytes_ in files]


@pytest.mark.parametrize(
    "symbol, name",
    [
        ("remora.identity.v1.Identity", "remora/identity/v1/identity.proto"),
        ("remora.identity.v1.Identity.Issue", "remora/identity/v1/identity.proto"),
        ("remora.tunnel.v1.Connect", "remora/tunnel/v1/tunnel.proto"),
        ("remora.tunnel.v1.Connect.service", "remora/tunnel/v1/tunnel.proto"),
        ("remora.tunnel.v1.Status", "remora/tunnel/v1/tunnel.proto"),
        ("remora.tunnel.v1.STATUS_OK", "remora/tunnel/v1/tunnel.proto"),
        ("grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"),
    ],
)
def test_file_by_symbol(ask, symbol, name):
    (answer,) = ask(Request(file_containing_symbol=symbol))
    assert files_of(answer)[0].name == name


@pytest.mark.parametrize(
    "question",
    [
        Request(file_containing_symbol="remora.tunnel.v1.Connec"),
        Request(file_containing_symbol="remora.tunnel.v1.Connect.servic"),
        Request(file_containing_symbol="remora.tunnel.v1"),
        Request(file_containing_symbol=""),
        Request(file_by_filename="no/such.proto"),
        Request(file_by_filename=""),
        Request(all_extension_numbers_of_type="no.Such"),
        Request(
            file_containing_extension={
                "containing_type": "remora.tunnel.v1.Connect",
                "extension_number": 1000,
            }
        ),
    ],
)
def test_what_is_not_there_is_not_found(ask, question):
    (answer,) = ask(question)
    assert answer.error_response.error_code == 5
    assert answer.original_request == question


def test_an_empty_question_is_an_invalid_argument(ask):
    (answer,) = ask(Request(host="h"))
    assert answer.error_response.error_code == 3


def test_known_types_have_no_extensions(ask):
    (answer,) = ask(Request(all_extension_numbers_of_type="remora.tunnel.v1.Connect"))
    assert answer.all_extension_numbers_response.base_type_name == "remora.tunnel.v1.Connect"
    assert list(answer.all_extension_numbers_response.extension_number) == []


def test_several_questions_in_one_stream(ask):
    answers = ask(
        Request(list_services=""),
        Request(file_by_filename="remora/tunnel/v1/tunnel.proto"),
        Request(file_by_filename="none"),
        Request(file_by_filename="grpc/health/v1/health.proto"),
    )
    kinds = [answer.WhichOneof("message_response") for answer in answers]
    assert kinds == [
        "list_services_response",
        "file_descriptor_response",
        "error_response",
        "file_descriptor_response",
    ]


def test_answers_hold_all_imports(ask):
    """Every file comes with what it imports, so that a client can use it at once."""
    (listed,) = ask(Request(list_services=""))
    for service in listed.list_services_response.service:
        if service.name == "test.Echo":
            continue  # has no contract
        (answer,) = ask(Request(file_containing_symbol=service.name))
        files = {file.name: file for file in files_of(answer)}
        for file in files.values():
            assert set(file.dependency) <= set(files)
        pool = descriptor_pool.DescriptorPool()

        def add(name):
            for dependency in files[name].dependency:
                add(dependency)
            pool.Add(files[name])

        add(files_of(answer)[0].name)
        assert pool.FindServiceByName(service.name).full_name == service.name


def test_grpcios_pool_resolves_a_contract(database):
    """What every reflecting tool does."""
    assert "remora.identity.v1.Identity" in database.get_services()
    pool = descriptor_pool.DescriptorPool(database)
    service = pool.FindServiceByName("remora.identity.v1.Identity")
    issue = service.FindMethodByName("Issue")
    assert issue.input_type.full_name.startswith("remora.identity.v1.")
    assert issue.input_type.fields
    message = pool.FindMessageTypeByName("remora.tunnel.v1.Connect")
    assert [field.name for field in message.fields] == ["service", "port", "connection_id"]
