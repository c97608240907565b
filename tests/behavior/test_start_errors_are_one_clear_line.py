# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot work is said at the start: exit status 1, one line, with the place, the cause and the fix."""
import os
import re
import socket

import pytest

from ca import HOUR, Authority, utc_now
from mesh import SIDECAR, EchoServer, Sidecar, check_clean, free_port
from pair import fixed_outbound, write_identity
from servers import run

IMPOSTOR = Authority("example.org")


class Start:
    """A configuration that works, until a test spoils it."""

    def __init__(self, mesh, authority):
        self.mesh, self.authority, self.folder = mesh, authority, mesh.folder
        self.id = authority.identity("web")
        self.sidecar = Sidecar(
            mesh.folder, "web", services=[("web", 80, "127.0.0.1:80")],
            outbound=[fixed_outbound(f"127.0.0.1:{free_port()}", free_port(), self.id)],
            identity_yaml=write_identity(mesh.folder, "web", authority.leaf(self.id), authority.bundle_pem))
        self.certificate, self.key = mesh.folder / "web.pem", mesh.folder / "web.key"
        self.bundle = mesh.folder / "web.bundle.pem"

    def spoil(self, before, after):
        text = self.sidecar.config.read_text()
        assert before in text, f"{before!r} is not in\n{text}"
        self.sidecar.config.write_text(text.replace(before, after, 1))

    def fails(self, *words):
        """Exits with 1 and one line on standard error that contains all `words`."""
        self.sidecar.process = self.mesh.add(self.sidecar).start(ready=False).process
        assert self.sidecar.process.child.wait(45) == 1, self.sidecar.process.log()
        check_clean(self.sidecar.process)
        lines = [line for line in self.sidecar.process.events() if line["level"] in ("warn", "error")]
        assert len(lines) == 1, self.sidecar.process.log()
        assert lines[0]["event"] == "not_started"
        for word in words:
            assert str(word) in lines[0]["error"], lines[0]["error"]
        return lines[0]["error"]


@pytest.fixture
def start(mesh, authority):
    return Start(mesh, authority)


def test_the_unspoilt_configuration_starts(start):
    start.mesh.add(start.sidecar).start()
    assert start.sidecar.stop() == 0


# --- The configuration file ---------------------------------------------------------------------------


@pytest.mark.parametrize("before, after, words", [
    ("workers: 1", "wokers: 1", ["wokers", "workers"]),
    ("workers: 1", "workers: many", ["workers", "many"]),
    ("workers: 1", "workers: 65", ["workers", "64"]),
    ("workers: 1", "workers: -1", ["workers"]),
    ("port: 80", "port: 0", ["port"]),
    ("port: 80", "port: 65536", ["port", "65535"]),
    ("port: 80", "prot: 80", ["prot", "port"]),
    ("level: debug", "level: chatty", ["level", "chatty", "debug"]),
    ("log: {", "timeouts: {drain: soon}\nlog: {", ["drain", "soon"]),
    ("log: {", "workers: 2\nlog: {", ["workers"]),
    ("outbound:\n", "outbound: all\nother:\n", ["outbound"]),
    ("target: '127.0.0.1:80'", "target: 'localhost:80'", ["target", "localhost"]),
    ("target: '127.0.0.1:80'", "target: '127.0.0.1'", ["target"]),
    ("name: web,", "", ["name"]),
    ("identity: 'spiffe", "identity: 'spifffe", ["identity"]),
    ("identity: 'spiffe://example.org/ns", "identity: 'spiffe://Example.org/ns", ["identity"]),
    ("log: {", "\tlog: {", []),
])
def test_mistakes_are_named_with_their_place(start, before, after, words):
    start.spoil(before, after)
    sentence = start.fails(*words)
    assert re.search(r"web\.yaml:\d+:\d+: ", sentence), sentence
    # The same sentence, without starting.
    checked = run(SIDECAR, "--config", start.sidecar.config, "--check")
    assert checked.returncode == 1 and checked.stderr.strip() == sentence


def test_missing_configuration_is_named(start):
    start.sidecar.config.unlink()
    start.fails(start.sidecar.config)


def test_empty_configuration_is_named(start):
    start.sidecar.config.write_text("")
    start.fails("identity")


def test_both_kinds_of_identity_are_too_many(start):
    start.spoil("identity:\n", "identity:\n  control: {address: '127.0.0.1:1', trust_domain: example.org}\n")
    start.fails("exactly one of")


def test_service_declared_twice_is_named(start):
    start.spoil("  services:\n", "  services:\n    - {name: web, port: 81, target: '127.0.0.1:81'}\n")
    start.fails("web.yaml:", "declared twice")


def test_edge_to_an_undeclared_service_is_named(start):
    start.spoil("  services:\n", f"  edges:\n    - {{listen: '127.0.0.1:{free_port()}', service: other}}\n"
                                 "  services:\n")
    start.fails("web.yaml:", "other")


def test_outbound_beyond_loopback_needs_a_word(start):
    """Whoever reaches an outbound listener acts as this workload."""
    start.spoil("{listen: '127.0.0.1:", "{listen: '0.0.0.0:")
    start.fails("web.yaml:", "0.0.0.0:", "not on loopback", "expose: true")


def test_outbound_beyond_loopback_with_the_word_starts(start):
    start.spoil("{listen: '127.0.0.1:", "{expose: true, listen: '0.0.0.0:")
    start.mesh.add(start.sidecar).start()
    assert start.sidecar.stop() == 0


