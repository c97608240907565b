# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot start says why in one line, ends with status 1, and leaves everything as it was."""
import contextlib
import os
import pathlib
import socket
import sqlite3
import subprocess

import pytest

from client import Admin, Status, connect, refused
from mesh import CONTROL, Control, http_get, identity, wait_until


def run(*words, env=None):
    return subprocess.run([CONTROL, *[str(word) for word in words]], capture_output=True, text=True,
                          timeout=60, env={**os.environ, **(env or {})})


def fails(*words, parts, env=None):
    """Status 1, nothing on standard output, and one line for people that holds every part."""
    result = run(*words, env=env)
    assert result.returncode == 1, result
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("remora-control: ")
    for part in parts:
        assert str(part) in lines[0]
    return lines[0]


def serve_fails(control, *parts, env=None):
    return fails("serve", "--config", control.config, parts=parts, env=env)


def tree(folder):
    """Every file below with its bytes; the lock's content is for people."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
            for path in sorted(pathlib.Path(folder).rglob("*")) if path.name != "lock"}


@pytest.fixture
def new(tmp_path):
    """A configuration; nothing was made yet."""
    return Control(tmp_path, init=False)


@pytest.fixture
def made(tmp_path):
    """After init."""
    return Control(tmp_path)


@pytest.fixture
def running(mesh):
    return mesh.start_control()


# --- init

def test_init_makes_a_private_folder(made):
    assert made.data.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in made.data.iterdir()}
    assert modes.pop("bundle.pem") == 0o644
    assert set(modes.values()) == {0o600}, modes


def test_init_twice(made):
    before = tree(made.data)
    fails("init", "--config", made.config, parts=["already", "stays as it is"])
    assert tree(made.data) == before


def test_init_beside_a_running_server(running):
    before = (running.data / "kek").read_bytes()
    fails("init", "--config", running.config, parts=["in use by process", running.process.pid])
    assert (running.data / "kek").read_bytes() == before


def test_init_where_nothing_can_be_made(new, tmp_path):
    (tmp_path / "file").write_text("")
    new.write_config(new.config.read_text().replace(str(new.data), str(tmp_path / "file" / "data")))
    fails("init", "--config", new.config, parts=[tmp_path / "file"])


def test_failed_init_leaves_nothing(new):
    """Its folder and key go again, so that the next attempt begins as the first."""
    new.data.mkdir(mode=0o700)
    (new.data / "store.db").write_bytes(b"this is no database" * 100)
    before = tree(new.data)
    fails("init", "--config", new.config, parts=["store.db"])
    assert tree(new.data) == before


# --- serve

def test_serve_without_init(new):
    serve_fails(new, "remora-control init")
    assert not new.data.exists()


def test_serve_on_an_empty_folder(new):
    new.data.mkdir(mode=0o700)
    serve_fails(new, "remora-control init")
    assert tree(new.data) == {}


def test_missing_key(made):
    (made.data / "kek").unlink()
    serve_fails(made, made.data / "kek", "kek_file")


def test_wrong_key(made):
    (made.data / "kek").write_text("0" * 64 + "\n")
    serve_fails(made, "key-encryption key does not open", "kek_file")


@pytest.mark.parametrize("content", [b"", b"0" * 63, b"0" * 65, b"x" * 64, b"0" * 64 + b"\n\n",
                                     b"0" * 1000])
def test_key_that_is_none(made, content):
    (made.data / "kek").write_bytes(content)
    serve_fails(made, made.data / "kek")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o666])
def test_key_that_others_may_read(made, mode):
    (made.data / "kek").chmod(mode)
    line = serve_fails(made, made.data / "kek")
    assert "600" in line or "others" in line


def test_key_elsewhere(tmp_path):
    """In a file of its own, or handed in by systemd."""
    kek = tmp_path / "elsewhere" / "kek"
    kek.parent.mkdir()
    control = Control(tmp_path, extra=f"kek_file: {kek}\n")
    assert kek.stat().st_mode & 0o777 == 0o600
    assert not (control.data / "kek").exists()
    control.start()
    control.stop()
    kek.unlink()
    serve_fails(control, kek)


def test_key_as_a_systemd_credential(made, tmp_path):
    (tmp_path / "credentials").mkdir()
    kek = tmp_path / "credentials" / "remora-kek"
    (made.data / "kek").rename(kek)
    made.env = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    made.start()
    assert not made.process.has_event("kek_beside_data")
    made.stop()
    kek.chmod(0o644)
    serve_fails(made, kek, env=made.env)


@pytest.mark.parametrize("text, parts", [
    ("no_such_key: 1\n", ["no_such_key", ":1:1"]),
    ("trust_domains: x\n", ["trust_domains", "trust_domain"]),
    ("limits: {signing_brust: 1}\n", ["signing_brust", "signing_burst"]),
    ("listen: [1]\n", ["listen"]),
    ("listen: localhost\n", ["listen"]),
    ("listen: 127.0.0.1:99999\n", ["listen"]),
    ("test_lifetimes: maybe\n", ["test_lifetimes"]),
    ("mode: both\n", ["mode", "self", "offline-root"]),
    ("certificates: {lifetime: 1s}\n", ["lifetime"]),
    ("certificates: {lifetime: 25h}\n", ["lifetime"]),
    ("certificates: {lifetime: 1h, maximum: 30m}\n", ["lifetime", "maximum"]),
    ("admins: [spiffe://other.org/x]\n", ["spiffe://other.org/x", "trust domain"]),
    ("admins: [root]\n", ["root"]),
    ("admin_socket: {group: no-such-group}\n", ["no-such-group"]),
    ("drain: fast\n", ["drain"]),
    ("dns_names: [Control.example.org]\n", ["dns_names"]),
    ("dns_names: [a..b]\n", ["dns_names"]),
    ("log: {level: loud}\n", ["loud", "debug"]),
    ("\t\n", [""]),
    ("- a\n- b\n", [""]),
])
def test_configuration_with_a_mistake(new, text, parts):
    """Named with file, line and column."""
    kept = "" if text.startswith("trust_domains") else "trust_domain: example.org\n"
    new.write_config(text + kept + f"data_dir: {new.data}\n")
    line = serve_fails(new, new.config, *parts)
    assert f"{new.config}:1:" in line


def test_short_lifetimes_need_a_word(new):
    new.write_config(new.config.read_text().replace("test_lifetimes: true", "test_lifetimes: false")
                     .replace("lifetime: 1h", "lifetime: 4m"))
    serve_fails(new, "5 minutes", "test_lifetimes")


def test_configuration_that_is_not_there(tmp_path):
    fails("serve", "--config", tmp_path / "none.yaml", parts=[tmp_path / "none.yaml",
                                                              "No such file"])


@pytest.mark.parametrize("words", [[], ["serve"], ["nothing", "--config", "x"], ["--nothing"],
                                   ["serve", "--config", "x", "more"], ["restore", "--config", "x"]])
def test_wrong_usage(words):
    result = run(*words)
    assert result.returncode == 2 and "--help" in result.stderr


def test_newer_schema(made):
    with contextlib.closing(sqlite3.connect(made.data / "store.db")) as database:
        database.execute("UPDATE meta SET value = 99 WHERE name = 'schema'")
        database.commit()
    before = tree(made.data)
    serve_fails(made, "schema version 99", "newer program")
    assert tree(made.data) == before


def test_damaged_store(made):
    content = bytearray((made.data / "store.db").read_bytes())
    content[4096:8192] = os.urandom(4096)
    (made.data / "store.db").write_bytes(content)
    serve_fails(made, "store.db", "damaged", "restore")


def test_store_of_another_program(made):
    (made.data / "store.db").unlink()
    with contextlib.closing(sqlite3.connect(made.data / "store.db")) as database:
        database.execute("CREATE TABLE x (y)")
        database.commit()
    (made.data / "store.db").chmod(0o600)
    serve_fails(made, "store.db", "another program")


def test_other_trust_domain(made):
    """The folder of one domain is not served under another's name."""
    made.write_config(made.config.read_text().replace("example.org", "example.net"))
    serve_fails(made, "example.net")


