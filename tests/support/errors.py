# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of errors as its page has it, and what an end must say that judged by one of them."""
import re

from mesh import REPO, wait_until


def table():
    """{name: (what, cause, remedy)}."""
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \| (.*) \|$", (REPO / "ERRORS.md").read_text(), re.MULTILINE)
    return {name: words for name, *words in rows}


def access_of(sidecar):
    """The first line of the access log."""
    return wait_until(sidecar.process.access, "the access line", process=sidecar.process)[0]


def event_of(sidecar, event, **fields):
    """The log line itself."""
    sidecar.process.wait_event(event, **fields)
    return next(line for line in sidecar.process.events() if line.get("event") == event and
                all(str(value) in str(line.get(key, "")) for key, value in fields.items()))


def assert_judged(sidecar, role, name, *says):
    """`sidecar` refused its peer's handshake as `role` by exactly this name, at each place that has names, and said
    what was wanted and found."""
    what, cause, remedy = table()[name]
    line = event_of(sidecar, "handshake_failed")
    text = line["text"]
    assert line["error"] == name, line
    assert text.startswith(what) and cause in text and text.endswith(remedy), text
    assert line["remote"].startswith("127.0.0.1:")
    access = access_of(sidecar)
    assert access["result"] == name, access
    for one in says:
        assert one in text and one in access["detail"], (one, text, access["detail"])
    assert sidecar.metric("remora_tls_handshakes_total", role=role, result=name) == 1
    direction = {"server": "inbound", "client": "outbound"}[role]
    assert sidecar.metric("remora_connections_total", direction=direction, result=name) == 1


def assert_narrowed(sidecar, direction, alert, *says):
    """`sidecar` was refused: it gives the alert's name and what that can mean, seen from its own certificate."""
    _, cause, remedy = table()["refused_by_peer"]
    access = access_of(sidecar)
    assert access["result"] == "refused_by_peer", access
    assert sidecar.metric("remora_connections_total", direction=direction, result="refused_by_peer") == 1
    for one in (f"alert {alert}: ", *says):
        assert one in access["detail"], (one, access["detail"])
    # A server hears of it within its handshake; a client of TLS 1.3 may be done with its own by then.
    lines = [line for line in sidecar.process.events()
             if line.get("error", line.get("reason")) == "refused_by_peer"]
    assert lines and all(cause in line["text"] and line["text"].endswith(remedy) for line in lines), lines
