// SPDX-License-Identifier: GPL-3.0-or-later
#include "http1_fixture.h"

static bool jump_head(void *context)
{
    struct world *world = context;
    assert_false(world->is_ended);
    fake_time_jump(world->loop, HTTP1_HEAD_TIMEOUT_MS + 1);
    return true;
}

static void nothing_is_asked(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world_run(world, (const scenario_step_fn[]){step_turns, jump_head, step_ended, NULL});
    assert_int_equal(world->end, RM_ERR_RESET);
    world_free(world);
}

static bool begin(void *context)
{
    client_say(context, "GET / HT");
    return true;
}

static bool trickle(void *context)
{
    struct world *world = context;
    if (!step_turns(world)) {
        return false;
    }
    assert_false(world->is_ended);
    fake_time_jump(world->loop, HTTP1_HEAD_TIMEOUT_MS / 2 + 10);
    client_say(world, "T"); // a byte now and then does not move the deadline
    return true;
}

static void slowloris(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world_run(world,
              (const scenario_step_fn[]){begin, step_turns, trickle, trickle, step_ended, NULL});
    assert_int_equal(world->end, RM_ERR_RESET);
    assert_int_equal(world->handled_count, 0);
    world_free(world);
}

static bool ask(void *context)
{
    client_say(context, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    return true;
}

static bool jump_idle(void *context)
{
    struct world *world = context;
    assert_false(world->is_ended);
    fake_time_jump(world->loop, HTTP1_IDLE_TIMEOUT_MS + 1);
    return true;
}

static void idle_after_an_answer(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world->answer_bytes = 10;
    world_run(world, (const scenario_step_fn[]){ask, step_turns, jump_head, step_turns, jump_idle,
                                                step_ended, NULL});
    assert_int_equal(world->handled_count, 1);
    world_free(world);
}

static bool jump_answer(void *context)
{
    struct world *world = context;
    fake_time_jump(world->loop, 30001);
    world->is_reading = true;
    stream_want(world->client, STREAM_READ);
    return true;
}

static void answer_that_is_not_read(void **state)
{
    (void)state;
    struct world *world = world_new(1000);
    world->answer_bytes = 100000;
    world->is_reading = false;
    world_run(world, (const scenario_step_fn[]){ask, step_turns, jump_answer, step_ended, NULL});
    assert_int_equal(world->end, RM_ERR_RESET);
    assert_true(world->total_in < 100000);
    world_free(world);
}

static bool read_at_last(void *context)
{
    struct world *world = context;
    world->is_reading = true;
    stream_want(world->client, STREAM_READ);
    return true;
}

static bool has_all(void *context)
{
    return ((struct world *)context)->total_in > 100000;
}

// The deadline of a head is not that of an answer.
static void answer_that_is_read_late(void **state)
{
    (void)state;
    struct world *world = world_new(1000);
    world->answer_bytes = 100000;
    world->is_reading = false;
    world_run(world, (const scenario_step_fn[]){ask, step_turns, jump_head, step_turns,
                                                read_at_last, has_all, NULL});
    assert_false(world->is_ended);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_asked),         cmocka_unit_test(slowloris),
        cmocka_unit_test(idle_after_an_answer),     cmocka_unit_test(answer_that_is_not_read),
        cmocka_unit_test(answer_that_is_read_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
