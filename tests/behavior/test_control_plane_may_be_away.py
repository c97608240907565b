# SPDX-License-Identifier: GPL-3.0-or-later
"""The data plane works with what it has: a control plane that is away at the start is waited for, one that goes away
later is missed only when certificates end, and one that comes back finds everything as it was."""
import re
import shutil
import signal
import subprocess

import pytest

from mesh import CONTROL, EchoServer, identity, wait_until
from pair import Pair, joined_pair


def hashes(sidecar):
    return re.findall(r'remora_view_info\{hash="([0-9a-f]{64})"\} 1', sidecar.metrics())


def connected(sidecar):
    return sidecar.metric("remora_control_connected") == 1


def test_away_at_the_start_is_waited_for(mesh):
    """The sidecars start first, say what they wait for, and become ready by themselves."""
    control = mesh.start_control()
    control.create_service("web", 80, identity("web"))
    application = mesh.add(EchoServer())
    web = mesh.sidecar("web", serves=[("web", 80, application.address)], start=False)
    client = mesh.sidecar("client", calls=["web"], start=False)
    control.stop()
    for sidecar in (web, client):
        sidecar.start(ready=False)
        wait_until(lambda: f"127.0.0.1:{control.port}" in sidecar.ready()[1], "readiness to name it", process=sidecar.process)
        assert sidecar.ready()[0] == 503
    pair = Pair.of(client, client.port("web"))
    # An application that comes meanwhile waits a while and is then reset, never left hanging.
    assert pair.meet() == ("reset", b"")
    client.process.wait_event("refused", reason="identity_missing")
    control.start()
    for sidecar in (web, client):
        sidecar.wait_ready()
    pair.echo()


def test_application_that_came_early_is_served_when_the_view_comes(mesh):
    """Within the deadline it is held, not refused."""
    pair, _, control = joined_pair(mesh, client={"extra": "timeouts: {first_view: 60s}\n"})
    pair.client.stop()
    control.stop()
    pair.client.start(ready=False)
    wait_until(lambda: pair.client.ready()[0] == 503, "the client's sidecar to be up")
    with pair.connect(60) as connection:
        connection.sendall(b"early")
        control.start()
        control.create_token(identity("client"), path=mesh.folder / "client.token")
        assert connection.recv(5) == b"early"


def test_away_later_is_not_missed_while_certificates_last(mesh):
    """Standing and new connections go on; readiness, too; the log and the metrics say it."""
    pair, _, control = joined_pair(mesh)
    with pair.connect() as standing:
        standing.sendall(b"before")
        assert standing.recv(6) == b"before"
        control.process.stop(signal.SIGKILL)
        for sidecar in (pair.client, pair.server):
            wait_until(lambda: not connected(sidecar), "the metric to say it")
            sidecar.process.wait_event("control_plane_away")
            assert sidecar.ready()[0] == 200
        for _ in range(20):
            pair.echo()
        standing.sendall(b"after")
        assert standing.recv(5) == b"after"
        control.start()
        for sidecar in (pair.client, pair.server):
            wait_until(lambda: connected(sidecar), "the stream to come back")
        standing.sendall(b"again")
        assert standing.recv(5) == b"again"
    pair.echo()


def test_away_too_long_ends_by_name(mesh):
    """Certificates of ten seconds: when they are over readiness says why, and nothing new is carried."""
    pair, _, control = joined_pair(mesh, lifetime="10s")
    pair.echo()
    control.process.stop(signal.SIGKILL)
    wait_until(lambda: pair.client.ready()[0] == 503 and pair.server.ready()[0] == 503,
               "the certificates to end", 30)
    assert "has expired" in pair.client.ready()[1]
    assert f"127.0.0.1:{control.port}" in pair.client.ready()[1]
    # The last second of a certificate belongs to it, so the refusal may come a moment later.
    wait_until(lambda: pair.meet() == ("reset", b""), "new connections to be refused")
    assert pair.client.process.has_event("renewal_failed", error="does not answer")


def test_expired_workload_needs_new_evidence(mesh):
    """A lineage whose certificate ended cannot renew; the state folder's key brings it back without a human."""
    pair, _, control = joined_pair(mesh, lifetime="10s", server={"state_dir": mesh.folder / "state-web"},
                                   client={"state_dir": mesh.folder / "state-client"})
    control.process.stop(signal.SIGKILL)
    wait_until(lambda: pair.client.ready()[0] == 503 and pair.server.ready()[0] == 503,
               "the certificates to end", 30)
    control.start()
    for sidecar in (pair.client, pair.server):
        sidecar.wait_ready()
    wait_until(pair.works, "the pair to work again")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_restarted_control_plane_knows_everything(mesh, number):
    """Endpoints, services and certificates are in the store; the sidecars' view is the same, without a resync's
    interruption."""
    pair, _, control = joined_pair(mesh)
    before = control.json("service", "list"), control.json("certificates")["certificates"]
    wait_until(lambda: hashes(pair.client), "the client's view")
    version = pair.client.metric("remora_view_version")
    control.process.stop(number)
    for sidecar in (pair.client, pair.server):
        wait_until(lambda: not connected(sidecar), "the stream to end")
    pair.echo()
    control.start()
    for sidecar in (pair.client, pair.server):
        wait_until(lambda: connected(sidecar), "the stream to come back")
    after = control.json("service", "list"), control.json("certificates")["certificates"]
    assert [one["name"] for one in after[0]["services"]] == [one["name"] for one in before[0]["services"]]
    assert len(after[0]["services"][0]["endpoints"]) == 1
    assert {one["serial"] for one in after[1]} == {one["serial"] for one in before[1]}
    assert pair.client.metric("remora_view_version") >= version
    assert not pair.client.process.has_event("store_replaced")
    pair.echo()


def test_both_ends_export_the_same_view(mesh):
    """The hash that the sidecar computes is the one that the control plane expects of it."""
    pair, _, control = joined_pair(mesh)

    def agreed():
        """What the control plane was told last, and did not contradict, is what the sidecar exports."""
        told = control.json("service", "show", "web")["endpoints"][0]
        version = pair.server.metric("remora_view_version")
        return told.get("view_hash") in hashes(pair.server) and told.get("view_version") == version

    wait_until(agreed, "both ends to agree")
    first = hashes(pair.server)
    control.create_service("database", 5432, identity("database"))
    control.remora("service", "update", "web", "--add-allow", identity("client"))
    wait_until(lambda: hashes(pair.server) != first and agreed(), "both ends to agree on the next one")
    assert not control.process.has_event("view_differs")
    pair.echo()


def test_another_store_is_a_full_resync_and_an_alarm(mesh):
    """A control plane with the same authority and an older store, as after a restore."""
    pair, _, control = joined_pair(mesh)
    backup = mesh.folder / "backup"
    subprocess.run([CONTROL, "backup", "--config", control.config, backup], check=True, capture_output=True)
    control.stop()
    aside = control.data.with_name("aside")
    control.data.rename(aside)
    restored = subprocess.run([CONTROL, "restore", "--config", control.config, backup], capture_output=True,
                              text=True)
    assert restored.returncode == 0, restored.stderr
    shutil.copy(aside / "kek", control.data / "kek")
    control.start()
    for sidecar in (pair.client, pair.server):
        wait_until(lambda: connected(sidecar), "the stream to come back")
        sidecar.process.wait_event("store_replaced")
    pair.echo()
