# SPDX-License-Identifier: GPL-3.0-or-later
"""A sidecar's memory and key are nobody else's: not another process's of the same user, not a core file's, not the
command line's."""
import os
import pathlib
import pwd
import subprocess
import sys

import pytest

from mesh import Sidecar, wait_until
from pair import Pair, echo_pair, write_identity

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")


def proc(pid, name):
    return pathlib.Path(f"/proc/{pid}/{name}")


def status(pid):
    return dict(line.split(":\t", 1) for line in proc(pid, "status").read_text().splitlines() if ":\t" in line)


def as_nobody():
    user = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


@pytest.fixture
def unprivileged(mesh, authority):
    """A sidecar that runs as another user, as it should."""
    user = pwd.getpwnam("nobody")
    mesh.folder.chmod(0o755)
    sidecar = Sidecar(mesh.folder, "web", services=[("web", 80, "127.0.0.1:1")], local="listen: off",
                      identity_yaml=write_identity(mesh.folder, "web",
                                                   authority.leaf(authority.identity("web")),
                                                   authority.bundle_pem))
    os.chown(mesh.folder / "web.key", user.pw_uid, user.pw_gid)
    sidecar.config.chmod(0o644)
    # What standard output and error are opened for is the starting user's.
    return mesh.add(sidecar).start(preexec=as_nobody)


@needs_root
def test_its_proc_files_belong_to_root(unprivileged):
    """The kernel gives the files of a process that may not be dumped to root."""
    pid = unprivileged.process.pid
    assert int(status(pid)["Uid"].split()[0]) == pwd.getpwnam("nobody").pw_uid
    for name in ("maps", "mem", "environ", "fd"):
        assert proc(pid, name).stat().st_uid == 0, name


@needs_root
def test_another_process_of_its_user_cannot_look_inside(unprivileged):
    """Neither its memory, nor its environment, nor its descriptors."""
    pid = unprivileged.process.pid
    script = f"""
import os, sys
for name in ("mem", "maps", "environ"):
    try:
        open("/proc/{pid}/" + name, "rb").read(1)
    except PermissionError:
        continue
    sys.exit(name)
try:
    os.listdir("/proc/{pid}/fd")
except PermissionError:
    sys.exit(0)
sys.exit("fd")
"""
    result = subprocess.run([sys.executable, "-I", "-c", script], preexec_fn=as_nobody, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_no_core_file_and_no_new_privileges(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority)
    pid = pair.server.process.pid
    core = next(line for line in proc(pid, "limits").read_text().splitlines() if line.startswith("Max core"))
    assert core.split()[4:6] == ["0", "0"]
    assert status(pid)["NoNewPrivs"] == "1"
    files = next(line for line in proc(pid, "limits").read_text().splitlines() if line.startswith("Max open"))
    assert files.split()[3] == files.split()[4], "the descriptor limit is not raised"


def test_keys_are_locked_in_memory(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority)
    assert int(status(pair.server.process.pid)["VmLck"].split()[0]) > 0


def test_no_secret_on_command_line_or_in_environment(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority)
    key = (mesh.folder / "web.key").read_bytes().splitlines()[1]
    for name in ("cmdline", "environ"):
        content = proc(pair.server.process.pid, name).read_bytes()
        assert b"PRIVATE KEY" not in content and key not in content


def open_files(pid):
    """What the descriptors of `pid` lead to; one that closes while we look (the echo's own) is not counted."""
    targets = []
    for path in proc(pid, "fd").iterdir():
        try:
            targets.append(os.readlink(path))
        except FileNotFoundError:
            pass
    return targets


def test_only_its_own_files_are_open(mesh, authority):
    """Nothing is inherited by accident, and the key's file is not kept open."""
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    pair, _ = echo_pair(mesh, authority=authority)
    pair.echo()
    targets = open_files(pair.server.process.pid)
    assert not any("web.key" in target or "web.pem" in target for target in targets)
    allowed = ("socket:", "anon_inode:", "pipe:", "/dev/null", str(mesh.folder), "/dev/urandom", "eventfd")
    assert all(target.startswith(allowed) for target in targets), targets
    os.close(read_end)
    os.close(write_end)


def test_closed_standard_descriptors_do_no_harm(mesh, authority):
    """A supervisor that gives none: no socket may become "standard output" and get what is printed."""
    pair, _ = echo_pair(mesh, authority=authority, start=False)
    pair.server.start()

    def close_all():
        for descriptor in (0, 1, 2):
            os.close(descriptor)

    pair.client.start(preexec=close_all)
    assert Pair.of(pair.client, pair.port).echo() is None
    assert os.readlink(f"/proc/{pair.client.process.pid}/fd/1") == "/dev/null"


def test_created_files_are_private(mesh, authority):
    """Whatever umask it was started with."""
    path = mesh.folder / "front"
    pair, _ = echo_pair(mesh, authority=authority, start=False)
    text = pair.client.config.read_text()
    pair.client.config.write_text(text.replace("listen: '127.0.0.1:" + str(pair.port), f"listen: 'unix:{path}"))
    pair.client.start(preexec=lambda: os.umask(0))
    wait_until(path.exists, "the socket")
    assert path.stat().st_mode & 0o777 == 0o600
    assert int(status(pair.client.process.pid)["Umask"], 8) == 0o077
