# SPDX-License-Identifier: GPL-3.0-or-later
"""Many connections at once, and what a process spends on them."""
import contextlib
import os
import pathlib
import resource
import selectors
import socket
import ssl

from mesh import wait_until

SPARE_DESCRIPTORS = 500  # of the test's own process


def raise_descriptor_limit():
    """As many descriptors as the hard limit gives; how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def affordable(wanted, each=1):
    """`wanted`, or fewer where the hard limit of descriptors forces it: then it says so."""
    got = min(wanted, (raise_descriptor_limit() - SPARE_DESCRIPTORS) // each)
    if got < wanted:
        print(f"only {got} instead of {wanted} connections: the hard limit of descriptors is too low")
    return got


class Crowd:
    """TCP connections to one port that say nothing, or what they are told to."""

    def __init__(self, port, count, source=None, say=b""):
        self.connections = []
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port), 20,
                                                  (source, 0) if source else None)
            with contextlib.suppress(OSError):  # it may be refused already
                connection.sendall(say)
            self.connections.append(connection)
        self.process = None

    def alive(self):
        """Those that the other end has not closed or reset."""
        with selectors.DefaultSelector() as selector:
            for connection in self.connections:
                selector.register(connection, selectors.EVENT_READ)
            ended = {id(key.fileobj) for key, _ in selector.select(0)}
        return [one for one in self.connections if id(one) not in ended]

    def close(self):
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
        self.connections = []


def client_hello(context, server_name):
    """The first flight of a TLS client."""
    sent, received = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(received, sent, server_hostname=server_name)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return sent.read()


def wakeups(pid):
    """How often the process's workers went to sleep of their own accord: a bound on their wake-ups. Health and
    metrics, which the tests ask themselves, are the main thread's."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().startswith("worker"):
            total += int((task / "status").read_text().split("voluntary_ctxt_switches:")[1].split()[0])
    return total


class Cost:
    """What processes spend from now on, and whether it came back."""

    def __init__(self, *sidecars):
        self.sidecars = sidecars
        self.before = {side.name: self.look(side) for side in sidecars}

    @staticmethod
    def look(side):
        pid = side.process.pid
        resident = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
        # A scrape's connection comes and goes, so the least of a few looks counts.
        descriptors = min(len(os.listdir(f"/proc/{pid}/fd")) for _ in range(5))
        return {"descriptors": descriptors, "bytes": resident, "wakeups": wakeups(pid)}

    def of(self, side):
        """{descriptors, bytes, wakeups} more than at the beginning."""
        now = self.look(side)
        return {key: now[key] - self.before[side.name][key] for key in now}

    def await_descriptors(self, side, most):
        """Those of connections that have just ended, a scrape's or a bystander's, may still be closing."""
        wait_until(lambda: self.of(side)["descriptors"] <= most, f"{side.name} to hold at most {most} descriptors more")

    def is_back(self):
        """As many descriptors as at the beginning, and nothing open."""
        return all(self.of(side)["descriptors"] <= 0 for side in self.sidecars)
