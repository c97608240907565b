# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's command against a sidecar's local socket: what it shows, whom the socket serves, where it
is, and what is said when it is not there."""
import contextlib
import grp
import json
import os
import pathlib
import socket
import stat
import subprocess

import pytest

from local_client import Local, Status, refused
from mesh import REMORA, REPO, Sidecar, wait_until
from pair import echo_pair, joined_pair, write_identity
from tunnel import receive_exactly

OK, REFUSED, USAGE, UNREACHABLE = range(4)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs other users")
NOBODY = 65534


def remora(sidecar, *words, **options):
    """The command asked of this sidecar's socket (None: of none in particular)."""
    where = [] if sidecar is None else ["--sidecar-socket", getattr(sidecar, "local_socket", sidecar)]
    return subprocess.run([REMORA, *map(str, where), *map(str, words)], capture_output=True, text=True,
                          timeout=30, stdin=subprocess.DEVNULL, **options)


def said(sidecar, *words):
    result = remora(sidecar, *words, "--json")
    assert (result.returncode, result.stderr) == (OK, "")
    return json.loads(result.stdout)


@contextlib.contextmanager
def talking(pair, *amounts):
    """Connections that have carried these many bytes there and back, the oldest first."""
    with contextlib.ExitStack() as stack:
        for amount in amounts:
            connection = stack.enter_context(pair.connect())
            connection.sendall(b"x" * amount)
            assert len(receive_exactly(connection, amount)) == amount
        wait_until(lambda: sorted(c["received_bytes"] for c in said(pair.client, "connections")["connections"]) ==
                   sorted(amounts), "what the connections carried to be counted")
        yield


# --- What is shown.

def test_connections_for_people_and_scripts(mesh):
    pair, _, _ = joined_pair(mesh)
    assert remora(pair.client, "connections").stderr == "no connections\n"
    with talking(pair, 10, 30_000, 2_000):
        table = remora(pair.client, "connections", "--sort", "bytes").stdout.splitlines()
        assert table[0].split() == ["ID", "DIRECTION", "STATE", "SERVICE", "PEER", "LEFT", "REMOTE",
                                    "APPLICATION", "SENT", "RECEIVED", "AGE", "TLS"]
        assert [line.split()[8] for line in table[1:]] == ["30k", "2.0k", "10"]
        assert all(pair.server_id in line and "X25519MLKEM768" in line for line in table[1:])

        def amounts(*words):
            return [c["sent_bytes"] for c in said(pair.client, "connections", *words)["connections"]]
        assert amounts() == amounts("--sort", "age") == [10, 30_000, 2_000]
        assert amounts("--reverse") == [2_000, 30_000, 10]
        assert amounts("--sort", "bytes", "--reverse") == [10, 2_000, 30_000]
        assert len(amounts("--service", "web")) == len(amounts("--peer", pair.server_id)) == 3
        assert len(amounts("--peer", "sa/web")) == 3
        assert amounts("--service", "other") == amounts("--peer", "sa/other") == []
        ours = {c["id"] for c in said(pair.client, "connections")["connections"]}
        theirs = said(pair.server, "connections", "--peer", pair.client_id)["connections"]
        assert ours == {c["id"] for c in theirs} and {c["direction"] for c in theirs} == {"inbound"}
        assert {c["tls"]["version"] for c in theirs} == {"TLSv1.3"}
    result = remora(pair.client, "connections", "--sort", "colour")
    assert result.returncode == USAGE and "age bytes rate" in result.stderr


def test_state_view_and_certificates(mesh):
    pair, _, control = joined_pair(mesh)
    status, text = said(pair.client, "sidecar", "status"), remora(pair.client, "sidecar", "status").stdout
    assert status["ready"] and status["identity"] == pair.client_id and pair.client_id in text
    assert status["control"]["connected"] and f"127.0.0.1:{control.port}, connected" in text
    assert status["view"]["hash"][:16] in text and status["bundles"][0]["key_ids"][0][:16] in text
    view, text = said(pair.client, "sidecar", "view"), remora(pair.client, "sidecar", "view").stdout
    assert view["version"]["hash"] == status["view"]["hash"]
    assert [(s["name"], s["port"]) for s in view["services"]] == [("web", 80)]
    assert [e["address"] for e in view["endpoints"]] == [f"127.0.0.1:{pair.server.tunnel}"]
    assert view["endpoints"][0]["address"] in text and "own trust domain" in text
    [certificate] = said(pair.client, "sidecar", "certificates")["certificates"]
    [known] = [c for c in control.json("certificates")["certificates"] if c["identity"] == pair.client_id]
    assert certificate["serial"] == known["serial"] and certificate["not_after"] == known["not_after"]
    assert certificate["serial"] in remora(pair.client, "sidecar", "certificates").stdout
    # The withdrawal of the server is in the view once it is revoked.
    control.remora("revoke", "certificate", said(pair.server, "sidecar", "certificates")["certificates"][0]["serial"])
    wait_until(lambda: said(pair.client, "sidecar", "view")["withdrawals"], "the withdrawal to be in the view")
    [gone] = said(pair.client, "sidecar", "view")["withdrawals"]
    assert gone["kind"] == "revoked_lineage" and gone["subject"] in remora(pair.client, "sidecar", "view").stdout


