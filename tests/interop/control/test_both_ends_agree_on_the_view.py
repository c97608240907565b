# SPDX-License-Identifier: GPL-3.0-or-later
"""Mesh.Sync: what a sidecar asked for, full once, then by deltas, each acknowledged with a hash that both
ends compute for themselves."""
import itertools
import time

import pytest

from client import Status, admin_pb2, connect, mesh_pb2, refused
from mesh import TRUST_DOMAIN, identity, wait_until
from sync_client import Sync, endpoints_of

names = (f"s{i}" for i in itertools.count())  # a service name of its own for each test


@pytest.fixture(scope="module")
def caller(control, admin, anyone_once):
    """A workload that serves nothing."""
    with connect(control, anyone_once.issue(token=admin.create_token(identity("c")).token)) as opened:
        yield opened


@pytest.fixture(scope="module")
def anyone_once(control):
    with connect(control) as opened:
        yield opened


@pytest.fixture
def open_sync():
    opened = []

    def open_one(*arguments, **fields):
        opened.append(Sync(*arguments, **fields))
        return opened[-1]

    yield open_one
    for one in opened:
        one.cancel()


def update(admin, name, **fields):
    return admin.admin.UpdateService(admin_pb2.UpdateServiceRequest(name=name, **fields))


def views_differ(control):
    return sum(line.get("event") == "view_differs" for line in control.process.events())


def test_first_view_is_full(control, admin, caller, open_sync):
    name = next(names)
    admin.create_service(name, identity("web"), identity("web2"), port=8080)
    sync = open_sync(caller, services=[name])
    response = sync.step()
    assert response.is_full
    assert response.version.store_id == admin.status().store_id
    assert len(response.version.store_id) == 16
    assert abs(response.server_time_ms - time.time() * 1000) < 60000
    assert list(sync.view.bundles) == [TRUST_DOMAIN]
    assert list(sync.view.services) == [name]
    service = sync.view.services[name]
    assert (service.port, list(service.identities)) == (8080, [identity("web"), identity("web2")])


def test_deltas_follow_and_hashes_agree(control, admin, caller, open_sync):
    """Each acknowledgement is right, so that the server goes on with deltas and never with everything."""
    name = next(names)
    before = views_differ(control)
    admin.create_service(name, identity("web"))
    sync = open_sync(caller, services=[name])
    sync.step()
    for i in range(5):
        update(admin, name, add_identities=[identity(f"more{i}")])
        sync.until(lambda view: identity(f"more{i}") in view.services[name].identities)
    response_kinds = []
    admin.admin.DeleteService(admin_pb2.DeleteServiceRequest(name=name))
    while name in sync.view.services:
        response = sync.step()
        response_kinds.append(response.is_full)
        assert [removal.key for removal in response.removals] == [name]
        assert response.removals[0].kind == mesh_pb2.KIND_SERVICE
    assert response_kinds == [False]
    assert views_differ(control) == before


def test_operators_see_what_was_acknowledged(control, admin, anyone_once, open_sync):
    name = next(names)
    admin.create_service(name, identity("web"))
    svid = anyone_once.issue(token=admin.create_token(identity("web")).token)
    with connect(control, svid) as web:
        sync = open_sync(web, services=["*"], exposes=[dict(service=name)], zone="z1",
                         tunnel_address=":15008")
        sync.until(lambda view: f"{name}/{sync.instance_id}" in view.endpoints)

        def is_seen():
            seen = endpoints_of(admin, name)[sync.instance_id]
            return (seen.view_hash, seen.view_version) == (sync.view.hash(),
                                                           sync.view.version.number)
        wait_until(is_seen, "the acknowledgement to be seen")
        sync.cancel()


def test_changes_that_do_not_concern_are_not_told(admin, caller, open_sync):
    mine, other = next(names), next(names)
    admin.create_service(mine, identity("web"))
    sync = open_sync(caller, services=[mine])
    sync.step()
    admin.create_service(other, identity("web"))
    update(admin, mine, add_identities=[identity("x")])
    response = sync.step()
    assert [put.key for put in response.puts] == [mine]


def test_service_that_comes_later(admin, caller, open_sync):
    name = next(names)
    sync = open_sync(caller, services=[name])
    assert not sync.step().puts[0].HasField("service") and not sync.view.services
    admin.create_service(name, identity("web"))
    sync.until(lambda view: name in view.services)


def test_rules_are_for_who_hosts_the_service(control, admin, anyone_once, caller, open_sync):
    name = next(names)
    admin.create_service(name, identity("web"), allow=[identity("friend")])
    svid = anyone_once.issue(token=admin.create_token(identity("web")).token)
    with connect(control, svid) as web:
        host = open_sync(web, exposes=[dict(service=name)], tunnel_address=":15008")
        host.step()
        assert list(host.view.services[name].allow) == [identity("friend")]
        assert host.view.services[name].guarded
        guest = open_sync(caller, services=[name])
        guest.step()
        assert list(guest.view.services[name].allow) == []
        assert not guest.view.services[name].guarded
        # A change of the rules reaches the host.
        update(admin, name, remove_allow=[identity("friend")], add_allow=[identity("other")])
        host.until(lambda view: list(view.services[name].allow) == [identity("other")])
        host.cancel()


