// SPDX-License-Identifier: GPL-3.0-or-later
//
// At once after a Goodbye, after a grace when the stream was lost; all of them, and once the store
// takes it.
#include "registry_fixture.h"

#include <errno.h>
#include <stdio.h>

#include "records/record_keys.h"

#define A "10.0.0.1:15008"
#define MANY 40 // more than one transaction removes

static struct registry_fixture *with_many(void **state)
{
    struct registry_fixture *fixture = *state;
    char name[16];
    for (size_t i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "s%zu", i);
        set_service(fixture, name, LIST(WEB_ID), NULL);
        struct registry_endpoint endpoint = endpoint_of(1, name, FIRST_PROCESS, A);
        assert_int_equal(register_one(fixture, &endpoint), RM_OK);
    }
    set_service(fixture, "other", LIST(WEB_ID), NULL);
    struct registry_endpoint other = endpoint_of(2, "other", FIRST_PROCESS, "10.0.0.2:15008");
    assert_int_equal(register_one(fixture, &other), RM_OK);
    assert_int_equal(count_stored(fixture, RECORD_ENDPOINT_PREFIX), MANY + 1);
    return fixture;
}

static bool is_only_other_left(struct registry_fixture *fixture, const void *context)
{
    (void)context;
    return mesh_view_count(registry_view(fixture->registry), MESH_ENDPOINT) == 1;
}

static void goodbye_takes_all_out_at_once(void **state)
{
    struct registry_fixture *fixture = with_many(state);
    unregister(fixture, 1, FIRST_PROCESS, 0);
    wait_until(fixture, is_only_other_left, NULL);
    assert_int_equal(endpoint_count(fixture, "other"), 1);
    unregister(fixture, 1, FIRST_PROCESS, 0); // nobody's: nothing happens
}

static void lost_stream_takes_all_out_after_the_grace(void **state)
{
    struct registry_fixture *fixture = with_many(state);
    unregister(fixture, 1, FIRST_PROCESS, REGISTRY_ENDPOINT_GRACE_MS);
    jump(fixture, REGISTRY_ENDPOINT_GRACE_MS - 2000);
    assert_int_equal(count_stored(fixture, RECORD_ENDPOINT_PREFIX), MANY + 1);
    jump(fixture, 2001);
    wait_until(fixture, is_only_other_left, NULL);
}

static void return_within_the_grace_keeps_everything(void **state)
{
    struct registry_fixture *fixture = with_many(state);
    unregister(fixture, 1, FIRST_PROCESS, REGISTRY_ENDPOINT_GRACE_MS);
    struct registry_endpoint endpoint = endpoint_of(1, "s0", FIRST_PROCESS, A);
    assert_int_equal(register_one(fixture, &endpoint), RM_OK);
    jump(fixture, REGISTRY_ENDPOINT_GRACE_MS + 1);
    assert_int_equal(count_stored(fixture, RECORD_ENDPOINT_PREFIX), MANY + 1);
}

static void return_right_after_goodbye_is_written_again(void **state)
{
    struct registry_fixture *fixture = with_many(state);
    disk_fault_hold_sync();
    unregister(fixture, 1, FIRST_PROCESS, 0); // the removal is on its way
    disk_fault_wait_held();
    disk_fault_release();
    struct registry_endpoint endpoint = endpoint_of(1, "s0", FIRST_PROCESS, A);
    assert_int_equal(register_one(fixture, &endpoint), RM_OK);
    wait_endpoints(fixture, "s1", 0);
    assert_int_equal(endpoint_count(fixture, "s0"), 1);
}

struct keep {
    struct registry_fixture *fixture;
    const char *const *services;
    size_t count;
};

static void do_keep(struct fixture *base, void *context)
{
    const struct keep *keep = context;
    (void)base;
    registry_keep(keep->fixture->registry, lineage(1), FIRST_PROCESS, keep->services, keep->count);
}

static void services_no_longer_offered_leave(void **state)
{
    struct registry_fixture *fixture = with_many(state);
    struct keep keep = {fixture, LIST("s3", "s30"), 2};
    fixture_run(fixture->base, do_keep, &keep);
    wait_endpoints(fixture, "s0", 0);
    assert_int_equal(count_stored(fixture, RECORD_ENDPOINT_PREFIX), 3);
    assert_int_equal(endpoint_count(fixture, "s3"), 1);
    assert_int_equal(endpoint_count(fixture, "s30"), 1);
}

struct leave_early {
    struct registry_fixture *fixture;
    struct registry_endpoint endpoint;
    uint32_t grace_ms;
    size_t done;
};

