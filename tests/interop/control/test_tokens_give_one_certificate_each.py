# SPDX-License-Identifier: GPL-3.0-or-later
"""A join token is good for one key, for a while, and for nobody who only guesses."""
import base64
import hashlib
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from client import Admin, Status, admin_pb2, connect, new_key, read_store, refused, spki, store_pb2
from mesh import identity, wait_until

WEB = identity("web")


@pytest.fixture
def token(admin):
    return admin.create_token(WEB)


def parts_of(token):
    prefix, id_, secret, pins = token.token.split(".")
    assert prefix == "rmt1"
    return id_, secret, pins


def test_shape(control, token):
    """id, 32 bytes of secret, and the root's key hash, by which a sidecar knows us."""
    id_, secret, pins = parts_of(token)
    assert id_ == token.id and len(bytes.fromhex(id_)) == 6
    assert len(base64.urlsafe_b64decode(secret + "=")) == 32
    root = x509.load_pem_x509_certificate(control.bundle.read_bytes())
    root_key = root.public_key().public_bytes(serialization.Encoding.DER,
                                              serialization.PublicFormat.SubjectPublicKeyInfo)
    assert base64.urlsafe_b64decode(pins + "=") == hashlib.sha256(root_key).digest()


def test_default_lifetime_is_an_hour(token):
    assert abs(token.expires_at_s - time.time() - 3600) < 60


def test_wrong_secret_and_unknown_id_look_alike(anyone, token):
    id_, secret, pins = parts_of(token)
    other = base64.urlsafe_b64encode(b"x" * 32).decode().rstrip("=")
    with refused(Status.PERMISSION_DENIED, "token_unknown", "not known here", "secret") as wrong:
        anyone.issue(token=f"rmt1.{id_}.{other}.{pins}")
    with refused(Status.PERMISSION_DENIED, "token_unknown") as unknown:
        anyone.issue(token=f"rmt1.{'0' * 12}.{secret}.{pins}")
    assert wrong.value.details() == unknown.value.details()
    assert anyone.issue(token=token.token).identity == WEB  # trying did not burn it


@pytest.mark.parametrize("form", [
    "", " ", "rmt1", "rmt1.", "rmt1...", "rmt2.{id}.{secret}.{pins}", "RMT1.{id}.{secret}.{pins}",
    "{id}.{secret}.{pins}", "rmt1.{id}.{secret}", "rmt1.{id}.{secret}.", "rmt1.{id}{secret}.{pins}",
    "rmt1.{id}.{secret}{pins}", "rmt1.{short}.{secret}.{pins}", "rmt1.{id}0.{secret}.{pins}",
    "rmt1.zzzzzzzzzzzz.{secret}.{pins}", "rmt1.{id}.{cut}.{pins}", "rmt1.{id}.{secret}=.{pins}",
    "rmt1.{id}.{bad}.{pins}", "rmt1.{id}.{secret}.{long}", " rmt1.{id}.{secret}.{pins}",
    "rmt1.../../../etc/passwd", "rmt1.{id}.\u00fc{cut}.{pins}", "rmt1.{id}.{secret}.{pins}" * 10,
])
def test_malformed(anyone, token, form):
    id_, secret, pins = parts_of(token)
    text = form.format(id=id_, short=id_[1:], secret=secret, cut=secret[1:], bad="!" + secret[1:],
                       pins=pins, long="A" * 4096)
    with refused(Status.INVALID_ARGUMENT, "token_malformed", "rmt1.<id>.<secret>.<pins>"):
        anyone.issue(token=text)


def test_text_with_nul_is_malformed(anyone, token):
    with refused(Status.INVALID_ARGUMENT):
        anyone.issue(token=token.token + "\0")


def test_expired(admin, anyone):
    short = admin.create_token(WEB, lifetime_s=1)
    wait_until(lambda: time.time() > short.expires_at_s + 0.1, "the token's end")
    with refused(Status.PERMISSION_DENIED, "token_expired", "has expired", "remora token create"):
        anyone.issue(token=short.token)


def test_another_key(anyone, token):
    first = anyone.issue(token=token.token)
    with refused(Status.PERMISSION_DENIED, "token_used", "another key", "make a new one"):
        anyone.issue(token=token.token)
    # The one it was burnt against is not hurt by that.
    assert anyone.issue(first.key, token.token).serial == first.serial


def test_same_key_gets_the_same_again(control, anyone, token, tmp_path):
    """An answer that was lost on the way is given once more: no second certificate exists."""
    key = new_key()
    first = anyone.issue(key, token.token)
    for _ in range(3):
        again = anyone.issue(key, token.token)
        assert again.serial == first.serial
        assert again.leaf.not_valid_after_utc == first.leaf.not_valid_after_utc
        assert again.leaf.not_valid_before_utc == first.leaf.not_valid_before_utc
        again.leaf.verify_directly_issued_by(again.intermediate)
    with connect(control, again) as caller:
        renewed = caller.issue()
        assert renewed.lineage == first.lineage


def test_token_is_done_once_its_certificate_was_renewed(control, anyone, token):
    first = anyone.issue(token=token.token)
    with connect(control, first) as caller:
        caller.issue()
    with refused(Status.PERMISSION_DENIED, "token_used"):
        anyone.issue(first.key, token.token)


