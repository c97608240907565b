# SPDX-License-Identifier: GPL-3.0-or-later
"""What a peer does not do in time: renew, acknowledge, come back. All of it is begun at once, since each
has its seconds."""
import time

import pytest

from client import Status, connect
from mesh import identity, wait_until
from sync_client import Sync, endpoints_of

GRACE_S = 10  # for a lost stream
LIFETIME_S = 10  # the shortest certificate


class Begun:
    """Everything that is waited for below."""

    def __init__(self, control, admin):
        self.control, self.admin, self.callers = control, admin, []
        with connect(control) as anyone:
            self.svids = {}
            for name in ("lost", "back", "short", "mute"):
                admin.create_service(name, identity(name))
                self.svids[name] = anyone.issue(token=admin.create_token(identity(name), name).token)
            self.svids["short"] = anyone.issue(
                token=admin.create_token(identity("short"), "short").token,
                wanted_lifetime_s=LIFETIME_S)
        self.mute = Sync(self.caller("mute"), services=["*"])
        self.mute.next()  # and no word more
        self.short = self.serve("short", 1)
        self.lost, self.back = self.serve("lost", 2), self.serve("back", 3)
        self.lost_since = time.monotonic()
        for one in (self.lost, self.back):
            one.cancel()
        self.again = self.serve("back", 3, instance_id=self.back.instance_id)

    def caller(self, name):
        self.callers.append(connect(self.control, self.svids[name]))
        return self.callers[-1]

    def serve(self, name, port, **fields):
        stream = Sync(self.caller(name), services=[name], exposes=[dict(service=name)],
                      tunnel_address=f":{port}", **fields)
        stream.until(lambda view: view.endpoints)
        return stream

    def close(self):
        for one in (self.again, self.short, self.mute):
            one.cancel()
        for one in self.callers:
            one.close()


@pytest.fixture(scope="module")
def begun(control, admin):
    everything = Begun(control, admin)
    yield everything
    everything.close()


def test_lost_stream_keeps_its_endpoint_for_a_while(begun, admin):
    """Long enough to come back, and no longer; who came back stays."""
    wait_until(lambda: not endpoints_of(admin, "lost"), "the lost endpoint to go", 40)
    assert time.monotonic() - begun.lost_since > GRACE_S - 0.5
    assert set(endpoints_of(admin, "back")) == {begun.back.instance_id}


def test_stream_ends_with_the_certificate_that_opened_it(begun, admin):
    """Also while everything else is well."""
    error = begun.short.end()
    assert (error.code(), error.details()) == (
        Status.UNAUTHENTICATED,
        "the certificate that opened this stream has expired: renew and reopen")
    assert time.time() >= begun.svids["short"].answer.not_after_s
    wait_until(lambda: not endpoints_of(admin, "short"), "its endpoint to go", 40)


def test_delta_that_nobody_acknowledges(begun):
    error = begun.mute.end(60)
    assert (error.code(), error.details()) == (Status.DEADLINE_EXCEEDED,
                                               "a delta was not acknowledged")


def test_others_were_not_hurt(begun, admin):
    assert set(endpoints_of(admin, "back")) == {begun.back.instance_id}
    while not begun.again.received.empty():
        begun.again.step()
    assert begun.again.view.endpoints
    assert begun.control.process.poll() is None
