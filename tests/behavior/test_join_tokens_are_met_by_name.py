# SPDX-License-Identifier: GPL-3.0-or-later
"""A join token gives one workload its first certificate. Whatever is wrong with one is said by name, where the
workload's operator looks: readiness and log. The token itself is said to nobody but the proven control plane."""
import base64
import json
import socket
import ssl
import threading

import pytest

from ca import Authority
from mesh import Control, Sidecar, identity, wait_until
from tunnel import context


@pytest.fixture
def control(mesh):
    plane = mesh.start_control()
    plane.create_service("web", 80, identity("web"))
    return plane


def start(mesh, control, token, name="web", **options):
    """A sidecar with this token text in its file; not waited for."""
    path = mesh.folder / f"{name}.token"
    path.write_text(token + "\n")
    path.chmod(options.pop("mode", 0o600))
    return mesh.add(Sidecar(mesh.folder, name, control=control, token=path,
                            services=[("web", 80, "127.0.0.1:1")], **options)).start(ready=False)


def waits_for(sidecar, *words):
    """Readiness and log name all words; the sidecar lives on and tries again."""
    wait_until(lambda: all(word in sidecar.ready()[1] for word in words), f"readiness to say {words}",
               20, sidecar.process)
    assert sidecar.ready()[0] == 503
    assert sidecar.process.poll() is None
    assert any(all(word in line.get("error", "") for word in words) for line in sidecar.process.events())


def parts(token):
    return token.split(".")


def test_token_is_good_for_one_workload(mesh, control):
    token = control.create_token(identity("web"), "web")
    first = start(mesh, control, token)
    first.wait_ready()
    waits_for(start(mesh, control, token, "second"), "token_used")
    assert first.ready()[0] == 200


def test_wrong_secret_is_named(mesh, control):
    scheme, number, secret, pins = parts(control.create_token(identity("web"), "web"))
    wrong = secret[:-2] + ("AA" if secret[-2:] != "AA" else "BB")
    waits_for(start(mesh, control, ".".join((scheme, number, wrong, pins))), "token_unknown")


def test_unknown_token_is_named(mesh, control):
    scheme, number, secret, pins = parts(control.create_token(identity("web"), "web"))
    other = number[:-1] + ("0" if number[-1] != "0" else "1")
    waits_for(start(mesh, control, ".".join((scheme, other, secret, pins))), "token_unknown")


def test_wrong_secret_and_unknown_token_cannot_be_told_apart(mesh, control):
    """Whoever guesses learns nothing about which tokens exist."""
    scheme, number, secret, pins = parts(control.create_token(identity("web"), "web"))
    wrong = secret[:-2] + ("AA" if secret[-2:] != "AA" else "BB")
    other = number[:-1] + ("0" if number[-1] != "0" else "1")
    one = start(mesh, control, ".".join((scheme, number, wrong, pins)), "one")
    two = start(mesh, control, ".".join((scheme, other, secret, pins)), "two")
    for sidecar in (one, two):
        wait_until(lambda: "token_unknown" in sidecar.ready()[1], "a refusal")
    assert one.ready()[1] == two.ready()[1]


def test_deleted_token_is_named(mesh, control):
    token = control.create_token(identity("web"), "web")
    control.remora("token", "delete", parts(token)[1])
    waits_for(start(mesh, control, token), "token_unknown")


def test_expired_token_is_named(mesh, control):
    token = control.create_token(identity("web"), "web", ttl="1s")
    wait_until(lambda: control.json("token", "list")["tokens"][0]["state"] == "expired", "the token to expire")
    waits_for(start(mesh, control, token), "token_expired")


@pytest.mark.parametrize("token, word", [
    ("", "no join token"), ("hello", "rmt1."), ("rmt2.a.b.c", "rmt1."), ("rmt1.a", "secret is missing"),
    ("rmt1.a.b.c", "pin"), ("rmt1.a.b.AAAA+AAAA", "pin"), ("rmt1..b.", "id is missing"),
    ("rmt1.a.b.c.d", "four parts"),
])
def test_malformed_token_is_named_with_its_file(mesh, control, token, word):
    sidecar = start(mesh, control, token)
    waits_for(sidecar, "web.token", word)


