# SPDX-License-Identifier: GPL-3.0-or-later
"""A restart loses the certificate, which lives in memory only. With a state folder the host proves itself again;
without one the error says what is needed."""
import signal
import stat

import pytest

from mesh import identity, wait_until
from pair import joined_pair


def certificates(control):
    return control.json("certificates", "--all")["certificates"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_restart_with_a_state_folder_needs_no_token(mesh, number):
    """The token is used and gone; the kept key is proof enough, and the new lineage is of the same identity."""
    state = mesh.folder / "state"
    pair, _, control = joined_pair(mesh, server={"state_dir": state})
    pair.echo()
    pair.server.process.stop(number)
    (mesh.folder / "web.token").unlink()
    text = pair.server.config.read_text()
    pair.server.config.write_text(text.replace(f"    join_token_file: {mesh.folder}/web.token\n", ""))
    pair.server.start()
    wait_until(pair.works, "the client to be led to the new instance")
    mine = [one for one in certificates(control) if one["identity"] == identity("web")]
    assert len(mine) == 2 and len({one["serial"] for one in mine}) == 2


def test_state_folder_is_private_and_holds_no_certificate_key(mesh):
    state = mesh.folder / "state"
    joined_pair(mesh, server={"state_dir": state})
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    files = [path for path in state.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_restart_without_a_state_folder_says_what_is_needed(mesh):
    pair, _, control = joined_pair(mesh)
    pair.server.stop()
    pair.server.start(ready=False)
    wait_until(lambda: "token_used" in pair.server.ready()[1], "readiness to say it", process=pair.server.process)
    # A new token in the same file, and no restart.
    control.create_token(identity("web"), "web", path=mesh.folder / "web.token")
    pair.server.wait_ready()
    wait_until(pair.works, "the client to be led to the new instance")


def test_copied_state_folder_does_not_outlive_its_removal(mesh):
    """An identity whose lineage was revoked does not come back by its kept key."""
    state = mesh.folder / "state"
    pair, _, control = joined_pair(mesh, server={"state_dir": state})
    serial = next(one["serial"] for one in certificates(control) if one["identity"] == identity("web"))
    control.remora("revoke", "certificate", serial)
    pair.server.stop()
    pair.server.start(ready=False)
    wait_until(lambda: "rejoin" in pair.server.ready()[1] or "lineage_revoked" in pair.server.ready()[1] or
               "token_used" in pair.server.ready()[1], "the refusal", process=pair.server.process)
    assert pair.server.ready()[0] == 503


def test_state_folder_open_to_others_is_refused(mesh):
    state = mesh.folder / "state"
    pair, _, _ = joined_pair(mesh, server={"state_dir": state})
    pair.server.stop()
    state.chmod(0o777)
    pair.server.start(ready=False)
    assert pair.server.process.child.wait(45) == 1
    assert pair.server.process.has_event("not_started", error=str(state))


def test_damaged_state_folder_is_named(mesh):
    """Not silently joined anew: something is wrong with the host."""
    state = mesh.folder / "state"
    pair, _, _ = joined_pair(mesh, server={"state_dir": state})
    pair.server.stop()
    for path in state.rglob("*"):
        if path.is_file():
            path.write_bytes(b"damaged\n")
    pair.server.start(ready=False)
    assert pair.server.process.child.wait(45) == 1
    assert pair.server.process.has_event("not_started", error=str(state))
