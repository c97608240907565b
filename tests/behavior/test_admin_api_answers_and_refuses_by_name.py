# SPDX-License-Identifier: GPL-3.0-or-later
"""remora.admin.v1.Admin over the Unix socket, called by a client that is not ours (grpcio)."""
import concurrent.futures
import os
import re
import sqlite3
import time

import grpc
import pytest

import stubs
from mesh import EchoServer, TRUST_DOMAIN, identity, wait_until

(messages, services), = stubs.load("remora/admin/v1/admin")
TOKEN = re.compile(r"^rmt1\.[0-9a-f]{12}\.[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{43}$")


@pytest.fixture
def admin(mesh):
    mesh.start_control()
    with grpc.insecure_channel(f"unix:{mesh.control.admin_socket}") as channel:
        yield services.AdminStub(channel)


def refused(call, code, *words):
    """The call ends with this status, and its sentence holds these words."""
    with pytest.raises(grpc.RpcError) as raised:
        result = call()
        if hasattr(result, "__iter__"):
            list(result)
    assert raised.value.code() == code, raised.value.details()
    for word in words:
        assert word in raised.value.details()
    return raised.value.details()


def create(admin, name="web", port=80, identities=(identity("web"),), **fields):
    return admin.CreateService(messages.CreateServiceRequest(service=messages.Service(
        name=name, port=port, identities=identities, **fields)))


def update(admin, name="web", **fields):
    return admin.UpdateService(messages.UpdateServiceRequest(name=name, **fields))


def token(admin, who="web", **fields):
    return admin.CreateToken(messages.CreateTokenRequest(identity=identity(who), **fields))


def list_services(admin):
    return {one.name: one for one in admin.ListServices(messages.ListServicesRequest()).services}


def certificates(admin, **fields):
    return admin.ListCertificates(messages.ListCertificatesRequest(**fields)).certificates


# --- Services.

def test_service_is_created_listed_and_deleted(admin):
    made = create(admin, allow=["ns/shop/**", f"spiffe://{TRUST_DOMAIN}/ns/a/sa/b"], dns_names=["web.example"],
                  identities=["ns/default/sa/web", identity("web"), identity("other")])
    assert (made.name, made.port, made.guarded) == ("web", 80, True)
    assert list(made.identities) == [identity("other"), identity("web")]  # short form and long form are one
    assert list(made.allow) == [f"spiffe://{TRUST_DOMAIN}/ns/a/sa/b", f"spiffe://{TRUST_DOMAIN}/ns/shop/**"]
    assert list(made.dns_names) == ["web.example"]
    assert list_services(admin)["web"] == made
    admin.DeleteService(messages.DeleteServiceRequest(name="web"))
    assert list_services(admin) == {}
    refused(lambda: admin.DeleteService(messages.DeleteServiceRequest(name="web")),
            grpc.StatusCode.NOT_FOUND, "'web'", "does not exist")


def test_service_that_exists_is_not_created_again(admin):
    create(admin)
    refused(lambda: create(admin, port=81), grpc.StatusCode.ALREADY_EXISTS, "'web'", "exists already")
    assert list_services(admin)["web"].port == 80


@pytest.mark.parametrize("fields, word", [
    ({"name": "Web"}, "Web"),
    ({"name": ""}, "service"),
    ({"name": "a" * 254}, "service"),
    ({"port": 0}, "port"),
    ({"port": 65536 + 80}, "port"),
    ({"identities": []}, "identities"),
    ({"identities": ["spiffe://other.example/ns/a/sa/b"]}, "trust domain"),
    ({"identities": [f"spiffe://{TRUST_DOMAIN}/remora/control"]}, "reserved"),
    ({"identities": ["web"]}, "spiffe://"),
    ({"allow": ["spiffe://*/x"]}, "allow pattern"),
    ({"dns_names": ["*.example"]}, "DNS name"),
])
def test_wrong_service_is_refused_with_its_fault(admin, fields, word):
    refused(lambda: create(admin, **fields), grpc.StatusCode.INVALID_ARGUMENT, word)
    assert list_services(admin) == {}


def test_request_without_a_service_is_refused(admin):
    refused(lambda: admin.CreateService(messages.CreateServiceRequest()),
            grpc.StatusCode.INVALID_ARGUMENT, "names no service")


def test_update_adds_and_removes(admin):
    create(admin, dns_names=["old.example"])
    changed = update(admin, add_identities=["ns/default/sa/second"], remove_identities=[identity("web")],
                     add_allow=["ns/default/**"], add_dns_names=["new.example"],
                     remove_dns_names=["old.example"])
    assert list(changed.identities) == [identity("second")]
    assert list(changed.allow) == [f"spiffe://{TRUST_DOMAIN}/ns/default/**"]
    assert list(changed.dns_names) == ["new.example"]
    assert changed.guarded
    assert list_services(admin)["web"] == changed


