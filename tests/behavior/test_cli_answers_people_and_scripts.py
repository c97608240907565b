# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's command against a real control plane: tables, JSON, files, exit statuses."""
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import threading

import pytest

from mesh import REMORA, TRUST_DOMAIN, identity, wait_until

RFC3339 = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
OK, REFUSED, USAGE, UNREACHABLE = 0, 1, 2, 3


@pytest.fixture
def control(mesh):
    return mesh.start_control()


def remora(*words, env=None, **options):
    """Without a control plane."""
    return subprocess.run([REMORA, *[str(word) for word in words]], capture_output=True, text=True, timeout=30,
                          env={**os.environ, **(env or {})}, **options)


def rows(text):
    """A table as lists of cells: columns are two spaces apart."""
    return [re.split(r"  +", line.strip()) for line in text.splitlines()]


# --- What it shows.

def test_services_are_shown_as_table_and_as_json(control):
    control.remora("service", "create", "web", "--port", 80, "--identity", identity("web"))
    control.remora("service", "create", "db", "--port=5432", "--identity", "ns/default/sa/db",
                   "--identity", "ns/default/sa/db2", "--allow", "ns/default/**", "--dns", "db.example")
    table = rows(control.remora("service", "list"))
    assert table == [
        ["NAME", "PORT", "IDENTITIES", "CALLERS", "ENDPOINTS"],
        ["db", "5432", f"{identity('db')},{identity('db2')}", f"spiffe://{TRUST_DOMAIN}/ns/default/**", "0"],
        ["web", "80", identity("web"), "own trust domain", "0"],
    ]
    listed = control.json("service", "list")["services"]
    assert listed[0] == {
        "name": "db", "port": 5432, "identities": [identity("db"), identity("db2")],
        "allow": [f"spiffe://{TRUST_DOMAIN}/ns/default/**"], "guarded": True, "dns_names": ["db.example"],
        "endpoints": []}
    assert control.json("service", "show", "db") == listed[0]
    shown = control.remora("service", "show", "db")
    assert identity("db2") in shown and "db.example" in shown and "guarded      yes" in shown


def test_endpoint_is_shown_with_the_view_of_its_sidecar(mesh, control):
    control.create_service("web", 80, identity("web"))
    web = mesh.sidecar("web", serves=[("web", 80, "127.0.0.1:1")])

    def endpoints():
        return control.json("service", "show", "web")["endpoints"]
    endpoint = wait_until(lambda: [e for e in endpoints() if e["view_hash"]], "the view")[0]
    assert set(endpoint) == {"instance", "identity", "address", "zone", "view_hash", "view_version"}
    assert endpoint["address"] == f"127.0.0.1:{web.tunnel}" and endpoint["identity"] == identity("web")
    assert re.fullmatch("[0-9a-f]{64}", endpoint["view_hash"]) and endpoint["view_version"] > 0
    shown = control.remora("service", "show", "web")
    assert endpoint["instance"] in shown and endpoint["view_hash"][:16] in shown


def test_update_and_delete_change_what_is_shown(control):
    control.create_service("web", 80, identity("web"), allow=["ns/default/**"])
    changed = json.loads(control.remora(
        "--json", "service", "update", "web", "--add-identity", "ns/default/sa/b", "--remove-identity", identity("web"),
        "--add-dns", "a.example", "--add-dns", "b.example", "--remove-allow", "ns/default/**", "--clear-guard"))
    assert changed["identities"] == [identity("b")] and changed["dns_names"] == ["a.example", "b.example"]
    assert changed["allow"] == [] and changed["guarded"] is False
    changed = control.json("service", "update", "web", "--add-allow", "ns/a/**", "--remove-dns", "a.example")
    assert changed["dns_names"] == ["b.example"] and changed["guarded"] is True
    assert control.json("service", "delete", "web") == {"deleted": "web"}
    assert control.json("service", "list") == {"services": []}


