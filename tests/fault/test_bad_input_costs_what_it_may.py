# SPDX-License-Identifier: GPL-3.0-or-later
"""Each row of sidecar/LIMITS.md: what a peer or an application that behaves badly may cost, and that an innocent
connection, which stood before and stands all the time, and new ones do not notice. Limits are read from
`remora-sidecar --limits`; processor time is bounded by counting wake-ups, not by a clock."""
import pathlib
import re
import socket
import ssl
import threading

import pytest

import limits
from ca import sni
from crowd import Cost, Crowd, client_hello
from mesh import EchoServer, REPO, free_port, wait_until
from pair import Pair, echo_pair, is_sanitized, reset
from tunnel import connect_message, context, open_tls, read_reply

LIMITS = limits.read()
CROWD = 50
SPARE_WAKEUPS = 100  # of the bystander's own bytes, and a look at live connections each second


class Bystander:
    """An innocent connection that stands before, during and after."""

    def __init__(self, pair):
        self.pair, self.connection = pair, pair.connect()
        self.check()

    def check(self):
        self.connection.sendall(b"innocent")
        got = b""
        while len(got) < 8:
            got += self.connection.recv(8)
        assert got == b"innocent"
        self.pair.echo()


def start(mesh, authority, handler=None, **options):
    pair, application = echo_pair(mesh, handler, authority=authority, access="off", **options)
    return pair, application


def ends(sidecar, result, direction="inbound"):
    return sum(float(line.rpartition(" ")[2]) for line in sidecar.metrics().splitlines()
               if line.startswith("remora_connections_total{") and f'result="{result}"' in line
               and f'direction="{direction}"' in line)


def wait_ends(sidecar, result, count, direction="inbound", timeout=45):
    wait_until(lambda: ends(sidecar, result, direction) >= count, f"{count} ends by {result}", timeout,
               sidecar.process)


def hello_of(pair, authority):
    return client_hello(context(ssl.PROTOCOL_TLS_CLIENT, authority.leaf(pair.client_id)), sni(pair.server_id))


def check_bytes(side, cost, allowed):
    if not is_sanitized(side.process.pid):
        assert cost.of(side)["bytes"] <= allowed + (2 << 20), cost.of(side)


