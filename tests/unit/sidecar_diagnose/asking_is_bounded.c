// SPDX-License-Identifier: GPL-3.0-or-later
//
// One diagnosis at a time, so many in a while, each of something that can be asked; one that is
// cancelled says nothing more and leaves nothing behind, whatever it was at.
#include "diagnosed.h"

static struct diagnosed seen;

static void one_at_a_time(void **state)
{
    struct tunnel_world *world = *state;
    struct rm_error error = {0};
    struct diagnose_request request = {.service = "web"};
    diagnosed_init(&seen, world);
    assert_int_equal(diagnosed_start(&seen, &request, &error), RM_OK);
    struct diagnosis *first = seen.diagnosis;
    assert_int_equal(diagnosed_start(&seen, &request, &error), RM_ERR_BUSY);
    assert_ptr_equal(seen.diagnosis, first);
    diagnosed_deinit(&seen); // which cuts it short
    assert_true(seen.is_done);
    assert_found(&seen, FAULT_DIAGNOSIS_CUT, DIAGNOSE_ERROR, "stopping");
}

static void so_many_in_a_while(void **state)
{
    struct tunnel_world *world = *state;
    struct rm_error error = {0};
    struct diagnose_request request = {.service = "web"};
    diagnosed_init(&seen, world);
    for (int i = 0; i < DIAGNOSE_BURST; i++) {
        assert_int_equal(diagnosed_start(&seen, &request, &error), RM_OK);
        diagnosis_cancel(seen.diagnosis);
    }
    assert_int_equal(diagnosed_start(&seen, &request, &error), RM_ERR_LIMIT);
    assert_non_null(strstr(rm_error_message(&error), "too many"));
    diagnosed_deinit(&seen);
}

static void what_cannot_be_asked_is_refused(void **state)
{
    struct tunnel_world *world = *state;
    static const struct diagnose_request requests[] = {
        {0},
        {.target = "a:1", .service = "web"},
        {.target = ""},
        {.target = "host"},
        {.target = ":1"},
        {.target = "host:0"},
        {.target = "host:65536"},
        {.target = "host:-1"},
        {.target = "host:1x"},
        {.target = "unix:/run/x"},
        {.target = "a b:1"},
        {.target = "a:1", .expected = "spiffe://UPPER/x"},
        {.target = "a:1", .sni = "a\r\nb"},
        {.target = "a:1", .sni = ""},
        {.target = "a:1", .alpn = "a,b"},
        {.service = "a/b"},
        {.service = ""},
    };
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        struct rm_error error = {0};
        diagnosed_init(&seen, world);
        assert_int_not_equal(diagnosed_start(&seen, &requests[i], &error), RM_OK);
        assert_true(strlen(rm_error_message(&error)) > 10);
        diagnosed_deinit(&seen);
    }
}

static void cancel_in_each_state(struct tunnel_world *world, const struct diagnose_request *request)
{
    for (unsigned int turns = 0; turns < 16; turns++) {
        struct rm_error error = {0};
        diagnosed_init(&seen, world);
        assert_int_equal(diagnosed_start(&seen, request, &error), RM_OK);
        world_turns(world->loop, turns);
        if (seen.diagnosis != NULL) {
            diagnosis_cancel(seen.diagnosis);
            seen.is_done = true; // a call now would be too late
        }
        diagnosed_deinit(&seen);
    }
    expect_quiet(world);
}

static void cancelled_diagnosis_is_silent(void **state)
{
    struct tunnel_world *world = *state;
    cancel_in_each_state(world, &(struct diagnose_request){.service = "web"});
    cancel_in_each_state(
        world, &(struct diagnose_request){.target = world->tunnel_address, .expected = SERVER_ID});
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, tunnel_world_setup, tunnel_world_teardown)
    const struct CMUnitTest tests[] = {
        CASE(one_at_a_time),
        CASE(so_many_in_a_while),
        CASE(what_cannot_be_asked_is_refused),
        CASE(cancelled_diagnosis_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
