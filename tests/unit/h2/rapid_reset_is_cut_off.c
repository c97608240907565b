// SPDX-License-Identifier: GPL-3.0-or-later
#include "h2_fixture.h"

static void raw_reset(struct world *world, uint32_t id, uint8_t code)
{
    const uint8_t payload[] = {0, 0, 0, code};
    raw_frame(world, FRAME_RST_STREAM, 0, id, payload, sizeof(payload));
}

static bool reset_many(void *context)
{
    struct world *world = context;
    raw_preface(world);
    for (uint32_t i = 0; i < 1000; i++) {
        raw_request(world, 2 * i + 1, false);
        raw_reset(world, 2 * i + 1, 8);
    }
    return true;
}

// CVE-2023-44487
static void requests_reset_at_once(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 1 << 20);
    world_run(world, (const scenario_step_fn[]){reset_many, step_server_ended, NULL});
    assert_int_equal(world->server.reason, RM_ERR_LIMIT);
    assert_string_equal(world->server.detail, "rapid reset of streams");
    assert_int_equal(world->server.tap_count, H2_RAPID_RESET_PER_S + 1);
    assert_int_equal(raw_goaway_code(world), H2_ENHANCE_YOUR_CALM);
    world_free(world);
}

static bool reset_as_many_as_allowed(void *context)
{
    struct world *world = context;
    raw_preface(world);
    for (uint32_t i = 0; i < H2_RAPID_RESET_PER_S; i++) {
        raw_request(world, 2 * i + 1, false);
        raw_reset(world, 2 * i + 1, 8);
    }
    raw_request(world, 2 * H2_RAPID_RESET_PER_S + 1, true);
    return true;
}

static bool last_arrived(void *context)
{
    struct world *world = context;
    return world->server.tap_count == H2_RAPID_RESET_PER_S + 1;
}

static void a_hundred_are_no_attack(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 1 << 20);
    world_run(world, (const scenario_step_fn[]){reset_as_many_as_allowed, last_arrived, NULL});
    assert_int_equal(world->server.end_count, 1);
    assert_int_equal(world->server.reason, RM_ERR_CANCELLED); // the fixture's own end
    world_free(world);
}

// CVE-2025-8671: the peer makes us reset, by faults that concern one stream only.
static bool provoke_many(void *context)
{
    struct world *world = context;
    static const uint8_t overflow[] = {0x7f, 0xff, 0xff, 0xff};
    raw_preface(world);
    for (uint32_t i = 0; i < 1000; i++) {
        raw_request(world, 2 * i + 1, false);
        raw_frame(world, FRAME_WINDOW_UPDATE, 0, 2 * i + 1, overflow, sizeof(overflow));
    }
    return true;
}

static void resets_that_we_are_made_to_send(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 1 << 20);
    world_run(world, (const scenario_step_fn[]){provoke_many, step_server_ended, NULL});
    assert_int_equal(world->server.reason, RM_ERR_LIMIT);
    assert_true(world->server.tap_count <= 2 * H2_RAPID_RESET_PER_S);
    world_free(world);
}

static bool open_too_many(void *context)
{
    struct world *world = context;
    raw_preface(world);
    for (uint32_t i = 0; i < 1000; i++) {
        raw_request(world, 2 * i + 1, false);
    }
    return true;
}

static void streams_past_the_limit(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 1 << 20);
    world_run(world, (const scenario_step_fn[]){open_too_many, step_server_ended, NULL});
    assert_int_equal(world->server.reason, RM_ERR_LIMIT);
    assert_int_equal(world->server.tap_count, H2_MAX_STREAMS);
    world_free(world);
}

// A few per turn, so that each was answered before the next: never past the count of streams.
static bool refused_a_few_per_turn(void *context)
{
    struct world *world = context;
    if (world->count == 0) {
        raw_preface(world);
    }
    for (int i = 0; i < 10 && world->server.end_count == 0; i++) {
        raw_request(world, (uint32_t)(2 * world->count++ + 1), false);
        assert_true(world->count < 1000);
    }
    return world->server.end_count == 1;
}

static void streams_that_the_user_refuses(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 1 << 20);
    world->server.refuses = true;
    world_run(world, (const scenario_step_fn[]){refused_a_few_per_turn, NULL});
    assert_int_equal(world->server.reason, RM_ERR_LIMIT);
    assert_int_equal(world->server.tap_count, 0);
    world_free(world);
}

// A body longer than its content-length makes nghttp2 reset the stream, without another word.
static bool faulty_bodies(void *context)
{
    struct world *world = context;
    static const uint8_t block[] = {0x83, 0x86, 0x84, 0x41, 0x01, 't', 0x0f, 0x0d, 0x01, '0'};
    if (world->count == 0) {
        raw_preface(world);
    }
    for (int i = 0; i < 10 && world->server.end_count == 0; i++) {
        uint32_t id = (uint32_t)(2 * world->count++ + 1);
        raw_frame(world, FRAME_HEADERS, FLAG_END_HEADERS, id, block, sizeof(block));
        raw_frame(world, FRAME_DATA, 0, id, "x", 1);
        assert_true(world->count < 1000);
    }
    return world->server.end_count == 1;
}

static void faults_that_end_one_stream_each(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 1 << 20);
    world_run(world, (const scenario_step_fn[]){faulty_bodies, NULL});
    assert_int_equal(world->server.reason, RM_ERR_LIMIT);
    assert_true(world->server.tap_count > H2_RAPID_RESET_PER_S);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_reset_at_once),
        cmocka_unit_test(a_hundred_are_no_attack),
        cmocka_unit_test(resets_that_we_are_made_to_send),
        cmocka_unit_test(streams_past_the_limit),
        cmocka_unit_test(streams_that_the_user_refuses),
        cmocka_unit_test(faults_that_end_one_stream_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
