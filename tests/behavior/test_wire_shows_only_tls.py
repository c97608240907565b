# SPDX-License-Identifier: GPL-3.0-or-later
"""Two sidecars on two machines, as far as the kernel can tell: what passes between them is TLS and nothing else,
and no round trip more than TLS needs."""
import os
import socket
import threading

import pytest

from ca import sni
from machines import TUNNEL, Machines
from mesh import wait_until
from netns import flights, inside, streams
from pair import read_all

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

MARK = b"plaintext-marker-that-must-not-be-seen"


def tls_records(data):
    """[(type, version, length)]; anything that is no record fails."""
    found, at = [], 0
    while at < len(data):
        kind, version = data[at], data[at + 1:at + 3]
        length = int.from_bytes(data[at + 3:at + 5], "big")
        assert kind in (20, 21, 22, 23) and version in (b"\x03\x01", b"\x03\x03"), data[at:at + 32]
        assert length <= 16384 + 256 and at + 5 + length <= len(data)
        found.append((kind, length))
        at += 5 + length
    return found


def test_nothing_but_tls_records_and_no_plaintext(mesh, authority):
    machines = Machines(mesh, authority)
    message = MARK + os.urandom(1 << 20) + MARK

    with machines.connect() as connection:
        sender = threading.Thread(target=lambda: (connection.sendall(message),
                                                  connection.shutdown(socket.SHUT_WR)))
        sender.start()
        assert read_all(connection) == message
        sender.join()
    packets = machines.finished()
    wire = streams(packets)
    assert {frozenset((key[1], key[3])) & {TUNNEL} for key in wire} == {frozenset({TUNNEL})}
    assert sum(len(data) for data in wire.values()) > 2 * len(message)
    for key, data in wire.items():
        kinds = [kind for kind, _ in tls_records(data)]
        # After the hello in clear, and a change_cipher_spec for old middleboxes, all is encrypted.
        hello = kinds.index(23)
        assert set(kinds[:hello]) <= {22, 20} and set(kinds[hello:]) == {23}, kinds[:10]
    everything = b"".join(machines.capture.frames)
    assert MARK not in everything
    # Neither names nor services are in clear: the SNI is a hash under the trust domain.
    for word in (b"/sa/web", b"/sa/client", b"spiffe://", authority.bundle_pem[:64]):
        assert word not in everything
    assert sni(machines.server_id).encode() in everything


def seen_flights(capture, server_bytes):
    """The flights, once the last one carries `server_bytes` from the server; None before."""
    seen = flights(capture.packets())
    return seen if seen and seen[-1][0] == "10.99.0.2" and seen[-1][1] > server_bytes else None


def test_first_bytes_ride_with_the_client_finished(mesh, authority):
    """Hello, hello, (Finished + Connect + request), (Reply + answer): two round trips after TCP's own, the second
    of which is the application's."""
    answer = os.urandom(5000)
    machines = Machines(mesh, authority, lambda connection: (connection.recv(100), connection.sendall(answer)))
    with machines.connect() as connection:
        connection.sendall(b"request")
        received = b""
        while len(received) < len(answer):
            received += connection.recv(65536)
        assert received == answer
        # The look at the wire is another thread's: it may be behind.
        seen = wait_until(lambda: seen_flights(machines.capture, len(answer)), "the capture to be complete")
    client, server = "10.99.0.1", "10.99.0.2"
    assert [source for source, _ in seen] == [client, server, client, server], seen


def test_server_that_speaks_first_is_heard_in_the_same_flight(mesh, authority):
    """A silent client: the greeting comes with the Reply, one round trip after the handshake."""
    machines = Machines(mesh, authority, lambda connection: (connection.sendall(b"220 ready" * 100),
                                                             connection.recv(1)))
    with machines.connect() as connection:
        assert connection.recv(3) == b"220"
        seen = wait_until(lambda: seen_flights(machines.capture, 900), "the capture to be complete")
    assert len(seen) == 4 and seen[3][0] == "10.99.0.2", seen


def test_application_is_out_of_reach_from_the_other_machine(mesh, authority):
    """Only the tunnel port answers; health and metrics keep to where the configuration put them."""
    machines = Machines(mesh, authority)
    ports = (int(machines.application.address.split(":")[1]), machines.server.health,
             machines.server.metrics_port)
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            inside(machines.spaces.left, lambda: socket.create_connection(("10.99.0.2", port), 5))
    inside(machines.spaces.left, lambda: socket.create_connection(("10.99.0.2", TUNNEL), 5)).close()
