# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces joined by a veth pair, and a look at what passes between them. Needs root."""
import contextlib
import ctypes
import itertools
import os
import socket
import struct
import subprocess
import threading

_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()


def ip(*words):
    subprocess.run(["ip", *[str(word) for word in words]], check=True, capture_output=True, text=True)


class Namespaces:
    """Two namespaces, `left` at 10.99.0.1 and `right` at 10.99.0.2, with nothing but each other."""

    def __init__(self):
        stem = f"rm{os.getpid()}x{next(_numbers)}"
        self.left, self.right = f"{stem}l", f"{stem}r"
        self.address = {self.left: "10.99.0.1", self.right: "10.99.0.2"}
        for name in (self.left, self.right):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", self.left, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", self.right)
        for name in (self.left, self.right):
            ip("-n", name, "address", "add", f"{self.address[name]}/24", "dev", "wire")
            ip("-n", name, "link", "set", "wire", "up")
        self.process = None

    def close(self):
        for name in (self.left, self.right):
            ip("netns", "delete", name)


def inside(namespace, call):
    """The value of `call()`, made by a thread inside the namespace: its sockets stay there."""
    result = []

    def run():
        with open(f"/run/netns/{namespace}") as handle:
            if _libc.setns(handle.fileno(), 0) != 0:
                result.append(OSError(ctypes.get_errno(), "setns"))
                return
        try:
            result.append(call())
        except BaseException as error:  # handed to the caller's thread
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


class Packet:
    """One TCP segment over IPv4."""

    def __init__(self, frame):
        header = (frame[14] & 15) * 4
        total = struct.unpack(">H", frame[16:18])[0]
        tcp = frame[14 + header:14 + total]
        self.source, self.target = socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])
        self.source_port, self.target_port, self.sequence = struct.unpack(">HHI", tcp[:8])
        self.flags = tcp[13]
        self.payload = tcp[(tcp[12] >> 4) * 4:]


class Capture:
    """Every frame that passes the wire, from one namespace's side."""

    def __init__(self, namespace):
        self.frames = []
        self.socket = inside(namespace, self._open)
        self.is_closed = False
        self.process = None
        threading.Thread(target=self._run, daemon=True).start()

    @staticmethod
    def _open():
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        opened.bind(("wire", 0))
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        return opened

    def _run(self):
        with contextlib.suppress(OSError):
            while not self.is_closed:
                self.frames.append(self.socket.recv(1 << 17))

    def packets(self):
        """The TCP segments so far, in order."""
        return [Packet(frame) for frame in list(self.frames)
                if frame[12:14] == b"\x08\x00" and frame[23] == socket.IPPROTO_TCP]

    def close(self):
        self.is_closed = True
        self.socket.close()


def streams(packets):
    """{(source, port, target, port): bytes} put together by sequence numbers."""
    pieces = {}
    for packet in packets:
        if packet.payload:
            key = (packet.source, packet.source_port, packet.target, packet.target_port)
            pieces.setdefault(key, {})[packet.sequence] = packet.payload
    joined = {}
    for key, parts in pieces.items():
        data, at = b"", min(parts)
        for sequence in sorted(parts):
            assert sequence <= at, f"a segment is missing in {key}"
            data += parts[sequence][at - sequence:]
            at = max(at, sequence + len(parts[sequence]))
        joined[key] = data
    return joined


def flights(packets):
    """[(source address, payload bytes)]: runs of data in one direction."""
    found = []
    for packet in packets:
        if not packet.payload:
            continue
        if found and found[-1][0] == packet.source:
            found[-1] = (packet.source, found[-1][1] + len(packet.payload))
        else:
            found.append((packet.source, len(packet.payload)))
    return found


def enter_private_namespace():
    """Puts this whole process, and what it starts from now on, into a network namespace of its own with nothing
    but loopback: packet filters set here touch nobody else. It goes with the process."""
    clone_newnet = 0x40000000
    if _libc.unshare(clone_newnet) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    ip("link", "set", "lo", "up")


class Filter:
    """What happens to new connections to ports of this namespace; None: nothing."""

    def __init__(self):
        self.ports = {}

    def set(self, port, action):
        """`action`: "refuse", "drop" or None."""
        self.ports[port] = action
        rules = "".join(
            f"tcp dport {number} {'reject with tcp reset' if how == 'refuse' else 'drop'}\n"
            for number, how in self.ports.items() if how is not None)
        text = ("table inet remora_test\ndelete table inet remora_test\n"
                f"table inet remora_test {{ chain coming {{ type filter hook input priority 0;\n{rules}}}\n}}\n")
        done = subprocess.run(["nft", "-f", "-"], input=text, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
