// SPDX-License-Identifier: GPL-3.0-or-later
#include "h2_fixture.h"

static bool open_upload(void *context)
{
    struct world *world = context;
    tap_send(world_request(world, "/upload", false, NULL), 600000, true);
    return true;
}

static bool stalled(void *context)
{
    struct world *world = context;
    return ++world->count > 1000; // far more turns than the bytes would need
}

static bool nothing_over_the_window(void *context)
{
    struct world *world = context;
    assert_int_equal(world->server.taps[0].body_length, H2_STREAM_WINDOW_BYTES);
    h2_stream_consume(world->server.taps[0].stream, 200000);
    return true;
}

static bool as_much_as_was_returned(void *context)
{
    struct world *world = context;
    return world->server.taps[0].body_length == H2_STREAM_WINDOW_BYTES + 200000;
}

static bool consume_rest(void *context)
{
    struct world *world = context;
    h2_stream_consume(world->server.taps[0].stream, SIZE_MAX); // cut to what is outstanding
    return true;
}

static bool complete(void *context)
{
    struct world *world = context;
    return world->server.taps[0].end_count == 1;
}

static void a_stream_waits(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world->server.habits.consumes = false;
    world_run(world,
              (const scenario_step_fn[]){open_upload, stalled, nothing_over_the_window,
                                         as_much_as_was_returned, consume_rest, complete, NULL});
    assert_int_equal(world->server.taps[0].body_length, 600000);
    world_free(world);
}

// Streams that die with unread bytes must not use up the connection's window: each of these takes a
// quarter of it.
static void reset_without_reading(struct world *world, void *context)
{
    struct tap *tap = context;
    if (tap->body_length >= H2_STREAM_WINDOW_BYTES) {
        h2_stream_reset(tap->stream, H2_CANCEL);
        world->count++;
    }
}

static bool upload_again(void *context)
{
    struct world *world = context;
    if (world->count == 12) {
        return true;
    }
    size_t count = world->client.tap_count;
    if (count == 0 || world->client.taps[count - 1].close_count == 1) {
        tap_send(world_request(world, "/upload", false, NULL), 600000, true);
    }
    return false;
}

static void dead_streams_give_back_the_connections_credit(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world->server.habits.consumes = false;
    world->server.habits.on_data = reset_without_reading;
    world_run(world, (const scenario_step_fn[]){upload_again, NULL});
    assert_int_equal(world->count, 12);
    world_free(world);
}

static bool open_five(void *context)
{
    struct world *world = context;
    for (int i = 0; i < 5; i++) {
        tap_send(world_request(world, "/upload", false, NULL), 600000, true);
    }
    return true;
}

static void the_connection_waits_too(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world->server.habits.consumes = false;
    world_run(world, (const scenario_step_fn[]){open_five, stalled, NULL});
    size_t total = 0;
    for (int i = 0; i < 5; i++) {
        total += world->server.taps[i].body_length;
    }
    assert_int_equal(total, H2_SESSION_WINDOW_BYTES);
    world_free(world);
}

// A peer that ignores the window is in breach.
static bool attack(void *context)
{
    struct world *world = context;
    raw_preface(world);
    raw_request(world, 1, false);
    uint8_t body[16384] = {0};
    for (int i = 0; i < 17; i++) {
        raw_frame(world, FRAME_DATA, 0, 1, body, sizeof(body));
    }
    return true;
}

static bool stream_is_reset(void *context)
{
    struct world *world = context;
    return world->server.tap_count == 1 && world->server.taps[0].close_count == 1;
}

static void overrunning_the_window_is_a_fault(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 1 << 20);
    world->server.habits.consumes = false;
    world_run(world, (const scenario_step_fn[]){attack, stream_is_reset, NULL});
    assert_true(world->server.taps[0].body_length <= H2_STREAM_WINDOW_BYTES);
    assert_int_not_equal(world->server.taps[0].close_code, H2_NO_ERROR);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_waits),
        cmocka_unit_test(dead_streams_give_back_the_connections_credit),
        cmocka_unit_test(the_connection_waits_too),
        cmocka_unit_test(overrunning_the_window_is_a_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
