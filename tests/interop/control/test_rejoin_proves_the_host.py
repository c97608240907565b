# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that kept its re-join key comes back without a new token; nobody else does with what it
showed."""
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from client import (Status, connect, identity_pb2, make_csr, new_key, refused, rejoin_proof, spki,
                    store_pb2)
from mesh import identity

HOST = identity("host")


class Host:
    """A workload that registered a re-join key with its first certificate."""

    def __init__(self, admin, anyone, name=HOST, **token_fields):
        self.identity, self.anyone, self.rejoin_key = name, anyone, new_key()
        token = admin.create_token(name, **token_fields).token
        self.first = anyone.issue(token=token, rejoin_public_key=spki(self.rejoin_key))
        assert self.first.answer.is_rejoin_registered

    def rejoin(self, key=None, caller=None, **proof):
        """Asks for a certificate for `key`; what `proof` names is other than it should be."""
        key = key or new_key()
        csr = make_csr(key)
        proof = {"key": self.rejoin_key, "identity": self.identity, "csr": csr, **proof}
        return (caller or self.anyone).issue(key, csr=csr, rejoin=rejoin_proof(**proof))


@pytest.fixture
def host(admin, anyone):
    return Host(admin, anyone)


def test_rejoin(host, admin):
    """A new line begins; what the token allowed goes on."""
    back = host.rejoin()
    assert back.identity == HOST
    assert back.lineage != host.first.lineage
    assert admin.certificates()[back.serial].state == "live"


def test_rejoin_again_and_again(host):
    lineages = {host.rejoin().lineage for _ in range(4)}
    assert len(lineages) == 4


def test_lost_answer_is_repeated(host):
    key = new_key()
    assert host.rejoin(key).serial == host.rejoin(key).serial


def test_what_the_token_allowed_goes_on(admin, anyone, tmp_path):
    admin.create_service("db", identity("db"), port=5432)
    token = admin.create_token(identity("db"), "db", address_ranges=["10.0.0.0/8"]).token
    key = new_key()
    anyone.issue(token=token, rejoin_public_key=spki(key))
    csr_key = new_key()
    csr = make_csr(csr_key)
    back = anyone.issue(csr_key, csr=csr, rejoin=rejoin_proof(key, identity("db"), csr))
    record = store_pb2.LineageRecord.FromString(
        admin.records(tmp_path)[f"lineage/{back.lineage.hex()}"])
    assert list(record.services) == ["db"]
    assert list(record.address_ranges) == ["10.0.0.0/8"]
    assert record.evidence == "rejoin"


def test_rejoin_and_renewal_go_together(control, host):
    with connect(control, host.rejoin()) as caller:
        assert caller.issue().identity == HOST
    assert host.rejoin().identity == HOST


def test_wrong_signature(host):
    """By another key; over another request; over another time; none."""
    invalid = (Status.PERMISSION_DENIED, "rejoin_invalid", "the re-join proof is wrong")
    with refused(*invalid):
        host.rejoin(key=new_key(), public_key=spki(host.rejoin_key), **{"csr": b"another"})
    csr = make_csr(new_key())
    proof = rejoin_proof(new_key(), HOST, csr, public_key=spki(host.rejoin_key))
    with refused(*invalid):
        host.anyone.issue(csr=csr, rejoin=proof)
    proof = rejoin_proof(host.rejoin_key, HOST, csr)
    proof.signed_at_s -= 1
    with refused(*invalid):
        host.anyone.issue(csr=csr, rejoin=proof)
    proof.signature = b""
    with refused(*invalid):
        host.anyone.issue(csr=csr, rejoin=proof)


def test_captured_proof_is_of_no_use(host):
    """Sent again it gives the same certificate for a key that only the host has; put beside another
    request it proves nothing."""
    key = new_key()
    csr = make_csr(key)
    proof = rejoin_proof(host.rejoin_key, HOST, csr)
    first = host.anyone.issue(key, csr=csr, rejoin=proof)
    assert host.anyone.issue(key, csr=csr, rejoin=proof).serial == first.serial
    with refused(Status.PERMISSION_DENIED, "rejoin_invalid"):
        host.anyone.issue(rejoin=proof)


@pytest.mark.parametrize("off_s", [-330, 330, -86400, 2**40, -2**62])
def test_time_that_is_off(host, off_s):
    with refused(Status.PERMISSION_DENIED, "rejoin_invalid", "clock is off by more than 5 minutes"):
        host.rejoin(signed_at_s=int(time.time()) + off_s)


@pytest.mark.parametrize("off_s", [-270, 270])
def test_time_within_five_minutes(host, off_s):
    assert host.rejoin(signed_at_s=int(time.time()) + off_s).identity == HOST


def test_unknown_key(host):
    with refused(Status.PERMISSION_DENIED, "rejoin_unknown", "not known here", "new token"):
        host.rejoin(key=new_key(), **{"public_key": spki(new_key())})


def rejoin_with(host, key, identity_claimed=HOST):
    csr = make_csr(new_key())
    return host.anyone.issue(csr=csr, rejoin=rejoin_proof(key, identity_claimed, csr))


def test_key_that_was_never_registered(host):
    with refused(Status.PERMISSION_DENIED, "rejoin_unknown"):
        rejoin_with(host, new_key())


@pytest.mark.parametrize("claimed", [identity("victim"), "", "spiffe://example.org/remora/control",
                                     HOST + "x", "no SPIFFE ID at all"])
def test_another_identity(host, claimed):
    with refused(Status.PERMISSION_DENIED, "rejoin_unknown"):
        rejoin_with(host, host.rejoin_key, claimed)


def test_key_of_another_identity_is_not_taken_over(admin, anyone, host):
    """Who registers somebody else's key gets a certificate and no more; the key stays its owner's."""
    thief = anyone.issue(token=admin.create_token(identity("thief")).token,
                         rejoin_public_key=spki(host.rejoin_key))
    assert not thief.answer.is_rejoin_registered
    with refused(Status.PERMISSION_DENIED, "rejoin_unknown"):
        rejoin_with(host, host.rejoin_key, identity("thief"))
    assert host.rejoin().identity == HOST


@pytest.mark.parametrize("key", [
    rsa.generate_private_key(public_exponent=65537, key_size=2048),
    ec.generate_private_key(ec.SECP384R1()),
    ec.generate_private_key(ec.SECP256K1()),
], ids=["RSA", "P-384", "secp256k1"])
def test_foreign_kinds_of_keys_are_not_registered(admin, anyone, key):
    """The certificate is issued all the same, unless the key is larger than any that is taken."""
    der = key.public_key().public_bytes(serialization.Encoding.DER,
                                        serialization.PublicFormat.SubjectPublicKeyInfo)
    token = admin.create_token(HOST).token
    if len(der) > 128:
        with refused(Status.INVALID_ARGUMENT, "re-join key", f"{len(der)} bytes"):
            anyone.issue(token=token, rejoin_public_key=der)
        return
    assert not anyone.issue(token=token, rejoin_public_key=der).answer.is_rejoin_registered


def test_oversized_proof(host):
    csr = make_csr(new_key())
    proof = rejoin_proof(host.rejoin_key, HOST, csr)
    proof.signature = b"\x30" * 200
    with refused(Status.INVALID_ARGUMENT, "re-join signature", "200 bytes"):
        host.anyone.issue(csr=csr, rejoin=proof)


def test_renewal_replaces_the_key(control, host):
    """Only the newest key of a line counts."""
    fresh = new_key()
    with connect(control, host.first) as caller:
        assert caller.issue(rejoin_public_key=spki(fresh)).answer.is_rejoin_registered
    with refused(Status.PERMISSION_DENIED, "rejoin_unknown"):
        rejoin_with(host, host.rejoin_key)
    assert rejoin_with(host, fresh).identity == HOST


def test_revoked_lineage_does_not_come_back(admin, host):
    admin.revoke(host.first.serial)
    with refused(Status.PERMISSION_DENIED, "lineage_revoked", "new token"):
        host.rejoin()


def test_revocation_of_the_line_it_went_on_with(admin, host):
    """The key belongs to the newest line that it began: revoking that ends the key."""
    back = host.rejoin()
    admin.revoke(back.serial)
    with refused(Status.PERMISSION_DENIED, "lineage_revoked"):
        host.rejoin()


def test_request_is_checked_before_the_proof(host):
    csr = b"no request"
    with refused(Status.INVALID_ARGUMENT, "csr_invalid"):
        host.anyone.issue(csr=csr, rejoin=rejoin_proof(host.rejoin_key, HOST, csr))


def test_empty_proof(host):
    with refused(Status.PERMISSION_DENIED, "rejoin_unknown"):
        host.anyone.issue(rejoin=identity_pb2.RejoinProof())
