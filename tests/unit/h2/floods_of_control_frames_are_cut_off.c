// SPDX-License-Identifier: GPL-3.0-or-later
#include "h2_fixture.h"

#define FLOOD 5000

static const uint8_t zeros[8];
static uint8_t flood_type;
static uint32_t flood_stream;
static size_t flood_length;
static const uint8_t *flood_payload;

static bool flood(void *context)
{
    struct world *world = context;
    raw_preface(world);
    raw_request(world, 1, false);
    for (int i = 0; i < FLOOD; i++) {
        raw_frame(world, flood_type, 0, flood_stream, flood_payload, flood_length);
    }
    return true;
}

static void run_flood(uint8_t type, uint32_t stream, const uint8_t *payload, size_t length,
                      bool is_reading)
{
    flood_type = type;
    flood_stream = stream;
    flood_payload = payload;
    flood_length = length;
    struct world *world = world_new_raw(true, 1 << 20);
    world->is_raw_reading = is_reading;
    world_run(world, (const scenario_step_fn[]){flood, step_server_ended, NULL});
    assert_int_equal(world->server.reason, RM_ERR_LIMIT);
    if (is_reading) {
        assert_int_equal(raw_goaway_code(world), H2_ENHANCE_YOUR_CALM);
    }
    world_free(world);
}

static void pings(void **state)
{
    (void)state;
    run_flood(FRAME_PING, 0, zeros, 8, true);
}

static void pings_whose_answers_are_not_read(void **state)
{
    (void)state;
    run_flood(FRAME_PING, 0, zeros, 8, false);
}

static void settings(void **state)
{
    (void)state;
    run_flood(FRAME_SETTINGS, 0, NULL, 0, true);
}

static void priorities(void **state)
{
    (void)state;
    run_flood(FRAME_PRIORITY, 1, (const uint8_t[]){0, 0, 0, 0, 1}, 5, true);
}

static void window_updates(void **state)
{
    (void)state;
    run_flood(FRAME_WINDOW_UPDATE, 0, (const uint8_t[]){0, 0, 0, 1}, 4, true);
}

static void empty_bodies(void **state)
{
    (void)state;
    run_flood(FRAME_DATA, 1, NULL, 0, true);
}

// CVE-2024-27316: a header block without end.
static bool continue_forever(void *context)
{
    struct world *world = context;
    raw_preface(world);
    static const uint8_t block[] = {0x83};
    raw_frame(world, FRAME_HEADERS, 0, 1, block, sizeof(block));
    for (int i = 0; i < FLOOD; i++) {
        raw_frame(world, FRAME_CONTINUATION, 0, 1, NULL, 0);
    }
    return true;
}

static void continuations(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 1 << 20);
    world_run(world, (const scenario_step_fn[]){continue_forever, step_server_ended, NULL});
    assert_int_equal(world->server.reason, RM_ERR_LIMIT);
    assert_int_equal(raw_goaway_code(world), H2_ENHANCE_YOUR_CALM);
    assert_int_equal(world->server.taps[0].head_count, 0);
    world_free(world);
}

static bool some_pings(void *context)
{
    struct world *world = context;
    raw_preface(world);
    for (int i = 0; i < 90; i++) {
        raw_frame(world, FRAME_PING, 0, 0, zeros, 8);
    }
    raw_request(world, 1, true);
    return true;
}

static bool request_arrived(void *context)
{
    struct world *world = context;
    return world->server.tap_count == 1 && world->server.taps[0].end_count == 1;
}

static void a_busy_but_honest_peer_is_served(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 1 << 20);
    world_run(world, (const scenario_step_fn[]){some_pings, request_arrived, NULL});
    assert_int_equal(world->server.reason, RM_ERR_CANCELLED); // the fixture's own end
    world_free(world);
}

static void answer_at_once(struct world *world, void *tap)
{
    (void)world;
    tap_respond(tap, true);
}

// As grpcio does: two WINDOW_UPDATEs beside each request, and a reset where its last byte and our
// answer cross.
static bool many_honest_requests(void *context)
{
    struct world *world = context;
    static const uint8_t increment[] = {0, 0, 0, 5};
    static const uint8_t no_error[4];
    if (world->count == 0) {
        raw_preface(world);
    } else if (world->server.tap_count < world->count ||
               world->server.taps[world->count - 1].close_count == 0) {
        return false; // an honest client keeps to the count of streams
    }
    for (int i = 0; i < 10; i++) {
        uint32_t id = (uint32_t)(2 * world->count++ + 1);
        raw_request(world, id, true);
        raw_frame(world, FRAME_WINDOW_UPDATE, 0, id, increment, 4);
        raw_frame(world, FRAME_WINDOW_UPDATE, 0, 0, increment, 4);
        if (world->count % 10 == 0 && world->count > 10) {
            raw_frame(world, FRAME_RST_STREAM, 0, id - 38, no_error, 4);
        }
    }
    return world->count == 2000;
}

static bool all_answered(void *context)
{
    struct world *world = context;
    return world->server.tap_count == 2000 && world->server.taps[1999].close_count == 1;
}

static void thousands_of_calls_are_no_flood(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 1 << 20);
    world->server.habits.on_end = answer_at_once;
    world_run(world, (const scenario_step_fn[]){many_honest_requests, all_answered, NULL});
    assert_int_equal(world->server.reason, RM_ERR_CANCELLED); // the fixture's own end
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pings),
        cmocka_unit_test(pings_whose_answers_are_not_read),
        cmocka_unit_test(settings),
        cmocka_unit_test(priorities),
        cmocka_unit_test(window_updates),
        cmocka_unit_test(empty_bodies),
        cmocka_unit_test(continuations),
        cmocka_unit_test(a_busy_but_honest_peer_is_served),
        cmocka_unit_test(thousands_of_calls_are_no_flood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
