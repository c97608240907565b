# SPDX-License-Identifier: GPL-3.0-or-later
"""Mode offline-root: the request goes out, a chain signed by a root that is not ours comes in. What would
not work in the mesh is refused when it comes, with a sentence."""
import datetime
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ca import key_usage, new_key, utc_now
from client import Admin, Status, connect, refused
from mesh import CONTROL, TRUST_DOMAIN, Control, identity

DAY = datetime.timedelta(days=1)
OFFLINE = ("mode: offline-root\nlimits: {attestations_per_second: 1000, attestation_burst: 1000, "
           "signings_per_second: 10000, signing_burst: 10000}\n")


def run(control, *words):
    return subprocess.run([CONTROL, words[0], "--config", control.config, *[str(w) for w in words[1:]]],
                          capture_output=True, text=True, timeout=60)


def pem(*certificates):
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


class Root:
    """An operator's own root, in a safe."""

    def __init__(self, name="Our own root", kind="p256", end=365 * DAY):
        self.key = new_key(kind)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = (self.builder(self.name, self.key.public_key(), end)
                            .add_extension(x509.BasicConstraints(True, None), True)
                            .add_extension(key_usage("key_cert_sign", "crl_sign"), True)
                            .sign(self.key, hashes.SHA256()))

    def builder(self, subject, public_key, end, begin=DAY):
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name)
                .public_key(public_key).serial_number(x509.random_serial_number())
                .not_valid_before(utc_now() - begin).not_valid_after(utc_now() + end)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), False)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                    self.key.public_key()), False))

    def sign(self, csr, *, is_ca=True, path_length=0, permitted=(TRUST_DOMAIN,), excluded=None,
             usage=("key_cert_sign", "crl_sign"), end=30 * DAY, begin=DAY, public_key=None):
        """As the request asks, unless told otherwise."""
        builder = (self.builder(csr.subject, public_key or csr.public_key(), end, begin)
                   .add_extension(x509.BasicConstraints(is_ca, path_length if is_ca else None), True)
                   .add_extension(key_usage(*usage), True))
        if permitted is not None or excluded is not None:
            def names(domains):
                return domains and [x509.UniformResourceIdentifier(one) for one in domains]
            builder = builder.add_extension(x509.NameConstraints(names(permitted), names(excluded)),
                                            True)
        return builder.sign(self.key, hashes.SHA256())


@pytest.fixture
def control(tmp_path):
    return Control(tmp_path, init=False, extra=OFFLINE)


@pytest.fixture
def csr(control):
    """What init prints."""
    done = run(control, "init")
    assert done.returncode == 0, done.stderr
    assert "import-chain" in done.stderr
    request = x509.load_pem_x509_csr(done.stdout.encode())
    assert (control.data / "intermediate.csr").read_text() == done.stdout
    return request


def import_chain(control, tmp_path, content):
    (tmp_path / "chain.pem").write_bytes(content)
    return run(control, "import-chain", tmp_path / "chain.pem")


def refused_chain(control, tmp_path, content, *parts):
    done = import_chain(control, tmp_path, content)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    for part in parts:
        assert part in done.stderr


def test_request_asks_for_what_it_needs(csr):
    """So that `openssl x509 -copy_extensions copy` gives a usable certificate."""
    assert csr.is_signature_valid
    assert isinstance(csr.public_key().curve, ec.SECP256R1)
    constraints = csr.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
    usage = csr.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    limits = csr.extensions.get_extension_for_class(x509.NameConstraints)
    assert limits.critical
    assert list(limits.value.permitted_subtrees) == [x509.UniformResourceIdentifier(TRUST_DOMAIN)]


