# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidecar's local API tells what the sidecar works from: state, view, certificates and live
connections, and never a key."""
import hashlib
import os
import stat
import time

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from local_client import Local, Status, refused
from mesh import TRUST_DOMAIN, Sidecar, identity, wait_until
from pair import echo_pair, joined_pair, read_all
from tunnel import receive_exactly


def spki_hash(pem):
    key = x509.load_pem_x509_certificate(pem.encode() if isinstance(pem, str) else pem).public_key()
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER,
                                           serialization.PublicFormat.SubjectPublicKeyInfo)).digest()


def test_status_and_view_are_those_of_the_mesh(mesh):
    pair, application, control = joined_pair(mesh)
    with Local(pair.client.local_socket) as client, Local(pair.server.local_socket) as server:
        status = client.GetStatus()
        assert (status.ready, status.waits_for, status.identity) == (True, "", pair.client_id)
        assert status.config_path == str(pair.client.config)
        assert status.control.address == f"127.0.0.1:{control.port}" and status.control.connected
        assert abs(status.control.clock_offset_ms) < 30_000
        assert abs(status.now_ms / 1000 - time.time()) < 30 and status.started_at_s <= status.now_ms / 1000
        assert (status.log_level.level, status.log_level.falls_back_at_s) == ("debug", 0)
        assert status.workers == 1
        assert status.view.complete and 0 <= status.view.last_heard_ago_ms < 60_000
        roots = [spki_hash(pem) for pem in control.json("bundle")["roots"]]
        assert [(one.trust_domain, list(one.key_ids)) for one in status.bundles] == [(TRUST_DOMAIN, roots)]

        pieces = list(client.GetView())
        version = pieces[0].version
        assert version.number == status.view.number and version.hash == status.view.hash
        assert len(version.hash) == 32 and len(version.store_id) == 16
        assert not any(piece.HasField("version") for piece in pieces[1:])
        assert [(one.name, one.port, list(one.identities)) for piece in pieces for one in piece.services] == \
            [("web", 80, [pair.server_id])]
        endpoints = [one for piece in pieces for one in piece.endpoints]
        assert [(one.service, one.identity, one.ready) for one in endpoints] == [("web", pair.server_id, True)]
        assert endpoints[0].address == f"127.0.0.1:{pair.server.tunnel}"
        assert [list(one.key_ids) for piece in pieces for one in piece.bundles] == [roots]
        # The control plane knows the very view that the server works from.
        wait_until(lambda: server.GetStatus().view.hash.hex() ==
                   control.json("service", "show", "web")["endpoints"][0]["view_hash"],
                   "the server's view to be the one that the control plane knows")


def test_live_connections_are_told_from_both_ends(mesh):
    pair, application, _ = joined_pair(mesh)
    with Local(pair.client.local_socket) as client, Local(pair.server.local_socket) as server, \
            pair.connect() as connection:
        connection.sendall(b"x" * 1000)
        assert len(receive_exactly(connection, 1000)) == 1000
        ours = wait_until(lambda: [c for c in client.connections() if c.received_bytes == 1000], "our end")[0]
        theirs = wait_until(lambda: [c for c in server.connections() if c.sent_bytes == 1000], "their end")[0]
        assert ours.id == theirs.id and len(ours.id) == 16
        assert (ours.direction, theirs.direction) == ("outbound", "inbound")
        assert (ours.state, theirs.state) == ("relay", "relay")
        assert ours.service == theirs.service == "web" and theirs.port == 80
        assert (ours.local_identity, ours.peer_identity) == (pair.client_id, pair.server_id)
        assert (theirs.local_identity, theirs.peer_identity) == (pair.server_id, pair.client_id)
        assert (ours.sent_bytes, theirs.received_bytes) == (1000, 1000)
        for one, other in ((ours, server), (theirs, client)):
            own = other.ListCertificates().certificates[0]
            assert (one.peer_serial, one.peer_not_after_s) == (own.serial, own.not_after_s)
            assert (one.tls_version, one.group) == ("TLSv1.3", "X25519MLKEM768")
            assert one.suite.startswith("TLS_") and not one.resumed
            assert one.worker == 0 and one.age_ms < 120_000
        assert ours.remote == f"127.0.0.1:{pair.server.tunnel}"
        host, port = connection.getsockname()
        assert ours.application == f"{host}:{port}"
        assert theirs.remote.startswith("127.0.0.1:") and theirs.application.startswith("127.0.0.1:")

        assert [c.id for c in client.connections(service="web")] == [ours.id]
        assert client.connections(service="other") == []
        assert [c.id for c in client.connections(peer_identity=pair.server_id)] == [ours.id]
        assert client.connections(peer_identity=pair.client_id) == []
        connection.shutdown(1)
        read_all(connection)
        wait_until(lambda: not client.connections() and not server.connections(), "both lists to be empty")


def test_thousands_of_connections_come_in_pieces(mesh):
    pair, application = echo_pair(mesh, workers=2)
    sockets = [pair.connect() for _ in range(700)]
    try:
        for one in sockets:
            one.sendall(b"!")
        for one in sockets:
            assert one.recv(1) == b"!"
        with Local(pair.client.local_socket) as client:
            pieces = [list(piece.connections) for piece in client.ListConnections()]
            ids = [one.id for piece in pieces for one in piece]
            assert len(ids) == len(set(ids)) == 700
            assert max(len(piece) for piece in pieces) == 256
            assert {one.worker for piece in pieces for one in piece} <= {0, 1}
    finally:
        for one in sockets:
            one.close()


def test_certificates_are_told_without_keys(mesh):
    pair, _, _ = joined_pair(mesh)
    with Local(pair.client.local_socket) as client:
        [one] = client.ListCertificates().certificates
        assert (one.identity, one.source, one.last_error) == (pair.client_id, "control", "")
        assert one.not_before_s < time.time() < one.next_renewal_s < one.not_after_s
        assert len(one.serial) == 16
        expiry = pair.client.metric("remora_certificate_expiry_timestamp_seconds", identity=pair.client_id)
        assert one.not_after_s == expiry


def test_files_without_a_control_plane(mesh):
    pair, _ = echo_pair(mesh)
    with Local(pair.client.local_socket) as client:
        status = client.GetStatus()
        assert status.ready and not status.HasField("control") and not status.HasField("view")
        assert status.identity == pair.client_id and len(status.bundles) == 1
        [one] = client.ListCertificates().certificates
        assert (one.source, one.next_renewal_s) == ("files", 0)
        [piece] = list(client.GetView())
        assert not piece.version.complete and piece.version.last_heard_ago_ms == -1


def test_before_a_first_certificate(mesh):
    """A sidecar whose control plane is away says what it waits for."""
    control = mesh.start_control()
    token = mesh.folder / "late.token"
    control.create_token(identity("late"), path=token)
    control.stop()
    sidecar = mesh.add(Sidecar(mesh.folder, "late", control=control, token=token)).start(ready=False)
    wait_until(sidecar.local_socket.exists, "the socket", process=sidecar.process)
    with Local(sidecar.local_socket) as local:
        wait_until(lambda: local.ListCertificates().certificates[0].last_error, "a first failure")
        status = local.GetStatus()
        assert not status.ready and "first certificate" in status.waits_for
        assert status.identity == "" and not status.view.complete
        [one] = local.ListCertificates().certificates
        assert one.identity == "" and one.serial == b"" and str(control.port) in one.last_error
        with refused(Status.UNAVAILABLE, str(control.port)):
            local.Renew()


def test_renewal_on_demand(mesh):
    pair, _, control = joined_pair(mesh)
    with Local(pair.client.local_socket) as client:
        before = client.ListCertificates().certificates[0]
        renewed = client.Renew()
        assert renewed.serial != before.serial and renewed.serial[:8] == before.serial[:8]
        assert client.ListCertificates().certificates[0] == renewed
        assert client.Renew().serial != renewed.serial
        pair.echo()
        control.stop()
        kept = client.ListCertificates().certificates[0]
        with refused(Status.UNAVAILABLE, str(control.port)):
            client.Renew()
        now = client.ListCertificates().certificates[0]
        assert (now.serial, kept.last_error) == (kept.serial, "") and str(control.port) in now.last_error
        assert client.GetStatus().ready


def test_renewal_of_files_reads_them_again(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority)
    with Local(pair.client.local_socket) as client:
        before = client.ListCertificates().certificates[0]
        assert client.Renew().serial == before.serial
        key = mesh.folder / "client.key"
        good = key.read_bytes()
        key.write_text("no key")
        with refused(Status.UNAVAILABLE, "client.key"):
            client.Renew()
        key.write_bytes(good)
        assert client.Renew().last_error == ""


def test_every_identity_is_told_and_renewed_by_its_name(mesh, authority):
    certificate, key = authority.leaf(authority.identity("second")).write(mesh.folder, "second")
    (mesh.folder / "second.bundle.pem").write_bytes(authority.bundle_pem)
    more = (f"identities:\n  - {{name: second, certificate: {certificate}, key: {key}, "
            f"bundle: {mesh.folder}/second.bundle.pem}}\n")
    pair, _ = echo_pair(mesh, authority=authority, extra=more, start=False)
    pair.client.start()
    with Local(pair.client.local_socket) as client:
        told = {one.name: one for one in client.ListCertificates().certificates}
        assert {name: one.identity for name, one in told.items()} == {
            "": pair.client_id, "second": authority.identity("second")}
        assert client.Renew(name="second") == told["second"]
        assert {one.own_name for one in client.GetStatus().bundles} == {"", "second"}
        with refused(Status.NOT_FOUND, "'third'"):
            client.Renew(name="third")


def test_log_level_for_a_while(mesh):
    pair, _ = echo_pair(mesh)
    with Local(pair.client.local_socket) as client:
        answer = client.SetLogLevel(level="error")
        assert (answer.log_level.level, answer.log_level.configured, answer.before) == ("error", "debug", "debug")
        assert answer.log_level.falls_back_at_s == 0
        size = len(pair.client.process.stderr())
        pair.echo()
        assert len(pair.client.process.stderr()) == size, "a debug line after the level was raised"
        answer = client.SetLogLevel(level="warn", duration_s=1)
        assert answer.log_level.falls_back_at_s > 0
        wait_until(lambda: client.GetStatus().log_level.level == "debug", "the configured level to be back")
        assert pair.client.process.has_event("log_level_back", level="debug")
        client.SetLogLevel(level="error", duration_s=3600)
        pair.client.process.signal(1)
        wait_until(lambda: client.GetStatus().log_level.level == "debug", "the reload to set the level")
        assert client.GetStatus().log_level.falls_back_at_s == 0
        for level in ("", "trace", "DEBUG", "info "):
            with refused(Status.INVALID_ARGUMENT, "no log level"):
                client.SetLogLevel(level=level)
        with refused(Status.INVALID_ARGUMENT, "24 hours"):
            client.SetLogLevel(level="info", duration_s=86401)


def test_the_socket_is_private_and_goes_with_the_sidecar(mesh):
    pair, _ = echo_pair(mesh)
    path = pair.client.local_socket
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with Local(path) as client:
        client.GetStatus()
        assert pair.client.stop() == 0
    assert not path.exists()
