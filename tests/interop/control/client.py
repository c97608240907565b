# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of the control plane that shares no code with it: grpcio, stubs made from the contracts
when the tests run, keys and requests by python-cryptography.
"""
import contextlib
import pathlib
import socket
import sqlite3
import struct
import sys
import tempfile
import threading
import time

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpc_tools import protoc

from mesh import REPO, TRUST_DOMAIN, wait_until

CONTRACTS = ("identity", "admin", "mesh", "store")
CONTROL_ID = f"spiffe://{TRUST_DOMAIN}/remora/control"
WAIT_S = 30  # for an answer that comes; reached only when it does not
REPEAT_S = 600  # how long a token may be used again by the key it was burnt against


def _make_stubs():
    folder = tempfile.TemporaryDirectory(prefix="remora-stubs-")
    files = [f"remora/{name}/v1/{name}.proto" for name in CONTRACTS]
    status = protoc.main(["protoc", f"--proto_path={REPO / 'proto'}", f"--python_out={folder.name}",
                          f"--grpc_python_out={folder.name}", *files])
    assert status == 0
    sys.path.insert(0, folder.name)
    return folder


_stubs = _make_stubs()

from remora.admin.v1 import admin_pb2, admin_pb2_grpc  # noqa: E402
from remora.identity.v1 import identity_pb2, identity_pb2_grpc  # noqa: E402
from remora.mesh.v1 import mesh_pb2, mesh_pb2_grpc  # noqa: E402
from remora.store.v1 import store_pb2  # noqa: E402

Status = grpc.StatusCode


# --- Keys and requests.

def new_key():
    return ec.generate_private_key(ec.SECP256R1())


def spki(key):
    return key.public_key().public_bytes(serialization.Encoding.DER,
                                         serialization.PublicFormat.SubjectPublicKeyInfo)


def key_pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def make_csr(key, subject=(), names=()):
    """`names` become subject alternative names; none of it should count."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(list(subject)))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def rejoin_proof(key, identity, csr, signed_at_s=None, public_key=None):
    signed_at_s = int(time.time()) if signed_at_s is None else signed_at_s
    signed = b"remora-rejoin-v1\0" + csr + struct.pack(">q", signed_at_s)
    return identity_pb2.RejoinProof(
        identity=identity, public_key=public_key or spki(key), signed_at_s=signed_at_s,
        signature=key.sign(signed, ec.ECDSA(hashes.SHA256())))


class Svid:
    """An answer of Issue and the key it is for."""

    def __init__(self, key, answer):
        self.key, self.answer = key, answer
        self.chain = [x509.load_der_x509_certificate(der) for der in answer.certificates]
        self.leaf, self.intermediate = self.chain
        self.serial = self.leaf.serial_number.to_bytes(16, "big")
        self.lineage = self.serial[:8]
        self.identity = answer.identity

    @property
    def chain_pem(self):
        return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in self.chain)

    @property
    def credentials(self):
        return key_pem(self.key), self.chain_pem

    def write(self, folder, stem):
        """(certificate path, key path)"""
        folder = pathlib.Path(folder)
        (folder / f"{stem}.pem").write_bytes(self.chain_pem)
        (folder / f"{stem}.key").write_bytes(key_pem(self.key))
        return folder / f"{stem}.pem", folder / f"{stem}.key"


# --- Calls.

@contextlib.contextmanager
def refused(status, *parts):
    """The call inside ends with exactly `status`, and its sentence holds every part."""
    with pytest.raises(grpc.RpcError) as caught:
        yield caught
    error = caught.value
    assert (error.code(), error.details()) == (status, error.details())
    for part in parts:
        assert part in error.details()
    assert error.details().strip(), "a refusal without a sentence"