def test_everything(admin, caller, open_sync):
    sync = open_sync(caller, services=["*"])
    sync.step()
    assert set(sync.view.services) == set(admin.services())


def test_subscribing_to_more(admin, caller, open_sync):
    first, second = next(names), next(names)
    admin.create_service(first, identity("web"))
    admin.create_service(second, identity("web"))
    sync = open_sync(caller, services=[first])
    sync.step()
    sync.say(subscribe=mesh_pb2.Subscribe(services=[second]))
    sync.until(lambda view: second in view.services)
    assert set(sync.view.services) == {first, second}


def test_resume_sends_what_changed(admin, caller, open_sync):
    changed, same = next(names), next(names)
    admin.create_service(changed, identity("web"))
    admin.create_service(same, identity("web"))
    sync = open_sync(caller, services=[changed, same])
    sync.step()
    sync.cancel()
    update(admin, changed, add_identities=[identity("x")])
    again = open_sync(caller, services=[changed, same], resume=sync.view.version)
    again.view = sync.view
    response = again.step()
    assert not response.is_full
    assert [put.key for put in response.puts] == [changed]
    # The server believes that we have the whole: what follows is a delta, not a correction.
    update(admin, same, add_identities=[identity("x")])
    response = again.step()
    assert not response.is_full and [put.key for put in response.puts] == [same]


def test_resume_when_nothing_changed(admin, caller, open_sync):
    sync = open_sync(caller, services=["*"])
    sync.step()
    again = open_sync(caller, services=["*"], resume=sync.view.version)
    response = again.next()
    assert (response.is_full, len(response.puts), len(response.removals)) == (False, 0, 0)


@pytest.mark.parametrize("change", ["store_id", "number"])
def test_resume_with_a_version_from_elsewhere_is_full(admin, caller, open_sync, change):
    """Another store's id, or a number that this store never had."""
    sync = open_sync(caller, services=["*"])
    sync.step()
    version = mesh_pb2.Version(store_id=sync.view.version.store_id, number=sync.view.version.number)
    if change == "store_id":
        version.store_id = b"\x5a" * 16
    else:
        version.number += 1000000
    again = open_sync(caller, services=["*"], resume=version)
    response = again.step()
    assert response.is_full
    assert again.view.canonical() == sync.view.canonical()


def test_wrong_hash_brings_everything_anew(control, admin, caller, open_sync):
    name = next(names)
    admin.create_service(name, identity("web"))
    sync = open_sync(caller, services=[name])
    response = sync.next()
    sync.view.apply(response)
    before = views_differ(control)
    sync.ack(response, view_hash=b"\x11" * 32)
    response = sync.step()
    assert response.is_full and name in sync.view.services
    assert views_differ(control) == before + 1
    update(admin, name, add_identities=[identity("x")])
    assert not sync.step().is_full  # in agreement again


def test_refused_delta_ends_the_stream(caller, open_sync):
    sync = open_sync(caller, services=["*"])
    sync.ack(sync.next(), error="I do not like it")
    error = sync.end()
    assert (error.code(), error.details()) == (Status.ABORTED,
                                               "the delta was refused: open a new stream")


