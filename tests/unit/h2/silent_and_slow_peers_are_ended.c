// SPDX-License-Identifier: GPL-3.0-or-later
#include "h2_fixture.h"

#include "fake_time.h"

static bool wait_a_little(void *context)
{
    struct world *world = context;
    if (++world->count < 50) {
        return false;
    }
    world->count = 0;
    return true;
}

static bool preface(void *context)
{
    raw_preface(context);
    return true;
}

static bool headers_only(void *context)
{
    raw_preface(context);
    raw_request(context, 1, false);
    return true;
}

static bool whole_request(void *context)
{
    raw_preface(context);
    raw_request(context, 1, true);
    return true;
}

static bool jump_first_request(void *context)
{
    struct world *world = context;
    assert_int_equal(world->server.end_count, 0);
    fake_time_jump(world->loop, H2_FIRST_REQUEST_MS + 1);
    return true;
}

static void run_first_request(scenario_step_fn first)
{
    struct world *world = world_new_raw(true, 65536);
    world_run(world, (const scenario_step_fn[]){first, wait_a_little, jump_first_request,
                                                step_server_ended, NULL});
    assert_int_equal(world->server.reason, RM_ERR_TIMEOUT);
    assert_string_equal(world->server.detail, "no complete request in time");
    world_free(world);
}

static void no_request_at_all(void **state)
{
    (void)state;
    run_first_request(preface);
}

static void a_request_without_its_end(void **state)
{
    (void)state;
    run_first_request(headers_only);
}

static bool settle(void *context)
{
    h2_session_settle(((struct world *)context)->server.session);
    return true;
}

static void settled(scenario_step_fn first, scenario_step_fn then)
{
    struct world *world = world_new_raw(true, 65536);
    world_run(world, (const scenario_step_fn[]){first, wait_a_little, then, jump_first_request,
                                                wait_a_little, NULL});
    assert_int_equal(world->server.reason, RM_ERR_CANCELLED); // the fixture's own end
    world_free(world);
}

static void a_whole_request_stops_the_deadline(void **state)
{
    (void)state;
    settled(whole_request, wait_a_little);
}

static void the_user_may_stop_it(void **state)
{
    (void)state;
    settled(headers_only, settle);
}

static bool jump_ping_interval(void *context)
{
    fake_time_jump(((struct world *)context)->loop, H2_PING_INTERVAL_MS + 1);
    return true;
}

static bool ping_came(void *context)
{
    size_t length = 0;
    uint32_t id = 0;
    return raw_find(context, FRAME_PING, 0, &length, &id) != NULL;
}

static bool jump_ping_timeout(void *context)
{
    fake_time_jump(((struct world *)context)->loop, H2_PING_TIMEOUT_MS + 1);
    return true;
}

static void no_answer_to_a_ping(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 65536);
    world_run(world,
              (const scenario_step_fn[]){whole_request, wait_a_little, jump_ping_interval,
                                         ping_came, jump_ping_timeout, step_server_ended, NULL});
    assert_int_equal(world->server.reason, RM_ERR_TIMEOUT);
    assert_string_equal(world->server.detail, "the peer is silent");
    world_free(world);
}

static bool answer_ping(void *context)
{
    static const uint8_t zeros[8];
    raw_frame(context, FRAME_PING, FLAG_ACK, 0, zeros, 8);
    return true;
}

static void an_answered_ping_keeps_the_session(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 65536);
    world_run(world, (const scenario_step_fn[]){whole_request, wait_a_little, jump_ping_interval,
                                                ping_came, answer_ping, wait_a_little,
                                                jump_ping_timeout, wait_a_little, NULL});
    assert_int_equal(world->server.reason, RM_ERR_CANCELLED); // the fixture's own end
    world_free(world);
}

static void a_client_pings_too(void **state)
{
    (void)state;
    struct world *world = world_new_raw(false, 65536);
    world_run(world, (const scenario_step_fn[]){wait_a_little, jump_ping_interval, ping_came,
                                                jump_ping_timeout, step_client_ended, NULL});
    assert_int_equal(world->client.reason, RM_ERR_TIMEOUT);
    world_free(world);
}

static void respond_at_once(struct world *world, void *tap)
{
    (void)world;
    tap_respond(tap, true);
}

static bool jump_most_of_idle(void *context)
{
    struct world *world = context;
    fake_time_jump(world->loop, H2_PING_INTERVAL_MS + 1);
    answer_ping(world); // the peer lives
    return true;
}

static bool idle_for_long(void *context)
{
    struct world *world = context;
    if (world->memo == NULL) {
        world->memo = world;
        world->count = 0;
    }
    size_t length = 0;
    uint32_t id = 0;
    if (raw_find(world, FRAME_GOAWAY, 0, &length, &id) != NULL) {
        return true;
    }
    if (++world->count % 50 == 0) {
        assert_true(world->count / 50 <= H2_IDLE_MS / H2_PING_INTERVAL_MS + 2);
        jump_most_of_idle(world);
    }
    return false;
}

static void a_connection_without_calls_is_drained(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 65536);
    world->server.habits.on_end = respond_at_once;
    world_run(world, (const scenario_step_fn[]){whole_request, wait_a_little, idle_for_long,
                                                answer_ping, step_server_ended, NULL});
    assert_int_equal(world->server.reason, RM_OK);
    assert_int_equal(raw_goaway_code(world), H2_NO_ERROR);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_request_at_all),
        cmocka_unit_test(a_request_without_its_end),
        cmocka_unit_test(a_whole_request_stops_the_deadline),
        cmocka_unit_test(the_user_may_stop_it),
        cmocka_unit_test(no_answer_to_a_ping),
        cmocka_unit_test(an_answered_ping_keeps_the_session),
        cmocka_unit_test(a_client_pings_too),
        cmocka_unit_test(a_connection_without_calls_is_drained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
