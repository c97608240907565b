# SPDX-License-Identifier: GPL-3.0-or-later
"""An identity from files is watched: a new one is put in force without cutting anything, a wrong one keeps the
old and is named, and a root that is trusted no longer ends what it had vouched for."""
import concurrent.futures
import os
import threading

import pytest
from cryptography import x509

from ca import HOUR, Authority, sni, utc_now
from mesh import wait_until
from pair import echo_pair, outcome, write_identity
from tunnel import open_tls

OTHER = Authority("example.org")


def replace(path, content):
    """As a good tool does it: a new file under the old name."""
    temporary = path.with_suffix(path.suffix + ".new")
    temporary.touch(mode=0o600)
    temporary.write_bytes(content)
    os.replace(temporary, path)


def rotate(mesh, name, leaf):
    replace(mesh.folder / f"{name}.key", leaf.key_pem)
    replace(mesh.folder / f"{name}.pem", leaf.chain_pem)


def served_serial(pair):
    """The serial that the server's sidecar shows to a new client."""
    leaf = pair.authority.leaf(pair.authority.identity("probe"))
    with open_tls(pair.server.tunnel, leaf, sni(pair.server_id)) as tls:
        return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True)).serial_number


def serial_of(leaf):
    return leaf.chain[0].serial_number


def renewals(sidecar, result="ok"):
    return sidecar.metric("remora_certificate_renewals_total", result=result)


def test_new_certificate_and_key_are_put_in_force_without_cutting(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority, workers=2)
    with pair.connect() as standing:
        standing.sendall(b"before")
        assert standing.recv(6) == b"before"
        for round_number in range(3):
            leaves = {"web": authority.leaf(pair.server_id), "client": authority.leaf(pair.client_id)}
            for name, leaf in leaves.items():
                rotate(mesh, name, leaf)
            wait_until(lambda: served_serial(pair) == serial_of(leaves["web"]), "the new certificate")
            wait_until(lambda: renewals(pair.client) >= round_number + 2, "the client's renewal")
            pair.echo()
            standing.sendall(b"after")
            assert standing.recv(5) == b"after"
    expiry = pair.server.metric("remora_certificate_expiry_timestamp_seconds", identity=pair.server_id)
    assert expiry == int(leaves["web"].chain[0].not_valid_after_utc.timestamp())


def test_rotation_under_load_loses_no_connection(mesh, authority):
    """Every connection of the whole time succeeds; nobody tries twice."""
    pair, _ = echo_pair(mesh, authority=authority, workers=2)
    is_over = threading.Event()

    def load(number):
        count = 0
        while not is_over.is_set():
            pair.echo(f"load {number} {count}".encode())
            count += 1
        return count

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        loads = [pool.submit(load, number) for number in range(4)]
        try:
            for round_number in range(3):
                rotate(mesh, "web", authority.leaf(pair.server_id))
                rotate(mesh, "client", authority.leaf(pair.client_id))
                for sidecar in (pair.server, pair.client):
                    wait_until(lambda: renewals(sidecar) >= round_number + 2, "a renewal")
        finally:
            is_over.set()
        assert all(one.result() > 0 for one in loads)
    results = {line["result"] for line in pair.client.process.access() + pair.server.process.access()}
    assert results == {"ok"}


def test_half_written_pair_keeps_the_old_and_is_named(mesh, authority):
    """The key is there, its certificate is not yet: as a slow tool leaves it for a while."""
    pair, _ = echo_pair(mesh, authority=authority)
    before = served_serial(pair)
    leaf = authority.leaf(pair.server_id)
    replace(mesh.folder / "web.key", leaf.key_pem)
    pair.server.process.wait_event("renewal_failed", error="web.key")
    line = next(line for line in pair.server.process.events() if line["event"] == "renewal_failed")
    assert str(mesh.folder / "web.pem") in line["error"] and "time_left" in line
    assert served_serial(pair) == before
    pair.echo()
    assert renewals(pair.server, "failed") == 1
    # The other half comes.
    replace(mesh.folder / "web.pem", leaf.chain_pem)
    wait_until(lambda: served_serial(pair) == serial_of(leaf), "the new certificate")
    pair.echo()


@pytest.mark.parametrize("what, word", [
    ("truncated", "web.pem"), ("empty", "web.pem"), ("expired", "expired"),
    ("not yet valid", "not valid for another"), ("of another CA", "web.bundle.pem"),
    ("without a SPIFFE ID", "SPIFFE ID"), ("gone", "web.pem"), ("open to others", "0644"),
])
def test_wrong_new_files_keep_the_old(mesh, authority, what, word):
    pair, _ = echo_pair(mesh, authority=authority)
    before, now = served_serial(pair), utc_now()
    certificate, key = mesh.folder / "web.pem", mesh.folder / "web.key"
    if what in ("truncated", "empty"):
        replace(certificate, certificate.read_bytes()[:300 if what == "truncated" else 0])
    elif what == "gone":
        certificate.unlink()
    elif what == "open to others":
        key.chmod(0o644)
    else:
        rotate(mesh, "web", {
            "expired": lambda: authority.leaf(pair.server_id, not_before=now - 2 * HOUR,
                                              not_after=now - HOUR),
            "not yet valid": lambda: authority.leaf(pair.server_id, not_before=now + HOUR,
                                                    not_after=now + 2 * HOUR),
            "of another CA": lambda: OTHER.leaf(pair.server_id),
            "without a SPIFFE ID": lambda: authority.leaf(uris=[], dns=["web.example.org"]),
        }[what]())
    pair.server.process.wait_event("renewal_failed", error=word)
    assert served_serial(pair) == before
    pair.echo()
    assert pair.server.ready()[0] == 200


