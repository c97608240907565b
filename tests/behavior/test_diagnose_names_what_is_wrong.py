# SPDX-License-Identifier: GPL-3.0-or-later
"""`remora diagnose` says what is wrong with another end and what to do, whoever made it: our own ports, nginx,
openssl, gnutls, a server with RSA certificates, and ports where nobody speaks TLS. It exits with 0 only when
nothing is wrong, and the key never leaves the sidecar."""
import json
import os
import shutil
import socket
import ssl
import subprocess

import pytest

from ca import HOUR, MINUTE, Authority, pem, utc_now
from mesh import REMORA, EchoServer, Process, Sidecar, free_port, wait_until
from pair import echo_pair, joined_pair, write_identity
from servers import NGINX, Server

STRANGER = Authority("stranger.example", key="rsa")


def run(sidecar, *words, **options):
    return subprocess.run([REMORA, "--sidecar-socket", sidecar.local_socket, "diagnose",
                           *[str(word) for word in words]], capture_output=True, text=True, timeout=90,
                          **options)


class Seen:
    """What one diagnosis said; its form is checked on the way."""

    def __init__(self, result):
        assert result.returncode in (0, 1), result.stderr
        said = json.loads(result.stdout)
        assert set(said) == {"well", "findings", "steps"}
        self.well, self.findings, self.steps = said["well"], said["findings"], said["steps"]
        for step in self.steps:
            assert set(step) == {"name", "outcome", "text", "took_us", "facts"}
            assert step["outcome"] in ("passed", "failed", "skipped")
            assert all(isinstance(value, str) for value in step["facts"].values())
        order = {"error": 0, "warning": 1, "note": 2}
        ranks = [order[finding["severity"]] for finding in self.findings]
        assert ranks == sorted(ranks), "the worst comes first"
        for finding in self.findings:
            assert set(finding) == {"severity", "name", "what", "detail", "cause", "remedy"}
            assert finding["what"] and finding["cause"] and finding["remedy"]
        assert self.well == all(rank == 2 for rank in ranks)
        assert result.returncode == (0 if self.well else 1)

    def step(self, name):
        return next(step for step in self.steps if step["name"] == name)

    def fact(self, name, key):
        return self.step(name)["facts"][key]

    def all_facts(self, name):
        return [step["facts"] for step in self.steps if step["name"] == name]

    def finding(self, name):
        found = [finding for finding in self.findings if finding["name"] == name]
        assert found, f"{name} is not among {[finding['name'] for finding in self.findings]}"
        return found[0]

    def names(self, severity):
        return {finding["name"] for finding in self.findings if finding["severity"] == severity}


def diagnose(sidecar, *words):
    return Seen(run(sidecar, *words, "--json"))


@pytest.fixture(name="client")
def fixture_client(mesh, authority):
    """A sidecar with an identity from files."""
    sidecar = mesh.add(Sidecar(mesh.folder, "client", identity_yaml=write_identity(
        mesh.folder, "client", authority.leaf(authority.identity("client")), authority.bundle_pem)))
    return sidecar.start()


def s_server(mesh, leaf, *options, name="s_server"):
    """openssl s_server with this chain."""
    port = free_port()
    certificate, key = leaf.write(mesh.folder, name)
    words = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", certificate, "-key", key, "-quiet",
             *options]
    if len(leaf.chain) > 1:
        issuers = mesh.folder / f"{name}.issuers.pem"
        issuers.write_bytes(b"".join(pem(one) for one in leaf.chain[1:]))
        words += ["-cert_chain", issuers]
    process = Process(name, words, mesh.folder, env={"OPENSSL_CONF": "/dev/null"})
    return mesh.add(Server(process, port))


# --- Our own ports.

