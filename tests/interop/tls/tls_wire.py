# SPDX-License-Identifier: GPL-3.0-or-later
"""Sits on the way between two TLS peers: reads what is in clear, and can cut."""
import contextlib
import socket
import threading

CLIENT_HELLO, SERVER_HELLO = 1, 2
# RFC 8446 4.1.3: the ServerHello.random that makes it a HelloRetryRequest.
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


def hellos(data):
    """[(type, body)] of the handshake messages in clear at the beginning of one direction."""
    clear, at = b"", 0
    while at + 5 <= len(data) and data[at] in (20, 22):
        length = int.from_bytes(data[at + 3:at + 5], "big")
        if data[at] == 22:
            clear += data[at + 5:at + 5 + length]
        at += 5 + length
    found, at = [], 0
    while at + 4 <= len(clear):
        length = int.from_bytes(clear[at + 1:at + 4], "big")
        found.append((clear[at], clear[at + 4:at + 4 + length]))
        at += 4 + length
    return found


class Passage:
    """One connection through the tap: what the client and what the server said."""

    def __init__(self, client, server):
        self.client, self.server = client, server
        self.said, self.answered = b"", b""
        threading.Thread(target=self._carry, args=(client, server, "said"), daemon=True).start()
        threading.Thread(target=self._carry, args=(server, client, "answered"), daemon=True).start()

    def _carry(self, source, target, kept):
        try:
            while data := source.recv(65536):
                setattr(self, kept, getattr(self, kept) + data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            self.cut()

    def client_hellos(self):
        return sum(kind == CLIENT_HELLO for kind, _ in hellos(self.said))

    def retries(self):
        """HelloRetryRequests that the server sent."""
        return sum(kind == SERVER_HELLO and body[2:34] == RETRY for kind, body in hellos(self.answered))

    def cut(self):
        """FIN to both ends, without a close_notify."""
        for one in (self.client, self.server):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class Tap:
    """Listens on `port` and passes each connection on to `target`, a port of this machine."""

    def __init__(self, target):
        self.target, self.passages, self.process = target, [], None
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                self.passages.append(Passage(client, socket.create_connection(("127.0.0.1", self.target))))

    @property
    def last(self):
        return self.passages[-1]

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for one in self.passages:
            one.cut()
