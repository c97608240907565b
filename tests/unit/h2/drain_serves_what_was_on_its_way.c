// SPDX-License-Identifier: GPL-3.0-or-later
#include "h2_fixture.h"

#include "fake_time.h"

static bool open_and_wait(void *context)
{
    struct world *world = context;
    if (world->client.tap_count == 0) {
        (void)world_request(world, "/early", true, NULL);
    }
    return world->server.tap_count == 1 && world->server.taps[0].end_count == 1;
}

// The server drains while a second request is on its way.
static bool drain_and_send_another(void *context)
{
    struct world *world = context;
    (void)world_request(world, "/late", true, NULL);
    h2_session_drain(world->server.session);
    h2_session_drain(world->server.session); // idempotent
    return true;
}

static bool both_arrived(void *context)
{
    return ((struct world *)context)->server.tap_count == 2;
}

static bool client_knows(void *context)
{
    struct world *world = context;
    enum rm_err result = RM_OK;
    struct tap *tap = world_request(world, "/too-late", true, &result);
    if (tap != NULL) {
        h2_stream_reset(tap->stream, H2_CANCEL);
    }
    return result == RM_ERR_CLOSED;
}

static bool answer_both(void *context)
{
    struct world *world = context;
    assert_int_equal(world->server.end_count, 0);
    tap_respond(&world->server.taps[0], true);
    tap_respond(&world->server.taps[1], true);
    return true;
}

static void server(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world_run(world, (const scenario_step_fn[]){open_and_wait, drain_and_send_another, both_arrived,
                                                client_knows, answer_both, step_both_ended, NULL});
    assert_int_equal(world->server.reason, RM_OK);
    assert_int_equal(world->client.reason, RM_OK);
    assert_int_equal(world->client.taps[0].head_count, 1);
    assert_int_equal(world->client.taps[1].head_count, 1);
    assert_int_equal(world->client.taps[1].close_code, H2_NO_ERROR);
    world_free(world);
}

static bool drain_client(void *context)
{
    struct world *world = context;
    h2_session_drain(world->client.session);
    enum rm_err result = RM_OK;
    assert_null(world_request(world, "/no", true, &result));
    assert_int_equal(result, RM_ERR_CLOSED);
    return true;
}

static bool answer_first(void *context)
{
    struct world *world = context;
    assert_int_equal(world->client.end_count, 0);
    tap_respond(&world->server.taps[0], true);
    return true;
}

static void client(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world_run(world, (const scenario_step_fn[]){open_and_wait, drain_client, answer_first,
                                                step_both_ended, NULL});
    assert_int_equal(world->client.reason, RM_OK);
    assert_int_equal(world->server.reason, RM_OK);
    assert_int_equal(world->client.taps[0].head_count, 1);
    world_free(world);
}

static bool preface(void *context)
{
    struct world *world = context;
    if (world->count++ == 0) {
        raw_preface(world);
        raw_request(world, 1, true);
    }
    return world->server.tap_count == 1;
}

static bool drain_server(void *context)
{
    h2_session_drain(((struct world *)context)->server.session);
    return true;
}

static bool notice_came(void *context)
{
    size_t length = 0;
    uint32_t id = 0;
    const uint8_t *payload = raw_find(context, FRAME_GOAWAY, 0, &length, &id);
    if (payload == NULL) {
        return false;
    }
    assert_memory_equal(payload, "\x7f\xff\xff\xff\0\0\0\0", 8); // RFC 9113 6.8: announced only
    assert_null(raw_find(context, FRAME_GOAWAY, 1, &length, &id));
    return true;
}

static bool jump(void *context)
{
    fake_time_jump(((struct world *)context)->loop, H2_DRAIN_NOTICE_MS + 1);
    return true;
}

static bool final_came(void *context)
{
    size_t length = 0;
    uint32_t id = 0;
    const uint8_t *payload = raw_find(context, FRAME_GOAWAY, 1, &length, &id);
    if (payload == NULL) {
        return false;
    }
    assert_memory_equal(payload, "\0\0\0\x01\0\0\0\0", 8);
    raw_request(context, 3, true); // now it is too late
    return true;
}

static bool answer(void *context)
{
    struct world *world = context;
    if (++world->count < 50) {
        return false;
    }
    assert_int_equal(world->server.tap_count, 1);
    tap_respond(&world->server.taps[0], true);
    return true;
}

static void a_peer_that_does_not_answer_the_notice(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 65536);
    world_run(world, (const scenario_step_fn[]){preface, drain_server, notice_came, jump,
                                                final_came, answer, step_server_ended, NULL});
    assert_int_equal(world->server.reason, RM_OK);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server),
        cmocka_unit_test(client),
        cmocka_unit_test(a_peer_that_does_not_answer_the_notice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
