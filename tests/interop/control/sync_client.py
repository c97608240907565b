# SPDX-License-Identifier: GPL-3.0-or-later
"""A sidecar's end of Mesh.Sync in Python: keeps a view by the deltas it gets and hashes it by its own
reading of the contract (common/mesh: kind, key and content of each resource in order, lengths before
strings, integers big-endian)."""
import hashlib
import queue
import secrets
import struct
import threading

import grpc

from client import WAIT_S, mesh_pb2
from mesh import wait_until

KINDS = ("bundle", "service", "endpoint", "withdrawal")  # in the wire's order, from 1


def number(value, length):
    return value.to_bytes(length, "big")


def text(value):
    raw = value.encode() if isinstance(value, str) else value
    return number(len(raw), 4) + raw


def texts(values):
    return number(len(values), 4) + b"".join(text(one) for one in values)


def content(kind, one):
    if kind == "bundle":
        return texts(one.roots)
    if kind == "service":
        return (number(one.port, 2) + texts(one.identities) + texts(one.allow) +
                number(one.guarded, 1))
    if kind == "endpoint":
        return text(one.address) + text(one.identity) + text(one.zone) + number(one.ready, 1)
    return (number(one.kind, 1) + text(one.subject) + struct.pack(">q", one.before_s) +
            struct.pack(">q", one.expires_s))


class View:
    def __init__(self):
        self.resources = {kind: {} for kind in KINDS}
        self.version = None

    def apply(self, response):
        if response.is_full:
            assert not response.removals
            self.resources = {kind: {} for kind in KINDS}
        else:
            assert self.version is not None, "a delta before anything full"
            assert response.version.store_id == self.version.store_id
            assert response.version.number >= self.version.number
        for put in response.puts:
            kind = put.WhichOneof("of")
            self.resources[kind][put.key] = getattr(put, kind)
        for removal in response.removals:
            self.resources[KINDS[removal.kind - 1]].pop(removal.key, None)
        self.version = response.version

    def canonical(self):
        return b"".join(number(i + 1, 1) + text(key) + content(kind, self.resources[kind][key])
                        for i, kind in enumerate(KINDS)
                        for key in sorted(self.resources[kind], key=str.encode))

    def hash(self):
        return hashlib.sha256(self.canonical()).digest()

    services = property(lambda self: self.resources["service"])
    endpoints = property(lambda self: self.resources["endpoint"])
    withdrawals = property(lambda self: self.resources["withdrawal"])
    bundles = property(lambda self: self.resources["bundle"])


class Sync:
    """One stream. `says` is a Hello by fields, or whole messages to begin with."""

    def __init__(self, caller, *says, **hello):
        self.view = View()
        self.requests = queue.Queue()
        self.instance_id = hello.setdefault("instance_id", secrets.token_hex(8))
        for one in says or (mesh_pb2.SyncRequest(hello=mesh_pb2.Hello(**hello)),):
            self.say(one)
        self.received = queue.Queue()
        self.call = caller.mesh.Sync(iter(self.requests.get, None), wait_for_ready=False)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for response in self.call:
                self.received.put(response)
            self.received.put(None)
        except grpc.RpcError as error:
            self.received.put(error)

    def say(self, request=None, **fields):
        self.requests.put(request or mesh_pb2.SyncRequest(**fields))

    def next(self, timeout=WAIT_S):
        """The next response, not acknowledged."""
        response = self.received.get(timeout=timeout)
        if isinstance(response, grpc.RpcError):
            raise response
        assert response is not None, "the stream ended"
        return response

    def ack(self, response, **wrong):
        self.say(ack=mesh_pb2.Ack(**{"version": response.version, "view_hash": self.view.hash(),
                                     **wrong}))

    def step(self):
        """Takes one response, applies and acknowledges it."""
        response = self.next()
        self.view.apply(response)
        self.ack(response)
        return response

    def until(self, condition):
        """Takes responses until the view is as wanted."""
        while not condition(self.view):
            self.step()
        return self.view

    def end(self, timeout=WAIT_S):
        """Reads what comes until the stream ends; the error, or None."""
        while True:
            response = self.received.get(timeout=timeout)
            if response is None or isinstance(response, grpc.RpcError):
                return response

    def half_close(self):
        self.requests.put(None)

    def cancel(self):
        self.call.cancel()
        self.requests.put(None)


def endpoints_of(admin, service):
    return {one.instance_id: one for one in admin.services()[service].endpoints}


def wait_endpoints(admin, service, *instance_ids, timeout=WAIT_S):
    wait_until(lambda: set(endpoints_of(admin, service)) == set(instance_ids),
               f"{service} at {instance_ids}", timeout)