def test_one_address_for_two_listeners_is_named(start):
    port = free_port()
    for _ in range(2):
        start.spoil("outbound:\n", "outbound:\n  - " +
                    fixed_outbound(f"127.0.0.1:{port}", 1, start.id) + "\n")
    start.fails("web.yaml:", f"127.0.0.1:{port} is listened on twice")


# --- Files of the identity ----------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["certificate", "key", "bundle"])
def test_missing_file_is_named(start, which):
    path = getattr(start, which)
    path.unlink()
    start.fails(path, "No such file")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_key_open_to_others_is_refused(start, mode):
    start.key.chmod(mode)
    start.fails(start.key, f"{mode:04o}", "chmod 600")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_key_is_named(start):
    start.key.chmod(0)
    start.fails(start.key, "Permission denied")


def test_key_of_another_certificate_is_named(start):
    other = start.authority.leaf(start.id)
    start.key.write_bytes(other.key_pem)
    start.fails(start.certificate, start.key)


@pytest.mark.parametrize("which", ["certificate", "key", "bundle"])
@pytest.mark.parametrize("content", [b"", b"not PEM\n", os.urandom(2000)])
def test_file_without_its_content_is_named(start, which, content):
    getattr(start, which).write_bytes(content)
    start.fails(getattr(start, which))


def test_truncated_certificate_is_named(start):
    start.certificate.write_bytes(start.certificate.read_bytes()[:300])
    start.fails(start.certificate)


def test_expired_certificate_is_named(start):
    now = utc_now()
    start.authority.leaf(start.id, not_before=now - 2 * HOUR, not_after=now - HOUR).write(start.folder, "web")
    start.fails(start.certificate, "expired", "1h")


def test_certificate_of_tomorrow_is_named(start):
    now = utc_now()
    start.authority.leaf(start.id, not_before=now + HOUR, not_after=now + 2 * HOUR).write(start.folder, "web")
    start.fails(start.certificate, "not valid for another")


def test_certificate_without_spiffe_id_is_named(start):
    start.authority.leaf(uris=[], dns=["web.example.org"]).write(start.folder, "web")
    start.fails(start.certificate, "SPIFFE ID")


def test_certificate_of_another_ca_is_named(start):
    IMPOSTOR.leaf(start.id).write(start.folder, "web")
    start.fails(start.certificate, start.bundle)


def test_folder_in_place_of_a_file_is_named(start):
    start.spoil(f"key: {start.key}", f"key: {start.folder}")
    start.fails(start.folder, "not a regular file")


def test_half_an_identity_is_named(start):
    start.spoil(f"    key: {start.key}\n", "")
    start.fails("'key'")


# --- Addresses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["tunnel", "health", "metrics_port"])
def test_port_in_use_is_named(start, which):
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    start.spoil(f"127.0.0.1:{getattr(start.sidecar, which)}", f"127.0.0.1:{port}")
    start.fails(f"127.0.0.1:{port}", "another process uses this port")
    taken.close()


def test_outbound_port_in_use_is_named(start):
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    start.spoil("outbound:\n", "outbound:\n  - " + fixed_outbound(f"127.0.0.1:{port}", 1, start.id) + "\n")
    start.fails(f"127.0.0.1:{port}", "another process uses this port")
    taken.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_port_of_another_sidecar_is_in_use(start, workers):
    """Our own listeners share their ports between workers; two sidecars must not share one by mistake."""
    start.mesh.add(start.sidecar).start()
    other = Start(start.mesh, start.authority)
    other.sidecar.name = "second"
    other.sidecar.config = other.folder / "second.yaml"
    other.sidecar.workers, other.sidecar.tunnel = workers, start.sidecar.tunnel
    other.sidecar.write_config()
    other.fails(f"127.0.0.1:{start.sidecar.tunnel}", "another process uses this port")


def test_address_of_another_machine_is_named(start):
    start.spoil(f"listen: 127.0.0.1:{start.sidecar.tunnel}", "listen: 192.0.2.1:15008")
    start.fails("192.0.2.1:15008", "no interface")


def test_path_that_is_in_use_is_named(start):
    path = start.folder / "front"
    start.mesh.add(EchoServer(path=path))
    start.spoil("outbound:\n", "outbound:\n  - " + fixed_outbound(f"unix:{path}", 1, start.id) + "\n")
    start.fails(path, "another process listens there")


def test_path_that_is_no_socket_is_left_alone(start):
    path = start.folder / "precious"
    path.write_text("data")
    start.spoil("outbound:\n", "outbound:\n  - " + fixed_outbound(f"unix:{path}", 1, start.id) + "\n")
    start.fails(path, "no socket")
    assert path.read_text() == "data"


def test_path_in_a_missing_folder_is_named(start):
    path = start.folder / "missing" / "front"
    start.spoil("outbound:\n", "outbound:\n  - " + fixed_outbound(f"unix:{path}", 1, start.id) + "\n")
    start.fails(path, "folder does not exist")


# --- The command line ---------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [[], ["--config"], ["--config", "a", "b"], ["--colour"]])
def test_wrong_usage_is_told_from_a_failed_start(words):
    result = run(SIDECAR, *words)
    assert result.returncode == 2 and "--help" in result.stderr and result.stdout == ""


def test_help_and_version_are_for_standard_output():
    assert "--config FILE" in run(SIDECAR, "--help").stdout
    version = run(SIDECAR, "--version")
    assert version.returncode == 0 and version.stderr == ""
    for library in ("remora-sidecar", "wolfSSL", "libuv", "nghttp2", "protobuf-c"):
        assert library in version.stdout