def test_own_ports_are_well(mesh):
    edge = free_port()
    pair, _, control = joined_pair(mesh, server={"edges": [(edge, "web")]})
    tunnel = diagnose(pair.client, f"127.0.0.1:{pair.server.tunnel}", "--expect", "spiffe://example.org/ns/default/sa/web")
    assert tunnel.well
    assert tunnel.fact("handshake", "version") == "TLSv1.3"
    assert tunnel.fact("handshake", "group") == "X25519MLKEM768"
    assert tunnel.fact("handshake", "retried") == "false"
    assert tunnel.fact("chain", "trust_domain") == "example.org"
    leaf, issuer = tunnel.all_facts("certificate")
    assert (leaf["spiffe_id"], leaf["key"], leaf["ca"]) == ("spiffe://example.org/ns/default/sa/web", "P-256", "false")
    assert issuer["ca"] == "true" and issuer["signature"] == "ecdsa-with-SHA256"
    assert tunnel.step("client_certificate")["facts"] == {
        "wanted": "true", "ours": "accepted", "none": "refused: certificate_required"}
    assert tunnel.fact("sni", "without") == "refused: missing_extension"
    assert tunnel.step("alpn")["facts"] == {
        "remora_1": "chosen", "h2": "refused: no_application_protocol",
        "http_1_1": "refused: no_application_protocol", "none": "refused: no_application_protocol"}
    assert tunnel.fact("tickets", "count") == "1"
    assert abs(int(tunnel.fact("clock", "control_offset_s"))) <= 1

    port = diagnose(pair.client, f"localhost:{control.port}")
    assert port.well and port.names("note") == set()
    assert port.fact("handshake", "alpn") == "h2"
    assert port.fact("names", "found") == "spiffe://example.org/remora/control"
    assert port.fact("client_certificate", "none") == "accepted"
    assert port.fact("tickets", "count") == "0"

    seen = diagnose(pair.client, f"127.0.0.1:{edge}")
    assert seen.well and seen.fact("client_certificate", "ours") == "accepted"

    # The tunnel port is in the view, so nobody needs to say whom to expect.
    told = run(pair.client, f"127.0.0.1:{pair.server.tunnel}")
    assert told.returncode == 0 and told.stderr == ""
    assert "in the mesh's view web/" in told.stdout and told.stdout.endswith("\nNothing is wrong.\n")
    for line in told.stdout.splitlines()[:-2]:
        assert line[19:24] == "ok   ", line


def test_service_is_called_for_real(mesh):
    pair, application, control = joined_pair(mesh)
    seen = diagnose(pair.client, "--service", "web")
    assert seen.well and seen.fact("tunnel", "status") == "ok"
    assert seen.fact("view", "complete") == "true"
    assert seen.fact("endpoint", "owned") == "true"

    missing = diagnose(pair.client, "--service", "wbe")
    assert missing.finding("service_unknown")["detail"] == "wbe"

    application.close()
    seen = diagnose(pair.client, "--service", "web")
    assert seen.fact("tunnel", "status") == "unreachable"
    assert f"127.0.0.1:{pair.server.tunnel}" in seen.finding("application_unreachable")["detail"]

    control.remora("service", "update", "web", "--add-allow", "ns/default/sa/nobody")
    wait_until(lambda: diagnose(pair.client, "--service", "web").fact("tunnel", "status") == "denied",
               "the rule to be in force")
    seen = diagnose(pair.client, "--service", "web")
    assert "said by" in seen.finding("guarded")["detail"]

    pair.server.process.child.kill()
    pair.server.process.child.wait()
    seen = diagnose(pair.client, "--service", "web")
    assert seen.finding("endpoint_unreachable")["detail"] == f"127.0.0.1:{pair.server.tunnel}: connection refused"
    assert seen.step("connect")["outcome"] == "failed"
    assert seen.fact("endpoint", "set_aside") == "false"
    assert pair.meet() == ("reset", b"")
    seen = diagnose(pair.client, "--service", "web")
    assert seen.fact("endpoint", "set_aside") == "true" and seen.fact("endpoint", "failures") == "1"
    assert "by 1 of its workers" in seen.finding("endpoint_set_aside")["detail"]


