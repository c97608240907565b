# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate is renewed over itself, once: whoever renews it with a second key shows that a key was
copied, and the whole lineage ends."""
import threading
import time

import grpc
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from ca import Authority
from client import (Admin, Caller, Status, connect, identity_pb2, make_csr, mesh_pb2, new_key, refused,
                    store_pb2)
from mesh import identity, wait_until

WEB = identity("web")


@pytest.fixture
def first(admin, anyone):
    return anyone.issue(token=admin.create_token(WEB).token)


def renew(control, svid, key=None, **fields):
    with connect(control, svid) as caller:
        return caller.issue(key, **fields)


def refused_at_the_door(control, svid, name):
    """No connection with this certificate comes about, and the log says why. (In TLS 1.3 the client
    hears of it only after its own handshake.)"""
    with refused(Status.UNAVAILABLE):
        renew(control, svid)
    control.process.wait_event("handshake_failed", error=name)


def denied_or_cut_off(caller):
    """On a connection that stood when its certificate was revoked: the call is denied, or the
    connection is gone already."""
    with pytest.raises(grpc.RpcError) as caught:
        caller.issue()
    assert caught.value.code() in (Status.PERMISSION_DENIED, Status.UNAVAILABLE)


def uri_names(certificate):
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def lineage_record(admin, folder, svid):
    return store_pb2.LineageRecord.FromString(
        admin.records(folder)[f"lineage/{svid.lineage.hex()}"])


def test_renewal(control, admin, first, tmp_path):
    """A fresh key and serial; the lineage and its predecessor are named."""
    second = renew(control, first)
    assert second.lineage == first.lineage
    assert second.serial != first.serial
    assert second.identity == WEB and uri_names(second.leaf) == [WEB]
    record = lineage_record(admin, tmp_path, first)
    assert (record.serial, record.previous_serial) == (second.serial, first.serial)
    assert record.state == store_pb2.LineageRecord.LIVE
    listed = admin.certificates(identity=WEB)
    assert [listed[one.serial].state for one in (first, second)] == ["renewed", "live"]


def test_line_of_renewals(control, first):
    svid = first
    for _ in range(5):
        following = renew(control, svid)
        assert following.lineage == first.lineage
        svid = following


def test_renewal_over_one_connection(control, first):
    """The certificate that counts is the connection's, which the second renewal repeats."""
    with connect(control, first) as caller:
        key = new_key()
        assert caller.issue(key).serial == caller.issue(key).serial


def test_lost_answer_is_repeated(control, first):
    key = new_key()
    second = renew(control, first, key)
    again = renew(control, first, key)
    assert again.serial == second.serial
    assert again.leaf.not_valid_after_utc == second.leaf.not_valid_after_utc
    # And the successor goes on, which ends the predecessor's right to a repetition.
    third = renew(control, again)
    assert third.lineage == first.lineage


def test_same_key_again_is_a_new_certificate(control, first):
    """Renewing with the key one has is no theft; the serial is new all the same."""
    second = renew(control, first, first.key)
    assert second.serial != first.serial


def test_wanted_lifetime_of_a_renewal(control, first):
    second = renew(control, first, wanted_lifetime_s=300)
    assert second.answer.not_after_s - second.answer.issued_at_s == 300


def test_names_in_the_request_change_nothing(control, first):
    key = new_key()
    csr = make_csr(key, [x509.NameAttribute(NameOID.COMMON_NAME, identity("victim"))],
                   [x509.UniformResourceIdentifier(identity("victim"))])
    second = renew(control, first, key, csr=csr)
    assert second.identity == WEB and uri_names(second.leaf) == [WEB]


def test_certificate_wins_over_a_token(control, admin, first):
    """A token of another identity that comes with a renewal is neither obeyed nor burnt."""
    token = admin.create_token(identity("victim"))
    second = renew(control, first, token=token.token)
    assert second.identity == WEB and second.lineage == first.lineage
    assert admin.tokens()[token.id].used_at_s == 0


def test_certificate_wins_over_a_rejoin(control, first):
    claim = identity_pb2.RejoinProof(identity=identity("victim"), public_key=b"x", signature=b"x",
                                     signed_at_s=1)
    assert renew(control, first, rejoin=claim).identity == WEB


