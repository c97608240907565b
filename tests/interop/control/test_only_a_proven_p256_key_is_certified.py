# SPDX-License-Identifier: GPL-3.0-or-later
"""What is no sound certificate request is refused by name, and costs nobody their token."""
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from client import Status, connect, identity_pb2, make_csr, new_key, refused, spki
from mesh import identity

WEB = identity("web")
KIB = 1024


@pytest.fixture(scope="module")
def token(admin):
    return admin.create_token(WEB).token


@pytest.fixture(scope="module", autouse=True)
def token_is_still_good(token, control):
    """After everything that was refused with it."""
    yield
    with connect(control) as caller:
        assert caller.issue(token=token).identity == WEB


def sign(key, digest=hashes.SHA256()):
    """A request for a key that may be of any kind."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, digest).public_bytes(serialization.Encoding.DER)


def openssl_csr(tmp_path, *key_words):
    """A request for a P-256 key in an encoding that python-cryptography would not make."""
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key],
                   check=True, capture_output=True)
    subprocess.run(["openssl", "ec", "-in", key, "-out", key, *key_words], check=True,
                   capture_output=True)
    return subprocess.run(["openssl", "req", "-new", "-key", key, "-subj", "/CN=x", "-outform",
                           "DER"], check=True, capture_output=True).stdout


def broken_signature():
    csr = bytearray(make_csr(new_key()))
    csr[-1] ^= 1
    return bytes(csr)


def other_keys_signature():
    """A sound request into which another public key was put."""
    key, other = new_key(), new_key()
    return make_csr(key).replace(spki(key)[-64:], spki(other)[-64:])


def point_off_the_curve():
    key = new_key()
    point = spki(key)[-64:]
    return make_csr(key).replace(point, point[:-1] + bytes([point[-1] ^ 1]))


@pytest.mark.parametrize("csr, part", [
    (b"", "not DER"),
    (b"\0", "not DER"),
    (b"hello, this is no request", "not DER"),
    (b"\x30\x00", "not a certificate signing request"),
    (b"\x30\x84\xff\xff\xff\xff", "not DER"),
    (make_csr(new_key())[:-1], "not DER"),
    (make_csr(new_key()) + b"\0", "bytes follow it"),
    (make_csr(new_key()) * 2, "bytes follow it"),
    (b"-----BEGIN CERTIFICATE REQUEST-----\n", "PEM"),
    (spki(new_key()), "not a certificate signing request"),
    (broken_signature(), "signature"),
    (other_keys_signature(), "signature is wrong"),
    (point_off_the_curve(), "not a point on P-256"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_no_sound_request(anyone, token, csr, part):
    with refused(Status.INVALID_ARGUMENT, "csr_invalid", part):
        anyone.issue(token=token, csr=csr)


@pytest.mark.parametrize("key, digest, part", [
    (rsa.generate_private_key(public_exponent=65537, key_size=2048), hashes.SHA256(), "RSA"),
    (rsa.generate_private_key(public_exponent=65537, key_size=4096), hashes.SHA256(), "RSA"),
    (ec.generate_private_key(ec.SECP384R1()), hashes.SHA384(), "P-384"),
    (ec.generate_private_key(ec.SECP521R1()), hashes.SHA512(), ""),
    (ec.generate_private_key(ec.SECP256K1()), hashes.SHA256(), ""),
    (ec.generate_private_key(ec.SECP224R1()), hashes.SHA256(), ""),
    (ed25519.Ed25519PrivateKey.generate(), None, "Ed25519"),
    (ed448.Ed448PrivateKey.generate(), None, ""),
], ids=["RSA 2048", "RSA 4096", "P-384", "P-521", "secp256k1", "P-224", "Ed25519", "Ed448"])
def test_other_keys(anyone, token, key, digest, part):
    with refused(Status.INVALID_ARGUMENT, "csr_invalid", "the key in the request is", part,
                 "accepted is P-256 as a named curve"):
        anyone.issue(token=token, csr=sign(key, digest))


def test_explicit_curve_parameters(anyone, token, tmp_path):
    """The curve spelled out, instead of its name: a way to smuggle in another one."""
    csr = openssl_csr(tmp_path, "-param_enc", "explicit")
    with refused(Status.INVALID_ARGUMENT, "csr_invalid", "named curve"):
        anyone.issue(token=token, csr=csr)


def test_compressed_point(anyone, token, tmp_path):
    csr = openssl_csr(tmp_path, "-conv_form", "compressed")
    with refused(Status.INVALID_ARGUMENT, "csr_invalid", "compressed point"):
        anyone.issue(token=token, csr=csr)


def test_certificate_instead_of_a_request(anyone, token, control):
    root = x509.load_pem_x509_certificate(control.bundle.read_bytes())
    with refused(Status.INVALID_ARGUMENT, "csr_invalid", "looks like a certificate"):
        anyone.issue(token=token, csr=root.public_bytes(serialization.Encoding.DER))


@pytest.mark.parametrize("digest", [hashes.SHA384(), hashes.SHA512()])
def test_other_digests_prove_as_well(admin, anyone, digest):
    key = new_key()
    assert anyone.issue(key, admin.create_token(WEB).token, sign(key, digest)).identity == WEB


@pytest.mark.parametrize("size", [8193, 60 * KIB])
def test_large(anyone, token, size):
    with refused(Status.INVALID_ARGUMENT, "csr_invalid", f"{size} bytes", "8192"):
        anyone.issue(token=token, csr=b"\x30" * size)


@pytest.mark.parametrize("size", [64 * KIB, 200 * KIB, 5 << 20])
def test_huge_message_of_somebody_unknown(anyone, token, size):
    with refused(Status.RESOURCE_EXHAUSTED, "larger than"):
        anyone.issue(token=token, csr=b"\x30" * size)


def test_no_message_content_at_all(anyone):
    with refused(Status.UNAUTHENTICATED, "no_evidence"):
        anyone.identity.Issue(identity_pb2.IssueRequest())


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x12\x02\xff\xfe",
                                  b"\x0a\x05ab", b"\x07"])
def test_body_that_is_no_message(control, anyone, body):
    call = anyone.channel.unary_unary("/remora.identity.v1.Identity/Issue")
    with refused(Status.INVALID_ARGUMENT):
        call(body, timeout=20)
