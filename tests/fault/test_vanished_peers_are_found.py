# SPDX-License-Identifier: GPL-3.0-or-later
"""A peer that acknowledges lives, however long it reads nothing; one that vanished is found: idle, in the middle of
a transfer, and while it read nothing. Packets are dropped between two network namespaces."""
import os
import socket
import subprocess
import threading

import pytest

from machines import TUNNEL, Machines
from mesh import wait_until
from netns import inside
from pair import read_all

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

VANISHED = "timeouts: {vanished: 3s}\n"
BLOCK = bytes(1 << 16)


def fill(connection):
    """Writes until nobody takes any more for a while; how much was taken."""
    connection.settimeout(0.5)
    taken = 0
    try:
        while True:
            taken += connection.send(BLOCK)
    except TimeoutError:
        connection.settimeout(20)
        return taken


def tunnel_ports(machines):
    """Local ports of the client's established tunnels."""
    with open("/proc/thread-self/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return {int(row[1].split(":")[1], 16) for row in rows
            if row[3] == "01" and int(row[2].split(":")[1], 16) == TUNNEL}


class Scene:
    def __init__(self, mesh, authority):
        self.may_read = threading.Event()
        self.read = []
        self.machines = Machines(mesh, authority, self.serve, extra=VANISHED, captures=False)
        self.known = set()

    def serve(self, connection):
        kind = connection.recv(1)
        if kind == b"e":
            while data := connection.recv(1 << 16):
                connection.sendall(data)
        elif kind == b"s":
            while connection.recv(1 << 16):
                pass
        else:
            connection.sendall(b"n")
            self.may_read.wait(90)
            self.read.append(len(read_all(connection)))

    def open(self, kind):
        """(connection, port of its tunnel)."""
        connection = self.machines.connect()
        connection.sendall(kind)
        now = wait_until(lambda: inside(self.machines.spaces.left, lambda: tunnel_ports(self.machines)) - self.known,
                         "a tunnel")
        assert len(now) == 1
        self.known |= now
        return connection, now.pop()

    def drop(self, ports):
        """From now on their packets arrive nowhere."""
        these = ", ".join(str(port) for port in ports)
        rules = f"""table inet lost {{
            chain leaving {{ type filter hook output priority 0; tcp sport {{ {these} }} drop; }}
            chain coming {{ type filter hook input priority 0; tcp dport {{ {these} }} drop; }}
        }}
        """
        done = subprocess.run(["ip", "netns", "exec", self.machines.spaces.left, "nft", "-f", "-"], input=rules,
                              text=True, capture_output=True)
        assert done.returncode == 0, done.stderr


def vanished_count(sidecar):
    return sum(line["result"] == "peer_vanished" for line in sidecar.process.access())


def test_vanished_are_found_and_idle_ones_live(mesh, authority):
    scene = Scene(mesh, authority)
    quiet, _ = scene.open(b"e")
    unread, _ = scene.open(b"n")
    assert unread.recv(1) == b"n"
    taken = fill(unread)
    idle, idle_port = scene.open(b"e")
    lost, lost_port = scene.open(b"n")
    fill(lost)
    busy, busy_port = scene.open(b"s")
    ended = []

    def send():
        try:
            while True:
                busy.sendall(BLOCK)
        except OSError as error:
            ended.append(error)

    sender = threading.Thread(target=send)
    sender.start()
    scene.drop([idle_port, lost_port, busy_port])
    for sidecar in (scene.machines.client, scene.machines.server):
        wait_until(lambda side=sidecar: vanished_count(side) == 3, f"{sidecar.name} to find three", 90,
                   sidecar.process)
    sender.join()
    assert isinstance(ended[0], (ConnectionResetError, BrokenPipeError))
    # Meanwhile the others lived through many looks: one without a byte, one that nobody reads.
    quiet.sendall(b"still here")
    assert quiet.recv(64) == b"still here"
    scene.may_read.set()
    unread.shutdown(socket.SHUT_WR)
    wait_until(lambda: taken in scene.read, "the late reader to get everything")
    for connection in (quiet, unread, idle, lost, busy):
        connection.close()


def test_user_timeout_would_end_a_living_peer():
    """Why TCP_USER_TIMEOUT is not used: this peer is alive, it only reads nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as writer:
            reader, _ = server.accept()
            with reader:
                writer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 500)
                fill(writer)

                def has_died():
                    return writer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0

                wait_until(has_died, "TCP_USER_TIMEOUT to end it", 30)