def test_serve_before_the_chain_came(control, csr):
    done = run(control, "serve")
    assert done.returncode == 1
    assert "the intermediate is not signed yet" in done.stderr and "import-chain" in done.stderr


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa"])
def test_whole_way(control, csr, mesh, tmp_path, kind):
    """Request, signature, import, serve, issue; verified by OpenSSL under the operator's root."""
    root = Root(kind=kind)
    intermediate = root.sign(csr)
    done = import_chain(control, tmp_path, pem(intermediate, root.certificate))
    assert done.returncode == 0, done.stderr
    assert x509.load_pem_x509_certificate(control.bundle.read_bytes()) == root.certificate
    mesh.add(control).start()
    with Admin(control) as admin, connect(control) as caller:
        status = admin.status()
        assert (status.mode, status.mode_warning) == ("offline-root", "")
        assert [one.kind for one in status.authorities] == ["root", "intermediate"]
        svid = caller.issue(token=admin.create_token(identity("web")).token)
        assert svid.intermediate == intermediate
        with connect(control, svid) as own:
            assert own.issue().lineage == svid.lineage
    (tmp_path / "leaf.pem").write_bytes(pem(svid.leaf))
    (tmp_path / "intermediate.pem").write_bytes(pem(intermediate))
    (tmp_path / "root.pem").write_bytes(pem(root.certificate))
    verified = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-CAfile", tmp_path / "root.pem", "-untrusted",
         tmp_path / "intermediate.pem", tmp_path / "leaf.pem"], capture_output=True, timeout=60)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_signed_by_openssl(control, csr, mesh, tmp_path):
    """With the command that the documentation of OpenSSL gives."""
    def openssl(*words):
        subprocess.run(["openssl", *[str(one) for one in words]], check=True, capture_output=True,
                       timeout=60)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            tmp_path / "root.key", "-out", tmp_path / "root.pem", "-days", 365, "-subj", "/CN=root",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl("x509", "-req", "-in", control.data / "intermediate.csr", "-CA", tmp_path / "root.pem",
            "-CAkey", tmp_path / "root.key", "-copy_extensions", "copy", "-days", 30, "-out",
            tmp_path / "intermediate.pem")
    chain = (tmp_path / "intermediate.pem").read_bytes() + (tmp_path / "root.pem").read_bytes()
    done = import_chain(control, tmp_path, chain)
    assert done.returncode == 0, done.stderr
    mesh.add(control).start()
    with Admin(control) as admin, connect(control) as caller:
        assert caller.issue(token=admin.create_token(identity("web")).token).identity == \
            identity("web")


def test_leaves_end_with_their_issuer(control, csr, mesh, tmp_path):
    root = Root()
    intermediate = root.sign(csr, end=datetime.timedelta(minutes=20))
    assert import_chain(control, tmp_path, pem(intermediate, root.certificate)).returncode == 0
    mesh.add(control).start()
    with Admin(control) as admin, connect(control) as caller:
        svid = caller.issue(token=admin.create_token(identity("web")).token, wanted_lifetime_s=86400)
        assert svid.leaf.not_valid_after_utc <= intermediate.not_valid_after_utc
        assert admin.has_alarm("intermediate_expires")


