# SPDX-License-Identifier: GPL-3.0-or-later
"""Sidecars whose identities come from files: what needs no control plane."""
import errno
import os
import pathlib
import socket

from ca import Authority
from mesh import EchoServer, Sidecar, free_port, identity

SERVICE, SERVICE_PORT = "web", 80


def identity_yaml(certificate, key, bundle, federated=()):
    """`federated` are (trust domain, bundle path)."""
    text = f"  files:\n    certificate: {certificate}\n    key: {key}\n    bundle: {bundle}\n"
    if federated:
        text += "    federated:\n"
        for domain, path in federated:
            text += f"      - {{trust_domain: {domain}, bundle: {path}}}\n"
    return text


def write_identity(folder, name, leaf, bundle_pem, federated=()):
    """Files of one sidecar in `folder`; the YAML that names them. `federated` are Authorities."""
    folder = pathlib.Path(folder)
    certificate, key = leaf.write(folder, name)
    bundle = folder / f"{name}.bundle.pem"
    bundle.write_bytes(bundle_pem)
    others = [(one.trust_domain, one.write_bundle(folder, f"{name}-{one.trust_domain}"))
              for one in federated]
    return identity_yaml(certificate, key, bundle, others)


def fixed_outbound(listen, tunnel, identity, service=SERVICE, port=SERVICE_PORT, more=""):
    return (f"{{listen: '{listen}', service: {service}, port: {port}, endpoint: '127.0.0.1:{tunnel}', "
            f"identity: '{identity}'{more}}}")


class Pair:
    """`server` hosts the service web:80 at `target`; `client` offers it on `port`."""

    def __init__(self, mesh, target, *, authority=None, client_leaf=None, server_leaf=None,
                 client_bundle=None, server_bundle=None, client_federated=(), server_federated=(),
                 expected=None, allow=None, ready=True, start=True, edges=(), **options):
        self.mesh = mesh
        self.authority = authority or Authority()
        self.server_id = self.authority.identity("web")
        self.client_id = self.authority.identity("client")
        self.port = free_port()
        server_leaf = server_leaf or self.authority.leaf(self.server_id)
        client_leaf = client_leaf or self.authority.leaf(self.client_id)
        self.server = mesh.add(Sidecar(
            mesh.folder, "web", services=[(SERVICE, SERVICE_PORT, target)], edges=edges,
            allow={SERVICE: allow} if allow is not None else None,
            identity_yaml=write_identity(mesh.folder, "web", server_leaf,
                                         server_bundle or self.authority.bundle_pem, server_federated),
            **options))
        self.client = mesh.add(Sidecar(
            mesh.folder, "client",
            outbound=[fixed_outbound(f"127.0.0.1:{self.port}", self.server.tunnel,
                                     expected or self.server_id)],
            identity_yaml=write_identity(mesh.folder, "client", client_leaf,
                                         client_bundle or self.authority.bundle_pem, client_federated),
            **options))
        if start:
            self.server.start(ready=ready)
            self.client.start(ready=ready)

    @classmethod
    def of(cls, client, port):
        """A pair whose server is not a sidecar: `client` offers the service on `port`."""
        pair = cls.__new__(cls)
        pair.client, pair.port = client, port
        return pair

    def connect(self, timeout=20):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def meet(self, message=b"hello"):
        """The outcome of a connection that says `message` and ends its direction. A reset may come as early as
        connect()."""
        try:
            with self.connect() as connection:
                connection.sendall(message)
                connection.shutdown(socket.SHUT_WR)
                return outcome(connection)
        except OSError as error:
            if error.errno not in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN):
                raise
            return "reset", b""

    def echo(self, message=b"hello", timeout=20):
        """Carries `message` there and back on a connection of its own."""
        with self.connect(timeout) as connection:
            connection.sendall(message)
            connection.shutdown(socket.SHUT_WR)
            assert read_all(connection) == message

    def works(self):
        """True when bytes come there and back."""
        return self.meet(b"hello") == ("eof", b"hello")


def echo_pair(mesh, handler=None, **options):
    """A Pair before an EchoServer: (pair, application)."""
    application = mesh.add(EchoServer(handler))
    return Pair(mesh, application.address, **options), application


def joined_pair(mesh, handler=None, *, lifetime="1h", control=None, server=None, client=None, **options):
    """(pair, application, control plane): the same pair with certificates from a control plane, which owns the
    service web:80. `control`, `server` and `client` are options of that part only."""
    plane = mesh.control or mesh.start_control(lifetime=lifetime, **(control or {}))
    application = mesh.add(EchoServer(handler))
    plane.create_service(SERVICE, SERVICE_PORT, identity("web"))
    inbound = mesh.sidecar("web", serves=[(SERVICE, SERVICE_PORT, application.address)],
                           **{**options, **(server or {})})
    outbound = mesh.sidecar("client", calls=[SERVICE], **{**options, **(client or {})})
    pair = Pair.of(outbound, outbound.port(SERVICE))
    pair.server, pair.server_id, pair.client_id = inbound, identity("web"), identity("client")
    return pair, application, plane


def read_all(connection):
    """Everything until the orderly end; a reset raises ConnectionResetError."""
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def outcome(connection):
    """How the other end left: ("eof" | "reset", bytes that came before)."""
    pieces = []
    while True:
        try:
            piece = connection.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            return "reset", b"".join(pieces)
        if not piece:
            return "eof", b"".join(pieces)
        pieces.append(piece)


def reset(connection):
    """Closes with a RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def is_sanitized(pid):
    """A sanitizer keeps freed memory, so that resident memory says little."""
    maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
    return "libasan" in maps or "libtsan" in maps


def resident_bytes(pid):
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def descriptor_count(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