@pytest.mark.parametrize("request_, part", [
    (mesh_pb2.SyncRequest(), ""),
    (mesh_pb2.SyncRequest(goodbye=mesh_pb2.Goodbye()), "first message must be Hello"),
    (mesh_pb2.SyncRequest(subscribe=mesh_pb2.Subscribe(services=["*"])), "must be Hello"),
    (mesh_pb2.SyncRequest(status=mesh_pb2.Status()), "must be Hello"),
    (mesh_pb2.SyncRequest(hello=mesh_pb2.Hello()), "instance id"),
    (mesh_pb2.SyncRequest(hello=mesh_pb2.Hello(instance_id="0" * 15)), "instance id"),
    (mesh_pb2.SyncRequest(hello=mesh_pb2.Hello(instance_id="0" * 17)), "instance id"),
    (mesh_pb2.SyncRequest(hello=mesh_pb2.Hello(instance_id="A" * 16)), "instance id"),
    (mesh_pb2.SyncRequest(hello=mesh_pb2.Hello(instance_id="../../../../etc/")), "instance id"),
    (mesh_pb2.SyncRequest(hello=mesh_pb2.Hello(instance_id="0" * 16, services=["A"])), "services 1"),
    (mesh_pb2.SyncRequest(hello=mesh_pb2.Hello(instance_id="0" * 16, services=["a/b"])), "services"),
    (mesh_pb2.SyncRequest(hello=mesh_pb2.Hello(instance_id="0" * 16, exposes=[dict(service="*")])),
     "exposed services"),
    (mesh_pb2.SyncRequest(hello=mesh_pb2.Hello(instance_id="0" * 16, zone="a b")), "zone"),
    (mesh_pb2.SyncRequest(hello=mesh_pb2.Hello(instance_id="0" * 16, software="a\x1b[31m")),
     "software"),
    (mesh_pb2.SyncRequest(hello=mesh_pb2.Hello(instance_id="0" * 16, tunnel_address="x:1")),
     "tunnel address"),
    (mesh_pb2.SyncRequest(hello=mesh_pb2.Hello(instance_id="0" * 16, tunnel_address="0.0.0.0:1")),
     "tunnel address"),
    (mesh_pb2.SyncRequest(hello=mesh_pb2.Hello(instance_id="0" * 16, tunnel_address="10.0.0.1:0")),
     "tunnel address"),
    (mesh_pb2.SyncRequest(hello=mesh_pb2.Hello(
        instance_id="0" * 16, resume=mesh_pb2.Version(store_id=b"x", number=1))), "store id"),
    (mesh_pb2.SyncRequest(hello=mesh_pb2.Hello(
        instance_id="0" * 16, services=[f"s{i}" for i in range(1025)])), "limit"),
    (mesh_pb2.SyncRequest(hello=mesh_pb2.Hello(
        instance_id="0" * 16, exposes=[dict(service=f"s{i}") for i in range(65)])), "limit"),
])
def test_first_message(caller, open_sync, request_, part):
    error = open_sync(caller, request_).end()
    assert error.code() == Status.INVALID_ARGUMENT, error.details()
    assert part in error.details()


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"garbage", b"\x00" * 100])
def test_garbage(caller, body):
    call = caller.channel.stream_stream("/remora.mesh.v1.Mesh/Sync")
    with refused(Status.INVALID_ARGUMENT):
        list(call(iter([body]), timeout=20))


def test_second_hello(caller, open_sync):
    sync = open_sync(caller, services=["*"])
    sync.step()
    sync.say(hello=mesh_pb2.Hello(instance_id=sync.instance_id))
    error = sync.end()
    assert (error.code(), error.details()) == (Status.INVALID_ARGUMENT,
                                               "a second Hello on one stream")


def test_acknowledgement_of_nothing(caller, open_sync):
    sync = open_sync(caller, services=["*"])
    response = sync.step()
    sync.ack(response)
    error = sync.end()
    assert (error.code(), error.details()) == (Status.INVALID_ARGUMENT,
                                               "an acknowledgement without a delta")


@pytest.mark.parametrize("wrong", ["store_id", "number"])
def test_acknowledgement_of_another_version(caller, open_sync, wrong):
    sync = open_sync(caller, services=["*"])
    response = sync.next()
    sync.view.apply(response)
    version = mesh_pb2.Version(store_id=response.version.store_id, number=response.version.number)
    if wrong == "store_id":
        version.store_id = bytes(16)
    else:
        version.number += 1
    sync.ack(response, version=version)
    error = sync.end()
    assert error.code() == Status.INVALID_ARGUMENT
    assert "version" in error.details()


def test_client_that_is_done(caller, open_sync):
    sync = open_sync(caller, services=["*"])
    sync.step()
    sync.half_close()
    assert sync.end() is None


def test_status_is_shown_to_operators(control, admin, anyone_once, open_sync):
    svid = anyone_once.issue(token=admin.create_token(identity("st")).token)
    with connect(control, svid) as one:
        sync = open_sync(one, services=["*"])
        sync.step()
        sync.say(status=mesh_pb2.Status(serial=svid.serial, not_after_s=svid.answer.not_after_s,
                                        next_renewal_s=1234567890, last_error="no route"))

        def shown():
            certificate = admin.certificates(identity=identity("st"))[svid.serial]
            return (certificate.next_renewal_s, certificate.last_error) == (1234567890, "no route")
        wait_until(shown, "the status to be shown")
        sync.cancel()


def test_nobody_reports_for_another(control, admin, anyone_once, caller, open_sync):
    """A status names a certificate of the reporter's own line, or says nothing."""
    svid = anyone_once.issue(token=admin.create_token(identity("vi")).token)
    sync = open_sync(caller, services=["*"])
    sync.step()
    sync.say(status=mesh_pb2.Status(serial=svid.serial, last_error="all is lost"))
    error = sync.end()
    assert error.code() == Status.INVALID_ARGUMENT
    assert "serial" in error.details()
    assert admin.certificates(identity=identity("vi"))[svid.serial].last_error == ""
