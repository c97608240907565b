# SPDX-License-Identifier: GPL-3.0-or-later
"""A workload serves what an operator gave it, at its own address, and nothing else; whoever claims more is refused
and nobody is led to it."""
import time

from mesh import EchoServer, free_port, identity, wait_until
from pair import Pair, joined_pair, outcome


def endpoints(control, service="web"):
    return control.json("service", "show", service)["endpoints"]


def test_thief_of_a_service_gets_no_traffic(mesh):
    """A valid workload that claims another's service: it registers nothing, and clients do not come."""
    pair, application, control = joined_pair(mesh)
    loot = mesh.add(EchoServer())
    thief = mesh.sidecar("thief", start=False)
    thief.services = [("web", 80, loot.address)]
    thief.write_config()
    thief.start(ready=False)
    control.process.wait_event("registration_refused", peer_identity=identity("thief"))
    assert [one["identity"] for one in endpoints(control)] == [pair.server_id]
    for _ in range(10):
        pair.echo()
    assert (application.count, loot.count) == (10, 0)


def test_thief_that_is_dialled_directly_does_not_answer_for_it(mesh):
    """Even a client that is told to go there gets nothing: the service is not the thief's."""
    pair, _, control = joined_pair(mesh)
    loot = mesh.add(EchoServer())
    thief = mesh.sidecar("thief", start=False)
    thief.services = [("web", 80, loot.address)]
    thief.write_config()
    thief.start(ready=False)
    thief.process.wait_event("certificate_in_force")
    text, port = pair.client.config.read_text(), free_port()
    pair.client.config.write_text(text.replace(
        "outbound:\n", f"outbound:\n  - {{listen: '127.0.0.1:{port}', service: web, port: 80, "
                       f"endpoint: '127.0.0.1:{thief.tunnel}', identity: '{identity('thief')}'}}\n"))
    pair.client.process.signal(1)
    pair.client.process.wait_event("reloaded")
    assert Pair.of(pair.client, port).meet() == ("reset", b"")
    assert loot.count == 0


def test_unknown_service_is_not_registered(mesh):
    control = mesh.start_control()
    sidecar = mesh.sidecar("web", start=False)
    sidecar.services = [("nobody-made-this", 80, "127.0.0.1:1")]
    sidecar.write_config()
    sidecar.start(ready=False)
    control.process.wait_event("registration_refused", peer_identity=identity("web"))


def test_token_makes_its_identity_an_owner(mesh):
    """`token create --service` is enough: no second command."""
    control = mesh.start_control()
    control.create_service("web", 80, identity("someone"))
    application = mesh.add(EchoServer())
    mesh.sidecar("web", serves=[("web", 80, application.address)])
    client = mesh.sidecar("client", calls=["web"])
    Pair.of(client, client.port("web")).echo()
    assert identity("web") in control.json("service", "show", "web")["identities"]


def test_owner_that_is_removed_is_left(mesh):
    """Its endpoint goes, its live connections end, by name."""
    pair, _, control = joined_pair(mesh)
    control.remora("service", "update", "web", "--add-identity", identity("heir"))
    with pair.connect() as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        control.remora("service", "update", "web", "--remove-identity", pair.server_id)
        assert outcome(connection) == ("reset", b"")
    wait_until(lambda: endpoints(control) == [], "the endpoint to go")
    # Until the client hears of that, the endpoint's identity is not the record's any more.
    wait_until(lambda: pair.meet() == ("reset", b"") and
               pair.client.process.has_event("refused", reason="no_endpoint"), "the refusal")


def test_deleted_service_is_carried_no_longer(mesh):
    pair, _, control = joined_pair(mesh)
    pair.echo()
    control.remora("service", "delete", "web")
    wait_until(lambda: pair.meet() == ("reset", b""), "the refusal")
    pair.client.process.wait_event("refused", reason="service_unknown")


def test_allow_list_of_the_service_is_enforced_by_its_sidecar(mesh):
    pair, application, control = joined_pair(mesh)
    pair.echo()
    control.remora("service", "update", "web", "--add-allow", identity("someone-else"))
    wait_until(lambda: pair.meet() == ("reset", b""), "the refusal")
    pair.client.process.wait_event("refused", reason="denied_by_peer", detail="guarded")
    pair.server.process.wait_event("refused", reason="guarded", peer_identity=pair.client_id)
    control.remora("service", "update", "web", "--add-allow", pair.client_id)

    wait_until(pair.works, "the client to be allowed")


def test_two_instances_share_the_load_and_one_may_go(mesh):
    """Both get connections; when one leaves in order, clients are led to the other, without one failure."""
    pair, first, _ = joined_pair(mesh)
    second = mesh.add(EchoServer())
    web2 = mesh.sidecar("web2", start=False)
    web2.services = [("web", 80, second.address)]
    mesh.control.create_token(pair.server_id, "web", path=mesh.folder / "web2.token")
    web2.write_config()
    web2.start()
    wait_until(lambda: len(endpoints(mesh.control)) == 2, "two endpoints")

    def both_used():
        pair.echo()
        return first.count and second.count

    wait_until(both_used, "both to be used")
    pair.server.process.signal(15)
    end = time.monotonic() + 3
    while time.monotonic() < end and pair.server.process.poll() is None:
        pair.echo()
    wait_until(lambda: len(endpoints(mesh.control)) == 1, "one endpoint")
    for _ in range(20):
        pair.echo()
    assert pair.server.process.child.wait(45) == 0


def test_instance_that_is_killed_is_forgotten_and_avoided(mesh):
    pair, _, control = joined_pair(mesh)
    pair.server.process.stop(9)
    wait_until(lambda: endpoints(control) == [], "the endpoint to go")
    assert pair.meet() == ("reset", b"")
