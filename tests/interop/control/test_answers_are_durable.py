# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is answered before it is durable: whatever a client was told is there after the server was
killed. A restored backup is a new store, and says so."""
import contextlib
import sqlite3
import subprocess

import pytest

from client import (Admin, Status, Svid, admin_pb2, connect, identity_pb2, make_csr, new_key, refused,
                    rejoin_proof, spki, store_pb2)
from mesh import CONTROL, identity
from sync_client import Sync, endpoints_of

WEB = identity("web")


@pytest.fixture
def control(mesh):
    return mesh.start_control()


def kill_and_restart(control):
    control.process.stop(9)
    control.start()


@contextlib.contextmanager
def restarted(control):
    """New connections after the crash."""
    kill_and_restart(control)
    with Admin(control) as admin, connect(control) as caller:
        yield admin, caller


def test_what_was_answered_survives_a_kill(control):
    """Each answer is followed by SIGKILL at once."""
    with Admin(control) as admin:
        admin.create_service("web", WEB, port=8080, dns_names=["web.example.org"],
                             allow=[identity("friend")])
    with restarted(control) as (admin, _):
        service = admin.services()["web"]
        assert (service.port, service.guarded) == (8080, True)
        assert list(service.dns_names) == ["web.example.org"]
        token = admin.create_token(WEB, "web")
    key, rejoin_key = new_key(), new_key()
    with restarted(control) as (admin, caller):
        assert token.id in admin.tokens()
        first = caller.issue(key, token.token, rejoin_public_key=spki(rejoin_key))
    with restarted(control) as (admin, caller):
        assert admin.tokens()[token.id].used_at_s != 0
        with refused(Status.PERMISSION_DENIED, "token_used"):
            caller.issue(token=token.token)
        # The answer may have been lost in the crash: it is given again.
        assert caller.issue(key, token.token).serial == first.serial
    next_key = new_key()
    with connect(control, first) as caller:
        second = caller.issue(next_key)
    with restarted(control) as (admin, caller):
        states = {serial: one.state for serial, one in admin.certificates().items()}
        assert states == {first.serial: "renewed", second.serial: "live"}
        with connect(control, first) as renewing:
            assert renewing.issue(next_key).serial == second.serial
        csr_key = new_key()
        csr = make_csr(csr_key)
        back = caller.issue(csr_key, csr=csr, rejoin=rejoin_proof(rejoin_key, WEB, csr))
        assert back.identity == WEB
        admin.revoke(second.serial)
    with restarted(control) as (admin, caller):
        assert admin.certificates()[second.serial].state == "revoked"
        for one in (first, second):
            with connect(control, one) as revoked, refused(Status.UNAVAILABLE):
                revoked.issue()
        admin.admin.DeleteService(admin_pb2.DeleteServiceRequest(name="web"))
    with restarted(control) as (admin, caller):
        assert admin.services() == {}


def test_fork_survives_a_kill(control):
    with Admin(control) as admin, connect(control) as caller:
        first = caller.issue(token=admin.create_token(WEB).token)
    with connect(control, first) as caller:
        second = caller.issue()
    with connect(control, first) as thief, refused(Status.PERMISSION_DENIED, "lineage_forked"):
        thief.issue()
    with restarted(control) as (admin, _):
        assert {one.state for one in admin.certificates().values()} == {"revoked"}
        with connect(control, second) as victim, refused(Status.UNAVAILABLE):
            victim.issue()


def test_load_until_a_kill(control, mesh):
    """Sixteen issues at a time; whatever was answered before the end is in the store."""
    with Admin(control) as admin, connect(control) as caller:
        tokens = [admin.create_token(WEB).token for _ in range(200)]
        keys = [new_key() for _ in tokens]
        calls = [caller.identity.Issue.future(identity_pb2.IssueRequest(csr=make_csr(key),
                                                                        join_token=token))
                 for key, token in zip(keys, tokens)]
        calls[40].result(30)
        control.process.stop(9)
        answers = [call.result() for call in calls if call.exception() is None]
    assert len(answers) >= 41
    with restarted(control) as (admin, caller):
        known = admin.certificates()
        for answer in answers:
            assert Svid(None, answer).serial in known
        records = admin.records(mesh.folder)
        # And nothing is there by half: each certificate has its lineage, its burnt token, its record.
        burnt = {bytes(one.lineage) for one in
                 (store_pb2.TokenRecord.FromString(value) for key, value in records.items()
                  if key.startswith("token/")) if one.used_at_s}
        assert burnt == {serial[:8] for serial in known}
        assert {key.split("/")[1] for key in records if key.startswith("lineage/")} == {
            lineage.hex() for lineage in burnt}
        issued = [one for one in admin.audit(mesh.folder) if one.action == "issue"]
        assert len(issued) == len(known)


def test_own_certificates_change_and_the_root_stays(control):
    bundle = control.bundle.read_bytes()
    with connect(control) as caller, Admin(control) as admin:
        first = caller.issue(token=admin.create_token(WEB).token)
    kill_and_restart(control)
    assert control.bundle.read_bytes() == bundle
    with connect(control, first) as caller:
        second = caller.issue()
    assert second.intermediate == first.intermediate


def serve(control, admin, caller, name, address=":15008"):
    """A workload with an endpoint: its certificate and its stream."""
    svid = caller.issue(token=admin.create_token(identity(name), name).token)
    workload = connect(control, svid)
    sync = Sync(workload, services=["*"], exposes=[dict(service=name)], tunnel_address=address)
    sync.until(lambda view: f"{name}/{sync.instance_id}" in view.endpoints)
    return svid, workload, sync


@pytest.mark.parametrize("how", [9, 15])
def test_endpoints_outlive_a_restart(control, how):
    """The data plane keeps its view meanwhile; a sidecar that comes back finds its endpoint as it was, and
    so does everybody who resumes."""
    with Admin(control) as admin, connect(control) as caller:
        admin.create_service("web", WEB)
        svid, workload, sync = serve(control, admin, caller, "web")
        before = endpoints_of(admin, "web")
        view = sync.view
    workload.close()
    control.process.stop(how)
    control.start()
    with Admin(control) as admin:
        assert set(endpoints_of(admin, "web")) == set(before)  # at once: nobody came back yet
        with connect(control, svid) as caller:
            again = Sync(caller, services=["*"], exposes=[dict(service="web")],
                         tunnel_address=":15008", instance_id=sync.instance_id,
                         resume=view.version)
            again.view = view
            response = again.step()
            assert [put.key for put in response.puts] == [] or response.is_full
            assert endpoints_of(admin, "web")[sync.instance_id].address == \
                before[sync.instance_id].address
            again.cancel()


# --- Backup and restore.

def backup(control, path, *, parts=("store is in",)):
    done = subprocess.run([CONTROL, "backup", "--config", control.config, path], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for part in parts:
        assert part in done.stderr
    return path


def restore(control, path):
    return subprocess.run([CONTROL, "restore", "--config", control.config, path],
                          capture_output=True, text=True, timeout=60)


@pytest.fixture
def keyed(mesh):
    """A control plane whose key lies beside its data folder, as it should."""
    lifted = ("limits: {attestations_per_second: 1000, attestation_burst: 1000, "
              "signings_per_second: 10000, signing_burst: 10000}\n")
    return mesh.start_control(extra=f"{lifted}kek_file: {mesh.folder / 'kek'}\n")


def replace_by(control, backup_path):
    """Stops, moves the data folder away, restores, and serves what was restored."""
    control.stop()
    moved = control.data.with_name("moved")
    control.data.rename(moved)
    done = restore(control, backup_path)
    assert done.returncode == 0, done.stderr
    assert "new store id" in done.stderr
    control.start()
    return moved


def test_restored_store_is_another_one(keyed, tmp_path):
    with Admin(keyed) as admin, connect(keyed) as caller:
        admin.create_service("web", WEB)
        revoked = caller.issue(token=admin.create_token(WEB).token)
        admin.revoke(revoked.serial)
        unused = admin.create_token(WEB)
        living, workload, sync = serve(keyed, admin, caller, "web")
        store_id = admin.status().store_id
        path = backup(keyed, tmp_path / "backup")
        # After the backup: this is not in it.
        with connect(keyed, living) as one:
            newer = one.issue()
        lost = admin.create_token(WEB)
        sync.until(lambda view: view.withdrawals and view.endpoints)
        view = sync.view
        workload.close()
    assert path.stat().st_mode & 0o777 == 0o600
    replace_by(keyed, path)
    with Admin(keyed) as admin, connect(keyed) as caller:
        status = admin.status()
        assert status.store_id != store_id
        assert admin.has_alarm("store_replaced", "restored from a backup", "revoke again")
        assert [one.action for one in admin.audit(tmp_path)].count("store_replaced") == 1
        # The revocation stands, for the control plane and in the view.
        with connect(keyed, revoked) as one, refused(Status.UNAVAILABLE):
            one.issue()
        # What was issued after the backup goes on: its signature is ours.
        with connect(keyed, newer) as one:
            again = Sync(one, services=["*"], resume=view.version)
            response = again.step()
            assert response.is_full and response.version.store_id == status.store_id
            assert any(one.subject == revoked.lineage for one in again.view.withdrawals.values())
            again.cancel()
            assert one.issue().lineage == newer.lineage
        assert caller.issue(token=unused.token).identity == WEB
        with refused(Status.PERMISSION_DENIED, "token_unknown"):
            caller.issue(token=lost.token)
    # The alarm is there after another restart too, and nothing is told twice.
    keyed.stop()
    keyed.start()
    with Admin(keyed) as admin:
        assert admin.has_alarm("store_replaced")
        assert admin.status().store_id == status.store_id
        assert [one.action for one in admin.audit(tmp_path)].count("store_replaced") == 1


def test_ordinary_restart_raises_no_alarm(control):
    kill_and_restart(control)
    with Admin(control) as admin:
        assert not admin.has_alarm("store_replaced")


def test_backup_of_a_stopped_server(keyed, tmp_path):
    with Admin(keyed) as admin:
        admin.create_service("web", WEB)
    keyed.stop()
    path = backup(keyed, tmp_path / "backup")
    replace_by(keyed, path)
    with Admin(keyed) as admin:
        assert list(admin.services()) == ["web"]


def test_backup_refuses_to_overwrite(control, tmp_path):
    (tmp_path / "backup").write_text("precious")
    done = subprocess.run([CONTROL, "backup", "--config", control.config, tmp_path / "backup"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "exists: name a new file" in done.stderr
    assert (tmp_path / "backup").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["backup"]


def test_backup_while_tokens_are_made(control, tmp_path):
    """A consistent copy, whatever happens beside it."""
    with Admin(control) as admin:
        calls = [admin.admin.CreateToken.future(admin_pb2.CreateTokenRequest(identity=WEB))
                 for _ in range(30)]
        content = admin.backup()
        for call in calls:
            call.result(30)
    path = tmp_path / "copy"
    path.write_bytes(content)
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "other", "missing", "live"])
def test_what_is_no_backup(keyed, tmp_path, kind):
    path = backup(keyed, tmp_path / "good")
    content = path.read_bytes()
    bad = tmp_path / "bad"
    if kind == "live":
        bad = keyed.data.with_name("moved") / "store.db"
    elif kind != "missing":
        bad.write_bytes({"empty": b"", "text": b"hello" * 1000, "cut": content[:len(content) // 2],
                         "other": b"SQLite format 3\0" + bytes(4080)}[kind])
    keyed.process.stop(9)  # leaves its log, so that the file alone is no whole store
    keyed.data.rename(keyed.data.with_name("moved"))
    done = restore(keyed, bad)
    assert done.returncode == 1
    assert str(bad) in done.stderr or "damaged" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not keyed.data.exists()


def test_restore_into_a_folder_in_use(keyed, tmp_path):
    path = backup(keyed, tmp_path / "backup")
    done = restore(keyed, path)
    assert done.returncode == 1 and "in use by process" in done.stderr
    keyed.stop()
    done = restore(keyed, path)
    assert done.returncode == 1 and "is not empty" in done.stderr


def test_restored_store_needs_its_key(mesh, keyed, tmp_path):
    path = backup(keyed, tmp_path / "backup")
    keyed.stop()
    keyed.data.rename(keyed.data.with_name("moved"))
    assert restore(keyed, path).returncode == 0
    (mesh.folder / "kek").write_text("1" * 64)
    done = subprocess.run([CONTROL, "serve", "--config", keyed.config], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 1 and "key-encryption key does not open" in done.stderr
