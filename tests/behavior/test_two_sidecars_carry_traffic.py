# SPDX-License-Identifier: GPL-3.0-or-later
"""What an application says to another arrives there unchanged, both ways, whoever speaks first and
whoever ends first."""
import concurrent.futures
import hashlib
import os
import socket
import threading

from mesh import EchoServer, wait_until
from pair import Pair, echo_pair, outcome, read_all
from servers import run, start_nginx, start_redis

LARGE_BYTES = 64 << 20


def random_file(path, length):
    path.write_bytes(os.urandom(length))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_http_with_large_bodies_both_ways(mesh):
    web = mesh.add(start_nginx(mesh.folder))
    pair = Pair(mesh, web.address)
    download = random_file(mesh.folder / "html" / "large", LARGE_BYTES)
    got = mesh.folder / "got"
    result = run("curl", "-sS", "--fail", "-o", got, f"http://127.0.0.1:{pair.port}/large")
    assert result.returncode == 0, result.stderr
    assert hashlib.sha256(got.read_bytes()).hexdigest() == download

    upload = random_file(mesh.folder / "upload", LARGE_BYTES)
    result = run("curl", "-sS", "--fail", "-T", mesh.folder / "upload",
                 f"http://127.0.0.1:{pair.port}/up/there")
    assert result.returncode == 0, result.stderr
    there = mesh.folder / "html" / "up" / "there"
    assert hashlib.sha256(there.read_bytes()).hexdigest() == upload


def test_redis_pipelines_and_values(mesh):
    redis = mesh.add(start_redis(mesh.folder))
    pair = Pair(mesh, redis.address)
    command = ("redis-cli", "-h", "127.0.0.1", "-p", pair.port)
    assert run(*command, "PING").stdout == "PONG\n"
    script = "".join(f"SET key{i} value{i}\r\n" for i in range(10000)) + "GET key9999\r\n"
    result = run(*command, "--pipe", input=script)
    assert "errors: 0, replies: 10001" in result.stdout, result.stdout + result.stderr
    assert run(*command, "GET", "key9999").stdout == "value9999\n"
    value = os.urandom(3 << 20).hex()
    assert run(*command, "-x", "SET", "large", input=value).stdout == "OK\n"
    assert run(*command, "GET", "large").stdout.rstrip("\n") == value


def test_large_transfers_both_ways_at_once(mesh):
    """Both directions of one connection are full at the same time; neither may stall the other."""
    received = {}

    def send_and_hash(connection):
        data = os.urandom(1 << 20)
        sender = threading.Thread(target=lambda: (
            [connection.sendall(data) for _ in range(LARGE_BYTES >> 20)],
            connection.shutdown(socket.SHUT_WR)))
        sender.start()
        digest, length = hashlib.sha256(), 0
        while piece := connection.recv(1 << 18):
            digest.update(piece)
            length += len(piece)
        sender.join()
        sent = hashlib.sha256()
        for _ in range(LARGE_BYTES >> 20):
            sent.update(data)
        return digest.hexdigest(), length, sent.hexdigest()

    def application(connection):
        received["server"] = send_and_hash(connection)

    pair, _ = echo_pair(mesh, application)
    with pair.connect() as connection:
        received["client"] = send_and_hash(connection)
    wait_until(lambda: "server" in received, "the application to finish")
    for here, there in (("server", "client"), ("client", "server")):
        digest, length, _ = received[here]
        assert length == LARGE_BYTES
        assert digest == received[there][2]


def test_client_ends_its_direction_first(mesh):
    """The application answers only after it saw the end of the question."""
    def answer_at_end(connection):
        question = read_all(connection)
        connection.sendall(b"answer to " + question)

    pair, _ = echo_pair(mesh, answer_at_end)
    with pair.connect() as connection:
        connection.sendall(b"question")
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b"answer to question"


