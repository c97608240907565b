# SPDX-License-Identifier: GPL-3.0-or-later
"""When the disk is full or fails, no answer is given whose effect would be lost; afterwards the control
plane goes on by itself. Its data folder is a small file system of its own, in a mount namespace."""
import contextlib
import errno
import os
import pathlib
import subprocess

import grpc
import pytest

from client import Admin, Status, connect, mesh_pb2, new_key, refused
from mesh import CONTROL, Control, Process, check_clean, identity, wait_until

WEB = identity("web")


class SmallDisk(Control):
    """A control plane on a disk of `size`."""

    def start_on(self, size):
        disk = self.folder / "disk"
        disk.mkdir(exist_ok=True)
        script = (f"mount -t tmpfs -o size={size},mode=700 tmpfs {disk} && cp -a {self.data}/. {disk}/ "
                  f"&& mount --bind {disk} {self.data} && exec {CONTROL} serve --config {self.config}")
        self.process = Process(self.name, ["unshare", "--mount", "sh", "-c", script], self.folder)
        wait_until(self.is_ready, "the control plane", 20, self.process)
        return self

    @property
    def seen_data(self):
        """The folder as the process sees it."""
        return pathlib.Path(f"/proc/{self.process.pid}/root{self.data}")

    def fill(self):
        """To the last byte."""
        with open(self.seen_data / "filler", "ab", buffering=0) as filler:
            for piece in (1 << 20, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        filler.write(bytes(piece))
        with pytest.raises(OSError) as caught:
            (self.seen_data / "one-more").write_bytes(b"x" * 4096)
        assert caught.value.errno == errno.ENOSPC
        (self.seen_data / "one-more").unlink()

    def make_room(self):
        (self.seen_data / "filler").unlink()


def can_mount():
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not can_mount(), reason="needs the right to mount (root)")


@pytest.fixture
def control(mesh):
    lifted = ("limits: {attestations_per_second: 10000, attestation_burst: 10000, "
              "signings_per_second: 10000, signing_burst: 10000}\n")
    return mesh.add(SmallDisk(mesh.folder, extra=lifted)).start_on("16m")


def issue_until_refused(caller, tokens):
    """What still fitted into what the store had on disk already, then the refusal."""
    issued = []
    while tokens:
        token = tokens.pop()
        try:
            issued.append(caller.issue(token=token.token))
        except grpc.RpcError as error:
            return issued, token, error
    raise AssertionError("the disk never was full")


def test_full_disk(control, mesh):
    with Admin(control) as admin, connect(control) as caller:
        admin.create_service("web", WEB)
        tokens = [admin.create_token(WEB) for _ in range(400)]
        renewing = caller.issue(token=tokens.pop().token)
        other = caller.issue(token=admin.create_token(identity("other")).token)
        control.fill()
        issued, refused_token, error = issue_until_refused(caller, tokens)
        assert error.code() == Status.UNAVAILABLE
        assert error.details() == ("store_unavailable: the store did not accept the write: nothing was "
                                   "issued; try again")
        wait_until(lambda: admin.has_alarm("store_fails", "does not accept writes"), "the alarm")
        # Nobody gets a certificate, whatever the evidence; nothing else is changed either.
        with connect(control, renewing) as one, refused(Status.UNAVAILABLE, "store_unavailable"):
            one.issue()
        with refused(Status.RESOURCE_EXHAUSTED):
            admin.create_token(WEB)
        with refused(Status.RESOURCE_EXHAUSTED):
            admin.create_service("new", WEB)
        with refused(Status.RESOURCE_EXHAUSTED, "NOTHING WAS REVOKED"):
            admin.revoke(other.serial)
        # What needs no write works: the data plane is served with what is there.
        assert list(admin.services()) == ["web"]
        assert not admin.tokens()[refused_token.id].used_at_s
        with connect(control, other) as one:
            requests = iter([mesh_pb2.SyncRequest(hello=mesh_pb2.Hello(instance_id="0" * 16))])
            assert next(one.mesh.Sync(requests)).is_full
        known = set(admin.certificates())
        assert known == {one.serial for one in [*issued, renewing, other]}
        control.make_room()
        key = new_key()
        svid = wait_until(lambda: try_issue(caller, key, refused_token.token), "the store to take writes")
        assert svid.identity == WEB
        wait_until(lambda: not admin.has_alarm("store_fails"), "the alarm to be taken back")
        with connect(control, renewing) as one:
            assert one.issue().lineage == renewing.lineage
        assert admin.certificates()[other.serial].state == "live"
        admin.revoke(other.serial)
        assert admin.certificates()[other.serial].state == "revoked"


def try_issue(caller, key=None, token=None):
    """The certificate, or None while the store takes no write."""
    try:
        return caller.issue(key, token)
    except grpc.RpcError as error:
        assert error.code() == Status.UNAVAILABLE
        return None


def test_backup_on_a_full_disk(control):
    with Admin(control) as admin, connect(control) as caller:
        svid = caller.issue(token=admin.create_token(WEB).token)
        control.fill()
        with refused(Status.RESOURCE_EXHAUSTED):
            admin.backup()
        control.make_room()
        assert not [path.name for path in control.seen_data.iterdir() if "backup" in path.name]
        wait_until(lambda: try_backup(admin), "a backup")
        assert svid.serial in admin.certificates()


def try_backup(admin):
    try:
        return admin.backup()
    except grpc.RpcError:
        return None


def test_start_on_a_full_disk(control):
    """It serves what it has; writing begins when there is room."""
    with Admin(control) as admin, connect(control) as caller:
        admin.create_service("web", WEB)
        svid = caller.issue(token=admin.create_token(WEB).token)
    control.fill()
    # A second process in the same namespace, after the first.
    first = control.process
    keeper = subprocess.Popen(["nsenter", "--mount", "--target", str(first.pid), "cat"],
                              stdin=subprocess.PIPE)
    pid = keeper.pid
    namespace = os.readlink(f"/proc/{first.pid}/ns/mnt")
    wait_until(lambda: os.readlink(f"/proc/{pid}/ns/mnt") == namespace, "the keeper of the namespace")
    try:
        assert first.stop() == 0
        check_clean(first)
        control.process = Process("second", ["nsenter", "--mount", "--target", str(pid), CONTROL,
                                             "serve", "--config", control.config], control.folder)
        wait_until(control.is_ready, "the control plane", 20, control.process)
        with Admin(control) as admin, connect(control, svid) as caller:
            assert list(admin.services()) == ["web"]
            (pathlib.Path(f"/proc/{pid}/root{control.data}") / "filler").unlink()
            wait_until(lambda: try_issue(caller), "a renewal")
        control.process.stop()
    finally:
        keeper.stdin.close()
        keeper.wait()
