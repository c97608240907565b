// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a sidecar offers: its own services, those of its token, at an address that it may have.
#include "push_fixture.h"

#include "records/record_keys.h"

#define PROMISE(name)                                                                              \
    cmocka_unit_test_setup_teardown(name, push_fixture_setup, push_fixture_teardown)

static struct push_fixture *with_web(void **state)
{
    struct push_fixture *fixture = *state;
    set_service(fixture->mesh, "web", LIST(WEB_ID), NULL);
    set_service(fixture->mesh, "api", LIST(WEB_ID), NULL);
    set_service(fixture->mesh, "cache", LIST(CACHE_ID), NULL);
    put_lineage(fixture->mesh, lineage(1), WEB_ID, NULL, LIST(ANY_RANGE));
    put_lineage(fixture->mesh, lineage(2), WEB_ID, LIST("web"), LIST("10.1.0.0/16"));
    return fixture;
}

static void claim_is_refused(struct push_fixture *fixture, unsigned number,
                             const struct hello *hello, enum rpc_status status, const char *text)
{
    size_t before = count_stored(fixture->mesh, RECORD_ENDPOINT_PREFIX);
    struct sidecar *sidecar = sidecar_open(fixture, number, WEB_ID);
    sidecar_hello(sidecar, hello);
    wait_ended(sidecar, status, text);
    assert_int_equal(sidecar->responses, 0);
    assert_int_equal(count_stored(fixture->mesh, RECORD_ENDPOINT_PREFIX), before);
    sidecar_free(sidecar);
}

static void every_false_claim_is_refused_by_name(void **state)
{
    struct push_fixture *fixture = with_web(state);
    claim_is_refused(fixture, 1, &(struct hello){.exposes = LIST("none")}, RPC_FAILED_PRECONDITION,
                     "'none' does not exist");
    claim_is_refused(fixture, 1, &(struct hello){.exposes = LIST("cache")}, RPC_PERMISSION_DENIED,
                     "does not own the service 'cache'");
    claim_is_refused(fixture, 1, &(struct hello){.exposes = LIST("web"), .address = "11.0.0.1:1"},
                     RPC_PERMISSION_DENIED, "neither the connection's source address nor");
    claim_is_refused(fixture, 1, &(struct hello){.exposes = LIST("web"), .address = ""},
                     RPC_INVALID_ARGUMENT, "missing");
    claim_is_refused(fixture, 1,
                     &(struct hello){.exposes = LIST("web"), .address = "10.0.0.1:15021"},
                     RPC_INVALID_ARGUMENT, "Remora's own");
    claim_is_refused(fixture, 2,
                     &(struct hello){.exposes = LIST("api", "web"), .address = "10.1.0.1:1"},
                     RPC_PERMISSION_DENIED, "does not name the service 'api'");
    claim_is_refused(fixture, 2, &(struct hello){.exposes = LIST("web")}, RPC_PERMISSION_DENIED,
                     "ranges of the join token");
    claim_is_refused(fixture, 3, &(struct hello){.exposes = LIST("web")}, RPC_PERMISSION_DENIED,
                     "lineage");
}

static void held_address_is_refused(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct sidecar *holder = sidecar_start(
        fixture, 1, WEB_ID, &(struct hello){.exposes = LIST("api"), .address = "10.1.0.1:1"});
    claim_is_refused(fixture, 2,
                     &(struct hello){.instance_id = SECOND_PROCESS,
                                     .exposes = LIST("web"),
                                     .address = "10.1.0.1:1"},
                     RPC_PERMISSION_DENIED, "held by a live instance");
    sidecar_free(holder);
}

static void new_hello_drops_what_it_no_longer_names(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct sidecar *first =
        sidecar_start(fixture, 1, WEB_ID, &(struct hello){.exposes = LIST("api", "web")});
    wait_endpoints(fixture->mesh, "api", 1);
    struct sidecar *second =
        sidecar_start(fixture, 1, WEB_ID, &(struct hello){.exposes = LIST("web")});
    wait_endpoints(fixture->mesh, "api", 0);
    sidecar_free(first); // make before break: the same process lives on
    wait_sessions(fixture, 1);
    jump(fixture->mesh, REGISTRY_ENDPOINT_GRACE_MS + 1);
    assert_int_equal(count_stored(fixture->mesh, RECORD_ENDPOINT_PREFIX), 1);
    struct sidecar *third = sidecar_start(fixture, 1, WEB_ID, &(struct hello){0});
    wait_endpoints(fixture->mesh, "web", 0);
    sidecar_free(second);
    sidecar_free(third);
}

