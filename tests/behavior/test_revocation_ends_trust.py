# SPDX-License-Identifier: GPL-3.0-or-later
"""Revoked means revoked everywhere at once: live connections end, new ones and renewals are refused, by name, also
after a restart of the control plane."""
import signal

import pytest

from mesh import EchoServer, free_port, identity, wait_until
from pair import Pair, joined_pair, outcome


def serial_of(control, who):
    return next(one["serial"] for one in control.json("certificates")["certificates"] if one["identity"] == who)


def open_connection(pair):
    connection = pair.connect()
    connection.sendall(b"x")
    assert connection.recv(1) == b"x"
    return connection


def test_revoked_client_is_cut_off_and_kept_out(mesh):
    pair, application, control = joined_pair(mesh)
    with open_connection(pair) as connection:
        control.remora("revoke", "certificate", serial_of(control, pair.client_id), "--reason", "stolen")
        assert outcome(connection) == ("reset", b"")
    wait_until(pair.server.process.access, "the access line")
    assert pair.server.process.access()[0]["result"] == "certificate_revoked"
    assert pair.meet() == ("reset", b"")
    pair.server.process.wait_event("handshake_failed", error="certificate_revoked")
    assert application.count == 1


def test_revoked_server_is_left_by_its_clients(mesh):
    pair, _, control = joined_pair(mesh)
    with open_connection(pair) as connection:
        control.remora("revoke", "certificate", serial_of(control, pair.server_id))
        assert outcome(connection) == ("reset", b"")
    wait_until(pair.client.process.access, "the access line")
    assert pair.client.process.access()[0]["result"] == "certificate_revoked"
    assert pair.meet() == ("reset", b"")


def test_others_are_left_alone(mesh):
    """Two clients, one revoked: the other one's connection does not even notice."""
    pair, _, control = joined_pair(mesh)
    other = mesh.sidecar("other", calls=["web"])
    other_pair = Pair.of(other, other.port("web"))
    with open_connection(pair) as revoked, open_connection(other_pair) as standing:
        control.remora("revoke", "certificate", serial_of(control, pair.client_id))
        assert outcome(revoked) == ("reset", b"")
        standing.sendall(b"still here")
        assert standing.recv(10) == b"still here"
    other_pair.echo()


def test_lineage_is_revoked_with_its_certificate(mesh):
    """Any certificate of the line will do: a renewed one falls with its predecessor."""
    pair, _, control = joined_pair(mesh, lifetime="10s")
    first = serial_of(control, pair.client_id)
    wait_until(lambda: pair.client.metric("remora_certificate_renewals_total", result="ok") >= 2,
               "a renewal", 30)
    with open_connection(pair) as connection:
        control.remora("revoke", "certificate", first)
        assert outcome(connection) == ("reset", b"")
    pair.client.process.wait_event("renewal_failed", error="or revoked")
    wait_until(lambda: any(line.get("error") == "certificate_revoked" for line in control.process.events()),
               "the control plane to name it")


def test_revoked_workload_comes_back_only_with_new_evidence(mesh):
    """An operator who trusts the host again gives it a token; the revoked certificate's end is not waited
    for."""
    pair, _, control = joined_pair(mesh, lifetime="60s")
    control.remora("revoke", "certificate", serial_of(control, pair.client_id))
    wait_until(lambda: pair.meet() == ("reset", b""), "the refusal")
    control.create_token(pair.client_id, path=mesh.folder / "client.token")

    wait_until(pair.works, "the client to be back", 60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_revocation_outlives_the_control_plane(mesh, number):
    """It is durable before the command returns, and what was pushed counts while nobody is there."""
    pair, _, control = joined_pair(mesh)
    serial = serial_of(control, pair.client_id)
    control.remora("revoke", "certificate", serial)
    wait_until(lambda: pair.meet() == ("reset", b""), "the refusal")
    control.process.stop(number)
    assert pair.meet() == ("reset", b"")
    control.start()
    wait_until(lambda: pair.server.metric("remora_control_connected") == 1, "the stream to come back")
    assert pair.meet() == ("reset", b"")
    told = next(one for one in control.json("certificates", "--all")["certificates"] if one["serial"] == serial)
    assert "revoked" in str(told).lower()


def test_revocation_that_was_answered_is_never_lost(mesh):
    """The control plane dies the moment the command returns, before anything can have been pushed."""
    pair, _, control = joined_pair(mesh)
    control.remora("revoke", "certificate", serial_of(control, pair.client_id))
    control.process.stop(signal.SIGKILL)
    control.start()
    wait_until(lambda: pair.meet() == ("reset", b""), "the refusal")
    # At the handshake, or just after it if the news came in between.
    wait_until(lambda: "certificate_revoked" in pair.server.process.stderr(), "its name")


def test_sidecar_that_starts_later_knows_it_too(mesh):
    pair, _, control = joined_pair(mesh)
    control.remora("revoke", "certificate", serial_of(control, pair.client_id))
    application = mesh.add(EchoServer())
    control.create_service("late", 81, identity("late"))
    late = mesh.sidecar("late", serves=[("late", 81, application.address)])
    text, port = pair.client.config.read_text(), free_port()
    pair.client.config.write_text(text.replace(
        "outbound:\n", f"outbound:\n  - {{listen: '127.0.0.1:{port}', service: late, port: 81, "
                       f"endpoint: '127.0.0.1:{late.tunnel}', identity: '{identity('late')}'}}\n"))
    pair.client.process.signal(signal.SIGHUP)
    pair.client.process.wait_event("reloaded")
    assert Pair.of(pair.client, port).meet() == ("reset", b"")
    late.process.wait_event("handshake_failed", error="certificate_revoked")
    assert application.count == 0


def test_unknown_serial_is_refused_by_name(mesh):
    _, _, control = joined_pair(mesh)
    result = control.remora("revoke", "certificate", "00112233445566778899aabbccddeeff", check=False)
    assert result.returncode == 1 and "no certificate of this control plane has that serial" in result.stderr
