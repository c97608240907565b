# SPDX-License-Identifier: GPL-3.0-or-later
"""What a join token gives is a certificate that OpenSSL accepts in its strictest mode and that holds
exactly what the design says."""
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from client import admin_pb2, connect, make_csr, new_key, spki
from mesh import TRUST_DOMAIN, identity

DAY = 86400


@pytest.fixture(scope="module")
def svid(control, admin):
    admin.create_service("web", identity("web"), dns_names=["web.example.org", "www.example.org"])
    admin.create_service("other", identity("other"), dns_names=["other.example.org"])
    with connect(control) as caller:
        return caller.issue(token=admin.create_token(identity("web"), "web").token)


def openssl(*words, data=None):
    return subprocess.run(["openssl", *[str(word) for word in words]], input=data,
                          capture_output=True, timeout=60)


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def seconds(when):
    return int(when.timestamp())


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind)


def test_openssl_verifies_the_chain_strictly(control, svid, tmp_path):
    (tmp_path / "leaf.pem").write_bytes(pem(svid.leaf))
    (tmp_path / "intermediate.pem").write_bytes(pem(svid.intermediate))
    for purpose in ("sslclient", "sslserver"):
        verified = openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile", control.bundle,
                           "-untrusted", tmp_path / "intermediate.pem", tmp_path / "leaf.pem")
        assert verified.returncode == 0, verified.stdout + verified.stderr
    # The intermediate is needed: the root did not sign the leaf.
    alone = openssl("verify", "-x509_strict", "-CAfile", control.bundle, tmp_path / "leaf.pem")
    assert alone.returncode != 0


def test_openssl_reads_the_leaf(svid):
    text = openssl("x509", "-noout", "-text", data=pem(svid.leaf)).stdout.decode()
    assert "Subject: \n" in text
    for line in ("X509v3 Subject Alternative Name: critical", f"URI:{identity('web')}",
                 "X509v3 Key Usage: critical\n                Digital Signature\n",
                 "TLS Web Server Authentication, TLS Web Client Authentication", "CA:FALSE",
                 "NIST CURVE: P-256", "Signature Algorithm: ecdsa-with-SHA256"):
        assert line in text, text


def test_leaf_names(svid):
    """One URI SAN; DNS SANs are the service record's, and no other service's."""
    names = extension(svid.leaf, x509.SubjectAlternativeName)
    assert names.critical
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [identity("web")]
    assert names.value.get_values_for_type(x509.DNSName) == ["web.example.org", "www.example.org"]
    assert len(list(names.value)) == 3
    assert svid.leaf.subject == x509.Name([])


