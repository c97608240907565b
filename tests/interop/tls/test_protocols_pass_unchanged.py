# SPDX-License-Identifier: GPL-3.0-or-later
"""Protocols that ask more of a connection than a question and an answer, with real servers and clients behind a pair
of sidecars: HTTP/2, gRPC, WebSocket, PostgreSQL, and SMTP, where the server speaks first."""
import concurrent.futures
import email.message
import os
import smtplib
import threading

import grpc
import h2.connection
import h2.events
import pytest
from aiosmtpd.controller import Controller
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect
from websockets.sync.server import serve

from mesh import free_port
from pair import Pair
from servers import POSTGRES, run, start_nginx, start_postgres

MEGABYTE = os.urandom(1 << 20)


def test_http2_by_curl(mesh):
    web = mesh.add(start_nginx(mesh.folder, listen="http2"))
    (mesh.folder / "html" / "page").write_bytes(MEGABYTE)
    pair = Pair(mesh, web.address)
    result = run("curl", "-sS", "--fail", "--http2-prior-knowledge", "-w", "%{http_version}", "-o",
                 mesh.folder / "got", f"http://127.0.0.1:{pair.port}/page")
    assert (result.returncode, result.stdout) == (0, "2"), result.stderr
    assert (mesh.folder / "got").read_bytes() == MEGABYTE


def ask_all(connection, paths):
    """{path: body}, asked for at once in streams of one HTTP/2 connection."""
    http = h2.connection.H2Connection()
    http.initiate_connection()
    asked = {}
    for path in paths:
        asked[http.get_next_available_stream_id()] = path
        http.send_headers(http.get_next_available_stream_id(), [
            (":method", "GET"), (":scheme", "http"), (":authority", "web"), (":path", path)], end_stream=True)
    bodies = {stream: b"" for stream in asked}
    ended = set()
    while ended != set(asked):
        connection.sendall(http.data_to_send())
        data = connection.recv(65536)
        assert data, ended
        for event in http.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                assert dict(event.headers)[b":status"] == b"200"
            elif isinstance(event, h2.events.DataReceived):
                bodies[event.stream_id] += event.data
                http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                ended.add(event.stream_id)
    return {asked[stream]: body for stream, body in bodies.items()}


def test_http2_carries_many_streams_in_one_connection(mesh):
    web = mesh.add(start_nginx(mesh.folder, listen="http2"))
    wanted = {f"/page{number}": MEGABYTE[number * 1000:] for number in range(20)}
    for path, body in wanted.items():
        (mesh.folder / "html" / path[1:]).write_bytes(body)
    with Pair(mesh, web.address).connect() as connection:
        assert ask_all(connection, wanted) == wanted


class Calls(grpc.GenericRpcHandler):
    """Echoes each message of a stream, and says in the trailers how many there were."""

    def service(self, details):
        return grpc.stream_stream_rpc_method_handler(self.echo) if details.method == "/test.Echo/Stream" else None

    @staticmethod
    def echo(messages, context):
        count = 0
        for message in messages:
            count += 1
            yield message
        context.set_trailing_metadata([("count", str(count))])


def test_grpc_streams_both_ways_with_trailers(mesh):
    options = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8), handlers=[Calls()], options=options)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    pair = Pair(mesh, f"127.0.0.1:{port}")
    with grpc.insecure_channel(f"127.0.0.1:{pair.port}", options=options) as channel:
        streams = [channel.stream_stream("/test.Echo/Stream")(iter([MEGABYTE[i:], b"", b"end"]), timeout=60)
                   for i in range(8)]
        for i, stream in enumerate(streams):
            assert list(stream) == [MEGABYTE[i:], b"", b"end"]
            assert stream.code() == grpc.StatusCode.OK
            assert ("count", "3") in [(one.key, one.value) for one in stream.trailing_metadata()]
        with pytest.raises(grpc.RpcError) as refused:
            list(channel.stream_stream("/test.Echo/None")(iter([]), timeout=60))
        assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    server.stop(None).wait()


def test_websocket_talks_both_ways_and_closes_with_a_code(mesh):
    def session(websocket):
        websocket.send("hello from the server")  # before anything was asked
        for message in websocket:
            if message == "leave":
                websocket.close(4321, "as you wish")
                return
            websocket.send(message)

    with serve(session, "127.0.0.1", 0, max_size=None, compression=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        pair = Pair(mesh, f"127.0.0.1:{server.socket.getsockname()[1]}")
        with connect(f"ws://127.0.0.1:{pair.port}", max_size=None, compression=None, proxy=None) as websocket:
            assert websocket.recv() == "hello from the server"
            for message in ("text", b"\0\1\2", MEGABYTE, ""):
                websocket.send(message)
                assert websocket.recv() == message
            websocket.ping().wait(60)
            websocket.send("leave")
            with pytest.raises(ConnectionClosedError):
                websocket.recv()
            assert (websocket.close_code, websocket.close_reason) == (4321, "as you wish")
        server.shutdown()


def test_smtp_server_speaks_first(mesh):
    class Mailbox:
        def __init__(self):
            self.mails = []

        async def handle_DATA(self, server, session, envelope):
            self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
            return "250 kept"

    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        pair = Pair(mesh, f"127.0.0.1:{controller.port}")
        mail = email.message.EmailMessage()
        mail["Subject"] = "through the mesh"
        mail.set_content("A line.\n.\nA dot before this one.\n" * 1000)
        for _ in range(3):
            with smtplib.SMTP("127.0.0.1", pair.port, timeout=60) as client:
                client.send_message(mail, "a@example.org", ["b@example.org", "c@example.org"])
        assert len(mailbox.mails) == 3
        sender, receivers, content = mailbox.mails[0]
        assert (sender, receivers) == ("a@example.org", ["b@example.org", "c@example.org"])
        assert content.decode().replace("\r\n", "\n") == mail.as_string()
    finally:
        controller.stop()


def test_postgresql_answers_and_copies_both_ways(mesh):
    pair = Pair(mesh, mesh.add(start_postgres(mesh.folder)).address)
    rows = mesh.folder / "rows.csv"
    rows.write_text("".join(f"{number},{MEGABYTE[number:number + 20].hex()}\n" for number in range(50000)))
    result = run(POSTGRES / "psql", f"postgresql://postgres@127.0.0.1:{pair.port}/postgres", "-v", "ON_ERROR_STOP=1",
                 "-qAt", input=f"""
        CREATE TABLE rows (number integer PRIMARY KEY, text text);
        \\copy rows FROM '{rows}' CSV
        SELECT count(*), sum(number) FROM rows;
        LISTEN news;
        NOTIFY news, 'heard';
        \\copy (SELECT * FROM rows ORDER BY number) TO '{mesh.folder}/back.csv' CSV
    """)
    assert result.returncode == 0, result.stderr
    assert f"50000|{sum(range(50000))}\n" in result.stdout and '"heard"' in result.stdout
    assert (mesh.folder / "back.csv").read_text() == rows.read_text()
    refused = run(POSTGRES / "psql", f"postgresql://postgres@127.0.0.1:{pair.port}/nowhere", "-c", "SELECT 1")
    assert refused.returncode == 2 and 'database "nowhere" does not exist' in refused.stderr
