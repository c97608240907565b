# SPDX-License-Identifier: GPL-3.0-or-later
"""The static sidecar, alone on a read-only root file system, as the user of the image and without any
privilege, is all that a container needs; as its first process it ends in order.

The containers are real ones, on runc, with the user and the command that deploy/Containerfile gives the
image; that its build stage works is seen by running deploy/build-images.sh."""
import pytest

from conftest import BODY, CLIENT_PORT
from containers import fingerprint

CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def test_http_goes_from_container_to_container(pair):
    assert pair.get() == (200, BODY)
    assert pair.get() == (200, BODY)
    pair.web.kill("TERM")
    assert pair.web.wait() == 0
    assert [(line["result"], line["peer_identity"]) for line in pair.web.process.access()] == \
        [("ok", pair.authority.identity("client"))] * 2


def test_nothing_is_needed_but_the_program(pair):
    assert pair.stage["base"] == "scratch"
    assert pair.get() == (200, BODY)
    for container in (pair.web, pair.client):
        status = container.status()
        assert status["Uid"] == ["65532"] * 4 and status["Gid"] == ["65532"] * 4
        assert status["Groups"] == []
        assert {int(status[one][0], 16) for one in CAPABILITIES} == {0}
        assert status["NoNewPrivs"] == ["1"]
        assert status["NSpid"][-1] == "1"
        mounts = container.mounts()
        assert "ro" in mounts["/"] and "ro" in mounts["/etc/remora"]
    for container in (pair.web, pair.client):
        container.kill("TERM")
        assert container.wait() == 0
    assert fingerprint(pair.root) == pair.before


@pytest.mark.parametrize("side", ["web", "client"])
def test_first_process_drains_and_ends_with_status_0(pair, side):
    container = getattr(pair, side)
    held = pair.namespaces.connect("left", CLIENT_PORT)
    held.request("GET", "/held")
    answer = held.getresponse()
    received = answer.read(1 << 20)
    container.kill("TERM")
    container.process.wait_event("draining")
    assert container.ready()[0] == 503
    pair.application.may_go_on.set()
    received += answer.read()
    held.close()
    assert received == BODY
    assert container.wait() == 0
    assert container.process.has_event("drained", cut="0")
    assert container.state()["status"] in ("stopped", "gone")


def test_key_of_another_user_is_named(pair):
    """The usual mistake: secrets mounted for root. The container ends at once and says which file."""
    stranger = pair.container("stranger", "left", (
        "inbound: {listen: '127.0.0.1:15009'}\n"
        "health: 127.0.0.1:15031\nmetrics: 127.0.0.1:15030\n"), owner=(0, 0))
    assert stranger.wait() == 1
    assert "/etc/remora/stranger.key" in stranger.process.stderr()