def test_guard_stays_until_it_is_cleared(admin):
    """Taking the last pattern away must not open a service; only clear_guard does."""
    create(admin, allow=["ns/default/**"])
    refused(lambda: update(admin, clear_guard=True), grpc.StatusCode.FAILED_PRECONDITION, "allow patterns")
    assert update(admin, remove_allow=["ns/default/**"]).guarded
    assert not update(admin, clear_guard=True).guarded
    assert update(admin, add_allow=["ns/default/**"]).guarded
    assert not update(admin, remove_allow=["ns/default/**"], clear_guard=True).guarded


def test_update_that_cannot_be_done_changes_nothing(admin):
    before = create(admin, allow=["ns/default/**"])
    refused(lambda: update(admin, "nobody", clear_guard=True), grpc.StatusCode.NOT_FOUND, "'nobody'")
    refused(lambda: update(admin), grpc.StatusCode.INVALID_ARGUMENT, "changes nothing")
    refused(lambda: update(admin, remove_allow=["ns/defualt/**"]), grpc.StatusCode.FAILED_PRECONDITION,
            "ns/defualt/**")
    refused(lambda: update(admin, remove_identities=[identity("web")]), grpc.StatusCode.INVALID_ARGUMENT,
            "identities")
    refused(lambda: update(admin, add_allow=["spiffe://x/**/**"]), grpc.StatusCode.INVALID_ARGUMENT, "pattern")
    assert list_services(admin)["web"] == before


def test_updates_at_the_same_time_are_all_kept_or_refused(admin):
    """Each is conditional on what it read: none undoes another."""
    create(admin)

    def add(number):
        try:
            update(admin, add_allow=[f"ns/many/sa/a{number}"])
            return number
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.ABORTED, error.details()
            return None

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        kept = {number for number in pool.map(add, range(40)) if number is not None}
    assert kept
    expected = {f"spiffe://{TRUST_DOMAIN}/ns/many/sa/a{number}" for number in kept}
    assert set(list_services(admin)["web"].allow) == expected


# --- Tokens.

def test_token_makes_its_identity_an_owner(admin):
    create(admin)
    create(admin, "api", 90, [identity("api")])
    begin = time.time()
    made = token(admin, "web2", services=["web", "api", "web"], address_ranges=["10.0.0.0/8"])
    assert TOKEN.match(made.token) and made.token.split(".")[1] == made.id
    assert begin + 3600 - 5 <= made.expires_at_s <= time.time() + 3600 + 1
    assert identity("web2") in list_services(admin)["web"].identities
    assert list(list_services(admin)["api"].identities) == [identity("api"), identity("web2")]
    listed, = admin.ListTokens(messages.ListTokensRequest()).tokens
    assert (listed.id, listed.identity, list(listed.services), listed.used_at_s) == (
        made.id, identity("web2"), ["web", "api"], 0)


def test_secret_of_a_token_is_shown_once(admin, mesh):
    secret = token(admin).token.split(".")[2]
    assert secret not in str(admin.ListTokens(messages.ListTokensRequest()))
    assert secret not in mesh.control.process.stderr() + mesh.control.process.stdout()
    for path in mesh.control.data.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("fields, code, word", [
    ({"identity": ""}, grpc.StatusCode.INVALID_ARGUMENT, "spiffe://"),
    ({"identity": "spiffe://other.example/ns/a/sa/b"}, grpc.StatusCode.INVALID_ARGUMENT, "trust domain"),
    ({"identity": f"spiffe://{TRUST_DOMAIN}"}, grpc.StatusCode.INVALID_ARGUMENT, "no workload"),
    ({"identity": f"spiffe://{TRUST_DOMAIN}/remora/x"}, grpc.StatusCode.INVALID_ARGUMENT, "reserved"),
    ({"services": ["nobody"]}, grpc.StatusCode.NOT_FOUND, "'nobody'"),
    ({"services": ["web", "nobody"]}, grpc.StatusCode.NOT_FOUND, "'nobody'"),
    ({"services": ["web"], "address_ranges": ["10.0.0.0/33"]}, grpc.StatusCode.INVALID_ARGUMENT, "10.0.0.0/33"),
    ({"services": ["web"], "lifetime_s": 30 * 86400 + 1}, grpc.StatusCode.INVALID_ARGUMENT, "30 days"),
])
def test_wrong_token_request_changes_nothing(admin, fields, code, word):
    before = create(admin)
    request = messages.CreateTokenRequest(**{"identity": identity("x"), **fields})
    refused(lambda: admin.CreateToken(request), code, word)
    assert list_services(admin)["web"] == before
    assert not admin.ListTokens(messages.ListTokensRequest()).tokens