static void goodbye_takes_endpoints_out_at_once(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct sidecar *sidecar =
        sidecar_start(fixture, 1, WEB_ID, &(struct hello){.exposes = LIST("api", "web")});
    sidecar_goodbye(sidecar);
    wait_endpoints(fixture->mesh, "api", 0);
    wait_endpoints(fixture->mesh, "web", 0);
    sidecar_half_close(sidecar);
    wait_ended(sidecar, RPC_OK, "");
    sidecar_free(sidecar);
}

static void goodbye_of_another_takes_nothing(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct sidecar *victim =
        sidecar_start(fixture, 1, WEB_ID, &(struct hello){.exposes = LIST("web")});
    struct sidecar *thief = sidecar_start(fixture, 2, WEB_ID, &(struct hello){0});
    sidecar_goodbye(thief);
    sidecar_free(thief);
    wait_sessions(fixture, 1);
    jump(fixture->mesh, REGISTRY_ENDPOINT_GRACE_MS + 1);
    assert_int_equal(count_stored(fixture->mesh, RECORD_ENDPOINT_PREFIX), 1);
    sidecar_free(victim);
}

static void lost_stream_leaves_after_the_grace(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct sidecar *sidecar =
        sidecar_start(fixture, 1, WEB_ID, &(struct hello){.exposes = LIST("web")});
    sidecar_cut(sidecar);
    wait_sessions(fixture, 0);
    jump(fixture->mesh, REGISTRY_ENDPOINT_GRACE_MS - 2000);
    assert_int_equal(count_stored(fixture->mesh, RECORD_ENDPOINT_PREFIX), 1);
    jump(fixture->mesh, 2001);
    wait_endpoints(fixture->mesh, "web", 0);
    sidecar_free(sidecar);
}

static void stream_that_ends_while_the_store_works_leaves_too(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct sidecar *sidecar = sidecar_open(fixture, 1, WEB_ID);
    disk_fault_hold_sync();
    sidecar_hello(sidecar, &(struct hello){.exposes = LIST("web")});
    disk_fault_wait_held(); // the registration is being made durable
    sidecar_cut(sidecar);
    wait_sessions(fixture, 0);
    disk_fault_release();
    wait_endpoints(fixture->mesh, "web", 1);
    jump(fixture->mesh, REGISTRY_ENDPOINT_GRACE_MS + 1);
    wait_endpoints(fixture->mesh, "web", 0);
    sidecar_free(sidecar);
}

static void our_restart_keeps_endpoints_for_a_while(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct sidecar *sidecar =
        sidecar_start(fixture, 1, WEB_ID, &(struct hello){.exposes = LIST("api", "web")});
    struct sidecar *other = sidecar_start(fixture, 2, WEB_ID,
                                          &(struct hello){.instance_id = SECOND_PROCESS,
                                                          .exposes = LIST("web"),
                                                          .address = "10.1.0.1:1"});
    push_fixture_restart(fixture);
    wait_ended(sidecar, RPC_UNAVAILABLE, "going away");
    sidecar_free(sidecar);
    sidecar_free(other);
    assert_int_equal(count_stored(fixture->mesh, RECORD_ENDPOINT_PREFIX), 3);
    sidecar = sidecar_start(fixture, 1, WEB_ID, &(struct hello){.exposes = LIST("api", "web")});
    jump(fixture->mesh, REGISTRY_ENDPOINT_GRACE_MS + 1); // coming back may take longer than that
    assert_int_equal(count_stored(fixture->mesh, RECORD_ENDPOINT_PREFIX), 3);
    jump(fixture->mesh, PUSH_RESTART_GRACE_MS + 1);
    wait_endpoints(fixture->mesh, "web", 1);
    assert_int_equal(count_stored(fixture->mesh, RECORD_ENDPOINT_PREFIX), 2);
    sidecar_free(sidecar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROMISE(every_false_claim_is_refused_by_name),
        PROMISE(held_address_is_refused),
        PROMISE(new_hello_drops_what_it_no_longer_names),
        PROMISE(goodbye_takes_endpoints_out_at_once),
        PROMISE(goodbye_of_another_takes_nothing),
        PROMISE(lost_stream_leaves_after_the_grace),
        PROMISE(stream_that_ends_while_the_store_works_leaves_too),
        PROMISE(our_restart_keeps_endpoints_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
