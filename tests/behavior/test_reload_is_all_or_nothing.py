# SPDX-License-Identifier: GPL-3.0-or-later
"""A changed configuration takes effect as a whole, on SIGHUP or by itself, or not at all; what stands goes on."""
import signal
import socket

import pytest

from mesh import EchoServer, free_port, wait_until
from pair import Pair, echo_pair, fixed_outbound, outcome, read_all


def change(sidecar, before, after, hang_up=True):
    """Writes the changed configuration; asks for it by SIGHUP, or leaves it to be noticed."""
    text = sidecar.config.read_text()
    assert before in text, text
    temporary = sidecar.config.with_suffix(".next")
    temporary.write_text(text.replace(before, after, 1))
    temporary.rename(sidecar.config)
    if hang_up:
        sidecar.process.signal(signal.SIGHUP)


def is_refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        return False
    except ConnectionRefusedError:
        return True


def count_events(sidecar, event):
    return sum(1 for line in sidecar.process.events() if line["event"] == event)


@pytest.mark.parametrize("hang_up", [True, False], ids=["SIGHUP", "changed file"])
@pytest.mark.parametrize("workers", [1, 3])
def test_new_outbound_is_served_and_old_connections_stay(mesh, authority, hang_up, workers):
    pair, _ = echo_pair(mesh, authority=authority, workers=workers)
    added = free_port()
    with pair.connect() as standing:
        standing.sendall(b"before")
        assert standing.recv(6) == b"before"
        entry = fixed_outbound(f"127.0.0.1:{added}", pair.server.tunnel, pair.server_id)
        change(pair.client, "outbound:\n", f"outbound:\n  - {entry}\n", hang_up)
        pair.client.process.wait_event("reloaded")
        for _ in range(10):
            Pair.of(pair.client, added).echo()
        pair.echo()
        standing.sendall(b"after")
        assert standing.recv(5) == b"after"


def test_removed_outbound_is_closed_and_its_connections_stay(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority, workers=2)
    with pair.connect() as standing:
        standing.sendall(b"before")
        assert standing.recv(6) == b"before"
        text = pair.client.config.read_text()
        section = text[text.index("outbound:\n"):text.index("health:")]
        change(pair.client, section, "")
        pair.client.process.wait_event("reloaded")
        wait_until(lambda: is_refused(pair.port), "the port to be closed")
        standing.sendall(b"after")
        assert standing.recv(5) == b"after"
        standing.shutdown(socket.SHUT_WR)
        assert read_all(standing) == b""


def test_target_that_moved_serves_new_connections(mesh, authority):
    """An inbound service's target, without a new port at all."""
    pair, first = echo_pair(mesh, authority=authority)
    second = mesh.add(EchoServer())
    pair.echo()
    change(pair.server, first.address, second.address)
    pair.server.process.wait_event("reloaded")
    pair.echo()
    assert (first.count, second.count) == (1, 1)


@pytest.mark.parametrize("before, after, word", [
    ("workers: 1", "wokers: 1", "wokers"),
    ("port: 80", "port: http", "port"),
    ("service: web", "service: [", ":"),
])
def test_wrong_configuration_keeps_the_old_and_says_where(mesh, authority, before, after, word):
    pair, _ = echo_pair(mesh, authority=authority)
    change(pair.client, before, after)
    pair.client.process.wait_event("reload_refused", error=word)
    line = next(line for line in pair.client.process.events() if line["event"] == "reload_refused")
    place = line["error"].split(": ")[0].split("client.yaml:")[1].split(":")
    assert len(place) == 2 and all(part.isdigit() for part in place), line
    pair.echo()
    # And the way back is one more reload.
    change(pair.client, after, before)
    pair.client.process.wait_event("reloaded")
    pair.echo()


@pytest.mark.parametrize("change_to, sentence", [
    (("workers: 1", "workers: 2"), "'workers' cannot change"),
    (("identity:\n", "identity:\n  control: {address: '127.0.0.1:1', trust_domain: example.org, "
                     "join_token_file: /t}\n"), "exactly one of"),
])
def test_what_needs_a_restart_is_said(mesh, authority, change_to, sentence):
    pair, _ = echo_pair(mesh, authority=authority)
    change(pair.client, *change_to)
    pair.client.process.wait_event("reload_refused", error=sentence)
    pair.echo()


