// SPDX-License-Identifier: GPL-3.0-or-later
#include "http1_fixture.h"

static bool ask_once(void *context)
{
    client_say(context, "GET /ready?verbose=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    return true;
}

static bool one_answer(void *context)
{
    return count_of(context, "hello\n") == 1;
}

static bool ask_again_and_close(void *context)
{
    client_say(context, "GET /missing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    return true;
}

static void keep_alive_until_asked_to_close(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world_run(world, (const scenario_step_fn[]){ask_once, one_answer, ask_again_and_close,
                                                step_ended, NULL});
    assert_string_equal(world->handled, "GET /ready verbose=1|GET /missing |");
    assert_int_equal(count_of(world, "HTTP/1.1 200 OK\r\n"), 1);
    assert_int_equal(count_of(world, "HTTP/1.1 404 Not Found\r\n"), 1);
    assert_int_equal(count_of(world, "Content-Length: 6\r\n"), 1);
    assert_int_equal(count_of(world, "Connection: close\r\n"), 1);
    assert_int_equal(world->end, RM_ERR_EOF);
    world_free(world);
}

static bool ask_many(void *context)
{
    for (int i = 0; i < 500; i++) {
        client_say(context, "\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    client_say(context, "GET /last HTTP/1.0\r\n\r\n");
    return true;
}

static void pipelined_requests(void **state)
{
    (void)state;
    struct world *world = world_new(1000);
    world_run(world, (const scenario_step_fn[]){ask_many, step_ended, NULL});
    assert_int_equal(world->handled_count, 501);
    assert_int_equal(count_of(world, "HTTP/1.1 200 OK\r\n"), 501);
    world_free(world);
}

static bool ask_head(void *context)
{
    client_say(context, "HEAD /large HTTP/1.1\r\nHost: x\r\n\r\n"
                        "GET http://other:80/absolute?q HTTP/1.1\r\nHost: x\r\n"
                        "Connection: keep-alive, close\r\n\r\n");
    return true;
}

static void head_has_a_length_but_no_body(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world->answer_bytes = 1000;
    world_run(world, (const scenario_step_fn[]){ask_head, step_ended, NULL});
    assert_string_equal(world->handled, "HEAD /large |GET /absolute q|");
    assert_int_equal(count_of(world, "Content-Length: 1000\r\n"), 1);
    assert_int_equal(count_of(world, "xxxx"), 0);
    assert_int_equal(count_of(world, "hello\n"), 1);
    world_free(world);
}

static bool ask_large(void *context)
{
    client_say(context, "GET /large HTTP/1.0\r\n\r\n");
    return true;
}

static void largest_answer(void **state)
{
    (void)state;
    struct world *world = world_new(70000);
    world->answer_bytes = HTTP1_MAX_ANSWER_BYTES;
    world_run(world, (const scenario_step_fn[]){ask_large, step_ended, NULL});
    assert_true(world->total_in > HTTP1_MAX_ANSWER_BYTES);
    assert_int_equal(world->end, RM_ERR_EOF);
    world_free(world);
}

static bool ask_bytewise(void *context)
{
    struct world *world = context;
    static const char request[] = "GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    client_write(world, request + world->count, 1);
    return ++world->count == sizeof(request) - 1;
}

static void byte_by_byte(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world_run(world, (const scenario_step_fn[]){ask_bytewise, step_ended, NULL});
    assert_string_equal(world->handled, "GET /slow |");
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keep_alive_until_asked_to_close),
        cmocka_unit_test(pipelined_requests),
        cmocka_unit_test(head_has_a_length_but_no_body),
        cmocka_unit_test(largest_answer),
        cmocka_unit_test(byte_by_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