def test_certificates_and_identities_are_shown(mesh, control):
    mesh.sidecar("web")
    shown = wait_until(lambda: [c for c in control.json("certificates")["certificates"] if c["next_renewal"]],
                       "the status")[0]
    assert set(shown) == {"serial", "lineage", "identity", "state", "not_before", "not_before_s", "not_after",
                          "not_after_s", "seconds_left", "next_renewal", "next_renewal_s", "last_error"}
    assert shown["identity"] == identity("web") and shown["state"] == "live" and shown["last_error"] is None
    assert re.fullmatch("[0-9a-f]{32}", shown["serial"]) and shown["serial"].startswith(shown["lineage"])
    assert all(RFC3339.match(shown[key]) for key in ("not_before", "not_after", "next_renewal"))
    assert 0 < shown["seconds_left"] <= 3660
    heading, row = rows(control.remora("certificates"))
    assert heading == ["SERIAL", "IDENTITY", "STATE", "NOT AFTER", "LEFT", "NEXT RENEWAL", "LAST ERROR"]
    assert row[:4] == [shown["serial"], identity("web"), "live", shown["not_after"]] and row[6] == "-"
    assert control.json("certificates", "--identity", identity("nobody"))["certificates"] == []
    assert control.json("identities")["identities"] == [
        {"identity": identity("web"), "services": [], "live_certificates": 1, "connected_instances": 1}]
    assert rows(control.remora("identities"))[1] == [identity("web"), "-", "1", "1"]


def test_revocation_takes_serials_as_other_tools_write_them(mesh, control):
    mesh.sidecar("web")
    serial = control.json("certificates")["certificates"][0]["serial"]
    colons = ":".join(serial[at:at + 2] for at in range(0, 32, 2)).upper()
    answer = control.json("revoke", "certificate", colons, "--reason", "test")
    assert answer == {"lineage": serial[:16], "identity": identity("web"), "certificates": 1}
    assert rows(control.remora("certificates"))[1][2] == "revoked"


def test_status_and_bundle_are_shown(control):
    status = control.json("status")
    assert set(status) == {
        "version", "trust_domain", "address", "mode", "mode_warning", "started_at", "started_at_s", "now", "now_s",
        "uptime_s", "store_id", "store_version", "services", "connected_sidecars", "live_certificates",
        "authorities", "alarms"}
    assert status["trust_domain"] == TRUST_DOMAIN and status["mode"] == "self"
    assert [a["kind"] for a in status["authorities"]] == ["root", "intermediate"]
    text = control.remora("status")
    assert "the root key is online" in text and TRUST_DOMAIN in text and status["store_id"] in text
    pem = control.remora("bundle")
    assert pem == control.bundle.read_text()
    assert control.json("bundle") == {"trust_domain": TRUST_DOMAIN, "roots": [pem]}
    path = control.folder / "copy.pem"
    assert control.remora("bundle", "--out", path) == "" and path.read_text() == pem


# --- Tokens.

def test_token_alone_is_on_standard_output(control):
    result = control.remora("token", "create", "--identity", "ns/default/sa/web", check=False)
    assert re.fullmatch(r"rmt1\.[0-9a-f]{12}\.\S+\n", result.stdout)
    assert result.stdout.split(".")[1] in result.stderr
    assert result.stdout.split(".")[2] not in result.stderr
    made = control.json("token", "create", "--identity", identity("web"), "--ttl", "90s")
    assert set(made) == {"token", "id", "expires_at", "expires_at_s"} and RFC3339.match(made["expires_at"])
    listed = {one["id"]: one for one in control.json("token", "list")["tokens"]}
    assert listed[made["id"]] == {
        "id": made["id"], "identity": identity("web"), "services": [], "state": "unused",
        "expires_at": made["expires_at"], "expires_at_s": made["expires_at_s"], "used_at": None, "used_at_s": None}
    assert made["token"].split(".")[2] not in control.remora("token", "list")


def test_token_file_is_new_and_private(control):
    path = control.folder / "web.token"
    result = control.remora("token", "create", "--identity", identity("web"), "--out", path, check=False)
    assert result.returncode == OK and result.stdout == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_text()
    assert before.startswith("rmt1.") and before.endswith("\n")
    result = control.remora("token", "create", "--identity", identity("web"), "--out", path, check=False)
    assert result.returncode == REFUSED and "File exists" in result.stderr and path.read_text() == before
    link = control.folder / "link.token"
    link.symlink_to(control.folder / "elsewhere")
    assert control.remora("token", "create", "--identity", identity("web"), "--out", link,
                          check=False).returncode == REFUSED
    assert not (control.folder / "elsewhere").exists()
    assert len(control.json("token", "list")["tokens"]) == 1
    made = control.json("token", "create", "--identity", identity("web"), "--out", control.folder / "b.token")
    assert "token" not in made and made["token_file"] == str(control.folder / "b.token")


