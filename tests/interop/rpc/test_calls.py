# SPDX-License-Identifier: GPL-3.0-or-later
"""grpcio, a client that is not ours, calls our server."""

import queue
import threading

import grpc
import pytest

from conftest import WAIT_S, Stub


def code_of(call, *arguments, **options):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **options)
    return caught.value.code()


@pytest.mark.parametrize("size", [0, 1, 5, 1000, 16379, 16384, 60000, 64 << 10])
def test_unary_echo(stub, size):
    message = bytes(i % 251 for i in range(size))
    assert stub.unary(message, timeout=WAIT_S) == message


def test_status_and_text_arrive_as_sent(stub, server):
    with pytest.raises(grpc.RpcError) as caught:
        stub.refused(b"x", timeout=WAIT_S)
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert caught.value.details() == "not you: 100% sür\nreally"


def test_unknown_method_and_service(stub, channel):
    assert code_of(stub.missing, b"", timeout=WAIT_S) == grpc.StatusCode.UNIMPLEMENTED
    other = channel.unary_unary("/no.Such/Service")
    assert code_of(other, b"", timeout=WAIT_S) == grpc.StatusCode.UNIMPLEMENTED


def test_message_over_the_unauthenticated_limit(stub):
    message = bytes((64 << 10) + 1)
    assert code_of(stub.unary, message, timeout=WAIT_S) == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert code_of(stub.unary, bytes(5 << 20), timeout=WAIT_S) == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert stub.unary(b"still here", timeout=WAIT_S) == b"still here"


@pytest.mark.parametrize("size", [(64 << 10) + 1, 1 << 20, 4 << 20])
def test_large_messages_where_they_are_allowed(large_server, size):
    with large_server.channel() as channel:
        message = bytes(range(256)) * (size // 256) + b"!" * (size % 256)
        assert Stub(channel).unary(message, timeout=WAIT_S) == message


def test_message_over_the_large_limit(large_server):
    with large_server.channel() as channel:
        stub = Stub(channel)
        over = bytes((4 << 20) + 1)
        assert code_of(stub.unary, over, timeout=WAIT_S) == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_deadline_ends_both_sides(stub, server):
    assert code_of(stub.silent, b"x", timeout=0.05) == grpc.StatusCode.DEADLINE_EXCEEDED
    # The server's own timer or the client's reset, whichever came first.
    assert server.next_line("closed ") in ("closed DEADLINE_EXCEEDED", "closed CANCELLED")


def test_cancel_reaches_the_server(stub, server):
    call = stub.silent.future(b"x")
    assert stub.unary(b"after it", timeout=WAIT_S) == b"after it"
    assert server.next_line("closed ") == "closed OK"
    call.cancel()
    assert server.next_line("closed ") == "closed CANCELLED"


def test_chat_both_ways(stub):
    to_send = queue.Queue()
    call = stub.chat(iter(to_send.get, None), timeout=WAIT_S)
    for i in range(100):
        message = b"%d" % i * (i * 7 + 1)
        to_send.put(message)
        assert next(call) == message  # before the next one is sent
    to_send.put(None)
    assert list(call) == []
    assert call.code() == grpc.StatusCode.OK


def test_chat_of_many_messages_at_once(stub):
    messages = [b"%d" % i * 100 for i in range(3000)]
    assert list(stub.chat(iter(messages), timeout=WAIT_S)) == messages


def test_chat_without_a_message(stub):
    assert list(stub.chat(iter([]), timeout=WAIT_S)) == []


def test_slow_reader_of_a_stream_gets_everything(stub):
    """40 MiB against queues of 1 MiB: the server waits for the client, and goes on."""
    count = 0
    for message in stub.pour(b"640 65536", timeout=60):
        assert len(message) == 65536
        count += 1
    assert count == 640


def test_cancelled_stream_stops_the_server(stub, server):
    call = stub.pour(b"1000000 65536")
    next(call)
    call.cancel()
    assert server.next_line("closed ") == "closed CANCELLED"


def test_more_calls_at_once_than_streams(stub):
    """The server allows 100; grpcio keeps the rest until one is free."""
    calls = [stub.unary.future(b"%d" % i, timeout=WAIT_S) for i in range(500)]
    assert [call.result() for call in calls] == [b"%d" % i for i in range(500)]


def test_thousands_of_calls_are_no_flood(stub):
    """grpcio sends more control frames than calls; at full speed that is not an attack."""
    for _ in range(30):
        calls = [stub.unary.future(b"x", timeout=WAIT_S) for _ in range(200)]
        assert all(call.result() == b"x" for call in calls)


def test_a_hundred_streams_open_together(stub):
    queues = [queue.Queue() for _ in range(100)]
    calls = [stub.chat(iter(q.get, None), timeout=WAIT_S) for q in queues]
    for i, q in enumerate(queues):
        q.put(b"%d" % i)
    for i, call in enumerate(calls):
        assert next(call) == b"%d" % i
    for q in queues:
        q.put(None)
    for call in calls:
        assert list(call) == []


def test_many_channels_at_once(server):
    failures = []

    def work():
        try:
            with server.channel() as channel:
                for i in range(50):
                    assert Stub(channel).unary(b"%d" % i, timeout=WAIT_S) == b"%d" % i
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=WAIT_S)
    assert failures == []


def test_compressed_messages_are_refused_by_name(channel):
    call = channel.unary_unary("/test.Echo/Unary")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"a" * 10000, timeout=WAIT_S, compression=grpc.Compression.Gzip)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_metadata_near_the_limit_passes_and_over_it_does_not(stub):
    ok = (("x-pad", "v" * 14000),)
    assert stub.unary(b"x", timeout=WAIT_S, metadata=ok) == b"x"
    over = (("x-pad", "v" * 17000),)
    # grpcio obeys our SETTINGS_MAX_HEADER_LIST_SIZE or our reset; both have this name.
    assert code_of(stub.unary, b"x", timeout=WAIT_S, metadata=over) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED
    )
    assert stub.unary(b"x", timeout=WAIT_S) == b"x"


def test_drain_finishes_what_runs(server):
    with server.channel() as channel:
        stub = Stub(channel)
        to_send = queue.Queue()
        call = stub.chat(iter(to_send.get, None), timeout=WAIT_S)
        to_send.put(b"before")
        assert next(call) == b"before"
        server.drain()
        # New connections are refused at once; the running call goes on.
        with pytest.raises((grpc.RpcError, grpc.FutureTimeoutError)):
            while True:
                with server.channel() as late:
                    Stub(late).unary(b"late", timeout=2)
        to_send.put(b"after")
        assert next(call) == b"after"
        to_send.put(None)
        assert list(call) == []
        assert call.code() == grpc.StatusCode.OK
        server.next_line("drained")


def test_drain_has_a_deadline(server):
    with server.channel() as channel:
        to_send = queue.Queue()
        call = Stub(channel).chat(iter(to_send.get, None), timeout=60)
        to_send.put(b"stays")
        assert next(call) == b"stays"
        server.drain()
        server.next_line("drained")
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        to_send.put(None)
