# SPDX-License-Identifier: GPL-3.0-or-later
"""A sidecar whose clock is an hour off: what can work works, what cannot is refused by a line that names the clock.
libfaketime shifts the wall clock of one process; the monotonic clock stays."""
import glob
import re

import pytest

from mesh import SIDECAR, EchoServer, identity, wait_until
from pair import Pair, joined_pair
from servers import run

LIBRARY = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
# A sanitizer's library insists on being the first.
SANITIZER = re.findall(r"=> (\S+/lib[at]san\.so\.\d+)", run("ldd", SIDECAR).stdout)

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed")


def shifted(offset):
    return {"LD_PRELOAD": ":".join([*SANITIZER, LIBRARY]), "FAKETIME": offset, "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1"}


def test_an_hour_ahead_is_named(mesh):
    """Certificates of an hour look expired to it, and the sentence says why that may be."""
    control = mesh.start_control(lifetime="30m")
    control.create_service("web", 80, identity("web"))
    web = mesh.sidecar("web", serves=[("web", 80, "127.0.0.1:1")], env=shifted("+1h"), ready=False)
    wait_until(lambda: web.process.has_event("clock_is_off") or "clock" in web.ready()[1], "the clock to be named",
               20, web.process)
    text = web.process.stderr()
    assert "clock" in text
    assert web.process.poll() is None


def test_an_hour_behind_is_named(mesh):
    """The control plane's own certificate is not yet valid for it."""
    control = mesh.start_control()
    control.create_service("web", 80, identity("web"))
    web = mesh.sidecar("web", serves=[("web", 80, "127.0.0.1:1")], env=shifted("-1h"), ready=False)
    wait_until(lambda: "clock" in web.ready()[1], "readiness to name the clock", process=web.process)
    assert web.ready()[0] == 503 and web.process.poll() is None
    assert "not yet valid" in web.ready()[1] or "too early" in web.ready()[1], web.ready()


def test_an_hour_ahead_with_long_certificates_works_and_warns(mesh):
    """Certificates of a day are valid for both clocks: traffic flows, renewals are planned in the control plane's
    time, and the offset is exported."""
    control = mesh.start_control(lifetime="24h")
    control.create_service("web", 80, identity("web"))
    application = mesh.add(EchoServer())
    web = mesh.sidecar("web", serves=[("web", 80, application.address)], env=shifted("+1h"))
    client = mesh.sidecar("client", calls=["web"])
    Pair.of(client, client.port("web")).echo()
    web.process.wait_event("clock_is_off")
    assert -3700 < web.metric("remora_clock_offset_seconds") < -3500
    assert -60 < client.metric("remora_clock_offset_seconds") < 60


def test_small_offset_does_not_matter(mesh):
    """Seconds that machines are apart: notBefore is backdated for that."""
    pair, _, _ = joined_pair(mesh, lifetime="10s", client={"env": shifted("-3s")})
    pair.echo()
    wait_until(lambda: pair.client.metric("remora_certificate_renewals_total", result="ok") >= 3,
               "renewals", 40, pair.client.process)
    pair.echo()
    assert not pair.client.process.has_event("clock_is_off")
    assert pair.client.metric("remora_certificate_renewals_total", result="failed") == 0


def test_peer_that_refuses_a_date_names_both_clocks(mesh):
    """Two sidecars, one an hour ahead: its refusal of the other's certificate says what its clock says."""
    control = mesh.start_control(lifetime="24h")
    control.create_service("web", 80, identity("web"))
    application = mesh.add(EchoServer())
    web = mesh.sidecar("web", serves=[("web", 80, application.address)], env=shifted("+1h"))
    client = mesh.sidecar("client", calls=["web"],
                          identity_yaml=f"""\
  control:
    address: 127.0.0.1:{control.port}
    trust_domain: example.org
    join_token_file: {mesh.folder}/client.token
    lifetime: 30m
""")
    assert Pair.of(client, client.port("web")).meet() == ("reset", b"")
    web.process.wait_event("handshake_failed", error="certificate_expired", text="our clock says")
    client.process.wait_event("refused", reason="refused_by_peer", detail="two clocks differ")
    assert application.count == 0