def test_second_server_on_one_folder(running, tmp_path):
    other = Control(tmp_path, init=False, name="other")
    other.write_config(other.config.read_text().replace(str(other.data), str(running.data)))
    serve_fails(other, running.data, "in use by process", running.process.pid)
    with Admin(running) as admin:
        assert admin.status().trust_domain == "example.org"


@pytest.mark.parametrize("which", ["listen", "health"])
def test_port_in_use(made, which):
    port = made.port if which == "listen" else made.health
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        serve_fails(made, f"127.0.0.1:{port}", "another process uses this port")
    made.start()
    made.stop()


def test_admin_socket_that_cannot_be(made, tmp_path):
    """In a folder that is not there, on a file that is no socket, in a name that is too long."""
    text = made.config.read_text()
    for path in (tmp_path / "none" / "sock", tmp_path / ("x" * 120)):
        made.write_config(text.replace(str(made.admin_socket), str(path)))
        serve_fails(made, path)
    (tmp_path / "file").write_text("precious")
    made.write_config(text.replace(str(made.admin_socket), str(tmp_path / "file")))
    serve_fails(made, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "precious"


def test_socket_left_by_a_killed_server(made):
    made.start()
    made.process.stop(9)
    assert made.admin_socket.exists()
    made.start()
    made.stop()
    assert not made.admin_socket.exists()


def test_read_only_folder(made):
    """As its owner would meet it on a file system that went read-only. Root passes over modes, so the
    program runs in a mount namespace of its own."""
    script = (f"mount --bind {made.data} {made.data} && mount -o remount,ro,bind {made.data} && "
              f"exec {CONTROL} serve --config {made.config}")
    result = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True,
                            timeout=60)
    assert result.returncode == 1
    lines = [line for line in result.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1 and str(made.data) in lines[0] and "ead-only" in lines[0]


def test_folder_that_others_may_write_to(made):
    made.data.chmod(0o777)
    serve_fails(made, made.data, "others")


# --- reload

@pytest.mark.parametrize("old, wanted, part", [
    ("listen: 127.0.0.1:", "listen: 127.0.0.2:", "'listen'"),
    ("trust_domain: example.org", "trust_domain: example.net", "'trust_domain'"),
    ("log: {level: debug", "log: {level: loud", "loud"),
    ("admin_socket: {path", "admin_socket: {group: '1', path", "'admin_socket.group'"),
])
def test_reload_with_a_mistake_changes_nothing(running, old, wanted, part):
    text = running.config.read_text()
    assert old in text
    running.write_config(text.replace(old, wanted))
    running.process.signal(1)
    running.process.wait_event("reload_failed", reason=part, in_force="as it was")
    assert http_get(f"127.0.0.1:{running.health}", "/healthz/ready")[0] == 200
    running.write_config(text)
    running.process.signal(1)
    running.process.wait_event("reloaded")


def test_reload_takes_new_limits(running):
    """And lifetimes, at once."""
    with Admin(running) as admin, connect(running) as caller:
        text = running.config.read_text()
        running.write_config(text.replace("lifetime: 1h", "lifetime: 10m").replace(
            "attestations_per_second: 1000, attestation_burst: 1000",
            "attestations_per_second: 1, attestation_burst: 2"))
        running.process.signal(1)
        running.process.wait_event("reloaded")
        svid = caller.issue(token=admin.create_token(identity("web")).token)
        assert svid.answer.not_after_s - svid.answer.issued_at_s == 600

        def is_limited():
            with contextlib.suppress(AssertionError):
                with refused(Status.RESOURCE_EXHAUSTED):
                    caller.issue()
                return True
            return False
        wait_until(is_limited, "the new limit")


def test_stop_signals(made):
    """An orderly end with status 0; the second one does not wait."""
    for number in (15, 2):
        made.start()
        assert made.stop(number) == 0
