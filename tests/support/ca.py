# SPDX-License-Identifier: GPL-3.0-or-later
"""A SPIFFE certificate authority that is not ours: root > intermediate > leaf, made at test time.

Everything that a test may want to be wrong can be made wrong: names, dates, usage, keys, order.
"""
import datetime
import hashlib
import base64
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOUR = datetime.timedelta(hours=1)
MINUTE = datetime.timedelta(minutes=1)


def utc_now():
    return datetime.datetime.now(datetime.timezone.utc)


def new_key(kind):
    """`kind`: "p256", "p384" or "rsa"."""
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key({"p256": ec.SECP256R1(), "p384": ec.SECP384R1()}[kind])


def key_pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def sni(spiffe_id):
    """The server name that a Remora client sends for `spiffe_id`."""
    domain = spiffe_id.removeprefix("spiffe://").split("/")[0]
    digest = base64.b32encode(hashlib.sha256(spiffe_id.encode()).digest()).decode().lower()
    return f"{digest[:26]}.{domain}"


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, text)])


def key_usage(*used):
    known = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
             "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{one: one in used for one in known})


class Leaf:
    """A chain, leaf first, with its key."""

    def __init__(self, chain, key):
        self.chain, self.key = chain, key

    @property
    def serial(self):
        """As the logs write it."""
        number = self.chain[0].serial_number
        return number.to_bytes((number.bit_length() + 8) // 8, "big").hex()

    @property
    def chain_pem(self):
        return b"".join(pem(one) for one in self.chain)

    @property
    def key_pem(self):
        return key_pem(self.key)

    def write(self, folder, stem):
        """(certificate path, key path); the key is 0600 from its first byte."""
        folder = pathlib.Path(folder)
        certificate, key = folder / f"{stem}.pem", folder / f"{stem}.key"
        certificate.write_bytes(self.chain_pem)
        key.touch(mode=0o600)
        key.write_bytes(self.key_pem)
        return certificate, key


class Authority:
    """One trust domain's root and intermediates, of which the last one issues.

    `path_length` is the root's; with fewer than `depth` it forbids what this authority does."""

    def __init__(self, trust_domain="example.org", key="p256", root_not_after=None, depth=1, path_length=None):
        self.trust_domain = trust_domain
        self.root_key, self.intermediate_key = new_key(key), new_key(key)
        end = root_not_after or utc_now() + 24 * HOUR
        self.root = self._authority(f"{trust_domain} root", self.root_key, None, self.root_key,
                                    depth if path_length is None else path_length, end)
        self.intermediates = []  # the issuing one first
        issuer, issuer_key = self.root, self.root_key
        for left in range(depth - 1, -1, -1):
            one_key = self.intermediate_key if left == 0 else new_key(key)
            one = self._authority(f"{trust_domain} issuer" + (f" {left}" if left else ""), one_key, issuer,
                                  issuer_key, left, end)
            self.intermediates.insert(0, one)
            issuer, issuer_key = one, one_key
        self.intermediate = issuer

    def _authority(self, subject, key, issuer, issuer_key, path_length, not_after):
        builder = (x509.CertificateBuilder()
                   .subject_name(name(subject))
                   .issuer_name(issuer.subject if issuer is not None else name(subject))
                   .public_key(key.public_key())
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(utc_now() - 24 * HOUR)
                   .not_valid_after(not_after)
                   .add_extension(x509.BasicConstraints(True, path_length), True)
                   .add_extension(key_usage("key_cert_sign", "crl_sign"), True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                       issuer_key.public_key()), False)
                   .add_extension(x509.SubjectAlternativeName(
                       [x509.UniformResourceIdentifier(f"spiffe://{self.trust_domain}")]), False))
        return builder.sign(issuer_key, hashes.SHA256())

    @property
    def bundle_pem(self):
        return pem(self.root)

    def write_bundle(self, folder, stem):
        path = pathlib.Path(folder) / f"{stem}.bundle.pem"
        path.write_bytes(self.bundle_pem)
        return path

    def identity(self, account):
        return f"spiffe://{self.trust_domain}/ns/default/sa/{account}"

    def leaf(self, spiffe_id=None, *, uris=None, dns=(), key="p256", not_before=None, not_after=None,
             usages=(ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
             with_intermediate=True, is_ca=False):
        """`uris` overrides the one URI SAN of `spiffe_id`; no names at all: no SAN extension."""
        uris = [spiffe_id] if uris is None else uris
        leaf_key = new_key(key)
        builder = (x509.CertificateBuilder()
                   .subject_name(x509.Name([]))
                   .issuer_name(self.intermediate.subject)
                   .public_key(leaf_key.public_key())
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(not_before or utc_now() - MINUTE)
                   .not_valid_after(not_after or utc_now() + HOUR)
                   .add_extension(x509.BasicConstraints(is_ca, None), True)
                   .add_extension(key_usage("digital_signature"), True)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                       self.intermediate_key.public_key()), False))
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(list(usages)), False)
        names = [x509.UniformResourceIdentifier(uri) for uri in uris] + [x509.DNSName(one) for one in dns]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), True)
        certificate = builder.sign(self.intermediate_key, hashes.SHA256())
        return Leaf([certificate] + (self.intermediates if with_intermediate else []), leaf_key)

    def self_signed(self, spiffe_id):
        """A leaf that nobody but itself vouches for."""
        key = new_key("p256")
        builder = (x509.CertificateBuilder()
                   .subject_name(name("home-made"))
                   .issuer_name(name("home-made"))
                   .public_key(key.public_key())
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(utc_now() - MINUTE)
                   .not_valid_after(utc_now() + HOUR)
                   .add_extension(x509.BasicConstraints(False, None), True)
                   .add_extension(key_usage("digital_signature"), True)
                   .add_extension(x509.SubjectAlternativeName(
                       [x509.UniformResourceIdentifier(spiffe_id)]), False))
        return Leaf([builder.sign(key, hashes.SHA256())], key)

    def crl_pem(self, *leaves):
        """What the issuing authority revoked."""
        builder = (x509.CertificateRevocationListBuilder()
                   .issuer_name(self.intermediate.subject)
                   .last_update(utc_now() - HOUR)
                   .next_update(utc_now() + HOUR))
        for leaf in leaves:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(leaf.chain[0].serial_number)
                .revocation_date(utc_now() - MINUTE).build())
        return builder.sign(self.intermediate_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