def test_refused_token_leaves_no_file(control):
    path = control.folder / "web.token"
    result = control.remora("token", "create", "--identity", identity("web"), "--service", "nobody", "--out", path,
                            check=False)
    assert result.returncode == REFUSED and "'nobody'" in result.stderr and not path.exists()


def test_used_token_is_shown_as_used(mesh, control):
    mesh.sidecar("web")
    used, = control.json("token", "list")["tokens"]
    assert used["state"] == "used" and RFC3339.match(used["used_at"])
    assert control.json("token", "delete", used["id"]) == {"deleted": used["id"]}
    assert control.remora("token", "list") == ""


# --- Exit statuses.

@pytest.mark.parametrize("words, sentence", [
    (("service", "delete", "nobody"), "does not exist"),
    (("service", "show", "nobody"), "does not exist"),
    (("service", "update", "nobody", "--clear-guard"), "does not exist"),
    (("service", "create", "Web", "--port", "80", "--identity", "ns/a/sa/b"), "'Web'"),
    (("token", "delete", "000000000000"), "no join token"),
    (("token", "create", "--identity", "ns/a/sa/b", "--address-range", "all"), "all"),
    (("revoke", "certificate", "10" * 16), "serial"),
])
def test_refusal_is_one_sentence_and_status_1(control, words, sentence):
    result = control.remora(*words, check=False)
    assert result.returncode == REFUSED and result.stdout == ""
    assert result.stderr.startswith("remora: ") and result.stderr.count("\n") == 1 and sentence in result.stderr


@pytest.mark.parametrize("words, sentence", [
    ((), "a command is missing"),
    (("service",), "not complete"),
    (("serve",), "unknown command 'serve'"),
    (("service", "make"), "unknown command 'service make'"),
    (("service", "list", "web"), "unexpected argument 'web'"),
    (("service", "create"), "NAME is missing"),
    (("service", "create", "web", "--identity", "ns/a/sa/b"), "--port PORT is missing"),
    (("service", "create", "web", "--port", "80"), "--identity ID is missing"),
    (("service", "create", "web", "--port", "eighty", "--identity", "ns/a/sa/b"), "--port: 'eighty'"),
    (("service", "create", "web", "--port", "65536", "--identity", "ns/a/sa/b"), "65536"),
    (("service", "create", "web", "--port", "80", "--port", "81", "--identity", "x"), "given twice"),
    (("service", "update", "web"), "nothing to update"),
    (("status", "--colour"), "unknown option '--colour'"),
    (("status", "-x"), "unknown option '-x'"),
    (("status", "--json=yes"), "takes no value"),
    (("status", "--socket"), "needs a value"),
    (("status", "--socket="), "is empty"),
    (("status", "--timeout", "10"), "no duration"),
    (("status", "--timeout", "1h"), "at most 10m"),
    (("token", "create", "--identity", "x", "--ttl", "1x"), "--ttl"),
    (("revoke", "certificate", "xyz"), "no serial"),
    (("completion", "fish"), "bash or zsh"),
])
def test_wrong_usage_is_status_2(words, sentence):
    result = remora(*words)
    assert result.returncode == USAGE and result.stdout == "" and sentence in result.stderr


def test_absent_control_plane_is_status_3(tmp_path):
    result = remora("status", "--socket", tmp_path / "none.sock")
    assert result.returncode == UNREACHABLE and result.stdout == ""
    assert str(tmp_path / "none.sock") in result.stderr and "no such socket" in result.stderr
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "stale.sock"))
    stale.close()
    result = remora("status", env={"REMORA_ADMIN_SOCKET": str(tmp_path / "stale.sock")})
    assert result.returncode == UNREACHABLE and "stale.sock" in result.stderr and "running" in result.stderr
    result = remora("status", "--socket", "/" + "a" * 200)
    assert result.returncode == UNREACHABLE and "too long" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become somebody else")
def test_forbidden_socket_is_status_3_and_says_who_may(control):
    control.folder.chmod(0o755)
    result = remora("status", "--socket", control.admin_socket, user=65534, group=65534, extra_groups=[])
    assert result.returncode == UNREACHABLE and "permission" in result.stderr and "admin group" in result.stderr