WRONG = {
    "other key": (dict(public_key="other"), "not for the key that 'remora-control init' made"),
    "no CA": (dict(is_ca=False), "certificate 1"),
    "no keyCertSign": (dict(usage=("digital_signature",)), "keyCertSign"),
    "constraints of another domain": (dict(permitted=("other.org",)), "name constraints"),
    "own domain excluded": (dict(permitted=None, excluded=(TRUST_DOMAIN,)), "name constraints"),
    "ended": (dict(begin=3 * DAY, end=-DAY), "the intermediate has expired at"),
    "not begun": (dict(begin=-DAY), "the intermediate is not valid before"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_intermediate(control, csr, tmp_path, wrong):
    fields, part = WRONG[wrong]
    if fields.get("public_key"):
        fields = dict(public_key=new_key("p256").public_key())
    root = Root()
    refused_chain(control, tmp_path, pem(root.sign(csr, **fields), root.certificate), part)
    # Nothing was taken: the right one still comes in.
    assert run(control, "serve").returncode == 1
    assert import_chain(control, tmp_path, pem(root.sign(csr), root.certificate)).returncode == 0


def test_wrong_chains(control, csr, tmp_path):
    root, other = Root(), Root()
    good = root.sign(csr)
    expired_root = Root(end=-DAY / 2)
    for content, part in (
            (b"", "chain.pem: "),
            (b"hello", "no PEM CERTIFICATE block"),
            (pem(good), "wanted are two"),
            (pem(root.certificate), "wanted are two"),
            (pem(good, root.certificate, root.certificate), "wanted are two"),
            (pem(root.certificate, good), "not for the key"),
            (pem(good, other.certificate), "does not lead to a root"),
            (pem(good, good), "did not sign itself"),
            (pem(expired_root.sign(csr), expired_root.certificate), "the root has expired at"),
            (pem(good, root.certificate)[:-60], "")):
        refused_chain(control, tmp_path, content, part)
    missing = run(control, "import-chain", tmp_path / "none.pem")
    assert missing.returncode == 1 and "none.pem" in missing.stderr
    assert import_chain(control, tmp_path, pem(good, root.certificate)).returncode == 0


def test_import_without_init(control, tmp_path):
    root = Root()
    request = (x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
               .sign(new_key("p256"), hashes.SHA256()))
    done = import_chain(control, tmp_path, pem(root.sign(request), root.certificate))
    assert done.returncode == 1 and "remora-control init" in done.stderr


def test_import_where_the_root_is_online(tmp_path):
    """Mode self takes no foreign chain."""
    control = Control(tmp_path)
    root = Root()
    request = (x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
               .sign(new_key("p256"), hashes.SHA256()))
    refused_chain(control, tmp_path, pem(root.sign(request), root.certificate), "mode self")


def test_import_beside_a_running_server(control, csr, mesh, tmp_path):
    root = Root()
    chain = pem(root.sign(csr), root.certificate)
    assert import_chain(control, tmp_path, chain).returncode == 0
    mesh.add(control).start()
    refused_chain(control, tmp_path, chain, "in use by process", str(control.process.pid))


def test_renewal_of_the_intermediate(control, csr, mesh, tmp_path):
    """The same request, signed again; what lives under the old one goes on. Another root is another
    mesh."""
    root = Root()
    assert import_chain(control, tmp_path, pem(root.sign(csr), root.certificate)).returncode == 0
    mesh.add(control).start()
    with Admin(control) as admin, connect(control) as caller:
        first = caller.issue(token=admin.create_token(identity("web")).token)
    control.stop()
    other = Root()
    refused_chain(control, tmp_path, pem(other.sign(csr), other.certificate), "root")
    renewed = root.sign(csr, end=60 * DAY)
    assert import_chain(control, tmp_path, pem(renewed, root.certificate)).returncode == 0
    control.start()
    with connect(control, first) as own:
        second = own.issue()
        assert (second.lineage, second.intermediate) == (first.lineage, renewed)


def test_admin_of_offline_root_over_nothing_else(control, csr, mesh, tmp_path):
    """No method gives out the intermediate's key; the store holds it sealed."""
    root = Root()
    assert import_chain(control, tmp_path, pem(root.sign(csr), root.certificate)).returncode == 0
    mesh.add(control).start()
    with Admin(control) as admin, connect(control) as caller:
        records = admin.records(tmp_path)
        with refused(Status.UNAUTHENTICATED):
            caller.issue()
    assert {key for key in records if key.startswith("ca/")} == {"ca/root", "ca/intermediate"}
    spki = csr.public_key().public_bytes(serialization.Encoding.X962,
                                         serialization.PublicFormat.UncompressedPoint)
    # A plain PKCS#8 or SEC1 key would hold its public point after the private number.
    assert records["ca/intermediate"].count(spki) == 1  # in the certificate only
    assert spki not in records["ca/root"]