def fork(mesh, thief_of):
    """Runs a renewal by a thief; `thief_of` chooses the certificate that was stolen from the line."""
    control = mesh.start_control()
    with Admin(control) as admin, connect(control) as anyone:
        first = anyone.issue(token=admin.create_token(WEB).token)
        second = renew(control, first)
        third = renew(control, second)
        line = [first, second, third]
        with connect(control, third) as victim, connect(control, thief_of(line)) as thief:
            stream = victim.mesh.Sync(iter_hello())
            next(stream)
            with refused(Status.PERMISSION_DENIED, "lineage_forked", "two keys renewed one",
                         "now revoked"):
                thief.issue()
            # The victim's open stream ends, and its open connection is no use any more.
            with refused(Status.PERMISSION_DENIED, "revoked"):
                for _ in stream:
                    pass
            denied_or_cut_off(victim)
        for one in line:
            assert admin.certificates()[one.serial].state == "revoked"
        wait_until(lambda: is_refused(control, third), "the last certificate to be refused")
        for one in line:
            refused_at_the_door(control, one, "certificate_revoked")
        assert admin.has_alarm("lineage_forked", WEB, "A key was copied")
        (record,) = [one for one in admin.audit(mesh.folder) if one.action == "fork"]
        assert (record.subject, record.actor) == (WEB, "127.0.0.1")
        # The view tells every sidecar.
        with connect(control, anyone.issue(token=admin.create_token(identity("b")).token)) as other:
            view = next(other.mesh.Sync(iter_hello()))
            (withdrawal,) = [put.withdrawal for put in view.puts if put.HasField("withdrawal")]
            assert withdrawal.kind == mesh_pb2.WITHDRAWAL_KIND_REVOKED_LINEAGE
            assert withdrawal.subject == first.lineage
            assert withdrawal.expires_s > third.answer.not_after_s


def iter_hello():
    """A request stream that stays open."""
    yield mesh_pb2.SyncRequest(hello=mesh_pb2.Hello(instance_id="0123456789abcdef"))
    threading.Event().wait(60)


def is_refused(control, svid):
    try:
        renew(control, svid, csr=b"x")
    except grpc.RpcError as error:
        return error.code() == Status.UNAVAILABLE
    return False


def test_second_key_for_one_predecessor_is_a_fork(mesh):
    fork(mesh, lambda line: line[1])


def test_renewing_a_long_gone_certificate_is_a_fork(mesh):
    fork(mesh, lambda line: line[0])


def test_revoked_certificate_renews_nothing(control, admin, first):
    """On a connection from before, and on a new one."""
    with connect(control, first) as caller:
        assert caller.issue(first.key).lineage == first.lineage
        answer = admin.revoke(first.serial, "stolen laptop")
        assert (answer.lineage, answer.identity, answer.certificates) == (first.lineage, WEB, 2)
        denied_or_cut_off(caller)
    wait_until(lambda: is_refused(control, first), "the certificate to be refused")
    refused_at_the_door(control, first, "certificate_revoked")


def test_revocation_takes_the_token_with_it(control, admin, anyone):
    """Its holder cannot ask again with the key that the token was burnt against."""
    token = admin.create_token(WEB).token
    svid = anyone.issue(token=token)
    admin.revoke(svid.serial)
    with refused(Status.PERMISSION_DENIED, "lineage_revoked", "join again with a new token"):
        anyone.issue(svid.key, token)


def test_revoking_twice_and_revoking_nothing(admin, first):
    admin.revoke(first.serial)
    assert admin.revoke(first.serial).lineage == first.lineage
    for serial in (b"\x11" * 16, first.serial[:8][::-1] + bytes(8)):
        with refused(Status.NOT_FOUND, "no certificate of this control plane has that serial"):
            admin.revoke(serial)
    for serial in (b"", b"\x11" * 15, b"\x11" * 17, first.lineage):
        with refused(Status.INVALID_ARGUMENT, "16 bytes"):
            admin.revoke(serial)


def test_expired_certificate_renews_nothing(control, admin, anyone):
    svid = anyone.issue(token=admin.create_token(WEB).token, wanted_lifetime_s=10)
    with connect(control, svid) as caller:
        with refused(Status.INVALID_ARGUMENT):
            caller.issue(csr=b"x")  # the connection stands
        wait_until(lambda: time.time() > svid.answer.not_after_s + 1.1, "the certificate's end")
        with refused(Status.PERMISSION_DENIED, "certificate_expired", "has expired"):
            caller.issue()
    refused_at_the_door(control, svid, "certificate_expired")


def test_foreign_certificate_is_refused_at_the_door(control):
    """The right identity, from an authority of the same name."""
    foreign = Authority().leaf(WEB)
    credentials = grpc.ssl_channel_credentials(control.bundle.read_bytes(), foreign.key_pem,
                                               foreign.chain_pem)
    with Caller(f"127.0.0.1:{control.port}", credentials) as caller:
        with refused(Status.UNAVAILABLE):
            caller.issue()
    control.process.wait_event("handshake_failed", error="unknown_issuer")
