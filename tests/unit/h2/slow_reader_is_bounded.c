// SPDX-License-Identifier: GPL-3.0-or-later
#include "h2_fixture.h"

#include "fake_time.h"

static bool open_one(void *context)
{
    (void)world_request(context, "/", true, NULL);
    return true;
}

static bool has_request(void *context)
{
    struct world *world = context;
    return world->server.tap_count == 1 && world->server.taps[0].end_count == 1;
}

static bool server_fills_the_queue(void *context)
{
    struct world *world = context;
    struct tap *tap = &world->server.taps[0];
    static const uint8_t bytes[65536];
    tap_respond(tap, false);
    enum rm_err result = RM_OK;
    size_t sent = 0;
    while ((result = h2_stream_send(tap->stream, bytes, sizeof(bytes), false)) == RM_OK) {
        sent += sizeof(bytes);
    }
    assert_int_equal(result, RM_ERR_LIMIT);
    assert_int_equal(sent, H2_MAX_QUEUED_BYTES);
    assert_int_equal(h2_stream_queued_bytes(tap->stream), H2_MAX_QUEUED_BYTES);
    assert_int_equal(tap->writable_count, 0);
    return true;
}

static bool server_is_told_to_go_on(void *context)
{
    struct world *world = context;
    struct tap *tap = &world->server.taps[0];
    if (tap->writable_count == 0) {
        return false;
    }
    assert_true(h2_stream_queued_bytes(tap->stream) < H2_LOW_MARK_BYTES);
    tap_trailers(tap, "0");
    return true;
}

static bool client_has_all(void *context)
{
    struct world *world = context;
    return world->client.taps[0].close_count == 1;
}

static void full_queue_refuses_and_says_when_to_go_on(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world_run(world, (const scenario_step_fn[]){open_one, has_request, server_fills_the_queue,
                                                server_is_told_to_go_on, client_has_all, NULL});
    assert_int_equal(world->client.taps[0].body_length, H2_MAX_QUEUED_BYTES);
    assert_int_equal(world->server.taps[0].writable_count, 1);
    world_free(world);
}

static bool send_huge(void *context)
{
    struct world *world = context;
    static const uint8_t bytes[H2_MAX_SEND_BYTES + 1];
    struct tap *tap = &world->server.taps[0];
    tap_respond(tap, false);
    assert_int_equal(h2_stream_send(tap->stream, bytes, sizeof(bytes), false), RM_ERR_TOO_LARGE);
    assert_int_equal(h2_stream_send(tap->stream, bytes, sizeof(bytes) - 1, true), RM_OK);
    assert_int_equal(h2_stream_send(tap->stream, bytes, 1, false), RM_ERR_CLOSED);
    return true;
}

static void one_message_may_be_large(void **state)
{
    (void)state;
    struct world *world = world_new(1 << 20);
    world_run(world,
              (const scenario_step_fn[]){open_one, has_request, send_huge, client_has_all, NULL});
    assert_int_equal(world->client.taps[0].body_length, H2_MAX_SEND_BYTES);
    world_free(world);
}

static bool open_three(void *context)
{
    struct world *world = context;
    for (int i = 0; i < 3; i++) {
        (void)world_request(world, "/", true, NULL);
    }
    return true;
}

static bool three_arrived(void *context)
{
    return ((struct world *)context)->server.tap_count == 3;
}

static bool answer_three(void *context)
{
    struct world *world = context;
    static const uint8_t bytes[H2_MAX_SEND_BYTES];
    for (int i = 0; i < 3; i++) {
        tap_respond(&world->server.taps[i], false);
        enum rm_err result =
            h2_stream_send(world->server.taps[i].stream, bytes, sizeof(bytes), false);
        assert_int_equal(result, i < 2 ? RM_OK : RM_ERR_LIMIT);
    }
    return true;
}

static void too_much_over_all_streams_ends_the_session(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world_run(world, (const scenario_step_fn[]){open_three, three_arrived, answer_three,
                                                step_server_ended, NULL});
    assert_int_equal(world->server.reason, RM_ERR_LIMIT);
    world_free(world);
}

// --- a raw peer that asks and does not read ---

static bool ask(void *context)
{
    struct world *world = context;
    raw_preface(world);
    raw_request(world, 1, true);
    return true;
}

static bool answer_large(void *context)
{
    struct world *world = context;
    tap_respond(&world->server.taps[0], false);
    tap_send(&world->server.taps[0], 500000, true);
    return true;
}

static bool wait_a_little(void *context)
{
    return ++((struct world *)context)->count > 100;
}

static bool jump(void *context)
{
    struct world *world = context;
    assert_int_equal(world->server.end_count, 0);
    fake_time_jump(world->loop, H2_STALL_MS + 1);
    return true;
}

static void socket_that_is_never_read_ends_the_session(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 5000);
    world->is_raw_reading = false;
    world_run(world, (const scenario_step_fn[]){ask, has_request, answer_large, wait_a_little, jump,
                                                step_server_ended, NULL});
    assert_int_equal(world->server.reason, RM_ERR_TIMEOUT);
    assert_string_equal(world->server.detail, "the peer does not read");
    world_free(world);
}

static bool stream_closed(void *context)
{
    return ((struct world *)context)->server.taps[0].close_count == 1;
}

// It reads its socket, but never opens its window again.
static void window_that_stays_shut_resets_the_stream(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 1 << 20);
    world_run(world, (const scenario_step_fn[]){ask, has_request, answer_large, wait_a_little, jump,
                                                stream_closed, NULL});
    assert_int_equal(world->server.taps[0].close_code, H2_CANCEL);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_queue_refuses_and_says_when_to_go_on),
        cmocka_unit_test(one_message_may_be_large),
        cmocka_unit_test(too_much_over_all_streams_ends_the_session),
        cmocka_unit_test(socket_that_is_never_read_ends_the_session),
        cmocka_unit_test(window_that_stays_shut_resets_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
