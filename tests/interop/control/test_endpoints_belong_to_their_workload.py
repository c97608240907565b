# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may register what under which address, and when it goes again."""
import itertools

import pytest

from client import SourceProxy, Status, admin_pb2, connect
from mesh import identity
from sync_client import Sync, endpoints_of, wait_endpoints

names = (f"e{i}" for i in itertools.count())


class Workload:
    """A certificate, a connection, and its Sync streams."""

    def __init__(self, control, svid, port=None):
        self.control, self.svid, self.port = control, svid, port
        self.identity = svid.identity
        self.caller = connect(control, svid, port=port)
        self.streams = []

    def sync(self, *services, address=":15008", **fields):
        stream = Sync(self.caller, exposes=[dict(service=one) for one in services],
                      tunnel_address=address, **fields)
        self.streams.append(stream)
        return stream

    def serve(self, *services, **fields):
        """Registered, and told so."""
        stream = self.sync(*services, services=list(services), **fields)
        stream.until(lambda view: all(f"{one}/{stream.instance_id}" in view.endpoints
                                      for one in services))
        return stream

    def renewed(self):
        return Workload(self.control, self.caller.issue(), self.port)

    def close(self):
        for one in self.streams:
            one.cancel()
        self.caller.close()


@pytest.fixture
def make(control, admin, anyone):
    """Makes workloads, and closes them after the test."""
    made = []

    def one(name, *services, port=None, **token_fields):
        token = admin.create_token(identity(name), *services, **token_fields).token
        made.append(Workload(control, anyone.issue(token=token), port))
        return made[-1]

    yield one
    for workload in made:
        workload.close()


@pytest.fixture
def service(admin):
    """A service that `web` owns."""
    name = next(names)
    admin.create_service(name, identity("web"))
    return name


def refusal(stream, status, *parts):
    error = stream.end()
    assert error.code() == status, error.details()
    for part in parts:
        assert part in error.details()


def refused_loudly(admin, tmp_path, stream, service, *parts):
    """Refused, alarmed, and kept in the audit log."""
    refusal(stream, Status.PERMISSION_DENIED, *parts)
    admin.wait_alarm("endpoint_refused", *parts)
    assert any(one.action == "endpoint_refused" and one.subject == service and
               all(part in one.detail for part in parts) for one in admin.audit(tmp_path))
    assert stream.instance_id not in endpoints_of(admin, service)


def test_registration(admin, make, service):
    host, guest = make("web", service), make("guest")
    stream = host.serve(service, zone="rack-7")
    watcher = guest.sync(services=["*"])
    watcher.until(lambda view: f"{service}/{stream.instance_id}" in view.endpoints)
    endpoint = watcher.view.endpoints[f"{service}/{stream.instance_id}"]
    assert (endpoint.address, endpoint.identity, endpoint.zone, endpoint.ready) == (
        "127.0.0.1:15008", identity("web"), "rack-7", True)
    assert endpoints_of(admin, service)[stream.instance_id].address == "127.0.0.1:15008"


def test_several_services_of_one_workload(admin, make):
    first, second = next(names), next(names)
    for name in (first, second):
        admin.create_service(name, identity("web"))
    stream = make("web", first, second).serve(first, second)
    for name in (first, second):
        assert set(endpoints_of(admin, name)) == {stream.instance_id}


def test_instances_side_by_side(control, admin, make, service):
    proxies = [SourceProxy(f"127.0.0.{n}", control.port) for n in (31, 32, 33)]
    streams = [make("web", service, port=one.port).serve(service) for one in proxies]
    addresses = {one.address for one in endpoints_of(admin, service).values()}
    assert addresses == {f"127.0.0.{n}:15008" for n in (31, 32, 33)}
    assert set(endpoints_of(admin, service)) == {one.instance_id for one in streams}
    for one in proxies:
        one.close()


def test_service_of_somebody_else(admin, make, service, tmp_path):
    stream = make("thief").sync(service)
    refused_loudly(admin, tmp_path, stream, service, f"{identity('thief')} does not own", service)