def test_deleted(admin, anyone, token):
    assert token.id in admin.tokens()
    admin.admin.DeleteToken(admin_pb2.DeleteTokenRequest(id=token.id))
    assert token.id not in admin.tokens()
    with refused(Status.PERMISSION_DENIED, "token_unknown"):
        anyone.issue(token=token.token)
    with refused(Status.NOT_FOUND, "no join token", token.id):
        admin.admin.DeleteToken(admin_pb2.DeleteTokenRequest(id=token.id))


@pytest.mark.parametrize("id_", ["", "zz", "0" * 11, "0" * 13, "ABCDEF012345", "../../x"])
def test_delete_wants_an_id(admin, id_):
    with refused(Status.INVALID_ARGUMENT, "12 hexadecimal digits", "remora token list"):
        admin.admin.DeleteToken(admin_pb2.DeleteTokenRequest(id=id_))


def test_delete_does_not_repeat_a_secret(admin, token):
    with refused(Status.INVALID_ARGUMENT) as caught:
        admin.admin.DeleteToken(admin_pb2.DeleteTokenRequest(id=token.token))
    assert parts_of(token)[1] not in caught.value.details()


@pytest.mark.parametrize("wrong, status, part", [
    (dict(identity=""), Status.INVALID_ARGUMENT, "SPIFFE"),
    (dict(identity="web"), Status.INVALID_ARGUMENT, "SPIFFE"),
    (dict(identity="spiffe://other.org/ns/a/sa/b"), Status.INVALID_ARGUMENT, "trust domain"),
    (dict(identity="spiffe://example.org"), Status.INVALID_ARGUMENT, "no workload"),
    (dict(identity="spiffe://example.org/remora/control"), Status.INVALID_ARGUMENT, "reserved"),
    (dict(identity="spiffe://example.org/remora/x"), Status.INVALID_ARGUMENT, "reserved"),
    (dict(identity="spiffe://example.org/a b"), Status.INVALID_ARGUMENT, "SPIFFE"),
    (dict(identity=WEB, services=["missing"]), Status.NOT_FOUND, "create it first"),
    (dict(identity=WEB, lifetime_s=31 * 86400), Status.INVALID_ARGUMENT, "30 days"),
    (dict(identity=WEB, address_ranges=["10.0.0.0/33"]), Status.INVALID_ARGUMENT, "10.0.0.0/33"),
    (dict(identity=WEB, address_ranges=["10.0.0.1/8"]), Status.INVALID_ARGUMENT, "10.0.0.1/8"),
    (dict(identity=WEB, address_ranges=["any"]), Status.INVALID_ARGUMENT, "any"),
    (dict(identity=WEB, address_ranges=["10.0.0.0/8"] * 17), Status.INVALID_ARGUMENT, "at most"),
])
def test_tokens_that_cannot_be(admin, wrong, status, part):
    before = set(admin.tokens())
    with refused(status, part):
        admin.admin.CreateToken(admin_pb2.CreateTokenRequest(**wrong))
    assert set(admin.tokens()) == before


def test_list_shows_use(admin, anyone, token):
    assert admin.tokens()[token.id].used_at_s == 0
    anyone.issue(token=token.token)
    used = admin.tokens()[token.id]
    assert abs(used.used_at_s - time.time()) < 60
    assert (used.identity, used.expires_at_s) == (WEB, token.expires_at_s)


def test_short_form_of_an_identity(admin, anyone):
    token = admin.create_token("ns/default/sa/web")
    assert anyone.issue(token=token.token).identity == WEB


def test_token_makes_its_identity_an_owner(admin):
    admin.create_service("shop", identity("first"))
    admin.create_token(identity("second"), "shop")
    assert list(admin.services()["shop"].identities) == [identity("first"), identity("second")]


def test_without_evidence(anyone):
    with refused(Status.UNAUTHENTICATED, "no_evidence", "no join token, re-join proof or client"):
        anyone.issue()


def test_secret_is_kept_nowhere(mesh):
    """Neither in the data folder, in its backups, nor in any log: only its hash."""
    control = mesh.start_control()
    with Admin(control) as admin, connect(control) as caller:
        tokens = [admin.create_token(WEB) for _ in range(3)]
        used, repeated, wrong = tokens
        key = new_key()
        caller.issue(key, used.token)
        caller.issue(key, used.token)
        with refused(Status.PERMISSION_DENIED):
            caller.issue(token=used.token)
        for text in (repeated.token + ".", repeated.token.replace("rmt1", "rmt9"),
                     repeated.token + "A" * 2000):
            with refused(Status.INVALID_ARGUMENT):
                caller.issue(token=text)
        with refused(Status.INVALID_ARGUMENT):
            admin.admin.DeleteToken(admin_pb2.DeleteTokenRequest(id=wrong.token))
        (control.folder / "backup.db").write_bytes(admin.backup())
        records = read_store(control.folder / "backup.db")
    control.process.stop()
    places = {path: path.read_bytes() for path in control.folder.rglob("*") if path.is_file()}
    assert any(path.name == "store.db" for path in places)
    assert any(path.name == "control.err" and content for path, content in places.items())
    for token in tokens:
        secret = parts_of(token)[1]
        raw = base64.urlsafe_b64decode(secret + "=")
        for path, content in places.items():
            for form in (secret.encode(), raw, raw.hex().encode(), base64.b64encode(raw)):
                assert form not in content, path
        record = store_pb2.TokenRecord.FromString(records[f"token/{token.id}"])
        assert record.secret_hash == hashlib.sha256(raw).digest()
    burnt = store_pb2.TokenRecord.FromString(records[f"token/{used.id}"])
    assert burnt.used_key_hash == hashlib.sha256(spki(key)).digest()
