// SPDX-License-Identifier: GPL-3.0-or-later
#include "http1_fixture.h"

static void on_done(void *context)
{
    struct world *world = context;
    world->done_count++;
}

static bool close_server(void *context)
{
    struct world *world = context;
    http1_server_close(world->server, on_done, world);
    world->server = NULL;
    assert_int_equal(world->done_count, 0); // later, from the loop
    return true;
}

static bool done(void *context)
{
    return ((struct world *)context)->done_count == 1;
}

static void while_idle(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world_run(world, (const scenario_step_fn[]){step_turns, close_server, done, step_ended, NULL});
    assert_int_equal(world->end, RM_ERR_EOF);
    world_free(world);
}

static bool half_a_request(void *context)
{
    client_say(context, "GET / HTTP/1.1\r\n");
    return true;
}

static void inside_a_request(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world_run(world, (const scenario_step_fn[]){half_a_request, step_turns, close_server, done,
                                                step_ended, NULL});
    assert_int_equal(world->end, RM_ERR_EOF);
    assert_int_equal(world->handled_count, 0);
    world_free(world);
}

static bool ask_large(void *context)
{
    struct world *world = context;
    world->answer_bytes = 100000;
    client_say(world, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    return true;
}

static bool read_again(void *context)
{
    struct world *world = context;
    world->is_reading = true;
    stream_want(world->client, STREAM_READ);
    return true;
}

static void inside_an_answer(void **state)
{
    (void)state;
    struct world *world = world_new(1000);
    world->is_reading = false;
    world_run(world, (const scenario_step_fn[]){ask_large, step_turns, close_server, read_again,
                                                done, step_ended, NULL});
    assert_int_equal(world->end, RM_ERR_EOF);
    assert_true(world->total_in > 100000); // the answer was finished
    world_free(world);
}

static bool client_leaves(void *context)
{
    struct world *world = context;
    stream_close(world->client, STREAM_CLOSE_ORDERLY, NULL, NULL);
    world->client = NULL;
    return true;
}

static void without_connections(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world_run(world,
              (const scenario_step_fn[]){client_leaves, step_turns, close_server, done, NULL});
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(while_idle),
        cmocka_unit_test(inside_a_request),
        cmocka_unit_test(inside_an_answer),
        cmocka_unit_test(without_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
