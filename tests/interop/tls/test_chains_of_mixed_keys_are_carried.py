# SPDX-License-Identifier: GPL-3.0-or-later
"""Root, issuer and leaf may have keys of different kinds, as foreign authorities' do: P-256, P-384, RSA of 2048 and
4096 bits, in each place. OpenSSL and GnuTLS show them, as clients and as servers."""
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from ca import HOUR, Authority, new_key, sni, utc_now
from mesh import EchoServer, Sidecar, free_port
from pair import Pair, fixed_outbound, write_identity
from tls_peers import GnuTLSPeer, NewOpenSSLPeer, Served
from tunnel import ALPN, connect_message, reply_message

REPLY, MESSAGE = reply_message(), b"hello\n"
CHAINS = [("p384", "p256", "p256"), ("rsa", "p384", "p256"), ("rsa4096", "rsa", "p384"), ("p256", "rsa4096", "rsa"),
          ("p384", "p384", "rsa")]


def key_of(kind):
    return rsa.generate_private_key(public_exponent=65537, key_size=4096) if kind == "rsa4096" else new_key(kind)


@pytest.fixture(scope="module", params=CHAINS, ids=" ".join)
def chain(request):
    """(authority, leaf of the foreign workload)."""
    root, issuer, leaf = request.param
    made, end = Authority(), utc_now() + HOUR
    made.root_key, made.intermediate_key = key_of(root), key_of(issuer)
    made.root = made._authority("mixed root", made.root_key, None, made.root_key, 1, end)
    made.intermediate = made._authority("mixed issuer", made.intermediate_key, made.root, made.root_key, 0, end)
    made.intermediates = [made.intermediate]
    return made, made.leaf(made.identity("web"), key=leaf)


def our_identity(mesh, authority, name):
    return write_identity(mesh.folder, name, authority.leaf(authority.identity(name)), authority.bundle_pem)


@pytest.mark.parametrize("library", [NewOpenSSLPeer, GnuTLSPeer])
def test_client_is_served(mesh, chain, library):
    authority, leaf = chain
    application = mesh.add(EchoServer())
    sidecar = mesh.add(Sidecar(mesh.folder, "web", services=[("web", 80, application.address)],
                               identity_yaml=our_identity(mesh, authority, "web"))).start()
    answer = library(mesh.folder, leaf, alpn=ALPN).carry(
        sidecar.tunnel, sni(authority.identity("web")), connect_message() + MESSAGE, len(REPLY + MESSAGE))
    assert answer == REPLY + MESSAGE


def test_server_is_reached(mesh, chain):
    authority, leaf = chain
    server, listen = mesh.add(Served(NewOpenSSLPeer(mesh.folder, leaf, alpn=ALPN), REPLY)), free_port()
    outbound = fixed_outbound(f"127.0.0.1:{listen}", server.port, authority.identity("web"))
    client = mesh.add(Sidecar(mesh.folder, "client", outbound=[outbound],
                              identity_yaml=our_identity(mesh, authority, "client"))).start()
    Pair.of(client, listen).echo()