def test_linked_folder_swap_is_noticed(mesh, authority):
    """Kubernetes swaps a link to a folder, so that all files change at once."""
    pair, _ = echo_pair(mesh, authority=authority, start=False)
    first, second, link = mesh.folder / "..1", mesh.folder / "..2", mesh.folder / "data"
    leaves = {}
    for folder in (first, second):
        folder.mkdir()
        leaves[folder] = authority.leaf(pair.server_id)
        write_identity(folder, "web", leaves[folder], authority.bundle_pem)
    link.symlink_to(first)
    text = pair.server.config.read_text()
    for name in ("web.pem", "web.key", "web.bundle.pem"):
        text = text.replace(str(mesh.folder / name), str(link / name))
    pair.server.config.write_text(text)
    pair.server.start()
    pair.client.start()
    assert served_serial(pair) == serial_of(leaves[first])
    temporary = mesh.folder / "data.new"
    temporary.symlink_to(second)
    os.replace(temporary, link)
    wait_until(lambda: served_serial(pair) == serial_of(leaves[second]), "the new folder's certificate")
    pair.echo()


def test_root_that_is_added_is_trusted(mesh, authority):
    """The first step of changing a CA: both roots are in the bundle."""
    pair, _ = echo_pair(mesh, authority=authority, client_leaf=OTHER.leaf(authority.identity("client")),
                        client_bundle=authority.bundle_pem + OTHER.bundle_pem)
    assert pair.meet() == ("reset", b"")
    replace(mesh.folder / "web.bundle.pem", authority.bundle_pem + OTHER.bundle_pem)
    wait_until(lambda: renewals(pair.server) >= 2, "the new bundle")
    pair.echo()


@pytest.mark.parametrize("judge", ["server", "client"])
def test_root_that_is_removed_ends_live_and_new_connections_by_name(mesh, authority, judge):
    """Trust withdrawn counts at once, whichever end withdraws it."""
    both = authority.bundle_pem + OTHER.bundle_pem
    pair, application = echo_pair(
        mesh, authority=authority, client_bundle=both, server_bundle=both,
        client_leaf=(OTHER if judge == "server" else authority).leaf(authority.identity("client")),
        server_leaf=(OTHER if judge == "client" else authority).leaf(authority.identity("web")))
    sidecar = getattr(pair, judge)
    with pair.connect() as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        replace(mesh.folder / f"{sidecar.name}.bundle.pem", authority.bundle_pem)
        assert outcome(connection) == ("reset", b"")
    wait_until(sidecar.process.access, "the access line")
    assert sidecar.process.access()[0]["result"] == "not_anchored"
    assert pair.meet() == ("reset", b"")
    sidecar.process.wait_event("handshake_failed", error="unknown_issuer")
    assert application.count == 1


def test_bundle_that_would_orphan_ourselves_is_refused(mesh, authority):
    """A bundle without our own root: nobody with the same bundle would accept us, so it is named and kept out."""
    pair, _ = echo_pair(mesh, authority=authority)
    replace(mesh.folder / "web.bundle.pem", OTHER.bundle_pem)
    pair.server.process.wait_event("renewal_failed", error="web.bundle.pem")
    pair.echo()


def test_certificate_that_nobody_renews_expires(mesh, authority):
    """When the dates are over readiness says so, and peers refuse by name."""
    short = authority.leaf(authority.identity("web"), not_before=utc_now() - HOUR,
                           not_after=utc_now() + HOUR / 900)  # four seconds
    pair, application = echo_pair(mesh, authority=authority, server_leaf=short)
    pair.echo()
    wait_until(lambda: pair.server.ready()[0] == 503, "readiness to notice")
    assert "expired" in pair.server.ready()[1]
    # The last second of a certificate belongs to it.
    wait_until(lambda: utc_now() > short.chain[0].not_valid_after_utc + HOUR / 3600, "its last second")
    assert pair.meet() == ("reset", b"")
    pair.client.process.wait_event("handshake_failed", error="certificate_expired")
    assert application.count == 1
    # A new certificate mends it.
    rotate(mesh, "web", authority.leaf(pair.server_id))
    wait_until(lambda: pair.server.ready()[0] == 200, "readiness to come back")
    pair.echo()


def test_peer_without_lineage_ends_with_its_certificate_and_the_grace(mesh, authority):
    """No control plane vouches for it: a live connection ends at the peer's notAfter plus the grace."""
    short = authority.leaf(authority.identity("client"), not_before=utc_now() - HOUR,
                           not_after=utc_now() + HOUR / 1200)  # three seconds
    pair, _ = echo_pair(mesh, authority=authority, client_leaf=short,
                        extra="timeouts: {connection_grace: 1s}\n")
    with pair.connect() as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        assert outcome(connection) == ("reset", b"")
    wait_until(pair.server.process.access, "the access line")
    assert pair.server.process.access()[0]["result"] == "certificate_expired"