def test_renewal_and_log_level(mesh):
    pair, _, control = joined_pair(mesh)
    before = said(pair.client, "sidecar", "certificates")["certificates"][0]["serial"]
    after = said(pair.client, "sidecar", "renew")["serial"]
    assert after != before and after in remora(pair.client, "sidecar", "certificates").stdout
    assert "is in force until" in remora(pair.client, "sidecar", "renew").stdout
    control.stop()
    result = remora(pair.client, "sidecar", "renew")
    assert result.returncode == REFUSED and str(control.port) in result.stderr
    assert str(control.port) in said(pair.client, "sidecar", "certificates")["certificates"][0]["last_error"]

    result = remora(pair.client, "sidecar", "log-level", "error", "--for", "10m")
    assert result.stdout.startswith("log level error (before: debug), debug again in ")
    status = said(pair.client, "sidecar", "status")
    assert (status["log_level"], status["log_level_configured"]) == ("error", "debug")
    assert status["log_level_falls_back_at_s"] > status["now_s"]
    assert "until the configuration is read again" in remora(pair.client, "sidecar", "log-level", "info").stdout
    result = remora(pair.client, "sidecar", "log-level", "loud")
    assert result.returncode == REFUSED and "debug, info, warn or error" in result.stderr
    for duration in ("0s", "25h", "soon"):
        assert remora(pair.client, "sidecar", "log-level", "info", "--for", duration).returncode == USAGE


def test_the_readme_names_every_command():
    readme = (REPO / "README.md").read_text()
    words = [line.split("  ")[1] for line in remora(None, "help").stdout.splitlines()
             if line.startswith(("  connections", "  top", "  sidecar "))]
    assert len(words) == 7
    for one in words:
        assert f"| `remora {one}` |" in readme


# --- Who is there, and whom it serves.

def test_no_sidecar_is_status_3_with_what_to_do(tmp_path):
    result = remora(tmp_path / "none.sock", "connections")
    assert result.returncode == UNREACHABLE
    assert str(tmp_path / "none.sock") in result.stderr and "remora-sidecar running" in result.stderr
    assert "--sidecar-socket" in result.stderr and "REMORA_SIDECAR_SOCKET" in result.stderr
    result = remora(None, "top", env={**os.environ, "REMORA_SIDECAR_SOCKET": str(tmp_path / "named.sock")})
    assert result.returncode == UNREACHABLE and str(tmp_path / "named.sock") in result.stderr
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as stale:
        stale.bind(str(tmp_path / "stale.sock"))
    result = remora(tmp_path / "stale.sock", "sidecar", "status")
    assert result.returncode == UNREACHABLE and "nobody answers" in result.stderr


def test_something_else_or_an_older_sidecar_is_named(mesh):
    control = mesh.start_control()
    result = remora(control.admin_socket, "connections")
    assert result.returncode == REFUSED
    assert "does not know 'ListConnections'" in result.stderr and "older remora-sidecar" in result.stderr


