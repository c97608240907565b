# SPDX-License-Identifier: GPL-3.0-or-later
"""Session tickets travel in clear. Whoever reads a victim's gets nothing from it, alone or beside an own one,
against a real sidecar, from a TLS library that is not ours and lets us say what no honest client would."""
import contextlib
import os
import socket

import pytest
from tlslite.api import HandshakeSettings, TLSConnection, X509CertChain, parsePEMKey
from tlslite.errors import TLSError
from tlslite.handshakehelpers import HandshakeHelpers

import tunnel
from ca import sni
from mesh import wait_until
from pair import echo_pair

AES_128, AES_256 = "aes128gcm", "aes256gcm"


class Client:
    """A workload that speaks TLS by tlslite-ng."""

    def __init__(self, pair, leaf):
        self.pair = pair
        self.chain, self.key = X509CertChain(), parsePEMKey(leaf.key_pem.decode(), private=True,
                                                            implementations=["python"])
        self.chain.parsePemList(leaf.chain_pem.decode())

    def settings(self, suites, others=()):
        settings = HandshakeSettings()
        settings.minVersion = settings.maxVersion = (3, 4)
        settings.cipherNames = list(suites)
        settings.certificate_compression_send = []  # it would compress without being asked to
        settings.pskConfigs = list(others)
        return settings

    def connect(self, suites=(AES_128,), session=None, others=()):
        """(reply of the tunnel, session with its ticket, resumed); the error's text instead of the reply when the
        other end cut the connection."""
        with socket.create_connection(("127.0.0.1", self.pair.server.tunnel), 20) as raw:
            tls = TLSConnection(raw)
            try:
                tls.handshakeClientCert(self.chain, self.key, session=session, alpn=[tunnel.ALPN.encode()],
                                        serverName=sni(self.pair.server_id),
                                        settings=self.settings(suites, others))
                tls.sendall(tunnel.connect_message("web", 80))
                reply = tunnel.read_reply(tls)
            except (TLSError, OSError, EOFError) as error:
                return str(error) or type(error).__name__, None, False
            return reply, tls.session, tls.resumed


@pytest.fixture
def world(mesh, authority):
    """Only `client` may reach the service; mallory is a workload of the same mesh that may not."""
    pair, _ = echo_pair(mesh, authority=authority, allow=[authority.identity("client")])
    victim = Client(pair, authority.leaf(authority.identity("client")))
    mallory = Client(pair, authority.leaf(authority.identity("mallory")))
    return pair, victim, mallory


@contextlib.contextmanager
def stolen_first():
    """Puts the last identity of a hello before the others."""
    honest = HandshakeHelpers.update_binders

    def turned(hello, *arguments):
        offer = hello.extensions[-1]
        offer.identities.insert(0, offer.identities.pop())
        offer.binders.insert(0, offer.binders.pop())
        return honest(hello, *arguments)

    HandshakeHelpers.update_binders = staticmethod(turned)
    try:
        yield
    finally:
        HandshakeHelpers.update_binders = staticmethod(honest)


def access(pair, count):
    wait_until(lambda: len(pair.server.process.access()) >= count, f"{count} access lines")
    return pair.server.process.access()


def ticket_of(session):
    return bytes(session.tickets[0].ticket)


def test_foreign_library_resumes(world):
    """The honest case, without which nothing below would mean anything."""
    pair, victim, _ = world
    reply, session, resumed = victim.connect()
    assert reply == (tunnel.OK, "") and not resumed
    reply, _, resumed = victim.connect(session=session)
    assert reply == (tunnel.OK, "") and resumed
    first, second = access(pair, 2)
    assert (first["resumed"], second["resumed"]) == (False, True)
    assert second["peer_identity"] == first["peer_identity"] == pair.client_id
    assert second["peer_serial"] == first["peer_serial"]
    assert pair.server.metric("remora_tls_tickets_total", role="server", result="resumed") == 1


