# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks on between two proxies: forwards TCP and reads the hellos, which TLS 1.3 sends in the clear
(RFC 8446 section 4.1). Never stands in a timed run."""
import collections
import socket
import struct
import threading

HANDSHAKE = 22
CLIENT_HELLO, SERVER_HELLO = 1, 2
PRE_SHARED_KEY, KEY_SHARE = 41, 51
RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
GROUPS = {0x001D: "X25519", 0x0017: "P-256", 0x0018: "P-384", 0x11EC: "X25519MLKEM768"}


class Incomplete(Exception):
    """More bytes are needed."""


def cut(data, at, length):
    if at + length > len(data):
        raise Incomplete
    return data[at:at + length], at + length


def messages(stream):
    """(type, body) of the handshake messages in the records that begin `stream`."""
    at, plain = 0, b""
    while len(plain) < 4 or len(plain) < 4 + int.from_bytes(plain[1:4], "big"):
        header, at = cut(stream, at, 5)
        kind, length = header[0], struct.unpack("!H", header[3:5])[0]
        body, at = cut(stream, at, length)
        plain += body if kind == HANDSHAKE else b""
    length = int.from_bytes(plain[1:4], "big")
    return plain[0], plain[4:4 + length], stream[at:]


def extensions(kind, body):
    """{type: data} of a hello."""
    at = 2 + 32
    at += 1 + body[at]  # session id
    if kind == CLIENT_HELLO:
        at += 2 + struct.unpack_from("!H", body, at)[0]  # cipher suites
        at += 1 + body[at]                               # compression methods
    else:
        at += 2 + 1
    end = at + 2 + struct.unpack_from("!H", body, at)[0]
    at, found = at + 2, {}
    while at < end:
        name, length = struct.unpack_from("!HH", body, at)
        found[name] = body[at + 4:at + 4 + length]
        at += 4 + length
    return found


class Count:
    """What the hellos of many connections say."""

    def __init__(self):
        self.offered = self.answered = self.resumed = self.retried = 0
        self.groups = collections.Counter()

    def client(self, stream):
        kind, body, _ = messages(stream)
        if kind == CLIENT_HELLO:
            self.offered += PRE_SHARED_KEY in extensions(kind, body)

    def server(self, stream):
        kind, body, rest = messages(stream)
        if kind == SERVER_HELLO and body[2:34] == RETRY_RANDOM:
            kind, body, _ = messages(rest)
            self.retried += 1
        if kind != SERVER_HELLO:
            return
        found = extensions(kind, body)
        self.answered += 1
        self.resumed += PRE_SHARED_KEY in found
        group = struct.unpack_from("!H", found[KEY_SHARE])[0] if KEY_SHARE in found else 0
        self.groups[GROUPS.get(group, "none" if group == 0 else f"0x{group:04x}")] += 1

    def share(self):
        return self.resumed / self.answered if self.answered else 0.0


class Onlooker:
    """Listens on `port` of 127.0.0.1 (bound by the constructor) and forwards to `target`."""

    def __init__(self, target):
        self.target, self.count, self.lock = target, Count(), threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.listener.getsockname()[1]
        self.connections = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # ends the accept() that waits
        self.listener.close()
        with self.lock:
            for one in self.connections:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # it has ended already

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near):
        try:
            far = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            near.close()
            return
        with self.lock:
            self.connections |= {near, far}
        back = threading.Thread(target=self._forward, args=(far, near, self.count.server), daemon=True)
        back.start()
        self._forward(near, far, self.count.client)
        back.join()
        with self.lock:
            self.connections -= {near, far}
        near.close()
        far.close()

    def _forward(self, source, sink, look):
        """Copies until the end; `look` gets the first bytes, more each time, until it has understood them."""
        seen = b""
        try:
            while data := source.recv(65536):
                if look:
                    seen += data
                    try:
                        with self.lock:
                            look(seen)
                        look = None
                    except Incomplete:
                        pass
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for one in (source, sink):
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # it has ended already