@needs_root
def test_the_socket_serves_root_our_user_and_the_group(mesh, authority):
    group = grp.getgrgid(4).gr_name  # adm on Debian: a group that nobody is not in
    pair, _ = echo_pair(mesh, authority=authority, start=False)
    mesh.folder.chmod(0o755)
    path = pair.client.local_socket
    pair.client.start()
    # The file's mode keeps others out; once it does not, the kernel's word on who they are does.
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    stranger = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    result = remora(path, "connections", **stranger)
    assert result.returncode == UNREACHABLE and "no permission" in result.stderr and "local.group" in result.stderr
    path.chmod(0o666)
    result = remora(path, "connections", **stranger)
    assert result.returncode == REFUSED and "not_an_admin" in result.stderr
    assert pair.client.process.has_event("call_refused", uid=NOBODY)
    pair.client.stop()

    pair.client.local += f", group: {group}"
    pair.client.write_config()
    pair.client.start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o660 and path.stat().st_gid == 4
    member = {**stranger, "extra_groups": [4]}
    assert remora(path, "connections", **member).returncode == OK
    assert remora(path, "connections", **stranger).returncode == UNREACHABLE
    pair.client.stop()

    pair.client.local = pair.client.local.replace(group, "no-such-group")
    pair.client.write_config()
    pair.client.start(ready=False)
    assert pair.client.process.child.wait(20) == 1
    assert "no-such-group" in pair.client.process.stderr()


# --- Where the socket is.

def test_a_reload_moves_the_socket(mesh):
    pair, _ = echo_pair(mesh)
    client, old = pair.client, pair.client.local_socket
    new = mesh.folder / "elsewhere.sock"

    def reload(local, event):
        client.local = local
        client.write_config()
        seen = sum(line.get("event") == event for line in client.process.events())
        client.process.signal(1)
        wait_until(lambda: sum(line.get("event") == event for line in client.process.events()) > seen,
                   f"{event} to be logged", process=client.process)

    reload(f"listen: 'unix:{new}'", "reloaded")
    assert not old.exists() and remora(new, "sidecar", "status").returncode == OK
    reload(f"listen: 'unix:{mesh.folder}/nowhere/x.sock'", "reload_refused")
    assert remora(new, "sidecar", "status").returncode == OK
    reload(f"listen: 'unix:{new}', group: '0'", "reload_refused")
    assert client.process.has_event("reload_refused", error="'local.group' cannot change")
    reload("listen: off", "reloaded")
    assert not new.exists()
    reload(f"listen: 'unix:{old}'", "reloaded")
    assert remora(old, "sidecar", "status").returncode == OK


@needs_root
def test_a_default_that_cannot_be_is_a_warning(mesh, authority):
    """In a mount namespace of its own, so that the machine's /run is left alone."""
    def started(name, prepare):
        sidecar = mesh.add(Sidecar(
            mesh.folder, name, local="{}",
            identity_yaml=write_identity(mesh.folder, name, authority.leaf(authority.identity(name)),
                                         authority.bundle_pem),
            argv_prefix=["unshare", "--mount", "sh", "-c",
                         f"mount -t tmpfs none /run && {prepare} && exec \"$@\"", "sh"]))
        # The whole section is absent.
        sidecar.config.write_text(sidecar.config.read_text().replace("local: {{}}\n", ""))
        return sidecar.start()
    without = started("without", "true")
    without.process.wait_event("no_local_socket", error="/run/remora/sidecar.sock")
    assert without.process.has_event("no_local_socket", error="create it first")
    with_it = started("with", "mkdir /run/remora")
    assert not with_it.process.has_event("no_local_socket")
    path = pathlib.Path(f"/proc/{with_it.process.pid}/root/run/remora/sidecar.sock")
    assert remora(path, "sidecar", "status").returncode == OK


def test_a_chosen_path_that_cannot_be_is_an_error(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority, start=False)
    pair.client.local = f"listen: 'unix:{mesh.folder}/nowhere/x.sock'"
    pair.client.write_config()
    pair.client.start(ready=False)
    assert pair.client.process.child.wait(20) == 1
    assert "the folder does not exist" in pair.client.process.stderr()
    for local, sentence in (("listen: '127.0.0.1:15022'", "expected unix:/path or off"),
                            (f"listen: 'unix:{pair.client.local_socket}', colour: red", "colour")):
        pair.client.local = local
        pair.client.write_config()
        pair.client.start(ready=False)
        assert pair.client.process.child.wait(20) == 1
        assert sentence in pair.client.process.stderr()


def test_a_drain_can_be_watched(mesh):
    """While connections are waited for they are still listed; then the socket goes with the process."""
    pair, _ = echo_pair(mesh)
    with talking(pair, 100), Local(pair.client.local_socket) as local:
        pair.client.process.signal(15)
        pair.client.process.wait_event("draining")
        status = local.GetStatus()
        assert not status.ready and "draining" in status.waits_for
        assert len(local.connections()) == 1
        with refused(Status.UNAVAILABLE, "stopping"):
            local.Renew()
    assert pair.client.process.child.wait(30) == 0
    assert not pair.client.local_socket.exists()
