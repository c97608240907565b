// SPDX-License-Identifier: GPL-3.0-or-later
//
// A stream stands while its certificate lives, is not withdrawn, and owns what it offers.
#include "push_fixture.h"

#include "base/clock.h"
#include "records/record_keys.h"

#define PROMISE(name)                                                                              \
    cmocka_unit_test_setup_teardown(name, push_fixture_setup, push_fixture_teardown)

static struct push_fixture *with_web(void **state)
{
    struct push_fixture *fixture = *state;
    set_service(fixture->mesh, "web", LIST(WEB_ID), NULL);
    set_service(fixture->mesh, "api", LIST(WEB_ID), NULL);
    put_lineage(fixture->mesh, lineage(1), WEB_ID, NULL, LIST(ANY_RANGE));
    return fixture;
}

static void withdrawal_ends_streams_and_endpoints_at_once(void **state)
{
    static const enum trust_withdrawal_kind kinds[] = {TRUST_REVOKED_LINEAGE, TRUST_LAPSED_LINEAGE};
    struct push_fixture *fixture = with_web(state);
    put_lineage(fixture->mesh, lineage(0), WEB_ID, NULL, LIST(ANY_RANGE));
    for (unsigned i = 0; i < 2; i++) {
        struct sidecar *victim =
            sidecar_start(fixture, i, WEB_ID, &(struct hello){.exposes = LIST("web")});
        struct sidecar *mute = sidecar_open(fixture, i, WEB_ID); // before its Hello
        struct sidecar *other = sidecar_start(fixture, 9, CACHE_ID, &(struct hello){0});
        wait_sessions(fixture, 3);
        withdraw(fixture->mesh, kinds[i], lineage(i));
        wait_ended(victim, RPC_PERMISSION_DENIED, "revoked, or its lineage lapsed");
        wait_ended(mute, RPC_PERMISSION_DENIED, "revoked, or its lineage lapsed");
        wait_endpoints(fixture->mesh, "web", 0);
        wait_responses(other, 2); // it is told
        assert_false(other->is_ended);
        sidecar_free(victim);
        sidecar_free(mute);
        sidecar_free(other);
        if (kinds[i] == TRUST_REVOKED_LINEAGE) {
            struct sidecar *again = sidecar_open(fixture, i, WEB_ID);
            wait_ended(again, RPC_PERMISSION_DENIED, "certificate_revoked");
            sidecar_free(again);
        }
    }
}

static void certificate_that_expires_ends_the_stream(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct sidecar *sidecar = sidecar_open_until(fixture, 1, WEB_ID, clock_wall_s() + 100);
    sidecar_hello(sidecar, &(struct hello){.exposes = LIST("web")});
    wait_responses(sidecar, 1);
    jump(fixture->mesh, 20000);
    wait_in_step(sidecar);
    assert_false(sidecar->is_ended);
    jump(fixture->mesh, 20000);
    wait_responses(sidecar, 2);
    wait_in_step(sidecar);
    jump(fixture->mesh, 20000);
    wait_in_step(sidecar);
    jump(fixture->mesh, 20000);
    wait_responses(sidecar, 3);
    wait_in_step(sidecar);
    jump(fixture->mesh, 21000);
    wait_ended(sidecar, RPC_UNAUTHENTICATED, "renew and reopen");
    assert_int_equal(endpoint_count(fixture->mesh, "web"), 1); // it has its grace
    sidecar_free(sidecar);
}

static void workload_that_loses_a_service_is_told(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct sidecar *sidecar =
        sidecar_start(fixture, 1, WEB_ID, &(struct hello){.exposes = LIST("api", "web")});
    set_service(fixture->mesh, "web", LIST(CACHE_ID), NULL);
    wait_ended(sidecar, RPC_PERMISSION_DENIED, "does not own the service 'web' any more");
    wait_endpoints(fixture->mesh, "web", 0);
    sidecar_free(sidecar);

    sidecar = sidecar_start(fixture, 1, WEB_ID, &(struct hello){.exposes = LIST("api")});
    assert_int_equal(delete_service(fixture->mesh, "api"), RM_OK);
    wait_ended(sidecar, RPC_FAILED_PRECONDITION, "'api' does not exist any more");
    wait_endpoints(fixture->mesh, "api", 0);
    sidecar_free(sidecar);
}

static void one_workload_has_few_streams(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct sidecar *sidecars[PUSH_MAX_SESSIONS_PER_LINEAGE];
    for (size_t i = 0; i < PUSH_MAX_SESSIONS_PER_LINEAGE; i++) {
        sidecars[i] = sidecar_open(fixture, 1, WEB_ID);
    }
    wait_sessions(fixture, PUSH_MAX_SESSIONS_PER_LINEAGE);
    struct sidecar *more = sidecar_open(fixture, 1, WEB_ID);
    wait_ended(more, RPC_RESOURCE_EXHAUSTED, "too many streams of one workload");
    sidecar_free(more);
    struct sidecar *other = sidecar_start(fixture, 2, WEB_ID, &(struct hello){0});
    sidecar_free(other);
    sidecar_free(sidecars[0]);
    wait_sessions(fixture, PUSH_MAX_SESSIONS_PER_LINEAGE - 1);
    sidecars[0] = sidecar_start(fixture, 1, WEB_ID, &(struct hello){0});
    for (size_t i = 0; i < PUSH_MAX_SESSIONS_PER_LINEAGE; i++) {
        sidecar_free(sidecars[i]);
    }
}

static void do_shutdown(struct fixture *base, void *context)
{
    (void)base;
    push_shutdown(((struct push_fixture *)context)->push);
}

static void shutdown_ends_streams_in_each_state(void **state)
{
    struct push_fixture *fixture = with_web(state);
    struct sidecar *live =
        sidecar_start(fixture, 1, WEB_ID, &(struct hello){.exposes = LIST("web")});
    struct sidecar *mute = sidecar_open(fixture, 1, WEB_ID);
    struct sidecar *busy = sidecar_open(fixture, 1, WEB_ID);
    wait_sessions(fixture, 3);
    disk_fault_hold_sync();
    sidecar_hello(busy, &(struct hello){.instance_id = SECOND_PROCESS,
                                        .exposes = LIST("api"),
                                        .address = "10.0.0.7:1"});
    disk_fault_wait_held();
    fixture_run(fixture->mesh->base, do_shutdown, fixture);
    disk_fault_release();
    wait_ended(live, RPC_UNAVAILABLE, "going away");
    wait_ended(mute, RPC_UNAVAILABLE, "going away");
    wait_ended(busy, RPC_UNAVAILABLE, "going away");
    wait_endpoints(fixture->mesh, "api", 1);
    wait_sessions(fixture, 0);
    jump(fixture->mesh, REGISTRY_ENDPOINT_GRACE_MS + 1); // a drain may take longer than the grace
    assert_int_equal(endpoint_count(fixture->mesh, "api"), 1);
    assert_int_equal(endpoint_count(fixture->mesh, "web"), 1);
    sidecar_free(live);
    sidecar_free(mute);
    sidecar_free(busy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROMISE(withdrawal_ends_streams_and_endpoints_at_once),
        PROMISE(certificate_that_expires_ends_the_stream),
        PROMISE(workload_that_loses_a_service_is_told),
        PROMISE(one_workload_has_few_streams),
        PROMISE(shutdown_ends_streams_in_each_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