@pytest.mark.parametrize("reply, sentence", [
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "admin socket"),
    (None, "in time"),
    (b"", "admin socket"),
])
def test_what_is_no_control_plane_is_status_3(tmp_path, reply, sentence):
    """One that answers something else, one that is silent, one that hangs up."""
    path = tmp_path / "other.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    done = threading.Event()

    def serve():
        connection, _ = listener.accept()
        with connection:
            if reply is None:
                done.wait(30)
            else:
                connection.recv(1)
                connection.sendall(reply)
    thread = threading.Thread(target=serve)
    thread.start()
    result = remora("status", "--socket", path, "--timeout", "500ms")
    done.set()
    thread.join()
    listener.close()
    assert result.returncode == UNREACHABLE and sentence in result.stderr


def test_output_that_cannot_be_written_is_a_failure(control):
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = subprocess.run([REMORA, "--socket", control.admin_socket, "status"], stdout=full,
                                stderr=subprocess.PIPE, text=True, timeout=30)
    assert result.returncode == REFUSED and "standard output" in result.stderr


# --- Help, version, completion.

def test_global_options_stand_before_and_after_the_command(control):
    before = control.remora("--json", "service", "list")
    assert json.loads(before) == {"services": []}
    after = remora("service", "list", "--json", "--timeout=5s", "--socket", control.admin_socket)
    assert after.stdout == before
    middle = remora("service", f"--socket={control.admin_socket}", "list", "--json")
    assert middle.stdout == before


COMMANDS = ("status", "service create", "service list", "service show", "service update", "service delete",
            "token create", "token list", "token delete", "identities", "certificates", "revoke certificate",
            "bundle", "completion")


@pytest.mark.parametrize("command", COMMANDS + ("", "service", "token", "revoke"))
def test_help_has_examples_at_every_level(command):
    words = command.split()
    result = remora(*words, "--help")
    assert result.returncode == OK and result.stderr == ""
    assert "Usage:" in result.stdout and "Examples:" in result.stdout
    assert f"remora {command}".strip() in result.stdout
    assert remora("help", *words).stdout == result.stdout == remora("-h", *words).stdout


def test_version_names_every_library():
    result = remora("--version")
    assert result.returncode == OK
    assert re.match(r"remora \d+\.\d+\.\d+\n", result.stdout)
    for library in ("wolfSSL", "libuv", "nghttp2", "protobuf-c", "jansson"):
        assert re.search(rf"{library} \d+\.\d+", result.stdout), library


def complete_bash(script, line):
    words = line.split(" ")
    words_text = " ".join(f"'{word}'" for word in words)
    code = f"source {script}\nCOMP_WORDS=({words_text})\nCOMP_CWORD={len(words) - 1}\n_remora\n" \
           "printf '%s\\n' \"${COMPREPLY[@]}\""
    return subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_bash_completes_words_and_options(tmp_path):
    script = tmp_path / "completion.bash"
    script.write_text(remora("completion", "bash").stdout)
    assert complete_bash(script, "remora ser") == ["service"]
    assert set(complete_bash(script, "remora service ")) == {"create", "list", "show", "update", "delete", "--help"}
    assert complete_bash(script, "remora --socket /x token cr") == ["create"]
    assert "--allow" in complete_bash(script, "remora service create web --port 80 --")
    assert complete_bash(script, "remora completion b") == ["bash"]
    assert set(command.split()[0] for command in COMMANDS) <= set(complete_bash(script, "remora "))


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_completes_words_and_options(tmp_path):
    """Outside of a prompt: zsh's own completion functions are stood in for."""
    script = tmp_path / "_remora"
    script.write_text(remora("completion", "zsh").stdout)

    def complete(line):
        words = line.split(" ")
        words_text = " ".join(f"'{word}'" for word in words)
        code = "compdef() { :; }\ncompadd() { shift; print -l -- \"$@\"; }\n_files() { print FILES; }\n" \
               f"source {script}\nwords=({words_text})\nCURRENT={len(words)}\n_remora\n"
        return subprocess.run(["zsh", "-f", "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(complete("remora service ")) == {"create", "list", "show", "update", "delete", "--help"}
    assert "--allow" in complete("remora --socket /x service create web --port 80 --")
    assert complete("remora token create --out ") == ["FILES"]