def test_resumed_workload_stays_forbidden(world):
    pair, _, mallory = world
    reply, session, _ = mallory.connect()
    assert reply == (tunnel.DENIED, "guarded")
    reply, _, resumed = mallory.connect(session=session)
    assert reply == (tunnel.DENIED, "guarded") and resumed


@pytest.mark.parametrize("first", ["own", "stolen"])
@pytest.mark.parametrize("own_suite", [AES_128, AES_256])
def test_stolen_ticket_beside_an_own_one(mesh, authority, first, own_suite):
    """The library opens tickets that it does not choose: with an own one for another suite than the preferred one
    it opens the victim's before it takes the own."""
    pair, _ = echo_pair(mesh, authority=authority,
                        allow=[authority.identity("client"), authority.identity("mallory")])
    victim = Client(pair, authority.leaf(authority.identity("client")))
    mallory = Client(pair, authority.leaf(authority.identity("mallory")))
    stolen = ticket_of(victim.connect()[1])
    own = mallory.connect(suites=(own_suite,))[1]
    guess = (stolen, os.urandom(48), "sha256")
    with stolen_first() if first == "stolen" else contextlib.nullcontext():
        reply, _, resumed = mallory.connect(suites=(AES_128, AES_256), session=own, others=[guess])
    lines = access(pair, 3)
    # Either it is known as itself or it is not let in; in no case is it taken for the victim.
    assert [line["peer_identity"] for line in lines[:2]] == [pair.client_id, authority.identity("mallory")]
    assert lines[2]["peer_identity"] in (None, "", authority.identity("mallory"))
    assert (reply == (tunnel.OK, "")) == (lines[2]["peer_identity"] == authority.identity("mallory"))
    if first == "own":
        assert reply == (tunnel.OK, "") and resumed


def test_stolen_ticket_alone(world):
    pair, victim, mallory = world
    stolen = ticket_of(victim.connect()[1])
    reply, _, resumed = mallory.connect(others=[(stolen, os.urandom(32), "sha256")])
    assert not resumed and reply != (tunnel.OK, "")
    assert access(pair, 2)[1]["peer_identity"] != pair.client_id


def test_ticket_of_another_process_means_a_full_handshake(world):
    """A restarted sidecar has other keys: the client notices nothing but the work."""
    pair, victim, _ = world
    session = victim.connect()[1]
    pair.server.stop()
    pair.server.start()
    reply, _, resumed = victim.connect(session=session)
    assert reply == (tunnel.OK, "") and not resumed
    wait_until(lambda: pair.server.metric("remora_tls_tickets_total", role="server", result="unreadable") == 1,
               "the ticket to be counted")


def test_bytes_of_a_ticket_are_all_or_nothing(world):
    pair, victim, _ = world
    session = victim.connect()[1]
    whole = ticket_of(session)
    for at in (0, 16, 20, 34, len(whole) // 2, len(whole) - 33, len(whole) - 17, len(whole) - 1):
        changed = bytearray(whole)
        changed[at] ^= 1
        session.tickets[0].ticket = changed
        reply, _, resumed = victim.connect(session=session)
        assert reply == (tunnel.OK, "") and not resumed, at
    session.tickets[0].ticket = bytearray(whole)
    assert victim.connect(session=session)[2]


def test_resumption_can_be_switched_off(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority, extra="resumption: false\n")
    victim = Client(pair, authority.leaf(authority.identity("client")))
    assert not victim.connect()[1].tickets
    pair.echo()
    pair.echo()
    wait_until(lambda: len(pair.client.process.access()) == 2, "access lines")
    assert [line["resumed"] for line in pair.client.process.access()] == [False] * 2


def test_sidecars_resume_among_themselves(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority)
    for _ in range(3):
        pair.echo()
    wait_until(lambda: len(pair.client.process.access()) == 3, "access lines")
    lines = pair.client.process.access()
    assert [line["resumed"] for line in lines] == [False, True, True]
    assert len({(line["peer_identity"], line["peer_serial"]) for line in lines}) == 1