def test_missing_file_keeps_the_old(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority)
    pair.client.config.unlink()
    pair.client.process.signal(signal.SIGHUP)
    pair.client.process.wait_event("reload_refused", error="client.yaml")
    pair.echo()


@pytest.mark.parametrize("which", ["outbound", "health", "metrics"])
@pytest.mark.parametrize("workers", [1, 2])
def test_port_in_use_keeps_the_old_whole(mesh, authority, which, workers):
    """Of two new addresses one is taken: neither is opened, nothing is closed."""
    pair, _ = echo_pair(mesh, authority=authority, workers=workers)
    taken = socket.create_server(("127.0.0.1", 0))
    port, free = taken.getsockname()[1], free_port()
    entry = fixed_outbound(f"127.0.0.1:{free}", pair.server.tunnel, pair.server_id)
    if which == "outbound":
        other = fixed_outbound(f"127.0.0.1:{port}", pair.server.tunnel, pair.server_id)
        change(pair.client, "outbound:\n", f"outbound:\n  - {entry}\n  - {other}\n")
    else:
        text = pair.client.config.read_text()
        old = f"{which}: 127.0.0.1:{pair.client.health if which == 'health' else pair.client.metrics_port}"
        pair.client.config.write_text(text.replace("outbound:\n", f"outbound:\n  - {entry}\n"))
        change(pair.client, old, f"{which}: 127.0.0.1:{port}")
    pair.client.process.wait_event("reload_refused", error=f"127.0.0.1:{port}")
    pair.echo()
    assert is_refused(free)
    assert pair.client.ready()[0] == 200
    assert pair.client.metric("remora_build_info") == 1
    taken.close()


def test_health_and_metrics_move(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority)
    before = pair.client.health, pair.client.metrics_port
    pair.client.health, pair.client.metrics_port = free_port(), free_port()
    pair.client.write_config()
    pair.client.process.wait_event("reloaded")
    assert pair.client.ready() == (200, "ready\n")
    assert pair.client.metric("remora_build_info") == 1
    assert is_refused(before[0]) and is_refused(before[1])


def test_many_reloads_in_a_row_leave_the_last_in_force(mesh, authority):
    """Signals that come while a reload runs are not lost, and nothing is cut in between."""
    pair, _ = echo_pair(mesh, authority=authority, workers=2)
    added = free_port()
    entry = f"  - {fixed_outbound(f'127.0.0.1:{added}', pair.server.tunnel, pair.server_id)}\n"
    with pair.connect() as standing:
        for _ in range(10):
            change(pair.client, "outbound:\n", f"outbound:\n{entry}")
            change(pair.client, entry, "")
        change(pair.client, "outbound:\n", f"outbound:\n{entry}")
        wait_until(lambda: not is_refused(added), "the last configuration to be in force")
        standing.sendall(b"still here")
        assert standing.recv(10) == b"still here"


def test_log_level_follows_the_configuration(mesh, authority):
    pair, _ = echo_pair(mesh, authority=authority)
    change(pair.client, "level: debug", "level: error")
    # At that level even the reload itself is not worth a line; it shows in what is missing.
    wait_until(lambda: "reload" not in pair.client.process.stderr() and is_quiet(pair), "silence")


def is_quiet(pair):
    """True when a whole connection left no line on standard error."""
    before = len(pair.client.process.stderr())
    pair.echo()
    return len(pair.client.process.stderr()) == before


def test_reset_connections_are_not_left_by_a_removed_service(mesh, authority):
    """A service that is hosted no longer: its connections end, by name."""
    pair, _ = echo_pair(mesh, authority=authority)
    with pair.connect() as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        change(pair.server, "name: web, port: 80", "name: other, port: 80")
        assert outcome(connection) == ("reset", b"")
    wait_until(pair.server.process.access, "the access line")
    assert pair.server.process.access()[0]["result"] == "service_withdrawn"
    assert pair.meet() == ("reset", b"")
    pair.client.process.wait_event("refused", detail="service_not_exposed")