class Caller:
    """One connection of its own."""

    OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0),
               ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200),
               ("grpc.max_receive_message_length", 16 << 20)]

    def __init__(self, target, credentials=None):
        if credentials is None:
            self.channel = grpc.insecure_channel(target, options=self.OPTIONS)
        else:
            options = self.OPTIONS + [("grpc.ssl_target_name_override", "localhost")]
            self.channel = grpc.secure_channel(target, credentials, options=options)
        self.identity = identity_pb2_grpc.IdentityStub(self.channel)
        self.mesh = mesh_pb2_grpc.MeshStub(self.channel)
        self.admin = admin_pb2_grpc.AdminStub(self.channel)

    def close(self):
        self.channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.close()

    def issue(self, key=None, token=None, csr=None, **fields):
        """Issues for `key` (default: a new one); `csr` replaces the one made from it."""
        key = key or new_key()
        if token is not None:
            fields["join_token"] = token
        request = identity_pb2.IssueRequest(csr=make_csr(key) if csr is None else csr, **fields)
        return Svid(key, self.identity.Issue(request, timeout=WAIT_S))


def connect(control, svid=None, port=None):
    """Over TLS, as who `svid` says; without one anonymously."""
    key, chain = svid.credentials if svid is not None else (None, None)
    credentials = grpc.ssl_channel_credentials(control.bundle.read_bytes(), key, chain)
    return Caller(f"127.0.0.1:{port or control.port}", credentials)


def connect_admin(control):
    return Caller(f"unix:{control.admin_socket}")


class SourceProxy:
    """Forwards connections to `port` from another address of this machine (127.0.0.x), since grpcio
    cannot choose its own."""

    def __init__(self, source, port):
        self.source, self.target = source, port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target),
                                                  source_address=(self.source, 0))
            except OSError:
                client.close()
                continue
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=pair, daemon=True).start()

    @staticmethod
    def _copy(reader, writer):
        with contextlib.suppress(OSError):
            while data := reader.recv(65536):
                writer.sendall(data)
        for one in (writer, reader):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.close()


# --- Administration.

class Admin(Caller):
    """The operator's side, over the Unix socket."""

    def __init__(self, control):
        super().__init__(f"unix:{control.admin_socket}")

    def create_service(self, name, *identities, port=80, **fields):
        service = admin_pb2.Service(name=name, port=port, identities=identities, **fields)
        return self.admin.CreateService(admin_pb2.CreateServiceRequest(service=service),
                                        timeout=WAIT_S)

    def create_token(self, identity, *services, **fields):
        return self.admin.CreateToken(
            admin_pb2.CreateTokenRequest(identity=identity, services=services, **fields),
            timeout=WAIT_S)

    def revoke(self, serial, reason="test"):
        return self.admin.RevokeCertificate(
            admin_pb2.RevokeCertificateRequest(serial=serial, reason=reason), timeout=WAIT_S)

    def status(self):
        return self.admin.GetStatus(admin_pb2.GetStatusRequest(), timeout=WAIT_S)

    def services(self):
        answer = self.admin.ListServices(admin_pb2.ListServicesRequest(), timeout=WAIT_S)
        return {one.name: one for one in answer.services}

    def tokens(self):
        answer = self.admin.ListTokens(admin_pb2.ListTokensRequest(), timeout=WAIT_S)
        return {one.id: one for one in answer.tokens}

    def certificates(self, **fields):
        answer = self.admin.ListCertificates(admin_pb2.ListCertificatesRequest(**fields),
                                             timeout=WAIT_S)
        return {one.serial: one for one in answer.certificates}

    def has_alarm(self, *parts):
        return any(all(part in alarm for part in parts) for alarm in self.status().alarms)

    def wait_alarm(self, *parts):
        wait_until(lambda: self.has_alarm(*parts), f"an alarm with {parts}")

    def backup(self):
        return b"".join(chunk.data for chunk in
                        self.admin.Backup(admin_pb2.BackupRequest(), timeout=WAIT_S))

    def records(self, folder):
        """What the store holds now, by key, from a backup."""
        path = pathlib.Path(tempfile.mkstemp(dir=folder, suffix=".db")[1])
        path.write_bytes(self.backup())
        return read_store(path)

    def audit(self, folder):
        """The audit records, oldest first."""
        records = self.records(folder)
        return [store_pb2.AuditRecord.FromString(records[key]) for key in sorted(records)
                if key.startswith("audit/")]


def read_store(path):
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return dict(database.execute("SELECT key, value FROM kv"))