def test_fixed_endpoint_with_another_identity(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority, expected=authority.identity("other"))
    seen = diagnose(pair.client, "--service", "web")
    assert "unrecognized_name" in seen.finding("refused_by_peer")["detail"]
    seen = diagnose(pair.client, f"127.0.0.1:{pair.server.tunnel}")
    assert "missing_extension" in seen.finding("sni_wanted")["detail"]


# --- Servers that are not ours.

def start_nginx_tls(mesh, leaf):
    """As an API server of Kubernetes would: RSA, DNS names, a client certificate if there is one."""
    folder = mesh.folder / "nginx"
    folder.mkdir()
    mesh.folder.chmod(0o755)
    certificate, key = leaf.write(folder, "nginx")
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(f"""
user root;
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_verify_client optional_no_ca;
        return 204;
    }}
}}
""")
    return mesh.add(Server(Process("nginx", [NGINX, "-e", "stderr", "-p", folder, "-c", config], folder), port))


def test_nginx_with_rsa_certificates(mesh, client):
    nginx = start_nginx_tls(mesh, STRANGER.leaf(uris=[], dns=["localhost", "*.cluster.local"], key="rsa"))
    seen = diagnose(client, f"localhost:{nginx.port}")
    leaf, issuer = seen.all_facts("certificate")
    assert (leaf["key"], leaf["signature"]) == ("RSA 2048", "sha256WithRSAEncryption")
    assert leaf["dns"] == "localhost,*.cluster.local" and "spiffe_id" not in leaf
    assert issuer["key"] == "RSA 2048"
    assert seen.names("error") == {"unknown_issuer"}
    assert "stranger.example root" in seen.finding("unknown_issuer")["detail"]
    assert seen.fact("chain", "trust_domain") == ""
    assert seen.step("names")["text"] == "it is for localhost"
    assert seen.fact("client_certificate", "wanted") == "true"
    assert seen.fact("client_certificate", "ours") == "accepted"
    assert seen.step("alpn")["facts"]["h2"] == "chosen" and seen.step("alpn")["facts"]["http_1_1"] == "chosen"
    assert abs(int(seen.fact("clock", "server_offset_s"))) <= 1
    assert int(seen.fact("tickets", "count")) >= 1
    # OpenSSL 3.0 has no ML-KEM.
    assert seen.fact("handshake", "retried") == "true" and "x25519" in seen.finding("group_needs_retry")["detail"]

    wrong = diagnose(client, f"127.0.0.1:{nginx.port}", "--sni", "api.example.net")
    assert wrong.finding("wrong_name")["detail"] == "wanted api.example.net, found localhost"
    assert diagnose(client, f"127.0.0.1:{nginx.port}", "--sni", "api.cluster.local").step("names")["outcome"] == "passed"
    missed = diagnose(client, f"localhost:{nginx.port}", "--alpn", "remora/1")
    assert "wanted remora/1" in missed.finding("alpn_missing")["detail"]


def test_openssl_that_does_not_fit(mesh, client, authority):
    good = authority.leaf(authority.identity("web"))
    old = s_server(mesh, good, "-tls1_2", name="old")
    seen = diagnose(client, old.address)
    assert "protocol_version" in seen.finding("wrong_version")["detail"]

    group = s_server(mesh, good, "-groups", "P-256", name="group")
    seen = diagnose(client, group.address)
    assert seen.fact("handshake", "group") == "secp256r1" and seen.fact("handshake", "retried") == "true"
    assert seen.finding("group_needs_retry")["severity"] == "note"
    assert seen.finding("client_certificate_not_wanted")["severity"] == "note" and seen.well

    far = s_server(mesh, good, "-groups", "P-521", name="far")
    seen = diagnose(client, far.address)
    assert "handshake_failure" in seen.finding("refused_by_peer")["detail"]

    suite = s_server(mesh, good, "-ciphersuites", "TLS_AES_128_CCM_SHA256", name="suite")
    seen = diagnose(client, suite.address)
    assert seen.step("handshake")["outcome"] == "failed" and not seen.well

    # It trusts nobody's certificates, and says so after the handshake.
    strict = s_server(mesh, good, "-Verify", "2", "-verify_return_error", name="strict")
    seen = diagnose(client, strict.address)
    assert seen.fact("client_certificate", "ours") == "refused: unknown_ca"
    assert "it trusts no root of our chain" in seen.finding("refused_by_peer")["detail"]
    assert seen.fact("client_certificate", "none") == "refused: certificate_required"