def test_deleted_token_gives_no_certificate(admin, mesh):
    made = token(admin, "gone")
    path = mesh.folder / "gone.token"
    path.write_text(made.token)
    path.chmod(0o600)
    admin.DeleteToken(messages.DeleteTokenRequest(id=made.id))
    refused(lambda: admin.DeleteToken(messages.DeleteTokenRequest(id=made.id)), grpc.StatusCode.NOT_FOUND,
            made.id)
    sidecar = mesh.sidecar("gone", token=False, start=False)
    sidecar.identity_yaml += f"    join_token_file: {path}\n"
    sidecar.write_config()
    sidecar.start(ready=False)
    wait_until(lambda: "not known here" in sidecar.process.stderr(), "the refusal", process=sidecar.process)


def test_pasted_token_is_no_id_and_is_not_repeated(admin):
    made = token(admin)
    text = refused(lambda: admin.DeleteToken(messages.DeleteTokenRequest(id=made.token)),
                   grpc.StatusCode.INVALID_ARGUMENT, "hexadecimal")
    assert made.token.split(".")[2] not in text


# --- Certificates, identities, revocation.

def test_certificate_goes_from_live_to_renewed_to_expired(mesh):
    mesh.start_control(lifetime="10s")
    with grpc.insecure_channel(f"unix:{mesh.control.admin_socket}") as channel:
        admin = services.AdminStub(channel)
        mesh.sidecar("web")

        def states(**fields):
            return {one.serial: one.state for one in certificates(admin, **fields)}
        first, = states()
        assert states()[first] == "live"
        wait_until(lambda: states().get(first) == "renewed", "the renewal")
        assert list(states().values()).count("live") == 1
        wait_until(lambda: first not in states(), "its end")
        assert states(include_expired=True)[first] == "expired"


def test_certificates_show_what_the_sidecar_reported(admin, mesh):
    mesh.sidecar("web")
    mesh.sidecar("other")
    one, = wait_until(lambda: [c for c in certificates(admin, identity="ns/default/sa/web") if c.next_renewal_s],
                      "the status")
    assert one.identity == identity("web") and one.state == "live" and one.last_error == ""
    assert len(one.serial) == 16 and one.serial[:8] == one.lineage
    assert one.not_before_s < time.time() < one.next_renewal_s < one.not_after_s
    assert len(certificates(admin)) == 2


def test_identities_are_those_of_services_and_of_workloads(admin, mesh):
    create(admin, identities=[identity("web"), identity("absent")])
    mesh.sidecar("web", serves=[("web", 80, "127.0.0.1:1")])
    mesh.sidecar("client")

    def found():
        return {one.identity: (list(one.services), one.live_certificates, one.connected_instances)
                for one in admin.ListIdentities(messages.ListIdentitiesRequest()).identities}
    wait_until(lambda: found() == {
        identity("absent"): (["web"], 0, 0),
        identity("client"): ([], 1, 1),
        identity("web"): (["web"], 1, 1),
    }, "the identities")


def test_endpoints_show_the_view_their_sidecar_has(admin, mesh):
    create(admin)
    application = mesh.add(EchoServer())
    web = mesh.sidecar("web", serves=[("web", 80, application.address)])
    endpoint = wait_until(lambda: [e for e in list_services(admin)["web"].endpoints if e.view_hash],
                          "the acknowledged view")[0]
    assert endpoint.identity == identity("web")
    assert endpoint.address == f"127.0.0.1:{web.tunnel}"
    assert len(endpoint.view_hash) == 32 and endpoint.view_version > 0
    # What the sidecar says of itself is what it acknowledged here.
    wait_until(lambda: f'hash="{list_services(admin)["web"].endpoints[0].view_hash.hex()[:16]}' in web.metrics(),
               "the same view at both ends")
    assert re.fullmatch("[0-9a-f]{16}", endpoint.instance_id)


def test_revoked_lineage_is_cut_off(admin, mesh):
    web = mesh.sidecar("web")
    one, = certificates(admin)
    answer = admin.RevokeCertificate(messages.RevokeCertificateRequest(serial=one.serial, reason="stolen"))
    assert (answer.lineage, answer.identity, answer.certificates) == (one.lineage, identity("web"), 1)
    assert [c.state for c in certificates(admin)] == ["revoked"]
    web.process.wait_event("sync_ended", status="PERMISSION_DENIED")
    again = admin.RevokeCertificate(messages.RevokeCertificateRequest(serial=one.serial))
    assert again.lineage == one.lineage


