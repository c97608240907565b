# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may call what: every method that the server has, by every kind of caller. The table is written
out by hand; a method that it does not name fails the test."""
import array
import os
import socket
import subprocess
import threading

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2

from client import (WAIT_S, Admin, Caller, Status, admin_pb2, connect, connect_admin, identity_pb2,
                    mesh_pb2)
from mesh import identity, wait_until

NOBODY = 65534
GROUP = 54321  # of administrators
OPERATOR = identity("operator")

OK = (Status.OK, "")
NO_CERTIFICATE = (Status.UNAUTHENTICATED, "no_certificate")
NO_SVID = (Status.UNAUTHENTICATED, "no_svid")
NOT_ADMIN = (Status.PERMISSION_DENIED, "not_an_admin")
CUT_OFF = (Status.UNAVAILABLE, "")  # refused before any call, in the TLS handshake
# Past the door, with a request that asks for nothing.
NO_EVIDENCE = (Status.UNAUTHENTICATED, "no_evidence")
CSR_INVALID = (Status.INVALID_ARGUMENT, "csr_invalid")
NO_HELLO = (Status.INVALID_ARGUMENT, "the first message must be Hello")
NO_NAME = (Status.INVALID_ARGUMENT, "names no service")
NO_CHANGE = (Status.INVALID_ARGUMENT, "changes nothing")
NO_SERVICE = (Status.NOT_FOUND, "does not exist")
NO_IDENTITY = (Status.INVALID_ARGUMENT, "SPIFFE ID")
NO_TOKEN_ID = (Status.INVALID_ARGUMENT, "hexadecimal digits")
NO_SERIAL = (Status.INVALID_ARGUMENT, "a serial of this mesh")

CALLERS = ("none", "workload", "admin", "revoked", "root", "other_user", "group_member")


def anyone(*, svid=OK, without=OK):
    """`svid`: what who shows one gets; `without`: what the others get."""
    return dict(none=without, workload=svid, admin=svid, revoked=CUT_OFF, root=without,
                other_user=without, group_member=without)


def workloads(passed):
    return dict(none=NO_CERTIFICATE, workload=passed, admin=passed, revoked=CUT_OFF, root=NO_SVID,
                other_user=NO_SVID, group_member=NO_SVID)


def admins(passed=OK):
    return dict(none=NO_CERTIFICATE, workload=NOT_ADMIN, admin=passed, revoked=CUT_OFF, root=passed,
                other_user=NOT_ADMIN, group_member=passed)


TABLE = {
    "/remora.identity.v1.Identity/Issue": anyone(svid=CSR_INVALID, without=NO_EVIDENCE),
    "/remora.identity.v1.Identity/WatchTrust": anyone(),
    "/remora.mesh.v1.Mesh/Sync": workloads(NO_HELLO),
    "/remora.admin.v1.Admin/GetStatus": admins(),
    "/remora.admin.v1.Admin/CreateService": admins(NO_NAME),
    "/remora.admin.v1.Admin/UpdateService": admins(NO_CHANGE),
    "/remora.admin.v1.Admin/DeleteService": admins(NO_SERVICE),
    "/remora.admin.v1.Admin/ListServices": admins(),
    "/remora.admin.v1.Admin/CreateToken": admins(NO_IDENTITY),
    "/remora.admin.v1.Admin/DeleteToken": admins(NO_TOKEN_ID),
    "/remora.admin.v1.Admin/ListTokens": admins(),
    "/remora.admin.v1.Admin/ListIdentities": admins(),
    "/remora.admin.v1.Admin/ListCertificates": admins(),
    "/remora.admin.v1.Admin/RevokeCertificate": admins(NO_SERIAL),
    "/remora.admin.v1.Admin/GetBundle": admins(),
    "/remora.admin.v1.Admin/Backup": admins(),
    "/grpc.health.v1.Health/Check": anyone(),
    "/grpc.health.v1.Health/Watch": anyone(),
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": anyone(),
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": anyone(),
}

# What is sent; otherwise an empty message.
LIST = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
REQUESTS = {
    "/remora.mesh.v1.Mesh/Sync": mesh_pb2.SyncRequest(ack=mesh_pb2.Ack(
        version=mesh_pb2.Version(store_id=bytes(16), number=1), view_hash=bytes(32))
    ).SerializeToString(),
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": LIST,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": LIST,
}


# --- Callers over the Unix socket that are somebody else.

CONNECT_AND_HAND_OVER = """
import array, socket, sys
path, channel = sys.argv[1], socket.socket(fileno=int(sys.argv[2]))
connection = socket.socket(socket.AF_UNIX)
connection.connect(path)
channel.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [connection.fileno()]))])
"""


def connect_as(path, uid, groups):
    """A connection that the kernel recorded as another user's: the credentials are those of who
    connects, whoever uses it afterwards."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            ["/usr/bin/python3", "-c", CONNECT_AND_HAND_OVER, str(path), str(theirs.fileno())],
            pass_fds=[theirs.fileno()], user=uid, group=uid, extra_groups=groups,
            capture_output=True, text=True, timeout=WAIT_S, cwd="/")
        if done.returncode != 0:
            raise PermissionError(done.stderr)
        _, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(4))
        descriptors = array.array("i")
        descriptors.frombytes(ancillary[0][2])
        return socket.socket(fileno=descriptors[0])