def test_chains_that_do_not_stand(mesh, client, authority):
    who = authority.identity("web")
    twin = Authority(authority.trust_domain)  # the same names, other keys
    wrong_order = twin.leaf(who)
    wrong_order.chain = [wrong_order.chain[0], twin.root, twin.intermediate]
    own_issuer = Authority("self.example")
    self_signed = own_issuer.leaf(who)
    self_signed.chain, self_signed.key = [own_issuer.root], own_issuer.root_key
    cases = {
        "certificate_expired": (authority.leaf(who, not_before=utc_now() - 2 * HOUR,
                                               not_after=utc_now() - HOUR), "too late"),
        "not_yet_valid": (authority.leaf(who, not_before=utc_now() + HOUR, not_after=utc_now() + 2 * HOUR),
                          "too early"),
        "missing_intermediate": (authority.leaf(who, with_intermediate=False), "example.org issuer"),
        "self_signed": (self_signed, "self.example root"),
        "wrong_order": (wrong_order, "the 3 certificates sent"),
        "unknown_issuer": (twin.leaf(who), "example.org root"),
        "unknown_trust_domain": (STRANGER.leaf(STRANGER.identity("web")), STRANGER.identity("web")),
        "no_spiffe_id": (authority.leaf(uris=[], dns=["localhost"]), "wanted one URI SAN, found 0"),
        "several_spiffe_ids": (authority.leaf(uris=[who, who + "2"]), "found 2"),
        "bad_spiffe_id": (authority.leaf(uris=["https://example.org/x"]), "https://example.org/x"),
    }
    for name, (chain, detail) in cases.items():
        server = s_server(mesh, chain, name=name)
        seen = diagnose(client, server.address)
        assert detail in seen.finding(name)["detail"], name
        assert not seen.well and seen.fact("handshake", "version") == "TLSv1.3", name
    other = s_server(mesh, authority.leaf(who), name="other")
    seen = diagnose(client, other.address, "--expect", authority.identity("db"))
    assert seen.finding("wrong_identity")["detail"] == f"wanted {authority.identity('db')}, found {who}"
    soon = s_server(mesh, authority.leaf(who, not_before=utc_now() - 24 * HOUR, not_after=utc_now() + 30 * MINUTE),
                    name="soon")
    seen = diagnose(client, soon.address)
    assert seen.names("error") == set() and seen.names("warning") == {"certificate_ends_soon"}


def test_clock_of_an_http_server(mesh, client, authority):
    certificate, key = authority.leaf(authority.identity("web")).write(mesh.folder, "clock")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    asked = []

    def answer(connection):
        with context.wrap_socket(connection, server_side=True) as stream:
            if words := stream.recv(4096):
                asked.append(words)
                date = (utc_now() - HOUR).strftime("%a, %d %b %Y %H:%M:%S GMT")
                stream.sendall(f"HTTP/1.1 200 OK\r\nDate: {date}\r\n\r\n".encode())
    server = mesh.add(EchoServer(answer))
    seen = diagnose(client, server.address)
    assert -3605 <= int(seen.fact("clock", "server_offset_s")) <= -3598
    found = seen.finding("clock_differs")
    assert found["severity"] == "warning" and found["detail"].endswith("1h0m behind ours"), found
    # All that a probe ever says to a server.
    assert asked == [b"HEAD / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: remora-diagnose\r\n"
                     b"Connection: close\r\n\r\n"]


