# SPDX-License-Identifier: GPL-3.0-or-later
"""Tunnel peers that are not ours: Python's ssl (OpenSSL) with the preface of "remora/1" written by hand."""
import contextlib
import os
import socket
import ssl
import struct
import tempfile
import threading

ALPN = "remora/1"
OK, DENIED, UNREACHABLE, DRAINING = 1, 2, 3, 4


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def text_field(number, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def number_field(number, value):
    return varint(number << 3) + varint(value)


def framed(message):
    return struct.pack(">H", len(message)) + message


def connect_message(service="web", port=80, connection_id=None):
    """A Connect with its prefix."""
    connection_id = os.urandom(16) if connection_id is None else connection_id
    return framed(text_field(1, service) + number_field(2, port) + text_field(3, connection_id))


def reply_message(status=OK, reason=""):
    return framed(number_field(1, status) + (text_field(2, reason) if reason else b""))


def receive_exactly(connection, length):
    data = b""
    while len(data) < length:
        piece = connection.recv(length - len(data))
        if not piece:
            raise EOFError(f"ended after {len(data)} of {length} bytes")
        data += piece
    return data


def read_reply(connection):
    """(status, reason) of the Reply that begins a tunnel's answer."""
    length = struct.unpack(">H", receive_exactly(connection, 2))[0]
    message = receive_exactly(connection, length)
    status, reason, at = 0, "", 0
    while at < len(message):
        tag, at = message[at], at + 1
        if tag == 1 << 3:
            status, at = message[at], at + 1
        else:
            size = message[at] & 127
            at += 1
            if message[at - 1] & 128:
                size |= message[at] << 7
                at += 1
            reason, at = message[at:at + size].decode(), at + size
    return status, reason


def context(purpose, leaf=None, alpn=(ALPN,), versions=None):
    """No verification of the other end: these peers try what they can get away with."""
    made = ssl.SSLContext(purpose)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.minimum_version, made.maximum_version = versions or (ssl.TLSVersion.TLSv1_3,) * 2
    if leaf is not None:
        with tempfile.TemporaryDirectory() as folder:
            made.load_cert_chain(*leaf.write(folder, "peer"))
    if alpn:
        made.set_alpn_protocols(list(alpn))
    return made


def open_tls(port, leaf, server_name, alpn=(ALPN,), versions=None, timeout=20):
    """A client's TLS connection to a sidecar; only an orderly end reads as one, a cut is an error."""
    raw = socket.create_connection(("127.0.0.1", port), timeout)
    try:
        return context(ssl.PROTOCOL_TLS_CLIENT, leaf, alpn, versions).wrap_socket(
            raw, server_hostname=server_name, suppress_ragged_eofs=False)
    except BaseException:
        raw.close()
        raise


class FakeServer:
    """Takes every client at its tunnel port: any SNI, any certificate. Says OK and echoes.

    `got` is what came through any tunnel: Connects and application bytes."""

    def __init__(self, leaf, alpn=(ALPN,), reply=None):
        self.context = context(ssl.PROTOCOL_TLS_SERVER, leaf, alpn)
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        self.reply = reply_message() if reply is None else reply
        self.got, self.errors, self.count = b"", [], 0
        self.process = None
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                self.count += 1
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            with self.context.wrap_socket(connection, server_side=True) as tls:
                self.got += tls.recv(65536)
                tls.sendall(self.reply)
                while data := tls.recv(65536):
                    self.got += data
                    tls.sendall(data)
        except (OSError, ssl.SSLError) as error:
            self.errors.append(str(error))

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