class Bridge:
    """A port that leads to one socket that is connected already."""

    def __init__(self, connection):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connection = connection
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        client, _ = self.listener.accept()
        for pair in ((client, self.connection), (self.connection, client)):
            threading.Thread(target=self._copy, args=pair, daemon=True).start()

    @staticmethod
    def _copy(reader, writer):
        try:
            while data := reader.recv(65536):
                writer.sendall(data)
            writer.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.listener.close()
        self.connection.close()


@pytest.fixture(scope="module")
def control(shared):
    shared.folder.chmod(0o755)  # another user must reach the socket before we can refuse it
    socket_path = shared.folder / "control.sock"
    lifted = ("limits: {attestations_per_second: 1000, attestation_burst: 1000, "
              "signings_per_second: 10000, signing_burst: 10000}\n")
    started = shared.start_control(extra=f"{lifted}admins: ['{OPERATOR}']\n")
    started.stop()
    # The group is part of a section that the first configuration has written already.
    text = started.config.read_text().replace(f"path: {socket_path}",
                                              f"path: {socket_path}, group: '{GROUP}'")
    started.write_config(text)
    started.start()
    yield started


@pytest.fixture(scope="module")
def callers(control):
    """One connection for each kind of caller."""
    with Admin(control) as admin, connect(control) as bootstrap:
        svids = {name: bootstrap.issue(token=admin.create_token(who).token)
                 for name, who in (("workload", identity("web")), ("admin", OPERATOR),
                                   ("revoked", identity("gone")))}
        admin.revoke(svids["revoked"].serial)
    control.socket_mode = oct(os.stat(control.admin_socket).st_mode & 0o777)
    control.socket_group = os.stat(control.admin_socket).st_gid
    group_member = Bridge(connect_as(control.admin_socket, NOBODY, [GROUP]))
    # The file's mode keeps strangers out. Were it not for that, the server would.
    with pytest.raises(PermissionError):
        connect_as(control.admin_socket, NOBODY, [])
    os.chmod(control.admin_socket, 0o666)
    other_user = Bridge(connect_as(control.admin_socket, NOBODY, []))
    opened = {
        "none": connect(control),
        "workload": connect(control, svids["workload"]),
        "admin": connect(control, svids["admin"]),
        "revoked": connect(control, svids["revoked"]),
        "root": connect_admin(control),
        "other_user": Caller(f"127.0.0.1:{other_user.port}"),
        "group_member": Caller(f"127.0.0.1:{group_member.port}"),
    }
    # The TLS port has taken the revocation over.
    wait_until(lambda: outcome(opened["revoked"], "/grpc.health.v1.Health/Check")[0] ==
               Status.UNAVAILABLE, "the revoked certificate to be refused")
    yield opened
    for one in opened.values():
        one.close()
    for bridge in (other_user, group_member):
        bridge.close()