@pytest.mark.skipif(shutil.which("gnutls-serv") is None, reason="no gnutls-serv")
def test_gnutls(mesh, client, authority):
    certificate, key = authority.leaf(authority.identity("web")).write(mesh.folder, "gnutls")
    port = free_port()
    process = Process("gnutls", ["gnutls-serv", "--quiet", "--echo", "--port", port, "--x509certfile", certificate,
                                 "--x509keyfile", key, "--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.3"], mesh.folder)
    server = mesh.add(Server(process, port))
    seen = diagnose(client, server.address)
    assert seen.well, seen.findings
    assert seen.fact("handshake", "version") == "TLSv1.3"
    assert seen.fact("names", "found") == authority.identity("web")


def test_ports_without_tls(mesh, client):
    seen = diagnose(client, f"127.0.0.1:{client.health}")
    assert "plain HTTP" in seen.finding("not_tls")["detail"]
    banner = mesh.add(EchoServer(lambda connection: connection.sendall(b"220 mail.example ESMTP\r\n")))
    assert "wanted a TLS record" in diagnose(client, banner.address).finding("not_tls")["detail"]
    closes = mesh.add(EchoServer(lambda connection: connection.recv(1)))
    assert diagnose(client, closes.address).names("error") == {"closed"}
    nobody = free_port()
    seen = diagnose(client, f"127.0.0.1:{nobody}")
    assert seen.finding("endpoint_unreachable")["detail"] == f"127.0.0.1:{nobody}: connection refused"
    assert [step["name"] for step in seen.steps] == ["own_certificate", "resolve", "connect"]
    seen = diagnose(client, "no-such-host.invalid:443")
    assert "no-such-host.invalid" in seen.finding("name_not_resolved")["detail"]


# --- Asking.

@pytest.fixture(name="silent")
def fixture_silent():
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_one_at_a_time_and_an_end_with_the_sidecar(client, silent):
    first = subprocess.Popen([REMORA, "--sidecar-socket", client.local_socket, "diagnose", f"127.0.0.1:{silent}",
                              "--json"], stdout=subprocess.PIPE, text=True)
    client.process.wait_event("diagnosis_asked")
    second = run(client, "--service", "web")
    assert second.returncode == 1 and "another diagnosis is under way" in second.stderr
    client.stop()
    said = json.loads(first.communicate(timeout=30)[0])
    assert first.returncode == 1
    assert [finding["name"] for finding in said["findings"]] == ["diagnosis_cut"]


def test_silent_port_is_left_in_time(client, silent):
    seen = diagnose(client, f"127.0.0.1:{silent}")
    assert "not one byte was received" in seen.finding("timeout")["detail"]


def test_callers_are_told_what_they_may_ask(client, mesh):
    for words in [(), ("a:1", "--service", "web"), ("--service", "web", "--alpn", "h2")]:
        assert run(client, *words).returncode == 2
    for words, sentence in [(("nowhere",), "HOST:PORT"), (("unix:/run/x",), "HOST:PORT"),
                            (("a:1", "--expect", "spiffe://UPPER/x"), "trust domain"),
                            (("a:1", "--sni", "a\r\nb"), "server name"), (("--service", "a/b"), "name")]:
        result = run(client, *words)
        assert result.returncode == 1 and sentence in result.stderr, result.stderr
    # What asks too often waits.
    refused = 0
    for _ in range(40):
        refused += "too many diagnoses" in run(client, "--service", "web").stderr
    assert refused > 0
    if os.geteuid() == 0:
        mesh.folder.chmod(0o755)
        other = run(client, "--service", "web", user=65534)
        assert other.returncode == 3 and "permission" in other.stderr


def test_key_stays_where_it_is(client, mesh, authority):
    """The answer of a diagnosis holds no key, and the tool has none: it works with a key it cannot read."""
    server = s_server(mesh, authority.leaf(authority.identity("web")), name="plain")
    told = run(client, server.address, "--json").stdout
    key = (mesh.folder / "client.key").read_text().splitlines()[1]
    assert key[:20] not in told and "PRIVATE" not in told