def test_service_that_the_token_does_not_name(admin, make, service):
    """The identity owns it; this instance's evidence is for another one."""
    other = next(names)
    admin.create_service(other, identity("web"))
    refusal(make("web", other).sync(service), Status.PERMISSION_DENIED,
            "join token of this workload does not name", service, "remora token create")
    assert endpoints_of(admin, service) == {}


def test_service_that_does_not_exist(make):
    refusal(make("web").sync("no-such-service"), Status.FAILED_PRECONDITION,
            "'no-such-service' does not exist", "remora service create")


def test_one_foreign_service_among_own(admin, make, service):
    """None of them is served then, at once or after the grace."""
    foreign = next(names)
    admin.create_service(foreign, identity("other"))
    stream = make("web").sync(service, foreign)
    refusal(stream, Status.PERMISSION_DENIED, "does not own", foreign)
    wait_endpoints(admin, service)
    wait_endpoints(admin, foreign)


@pytest.mark.parametrize("address", ["10.0.0.5:15008", "127.0.0.2:15008", "[::1]:15008",
                                     "[2001:db8::5]:15008"])
def test_address_that_is_not_the_source(make, service, address):
    refusal(make("web", service).sync(service, address=address), Status.PERMISSION_DENIED,
            address, "neither the connection's source address nor in the ranges",
            "--address-range")


@pytest.mark.parametrize("range_, address", [
    ("10.0.0.0/8", "10.255.0.5:15008"), ("10.7.7.7", "10.7.7.7:15008"),
    ("10.7.7.8/32", "10.7.7.8:15008"), ("0.0.0.0/0", "192.0.2.1:15008"),
    ("2001:db8::/32", "[2001:db8:1::5]:15008"), ("127.0.0.0/8", "127.3.3.3:15008")])
def test_address_in_the_tokens_range(admin, make, service, range_, address):
    stream = make("web", service, address_ranges=[range_]).serve(service, address=address)
    assert endpoints_of(admin, service)[stream.instance_id].address == address


@pytest.mark.parametrize("range_, address", [
    ("10.0.0.0/8", "11.0.0.1:15008"), ("10.7.7.7/32", "10.7.7.8:15008"),
    ("10.0.0.0/8", "[2001:db8::1]:15008"), ("::/0", "10.0.0.1:15008"),
    ("2001:db8::/32", "[2001:db9::5]:15008")])
def test_address_outside_of_the_tokens_range(make, service, range_, address):
    stream = make("web", service, address_ranges=[range_]).sync(service, address=address)
    refusal(stream, Status.PERMISSION_DENIED, address, "nor in the ranges")


def test_renewal_keeps_the_tokens_range(make, service):
    host = make("web", service, address_ranges=["10.0.0.0/8"]).renewed()
    host.serve(service, address="10.1.2.3:15008")
    host.close()


@pytest.mark.parametrize("address", ["", "127.0.0.1", "15008"])
def test_address_that_is_none(make, service, address):
    refusal(make("web", service).sync(service, address=address), Status.INVALID_ARGUMENT)


def test_address_held_by_a_live_instance(admin, make, service, tmp_path):
    holder = make("web", service).serve(service)
    intruder = make("web", service).sync(service)
    refused_loudly(admin, tmp_path, intruder, service, "127.0.0.1:15008", "held by a live instance")
    assert set(endpoints_of(admin, service)) == {holder.instance_id}


def test_address_of_another_service_is_held_as_well(admin, make, service):
    other = next(names)
    admin.create_service(other, identity("api"))
    holder = make("web", service)
    holder.serve(service)
    refusal(make("api", other).sync(other), Status.PERMISSION_DENIED, "held by a live instance")
    # Another port is another address.
    make("api", other).serve(other, address=":15009")


def test_goodbye_takes_effect_at_once(admin, make, service):
    host, guest = make("web", service), make("guest")
    stream = host.serve(service)
    watcher = guest.sync(services=[service])
    watcher.until(lambda view: view.endpoints)
    stream.say(goodbye={})
    watcher.until(lambda view: not view.endpoints)
    assert endpoints_of(admin, service) == {}
    # Its address is free, for another instance at once.
    make("web", service).serve(service)