static void on_late(void *context, enum rm_err result, const struct rm_error *error)
{
    struct leave_early *leave = context;
    (void)error;
    assert_int_equal(result, RM_OK);
    fixture_count(leave->fixture->base, &leave->done);
}

static void do_leave_early(struct fixture *base, void *context)
{
    struct leave_early *leave = context;
    struct registry *registry = leave->fixture->registry;
    (void)base;
    assert_int_equal(registry_register(registry, &leave->endpoint, on_late, leave), RM_OK);
    registry_unregister(registry, lineage(1), FIRST_PROCESS, leave->grace_ms);
}

static void registration_on_its_way_leaves_too(void **state)
{
    struct registry_fixture *fixture = *state;
    set_service(fixture, "web", LIST(WEB_ID), NULL);
    for (int i = 0; i < 2; i++) {
        struct leave_early leave = {.fixture = fixture,
                                    .endpoint = endpoint_of(1, "web", FIRST_PROCESS, A),
                                    .grace_ms = i == 0 ? 0 : REGISTRY_ENDPOINT_GRACE_MS};
        fixture_run(fixture->base, do_leave_early, &leave);
        fixture_wait(fixture->base, &leave.done, 1);
        if (leave.grace_ms > 0) {
            assert_int_equal(count_stored(fixture, RECORD_ENDPOINT_PREFIX), 1);
            jump(fixture, leave.grace_ms + 1);
            wait_stored(fixture, RECORD_ENDPOINT_PREFIX, 0);
        }
        // At once: the removal was asked for before the registration was answered.
        assert_int_equal(count_stored(fixture, RECORD_ENDPOINT_PREFIX), 0);
        wait_endpoints(fixture, "web", 0);
    }
}

static void registry_that_ends_meanwhile_is_not_missed(void **state)
{
    struct registry_fixture *fixture = *state;
    set_service(fixture, "web", LIST(WEB_ID), NULL);
    struct leave_early leave = {.fixture = fixture,
                                .endpoint = endpoint_of(1, "web", FIRST_PROCESS, A),
                                .grace_ms = REGISTRY_ENDPOINT_GRACE_MS};
    disk_fault_hold_sync();
    fixture_run(fixture->base, do_leave_early, &leave);
    disk_fault_wait_held();
    registry_stop(fixture);
    disk_fault_release();
    fixture_wait(fixture->base, &leave.done, 1);
    registry_start(fixture);
    assert_int_equal(endpoint_count(fixture, "web"), 1);
}

static void failing_disk_delays_the_leave_only(void **state)
{
    struct registry_fixture *fixture = with_many(state);
    disk_fault_fail(DISK_WRITE, 1, 0, ENOSPC);
    disk_fault_fail(DISK_SYNC, 1, 0, EIO);
    unregister(fixture, 1, FIRST_PROCESS, 0);
    struct answer answer = {0}; // after the failing transactions
    fixture_read(fixture->base, "none", &answer);
    answer_free(&answer);
    disk_fault_clear();
    assert_true(endpoint_count(fixture, "s0") == 1);
    jump(fixture, 5001);
    wait_until(fixture, is_only_other_left, NULL);
}

static void do_expect(struct fixture *base, void *context)
{
    (void)base;
    registry_expect_return(((struct registry_fixture *)context)->registry, 60000);
}

static void after_our_restart_whoever_stays_away_leaves(void **state)
{
    struct registry_fixture *fixture = with_many(state);
    registry_stop(fixture);
    registry_start(fixture);
    fixture_run(fixture->base, do_expect, fixture);
    struct registry_endpoint other = endpoint_of(2, "other", FIRST_PROCESS, "10.0.0.2:15008");
    assert_int_equal(register_one(fixture, &other), RM_OK);
    jump(fixture, 55000);
    assert_int_equal(count_stored(fixture, RECORD_ENDPOINT_PREFIX), MANY + 1);
    jump(fixture, 5001);
    wait_until(fixture, is_only_other_left, NULL);
    assert_int_equal(endpoint_count(fixture, "other"), 1);
}

#define PROMISE(name)                                                                              \
    cmocka_unit_test_setup_teardown(name, registry_fixture_setup, registry_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROMISE(goodbye_takes_all_out_at_once),
        PROMISE(lost_stream_takes_all_out_after_the_grace),
        PROMISE(return_within_the_grace_keeps_everything),
        PROMISE(return_right_after_goodbye_is_written_again),
        PROMISE(services_no_longer_offered_leave),
        PROMISE(registration_on_its_way_leaves_too),
        PROMISE(registry_that_ends_meanwhile_is_not_missed),
        PROMISE(failing_disk_delays_the_leave_only),
        PROMISE(after_our_restart_whoever_stays_away_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