def test_token_without_pins_needs_a_bundle(mesh, control):
    """No trust on first use: without pins and without a bundle there is no start."""
    scheme, number, secret, _ = parts(control.create_token(identity("web"), "web"))
    bare = ".".join((scheme, number, secret, ""))
    waits_for(start(mesh, control, bare), "no pins", "bundle")


def test_bundle_file_is_as_good_as_pins(mesh, control):
    """The operator may hand out the roots instead; then the token's pins do not matter."""
    scheme, number, secret, _ = parts(control.create_token(identity("web"), "web"))
    pin = base64.urlsafe_b64encode(bytes(32)).decode().rstrip("=")
    start(mesh, control, ".".join((scheme, number, secret, pin)), identity_yaml=f"""\
  control:
    address: 127.0.0.1:{control.port}
    trust_domain: example.org
    bundle: {control.bundle}
    join_token_file: {mesh.folder}/web.token
""").wait_ready()


def test_missing_token_file_is_named(mesh, control):
    sidecar = mesh.add(Sidecar(mesh.folder, "web", control=control,
                               token=mesh.folder / "nowhere.token")).start(ready=False)
    waits_for(sidecar, "nowhere.token", "No such file")
    # The file comes late, as mounted secrets do: no restart is needed.
    control.create_token(identity("web"), path=mesh.folder / "nowhere.token")
    sidecar.wait_ready()


def test_token_file_open_to_others_is_refused(mesh, control):
    token = control.create_token(identity("web"), "web")
    waits_for(start(mesh, control, token, mode=0o644), "web.token", "0644", "chmod 600")
    assert control.json("token", "list")["tokens"][0]["state"] == "unused"


def test_token_of_another_control_plane_is_refused_by_its_pins(mesh, control):
    """Right address, wrong mesh: the pins do not match, and the token is not sent."""
    other = mesh.add(Control(mesh.folder, name="other")).start()
    other.create_service("web", 80, identity("web"))
    token = other.create_token(identity("web"), "web")
    waits_for(start(mesh, control, token), f"127.0.0.1:{control.port}", "not accepted")
    assert [one["state"] for one in other.json("token", "list")["tokens"]] == ["unused"]
    assert not control.process.has_event("issue_refused")


class Impostor:
    """Speaks TLS and h2 at the control plane's address, with a certificate of its own; notes what it hears."""

    def __init__(self, leaf):
        self.context = context(ssl.PROTOCOL_TLS_SERVER, leaf, ["h2"])
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.heard, self.errors, self.process = b"", [], None
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            try:
                with self.context.wrap_socket(connection, server_side=True) as tls:
                    while data := tls.recv(65536):
                        self.heard += data
            except (OSError, ssl.SSLError) as error:
                self.errors.append(error)

    def close(self):
        self.socket.close()


@pytest.mark.parametrize("spiffe_id", ["spiffe://example.org/remora/control", "spiffe://example.org/ns/a/sa/b"])
def test_impostor_never_hears_the_token(mesh, control, spiffe_id):
    """It has the right name, or a certificate of its own CA; not the pinned root."""
    token = control.create_token(identity("web"), "web")
    impostor = mesh.add(Impostor(Authority("example.org").leaf(spiffe_id)))
    sidecar = start(mesh, control, token, identity_yaml=f"""\
  control:
    address: 127.0.0.1:{impostor.port}
    trust_domain: example.org
    join_token_file: {mesh.folder}/web.token
""")
    waits_for(sidecar, f"127.0.0.1:{impostor.port}", "not accepted")
    assert impostor.heard == b""
    assert control.json("token", "list")["tokens"][0]["state"] == "unused"


def test_token_is_in_no_log(mesh, control):
    token = control.create_token(identity("web"), "web")
    sidecar = start(mesh, control, token)
    sidecar.wait_ready()
    waits_for(start(mesh, control, token, "second"), "used")
    secret = parts(token)[2]
    everything = "".join(path.read_text(errors="replace") for path in mesh.folder.glob("*.err")) + \
        "".join(path.read_text(errors="replace") for path in mesh.folder.glob("*.out"))
    assert secret not in everything
    assert secret not in json.dumps(control.json("token", "list"))
    for path in control.data.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