def test_leaf_usage(svid):
    usage = extension(svid.leaf, x509.KeyUsage)
    assert usage.critical
    assert usage.value == x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=False, crl_sign=False,
        encipher_only=False, decipher_only=False)
    assert set(extension(svid.leaf, x509.ExtendedKeyUsage).value) == {
        ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    constraints = extension(svid.leaf, x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (False, None)


def test_leaf_key_is_the_requests_p256_key(svid):
    assert isinstance(svid.leaf.public_key().curve, ec.SECP256R1)
    assert svid.leaf.public_key().public_bytes(
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo) == spki(svid.key)
    own = extension(svid.leaf, x509.SubjectKeyIdentifier).value.digest
    issuer = extension(svid.leaf, x509.AuthorityKeyIdentifier).value.key_identifier
    assert issuer == extension(svid.intermediate, x509.SubjectKeyIdentifier).value.digest != own


def test_leaf_has_nothing_else(svid):
    assert {one.oid for one in svid.leaf.extensions} == {
        ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME, ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER}
    assert svid.leaf.version == x509.Version.v3


def test_leaf_dates(svid):
    """An hour from when it was issued, and a minute back for slow clocks."""
    begin, end = seconds(svid.leaf.not_valid_before_utc), seconds(svid.leaf.not_valid_after_utc)
    assert end - begin == 3600 + 60
    assert svid.answer.issued_at_s == begin + 60
    assert svid.answer.not_after_s == end
    assert abs(svid.answer.issued_at_s - time.time()) < 120


def test_serial_is_lineage_and_chance(control, admin, anyone, svid):
    number = svid.leaf.serial_number
    assert number.bit_length() in range(125, 128)  # 16 bytes, positive, never shorter
    other = anyone.issue(token=admin.create_token(identity("web")).token)
    assert other.lineage != svid.lineage
    listed = admin.certificates(identity=identity("web"))[svid.serial]
    assert (listed.lineage, listed.state) == (svid.lineage, "live")


def test_answer_names_identity_and_bundle(control, svid):
    assert svid.answer.identity == identity("web")
    assert svid.answer.bundle.trust_domain == TRUST_DOMAIN
    (root,) = svid.answer.bundle.roots
    assert pem(x509.load_der_x509_certificate(root)) == control.bundle.read_bytes()
    assert len(svid.answer.certificates) == 2  # the root is left out


def test_intermediate(svid):
    one = svid.intermediate
    basic, usage = extension(one, x509.BasicConstraints), extension(one, x509.KeyUsage)
    assert basic.critical and (basic.value.ca, basic.value.path_length) == (True, 0)
    assert usage.critical and usage.value.key_cert_sign and not usage.value.digital_signature
    limits = extension(one, x509.NameConstraints)
    assert limits.critical
    assert list(limits.value.permitted_subtrees) == [x509.UniformResourceIdentifier(TRUST_DOMAIN)]
    assert limits.value.excluded_subtrees is None
    names = extension(one, x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier(f"spiffe://{TRUST_DOMAIN}")]
    assert seconds(one.not_valid_after_utc) - time.time() <= 30 * DAY
    assert isinstance(one.public_key().curve, ec.SECP256R1)


def test_root(control, svid):
    root = x509.load_pem_x509_certificate(control.bundle.read_bytes())
    basic, usage = extension(root, x509.BasicConstraints), extension(root, x509.KeyUsage)
    assert basic.critical and basic.value.ca
    assert usage.critical and usage.value.key_cert_sign
    assert root.issuer == root.subject == svid.intermediate.issuer
    assert root.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == TRUST_DOMAIN
    assert 3600 * DAY < seconds(root.not_valid_after_utc) - time.time() <= 3650 * DAY
    svid.intermediate.verify_directly_issued_by(root)
    svid.leaf.verify_directly_issued_by(svid.intermediate)


def test_requests_own_names_do_not_count(admin, anyone):
    """Only the public key is taken from a request."""
    key = new_key()
    csr = make_csr(key, [x509.NameAttribute(NameOID.COMMON_NAME, "root")],
                   [x509.UniformResourceIdentifier(identity("victim")),
                    x509.DNSName("victim.example.org")])
    svid = anyone.issue(key, admin.create_token(identity("plain")).token, csr)
    names = extension(svid.leaf, x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier(identity("plain"))]
    assert svid.leaf.subject == x509.Name([])


@pytest.mark.parametrize("wanted, given", [(0, 3600), (600, 600), (10, 10), (1, 10),
                                           (86400, 86400), (86401, 86400), (2**32 - 1, 86400)])
def test_wanted_lifetime_is_cut_to_what_is_allowed(admin, anyone, wanted, given):
    svid = anyone.issue(token=admin.create_token(identity("plain")).token, wanted_lifetime_s=wanted)
    assert svid.answer.not_after_s - svid.answer.issued_at_s == given


def test_dns_names_follow_the_service_record(admin, anyone):
    """A change of the record shows in the next certificate."""
    admin.create_service("late", identity("late"))
    first = anyone.issue(token=admin.create_token(identity("late"), "late").token)
    names = extension(first.leaf, x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == []
    admin.admin.UpdateService(
        admin_pb2.UpdateServiceRequest(name="late", add_dns_names=["late.example.org"]))
    second = anyone.issue(token=admin.create_token(identity("late"), "late").token)
    names = extension(second.leaf, x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["late.example.org"]


def test_own_certificate(control, tmp_path):
    """What the control plane shows: its reserved identity, its DNS names, its root at the end."""
    shown = openssl("s_client", "-connect", f"127.0.0.1:{control.port}", "-showcerts", "-alpn", "h2",
                    "-tls1_3", data=b"").stdout
    chain = x509.load_pem_x509_certificates(shown)
    names = extension(chain[0], x509.SubjectAlternativeName).value
    assert set(names) == {x509.UniformResourceIdentifier(f"spiffe://{TRUST_DOMAIN}/remora/control"),
                          x509.DNSName("localhost")}
    assert pem(chain[-1]) == control.bundle.read_bytes()
    assert len(chain) == 3