def test_server_ends_its_direction_first(mesh):
    """The application says all it has to say, ends its direction, and still gets the client's bytes."""
    heard = []

    def greet_and_listen(connection):
        connection.sendall(b"greeting")
        connection.shutdown(socket.SHUT_WR)
        heard.append(read_all(connection))

    pair, _ = echo_pair(mesh, greet_and_listen)
    with pair.connect() as connection:
        assert read_all(connection) == b"greeting"
        connection.sendall(b"late ")
        connection.sendall(b"words")
        connection.shutdown(socket.SHUT_WR)
        wait_until(lambda: heard, "the application to hear the end")
    assert heard == [b"late words"]


def test_server_speaks_first(mesh):
    """The client stays silent until it is greeted: no end waits for bytes to guess a protocol."""
    def greet_then_echo(connection):
        connection.sendall(b"220 ready\r\n")
        EchoServer.echo(connection)

    pair, _ = echo_pair(mesh, greet_then_echo)
    with pair.connect() as connection:
        assert connection.recv(64) == b"220 ready\r\n"
        connection.sendall(b"EHLO\r\n")
        assert connection.recv(64) == b"EHLO\r\n"


def test_nothing_said_at_all(mesh):
    """A connection that ends without a byte is a connection all the same."""
    ended = []

    def note_end(connection):
        ended.append(read_all(connection))

    pair, _ = echo_pair(mesh, note_end)
    with pair.connect() as connection:
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b""
    assert ended == [b""]


def test_silent_connection_is_left_alone(mesh):
    """By default no time-out ends a quiet connection: not the preface's, not the handshake's."""
    pair, _ = echo_pair(mesh)
    with pair.connect() as connection:
        connection.sendall(b"before")
        assert connection.recv(64) == b"before"
        # Longer than every time-out of a tunnel's beginning; the passing of time is what is tested.
        threading.Event().wait(16)
        connection.sendall(b"after")
        assert connection.recv(64) == b"after"


def test_idle_timeout_ends_what_is_quiet_when_asked_for(mesh):
    pair, _ = echo_pair(mesh, extra="timeouts: {idle: 1s}\n")
    with pair.connect() as connection:
        connection.sendall(b"x")
        assert connection.recv(64) == b"x"
        assert outcome(connection)[0] == "reset", "it looked as if all had been said"
    wait_until(lambda: any(line["result"] == "idle_timeout"
                           for line in pair.client.process.access() + pair.server.process.access()),
               "an access line that says idle_timeout")


def test_two_hundred_connections_at_once(mesh):
    """All open together, each with its own bytes; with several workers at both ends."""
    pair, application = echo_pair(mesh, workers=2)
    everyone = threading.Barrier(200)

    def talk(number):
        message = f"connection {number} ".encode() * 1000
        with pair.connect() as connection:
            connection.sendall(b"first")
            assert connection.recv(5, socket.MSG_WAITALL) == b"first"
            everyone.wait(60)
            connection.sendall(message)
            connection.shutdown(socket.SHUT_WR)
            return read_all(connection) == message

    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        assert all(pool.map(talk, range(200)))
    assert application.count == 200
    wait_until(lambda: pair.client.metric("remora_connections_open", direction="outbound") == 0,
               "no open connection at the client's sidecar")


def test_no_application_is_said_by_name(mesh):
    """Nobody listens behind the service: the client is reset, both logs name it."""
    pair = Pair(mesh, "127.0.0.1:1")
    assert pair.meet() == ("reset", b"")
    pair.server.process.wait_event("refused", reason="application_unreachable")
    pair.client.process.wait_event("refused", reason="unreachable", detail="application_unreachable")


def test_no_sidecar_at_the_other_end_is_said_by_name(mesh):
    pair = Pair(mesh, "127.0.0.1:1")
    pair.server.stop()
    assert pair.meet() == ("reset", b"")
    pair.client.process.wait_event("refused", reason="endpoint_unreachable")