def test_restart_of_a_workload_takes_its_place(admin, make, service):
    """Same certificate line, same address, a new instance: the old one is not waited for."""
    host = make("web", service)
    first = host.serve(service)
    first.cancel()
    second = host.serve(service)
    assert set(endpoints_of(admin, service)) == {second.instance_id}


def test_streams_change_over_without_a_gap(admin, make, service):
    """After a renewal a sidecar opens the new stream before it ends the old one."""
    host, guest = make("web", service), make("guest")
    first = host.serve(service)
    watcher = guest.sync(services=[service])
    watcher.until(lambda view: view.endpoints)
    renewed = host.renewed()
    second = renewed.serve(service, instance_id=first.instance_id)
    host.close()
    admin.create_token(identity("web"))  # something happens, so that a removal would have shown
    assert set(endpoints_of(admin, service)) == {second.instance_id}
    second.say(goodbye={})
    watcher.until(lambda view: not view.endpoints)
    renewed.close()


def test_instance_id_of_somebody_else(admin, make, service):
    """It stands in the view for all to read. Who uses it gets none of what it stands for."""
    other = next(names)
    admin.create_service(other, identity("other"))
    victim = make("web", service).serve(service)
    for thief in (make("other", other), make("web", service)):
        # Without any service, and a Goodbye.
        stream = thief.sync(instance_id=victim.instance_id)
        stream.step()
        stream.say(goodbye={})
        stream.half_close()
        assert stream.end() is None
    stream = make("other", other).serve(other, instance_id=victim.instance_id, address=":15010")
    stream.say(goodbye={})
    wait_endpoints(admin, other)
    # The same service, by another instance of the same identity.
    refusal(make("web", service).sync(service, instance_id=victim.instance_id, address=":15011"),
            Status.PERMISSION_DENIED)
    assert endpoints_of(admin, service)[victim.instance_id].address == "127.0.0.1:15008"


def test_revoked_while_connected(admin, make, service):
    host, guest = make("web", service), make("guest")
    stream = host.serve(service)
    watcher = guest.sync(services=[service])
    watcher.until(lambda view: view.endpoints)
    admin.revoke(host.svid.serial)
    refusal(stream, Status.PERMISSION_DENIED, "revoked")
    watcher.until(lambda view: not view.endpoints)
    assert host.svid.lineage in [one.subject for one in watcher.view.withdrawals.values()]
    assert endpoints_of(admin, service) == {}


def test_ownership_taken_away_while_connected(admin, make, service):
    host = make("web", service)
    stream = host.serve(service)
    admin.admin.UpdateService(admin_pb2.UpdateServiceRequest(
        name=service, add_identities=[identity("next")], remove_identities=[identity("web")]))
    refusal(stream, Status.PERMISSION_DENIED, "does not own the service", service)
    wait_endpoints(admin, service)


def test_service_deleted_while_connected(admin, make, service):
    host, guest = make("web", service), make("guest")
    stream = host.serve(service)
    watcher = guest.sync(services=[service])
    watcher.until(lambda view: view.endpoints)
    admin.admin.DeleteService(admin_pb2.DeleteServiceRequest(name=service))
    refusal(stream, Status.FAILED_PRECONDITION, service, "does not exist any more")
    watcher.until(lambda view: not view.endpoints and not view.services)


def test_identities_are_listed_with_what_they_hold(admin, make, service):
    name = f"listed-{service}"
    admin.create_service(f"{service}-l", identity(name))
    make(name, f"{service}-l").serve(f"{service}-l")
    answer = admin.admin.ListIdentities(admin_pb2.ListIdentitiesRequest())
    (record,) = [one for one in answer.identities if one.identity == identity(name)]
    assert (list(record.services), record.live_certificates, record.connected_instances) == (
        [f"{service}-l"], 1, 1)
    assert admin.status().connected_sidecars >= 1
