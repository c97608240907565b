# SPDX-License-Identifier: GPL-3.0-or-later
"""What one peer may ask for is bounded, by the defaults of the product; who asks for too much is told so,
and everybody else is served."""
import contextlib
import time

import pytest

from client import (WAIT_S, Admin, SourceProxy, Status, connect, identity_pb2, mesh_pb2, refused)
from mesh import identity, wait_until

WEB = identity("web")
KIB = 1024
ASK_FOR_NOTHING = identity_pb2.IssueRequest(csr=b"x")  # refused in any case; the rate comes first


@pytest.fixture(scope="module")
def control(shared):
    """With the limits that it has when nobody says anything."""
    return shared.start_control(extra="limits: {}\n")


@pytest.fixture
def source():
    """An address of its own for each test: what one spent, the next one has."""
    source.last = getattr(source, "last", 1) + 1
    return f"127.0.0.{source.last}"


@contextlib.contextmanager
def connect_from(control, source, svid=None):
    proxy = SourceProxy(source, control.port)
    with connect(control, svid, port=proxy.port) as caller:
        yield caller
    proxy.close()


@pytest.fixture(autouse=True)
def others_are_served(control):
    """Whatever happened, another client is served afterwards, at once."""
    yield
    with Admin(control) as admin, connect_from(control, "127.0.1.1") as caller:
        next(caller.identity.WatchTrust(identity_pb2.WatchTrustRequest(), timeout=WAIT_S))
        assert admin.status().trust_domain == "example.org"
    assert control.process.poll() is None


# --- Rates.

def ask(caller, count, request=ASK_FOR_NOTHING):
    """How many of `count` requests at once were refused for their number."""
    calls = [caller.identity.Issue.future(request, timeout=WAIT_S) for _ in range(count)]
    limited = [call.exception() for call in calls
               if call.exception().code() == Status.RESOURCE_EXHAUSTED]
    for error in limited:
        assert error.details() == "rate_limited: too many requests from this address: slow down"
    return len(limited)


def test_attestations_per_source(control, source):
    """10 at once and 1 a second, for everybody who shows no certificate."""
    with connect_from(control, source) as caller, connect_from(control, source + "0") as other:
        begin = time.monotonic()
        passed = 40 - ask(caller, 40)
        assert 10 <= passed <= 10 + (time.monotonic() - begin) + 1
        # Somebody else is not hurt, and neither is this one for long.
        assert ask(other, 10) == 0
        wait_until(lambda: ask(caller, 1) == 0, "a second's allowance")


def test_a_new_connection_is_the_same_source(control, source):
    begin = time.monotonic()
    passed = 0
    for _ in range(6):
        with connect_from(control, source) as caller:
            passed += 5 - ask(caller, 5)
    assert 10 <= passed <= 10 + (time.monotonic() - begin) + 1


def test_signings_per_source(control, source):
    """50 at once and 50 a second, renewals included."""
    with Admin(control) as admin, connect_from(control, "127.0.2.1") as anyone:
        svid = anyone.issue(token=admin.create_token(WEB).token)
    with connect_from(control, source, svid) as caller, \
            connect_from(control, source + "1", svid) as other:
        begin = time.monotonic()
        passed = 1000 - ask(caller, 1000)
        assert 50 <= passed <= 50 + 50 * (time.monotonic() - begin) + 1
        assert passed < 1000
        assert ask(other, 50) == 0
        wait_until(lambda: ask(caller, 1) == 0, "an allowance")


def test_wrong_tokens_are_counted(control, source):
    """Nobody guesses often."""
    token = f"rmt1.{'0' * 12}.{'A' * 43}.{'A' * 43}"
    with connect_from(control, source) as caller:
        begin = time.monotonic()
        passed = 60 - ask(caller, 60, identity_pb2.IssueRequest(csr=b"x", join_token=token))
        assert passed <= 10 + (time.monotonic() - begin) + 1


# --- Sizes.

def test_message_of_who_shows_no_certificate(control, source):
    with connect_from(control, source) as caller:
        for size in (64 * KIB, KIB * KIB):
            with refused(Status.RESOURCE_EXHAUSTED, "larger than its limit"):
                caller.issue(csr=b"x" * size)
        with refused(Status.INVALID_ARGUMENT, "csr_invalid"):
            caller.issue(csr=b"x" * (63 * KIB))


def test_message_of_a_workload(control, source):
    """Larger ones are taken from who proved an identity, where they are of use; 4 MiB at most."""
    with Admin(control) as admin, connect_from(control, "127.0.2.2") as anyone:
        svid = anyone.issue(token=admin.create_token(WEB).token)
        with refused(Status.INVALID_ARGUMENT):
            admin.create_service("x" * (1 << 20), WEB)
        with refused(Status.RESOURCE_EXHAUSTED, "larger than its limit"):
            admin.create_service("x" * (4 << 20), WEB)
    with connect_from(control, source, svid) as caller:
        hello = mesh_pb2.Hello(instance_id="0" * 16, services=[f"s{i}.{'x' * 60}" for i in range(2000)])
        with refused(Status.INVALID_ARGUMENT):  # too many, and not too large
            next(caller.mesh.Sync(iter([mesh_pb2.SyncRequest(hello=hello)]), timeout=WAIT_S))


def test_headers_over_16_kib(control, source):
    with connect_from(control, source) as caller:
        small = [("x-pad", "v" * (8 * KIB))]
        next(caller.identity.WatchTrust(identity_pb2.WatchTrustRequest(), metadata=small,
                                        timeout=WAIT_S)).trust_domain
        large = [(f"x-pad-{i}", "v" * (4 * KIB)) for i in range(5)]
        with refused(Status.RESOURCE_EXHAUSTED):
            next(caller.identity.WatchTrust(identity_pb2.WatchTrustRequest(), metadata=large,
                                            timeout=WAIT_S))
