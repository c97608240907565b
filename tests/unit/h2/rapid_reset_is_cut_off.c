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

static void streams_that_the_user_refuses(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 1 << 20);
    world->server.refuses = true;
    world_run(world, (const scenario_step_fn[]){open_too_many, step_server_ended, NULL});
    assert_int_equal(world->server.reason, RM_ERR_LIMIT);
    assert_int_equal(world->server.tap_count, 0);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