def test_one_byte_a_second(mesh, authority):
    """A ClientHello in crumbs costs one descriptor, until the handshake's deadline; each crumb one wake-up."""
    pair, _ = start(mesh, authority)
    bystander, hello = Bystander(pair), hello_of(pair, authority)
    cost = Cost(pair.server)
    crowd = mesh.add(Crowd(pair.server.tunnel, CROWD))
    sent, stop = [0], threading.Event()

    def crumble():
        at = 0
        while not stop.wait(1):
            for connection in crowd.alive():
                try:
                    connection.send(hello[at:at + 1])
                    sent[0] += 1
                except OSError:
                    pass
            at += 1

    sender = threading.Thread(target=crumble)
    sender.start()
    try:
        wait_until(lambda: sent[0] > CROWD, "crumbs to be sent")
        cost.await_descriptors(pair.server, CROWD + 1)
        check_bytes(pair.server, cost, CROWD * LIMITS["handshake_bytes"])
        bystander.check()
        wait_ends(pair.server, "timeout", CROWD)
    finally:
        stop.set()
        sender.join()
    assert sent[0] <= CROWD * (LIMITS["handshake_ms"] // 1000 + 2)  # they were cut off, not fed for ever
    assert cost.of(pair.server)["wakeups"] <= sent[0] + 2 * CROWD + SPARE_WAKEUPS
    bystander.check()
    wait_until(cost.is_back, "the descriptors to come back")


def test_peer_that_stops_reading(mesh, authority):
    """A connection whose reader stopped costs its descriptors and the chunks of its directions, no more."""
    may_end = threading.Event()

    def handler(connection):
        if connection.recv(1) != b"!":
            connection.sendall(b"innocent")
            EchoServer.echo(connection)
            return
        connection.settimeout(1)
        try:
            while True:
                connection.sendall(bytes(1 << 16))
        except TimeoutError:
            stalled.append(connection)
            may_end.wait(60)

    def talk(pair):
        with pair.connect() as connection:
            connection.sendall(b"?x")
            got = b""
            while len(got) < 9:
                got += connection.recv(9)
            assert got == b"innocentx"

    stalled = []
    pair, _ = start(mesh, authority, handler)
    talk(pair)
    cost = Cost(pair.client, pair.server)
    count = CROWD // 2
    crowd = mesh.add(Crowd(pair.port, count, say=b"!"))
    wait_until(lambda: len(stalled) == count, "all writers to stall", 60)
    talk(pair)
    for side in (pair.client, pair.server):
        cost.await_descriptors(side, count * LIMITS["connection_descriptors"])
        check_bytes(side, cost, count * 2 * LIMITS["chunk_bytes"])
    before = cost.of(pair.server)["wakeups"]
    talk(pair)
    assert cost.of(pair.server)["wakeups"] - before <= SPARE_WAKEUPS  # nobody polls a stalled connection
    crowd.close()
    # Their applications hang: they do not even notice. The descriptors come back all the same.
    wait_until(cost.is_back, "the descriptors to come back")
    may_end.set()


def test_half_close(mesh, authority):
    """A connection with one direction ended costs what it did before, and still carries the other one."""
    may_answer = threading.Event()

    def handler(connection):
        first = connection.recv(64)
        if first == b"innocent":
            connection.sendall(first)
            EchoServer.echo(connection)
            return
        while connection.recv(64):
            pass
        may_answer.wait(60)
        connection.sendall(b"late answer")

    pair, _ = start(mesh, authority, handler)
    bystander = Bystander.__new__(Bystander)
    bystander.pair, bystander.connection = pair, pair.connect()
    bystander.pair.echo = lambda: None
    bystander.check()
    cost = Cost(pair.client, pair.server)
    crowd = mesh.add(Crowd(pair.port, CROWD, say=b"question"))
    for connection in crowd.connections:
        connection.shutdown(socket.SHUT_WR)
    wait_until(lambda: pair.server.metric("remora_connections_open", direction="inbound") == CROWD + 1, "all to stand")
    for side in (pair.client, pair.server):
        cost.await_descriptors(side, CROWD * LIMITS["connection_descriptors"])
    before = cost.of(pair.server)["wakeups"]
    bystander.check()
    assert cost.of(pair.server)["wakeups"] - before <= SPARE_WAKEUPS
    may_answer.set()
    for connection in crowd.connections:
        connection.settimeout(20)
        assert connection.recv(64) == b"late answer"
        assert connection.recv(64) == b""
    bystander.check()
    crowd.close()
    wait_until(cost.is_back, "the descriptors to come back")


def test_reset_in_the_middle_of_a_record(mesh, authority):
    """The application behind sees a reset, never half a record's bytes or an orderly end."""
    seen = []

    def handler(connection):
        try:
            got = b""
            while piece := connection.recv(1 << 16):
                got += piece
                if got.startswith(b"innocent"):
                    connection.sendall(piece)
            seen.append(("eof", got))
        except ConnectionResetError:
            seen.append(("reset", got))

    pair, _ = start(mesh, authority, handler)
    leaf, name = authority.leaf(pair.client_id), sni(pair.server_id)
    innocent = pair.connect()
    innocent.sendall(b"innocent")
    assert innocent.recv(64) == b"innocent"
    cost = Cost(pair.server)
    for _ in range(CROWD):
        raw = socket.create_connection(("127.0.0.1", pair.server.tunnel), 20)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context(ssl.PROTOCOL_TLS_CLIENT, leaf).wrap_bio(incoming, outgoing, server_hostname=name)

        def step(call):
            while True:
                try:
                    value = call()
                    raw.sendall(outgoing.read())
                    return value
                except ssl.SSLWantReadError:
                    raw.sendall(outgoing.read())
                    incoming.write(raw.recv(1 << 16))

        step(tls.do_handshake)
        step(lambda: tls.write(connect_message() + b"whole"))
        step(lambda: tls.read(1))  # the Reply: the application is there
        tls.write(b"y" * 10000)
        raw.sendall(outgoing.read()[:5000])
        reset(raw)
    wait_ends(pair.server, "tunnel_reset", CROWD)
    wait_until(lambda: len(seen) == CROWD, "the application to see all ends")
    assert set(seen) == {("reset", b"whole")} or {how for how, _ in seen} == {"reset"}
    assert all(got in (b"whole", b"") for _, got in seen)
    innocent.sendall(b"still here")
    assert innocent.recv(64) == b"still here"
    wait_until(cost.is_back, "the descriptors to come back")


def chain_bytes(leaf):
    from cryptography.hazmat.primitives.serialization import Encoding
    return sum(len(one.public_bytes(Encoding.DER)) for one in leaf.chain)


def test_maximal_certificates(mesh, authority):
    """A chain just below the limit of a handshake message is taken; one above it is refused by name."""
    pair, _ = start(mesh, authority)
    bystander = Bystander(pair)

    def leaf_of(size):
        names = [f"{number:03}.{'x' * 60}.test" for number in range(size // 72)]
        return authority.leaf(pair.client_id, dns=names)

    small = chain_bytes(authority.leaf(pair.client_id))
    largest = LIMITS["handshake_message_bytes"] - small - 500
    cost = Cost(pair.server)
    assert LIMITS["handshake_message_bytes"] * 0.9 < chain_bytes(leaf_of(largest)) < LIMITS["handshake_message_bytes"]
    for _ in range(5):
        with open_tls(pair.server.tunnel, leaf_of(largest), sni(pair.server_id)) as tls:
            tls.sendall(connect_message())
            assert read_reply(tls) == (1, "")
    for _ in range(5):
        with pytest.raises((ssl.SSLError, OSError)):
            with open_tls(pair.server.tunnel, leaf_of(2 * LIMITS["handshake_message_bytes"]),
                          sni(pair.server_id)) as tls:
                tls.sendall(connect_message())
                read_reply(tls)
    wait_until(lambda: pair.server.metric("remora_tls_handshakes_total", role="server", result="protocol") == 5,
               "five refusals", process=pair.server.process)
    check_bytes(pair.server, cost, 10 * (LIMITS["handshake_bytes"] + 2 * LIMITS["handshake_message_bytes"]))
    bystander.check()
    wait_until(cost.is_back, "the descriptors to come back")


def test_huge_handshake_message(mesh, authority):
    """A handshake message that says it has 16 MiB is refused by its first bytes; the rest is never read."""
    pair, _ = start(mesh, authority)
    bystander, cost = Bystander(pair), Cost(pair.server)
    head = b"\x16\x03\x01\x40\x00" + b"\x01\xff\xff\xff" + bytes(16380)
    crowd = mesh.add(Crowd(pair.server.tunnel, CROWD, say=head))
    wait_ends(pair.server, "protocol", CROWD)
    check_bytes(pair.server, cost, CROWD * LIMITS["handshake_bytes"])
    wait_until(lambda: not crowd.alive(), "all to be cut off")
    bystander.check()
    wait_until(cost.is_back, "the descriptors to come back")


def test_tunnel_that_says_nothing(mesh, authority):
    """Authenticated, and then silent: one descriptor and a small buffer, until the preface's deadline."""
    pair, application = start(mesh, authority)
    bystander, cost = Bystander(pair), Cost(pair.server)
    before, leaf = application.count, authority.leaf(pair.client_id)
    silent = [open_tls(pair.server.tunnel, leaf, sni(pair.server_id)) for _ in range(CROWD)]
    cost.await_descriptors(pair.server, CROWD + 1)
    check_bytes(pair.server, cost, CROWD * (LIMITS["handshake_bytes"] + LIMITS["preface_bytes"]))
    wait_ends(pair.server, "preface_timeout", CROWD)
    assert application.count == before
    bystander.check()
    for tls in silent:
        tls.close()
    wait_until(cost.is_back, "the descriptors to come back")


def test_application_that_never_answers(mesh, authority):
    """It costs two descriptors at each sidecar as long as its clients wait, or until timeouts.idle."""
    hang = threading.Event()
    pair, _ = start(mesh, authority, lambda connection: hang.wait(60), extra="timeouts: {idle: 2s}\n")
    cost = Cost(pair.client, pair.server)
    patient = mesh.add(Crowd(pair.port, CROWD, say=b"anybody?"))
    wait_until(lambda: pair.server.metric("remora_connections_open", direction="inbound") == CROWD, "all to stand")
    for side in (pair.client, pair.server):
        cost.await_descriptors(side, CROWD * LIMITS["connection_descriptors"])
        check_bytes(side, cost, CROWD * LIMITS["handshake_bytes"])
    patient.close()
    wait_until(cost.is_back, "the descriptors of those who left")
    stubborn = mesh.add(Crowd(pair.port, CROWD, say=b"anybody?"))
    wait_until(lambda: ends(pair.server, "idle_timeout") + ends(pair.client, "idle_timeout", "outbound") >= CROWD,
               "idle connections to end", process=pair.server.process)
    wait_until(lambda: not stubborn.alive(), "their clients to be told")
    wait_until(cost.is_back, "the descriptors to come back")
    hang.set()


def test_backend_that_refuses(mesh, authority):
    """Each connection costs one connect at the target, is reset, and is named at both ends."""
    pair = Pair(mesh, f"127.0.0.1:{free_port()}", authority=authority, access="off")
    cost = Cost(pair.client, pair.server)
    for _ in range(CROWD):
        assert pair.meet()[0] == "reset"
    wait_ends(pair.server, "application_unreachable", CROWD)
    assert ends(pair.server, "application_unreachable") == CROWD  # and no more than one attempt each
    wait_ends(pair.client, "unreachable", CROWD, "outbound")
    for side in (pair.client, pair.server):
        check_bytes(side, cost, CROWD * LIMITS["handshake_bytes"])
    wait_until(cost.is_back, "the descriptors to come back")


# --- The document ----------------------------------------------------------------------------------------------------


def test_document_names_limits_and_metrics_that_exist():
    """sidecar/LIMITS.md: every limit is one that the program prints, every metric one that it has."""
    text = (REPO / "sidecar" / "LIMITS.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line][1:]
    known = re.findall(r'\.name =\s*"([a-z_]+)"', (REPO / "sidecar" / "metrics_catalogue.c").read_text())
    assert len(rows) >= 10
    for row in rows:
        names = re.findall(r"`([a-z0-9_]+)`", row)
        metrics = [name for name in names if name.startswith("remora_")]
        assert metrics, f"no metric in: {row}"
        for name in metrics:
            assert name in known, name
        results = set(re.findall(r"`result=([a-z_]+)`", row))
        faults = (REPO / "common" / "faults" / "catalogue.def").read_text()
        for result in results:
            assert f'"{result}"' in faults, result
        for name in set(names) - set(metrics):
            assert name in LIMITS, f"{name} is no limit"
    for test in re.findall(r"`(test_[a-z_]+)`", text):
        files = "".join(path.read_text() for path in pathlib.Path(__file__).parent.glob("test_*.py"))
        assert f"def {test}(" in files, test
