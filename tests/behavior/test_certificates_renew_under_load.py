# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of seconds, several renewals of every sidecar, load all the while: no request fails, no standing
connection is cut, no byte is lost."""
import concurrent.futures
import hashlib
import os
import socket
import threading

from mesh import wait_until
from pair import joined_pair, read_all

ROTATIONS = 3


class Load:
    """Clients that never try twice; what they find is counted."""

    def __init__(self, pair):
        self.pair, self.is_over = pair, threading.Event()
        self.pool = concurrent.futures.ThreadPoolExecutor(16)
        self.running = []

    def start(self, count, call):
        self.running += [self.pool.submit(self.repeat, call) for _ in range(count)]

    def repeat(self, call):
        count = 0
        while not self.is_over.is_set():
            call()
            count += 1
        return count

    def stop(self):
        """How often each client succeeded; the first failure is raised."""
        self.is_over.set()
        counts = [one.result(60) for one in self.running]
        self.pool.shutdown()
        return counts


def stream(pair, is_over, digest_of):
    """One connection that lives through everything, its bytes checked at the end."""
    sent, received = hashlib.sha256(), hashlib.sha256()
    with pair.connect() as connection:
        while not is_over.is_set():
            block = os.urandom(4096)
            connection.sendall(block)
            sent.update(block)
            received.update(connection.recv(4096, socket.MSG_WAITALL))
        connection.shutdown(socket.SHUT_WR)
        received.update(read_all(connection))
    digest_of.append((sent.digest(), received.digest()))


def renewals(sidecar):
    return sidecar.metric("remora_certificate_renewals_total", result="ok")


def test_no_request_fails_over_several_renewals(mesh):
    pair, _, control = joined_pair(mesh, lifetime="16s", workers=2)
    load, digests = Load(pair), []
    streams = [threading.Thread(target=stream, args=(pair, load.is_over, digests)) for _ in range(4)]
    for one in streams:
        one.start()
    load.start(6, pair.echo)
    serials = {control.json("certificates")["certificates"][0]["serial"]}
    wait_until(lambda: min(renewals(pair.client), renewals(pair.server)) >= ROTATIONS + 1,
               "the renewals", 60, pair.client.process)
    serials.add(control.json("certificates")["certificates"][0]["serial"])
    counts = load.stop()
    for one in streams:
        one.join(30)
    assert all(count > 10 for count in counts), counts
    assert len(digests) == 4 and all(sent == received for sent, received in digests)
    assert len(serials) == 2
    for sidecar in (pair.client, pair.server):
        assert {line["result"] for line in sidecar.process.access()} == {"ok"}
        assert sidecar.metric("remora_certificate_renewals_total", result="failed") == 0
        assert not sidecar.process.has_event("renewal_failed")


def test_keep_alive_connection_outlives_many_certificates(mesh):
    """A connection older than every certificate that was shown when it began."""
    pair, _, _ = joined_pair(mesh, lifetime="16s")
    with pair.connect() as connection:
        connection.sendall(b"before")
        assert connection.recv(6) == b"before"
        wait_until(lambda: min(renewals(pair.client), renewals(pair.server)) >= 4, "the renewals", 60)
        connection.sendall(b"after")
        assert connection.recv(5) == b"after"


def test_sync_stream_is_reopened_before_the_old_one_ends(mesh):
    """Make before break: at no moment is a sidecar without a standing stream."""
    pair, _, _ = joined_pair(mesh, lifetime="16s")

    def renewed():
        assert pair.server.metric("remora_control_connected") == 1
        assert pair.server.ready()[0] == 200
        return renewals(pair.server) >= ROTATIONS

    wait_until(renewed, "the renewals", 60, pair.server.process)
    assert not pair.server.process.has_event("control_plane_away")
    assert not pair.server.process.has_event("sync_ended")