def outcome(caller, path):
    """(status, sentence); a first answer counts as OK, since some streams never end."""
    call = caller.channel.stream_stream(path)(iter([REQUESTS.get(path, b"")]), timeout=WAIT_S,
                                              wait_for_ready=False)
    try:
        for _ in call:
            return Status.OK, ""
        return Status.OK, ""
    except grpc.RpcError as error:
        return error.code(), error.details()
    finally:
        call.cancel()


def all_methods(caller):
    """Every method of every service, as the server itself tells."""
    def ask(**question):
        method = caller.channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString)
        (answer,) = method(iter([reflection_pb2.ServerReflectionRequest(**question)]), timeout=WAIT_S)
        return answer

    for listed in ask(list_services="").list_services_response.service:
        answer = ask(file_containing_symbol=listed.name)
        for der in answer.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(der)
            for service in file.service:
                for method in service.method:
                    yield f"/{file.package}.{service.name}/{method.name}"


def test_table_names_every_method(callers):
    assert set(all_methods(callers["root"])) == set(TABLE)


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("path", TABLE)
def test_access(callers, path, who):
    status, part = TABLE[path][who]
    code, details = outcome(callers[who], path)
    assert code == status, details
    assert part in details


@pytest.mark.parametrize("who", [who for who in CALLERS if who != "revoked"])
@pytest.mark.parametrize("path", [
    "/remora.admin.v1.Admin/NoSuchMethod", "/remora.admin.v1.Admin/", "/remora.admin.v1.Admin",
    "/remora.admin.v1.admin/GetStatus", "/remora.sidecar.v1.Local/Dump", "/x",
    "/remora.admin.v1.Admin/GetStatus/", "//remora.admin.v1.Admin/GetStatus"])
def test_nobody_calls_what_is_not_there(callers, path, who):
    assert outcome(callers[who], path)[0] == Status.UNIMPLEMENTED


def test_socket_belongs_to_the_group(callers, control):
    assert (control.socket_mode, control.socket_group) == ("0o660", GROUP)


def test_audit_names_the_caller(callers, control, tmp_path):
    for who in ("admin", "root", "group_member"):
        callers[who].admin.CreateService(admin_pb2.CreateServiceRequest(service=admin_pb2.Service(
            name=f"by-{who.replace('_', '-')}", port=80, identities=[identity("web")])))
    with Admin(control) as admin:
        actors = {one.subject: one.actor for one in admin.audit(tmp_path)
                  if one.action == "service_create"}
    assert actors == {"by-admin": OPERATOR, "by-root": "uid 0",
                      "by-group-member": f"uid {NOBODY}"}


def test_list_of_admins_follows_a_reload(control, callers):
    """SIGHUP: who is taken off the list is no administrator from the next call on."""
    text = control.config.read_text()
    try:
        control.write_config(text.replace(OPERATOR, identity("somebody")))
        control.process.signal(1)
        wait_until(lambda: outcome(callers["admin"], "/remora.admin.v1.Admin/GetStatus")[0] ==
                   Status.PERMISSION_DENIED, "the reload", process=control.process)
    finally:
        control.write_config(text)
        control.process.signal(1)
        wait_until(lambda: outcome(callers["admin"], "/remora.admin.v1.Admin/GetStatus")[0] ==
                   Status.OK, "the reload back", process=control.process)


def test_watchers_learn_the_roots(callers):
    """By anybody: these are public."""
    stream = callers["none"].identity.WatchTrust(identity_pb2.WatchTrustRequest(), timeout=WAIT_S)
    bundle = next(stream)
    assert bundle.trust_domain == "example.org" and len(bundle.roots) == 1
    stream.cancel()