@pytest.mark.parametrize("serial, code", [
    (b"", grpc.StatusCode.INVALID_ARGUMENT),
    (b"\x10" * 15, grpc.StatusCode.INVALID_ARGUMENT),
    (b"\x10" * 20, grpc.StatusCode.INVALID_ARGUMENT),
    (b"\x10" * 16, grpc.StatusCode.NOT_FOUND),
    (b"\x00" * 16, grpc.StatusCode.NOT_FOUND),
])
def test_unknown_serial_revokes_nothing(admin, serial, code):
    refused(lambda: admin.RevokeCertificate(messages.RevokeCertificateRequest(serial=serial)), code, "serial")


# --- Status, bundle, backup.

def test_status_tells_the_whole(admin, mesh):
    create(admin)
    mesh.sidecar("web")
    status = wait_until(lambda: (lambda s: s if s.connected_sidecars else None)(
        admin.GetStatus(messages.GetStatusRequest())), "the sidecar")
    assert (status.trust_domain, status.mode, status.address) == (
        TRUST_DOMAIN, "self", f"127.0.0.1:{mesh.control.port}")
    assert "root key is online" in status.mode_warning
    assert status.version and len(status.store_id) == 16 and status.store_version > 0
    assert (status.services, status.live_certificates, status.connected_sidecars) == (1, 1, 1)
    assert abs(status.now_ms / 1000 - time.time()) < 60 and status.started_at_s <= status.now_ms / 1000
    assert [a.kind for a in status.authorities] == ["root", "intermediate"]
    assert all(len(a.key_id) == 32 and a.subject and a.not_after_s > time.time() for a in status.authorities)
    assert any("test_lifetimes" in alarm for alarm in status.alarms)


def test_bundle_is_the_root_that_pins_name(admin):
    import base64
    import hashlib

    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    bundle = admin.GetBundle(messages.GetBundleRequest())
    root, = (x509.load_der_x509_certificate(der) for der in bundle.roots)
    spki = root.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.urlsafe_b64encode(hashlib.sha256(spki).digest()).rstrip(b"=").decode()
    assert bundle.trust_domain == TRUST_DOMAIN
    assert token(admin).token.split(".")[3] == pin


def test_backup_is_a_whole_copy_that_leaves_nothing_behind(admin, mesh, tmp_path):
    create(admin)
    for number in range(300):  # several pieces
        token(admin, f"many{number}")
    pieces = [chunk.data for chunk in admin.Backup(messages.BackupRequest())]
    assert len(pieces) > 1 and max(map(len, pieces)) <= 65536
    path = tmp_path / "backup.db"
    path.write_bytes(b"".join(pieces))
    copy = sqlite3.connect(path)
    assert copy.execute("pragma integrity_check").fetchone() == ("ok",)
    copy.close()
    assert not [name for name in os.listdir(mesh.control.data) if "backup" in name]


def test_backup_that_nobody_reads_ends_with_its_caller(admin, mesh):
    """While one is under way a second one is refused; cancelled, it makes way for the next."""
    for number in range(50):
        token(admin, f"some{number}")
    for _ in range(10):
        stream = admin.Backup(messages.BackupRequest())
        stream.cancel()
    wait_until(lambda: backup_succeeds(admin), "a backup after those that were cancelled")
    assert not [name for name in os.listdir(mesh.control.data) if "backup" in name]


def backup_succeeds(admin):
    try:
        return sum(len(chunk.data) for chunk in admin.Backup(messages.BackupRequest())) > 0
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.ABORTED, error.details()
        return False


# --- Limits.

def test_garbage_is_an_invalid_argument(mesh):
    mesh.start_control()
    with grpc.insecure_channel(f"unix:{mesh.control.admin_socket}") as channel:
        call = channel.unary_unary("/remora.admin.v1.Admin/CreateService")
        refused(lambda: call(b"\xff\xff\xff"), grpc.StatusCode.INVALID_ARGUMENT)
        refused(lambda: call(b"x" * (5 << 20)), grpc.StatusCode.RESOURCE_EXHAUSTED)


def test_every_change_has_an_audit_record(admin, mesh):
    create(admin)
    update(admin, add_allow=["ns/default/**"])
    made = token(admin, "web", services=["web"])
    admin.DeleteToken(messages.DeleteTokenRequest(id=made.id))
    list(admin.Backup(messages.BackupRequest()))
    admin.DeleteService(messages.DeleteServiceRequest(name="web"))
    for action in ("service_create", "service_update", "token_create", "token_delete", "backup", "service_delete"):
        assert mesh.control.process.has_event(action, category="audit", actor=f"uid {os.getuid()}"), action
