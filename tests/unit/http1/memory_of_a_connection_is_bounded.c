// SPDX-License-Identifier: GPL-3.0-or-later
#include "http1_fixture.h"

static bool ask_huge(void *context)
{
    client_say(context, "GET / HTTP/1.1\r\nHost: x\r\nX-Pad: ");
    static char pad[100000];
    memset(pad, 'p', sizeof(pad));
    client_write(context, pad, sizeof(pad));
    return true;
}

static void huge_head_is_refused(void **state)
{
    (void)state;
    struct world *world = world_new(4000);
    world_run(world, (const scenario_step_fn[]){ask_huge, step_ended, NULL});
    assert_int_equal(count_of(world, "HTTP/1.1 431 "), 1);
    assert_int_equal(world->handled_count, 0);
    world_free(world);
}

static bool ask_largest(void *context)
{
    char request[HTTP1_MAX_HEAD_BYTES + 1];
    memset(request, 'p', sizeof(request));
    static const char head[] = "GET / HTTP/1.0\r\nX: ";
    memcpy(request, head, sizeof(head) - 1);
    memcpy(request + HTTP1_MAX_HEAD_BYTES - 4, "\r\n\r\n", 4);
    client_write(context, request, HTTP1_MAX_HEAD_BYTES);
    return true;
}

static void largest_head_is_taken(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world_run(world, (const scenario_step_fn[]){ask_largest, step_ended, NULL});
    assert_int_equal(count_of(world, "HTTP/1.1 200 "), 1);
    world_free(world);
}

// A client that pipelines without reading: nothing more is read while an answer waits.
static bool flood(void *context)
{
    for (int i = 0; i < 20000; i++) {
        client_say(context, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    return true;
}

static bool no_more_is_taken(void *context)
{
    struct world *world = context;
    if (!step_turns(world)) {
        return false;
    }
    // What the answers, the connection and the server's buffer hold; the rest was not read.
    assert_true(world->out_length > 20000 * 28 - 3 * 10000 - HTTP1_MAX_HEAD_BYTES);
    return true;
}

static void pipelining_without_reading_stops(void **state)
{
    (void)state;
    struct world *world = world_new(10000);
    world->is_reading = false;
    world_run(world, (const scenario_step_fn[]){flood, no_more_is_taken, NULL});
    assert_true(world->handled_count < 1000);
    world_free(world);
}

static void on_event(void *context, unsigned events)
{
    (void)context;
    (void)events;
}

static bool connect_many(void *context)
{
    struct world *world = context;
    struct stream **clients = calloc(HTTP1_MAX_CONNECTIONS, sizeof(struct stream *));
    client_say(world, "GET /"); // the first of all, in the middle of its head
    for (size_t i = 0; i < HTTP1_MAX_CONNECTIONS; i++) { // one more than fits, with the first
        struct stream *end = NULL;
        assert_int_equal(memory_stream_pair(world->loop, 100, &end, &clients[i]), RM_OK);
        stream_own(clients[i], on_event, NULL);
        http1_server_accept(world->server, end);
    }
    uint8_t byte = 0;
    size_t length = 0;
    assert_int_equal(stream_read(clients[HTTP1_MAX_CONNECTIONS - 2], &byte, 1, &length),
                     RM_ERR_WOULD_BLOCK);
    assert_int_equal(stream_read(clients[HTTP1_MAX_CONNECTIONS - 1], &byte, 1, &length),
                     RM_ERR_WOULD_BLOCK);
    assert_int_equal(stream_read(world->client, &byte, 1, &length), RM_ERR_RESET);
    for (size_t i = 0; i < HTTP1_MAX_CONNECTIONS; i++) {
        stream_close(clients[i], STREAM_CLOSE_ABORT, NULL, NULL);
    }
    free(clients);
    return true;
}

static void connections_are_counted(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world_run(world, (const scenario_step_fn[]){connect_many, NULL});
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(huge_head_is_refused),
        cmocka_unit_test(largest_head_is_taken),
        cmocka_unit_test(pipelining_without_reading_stops),
        cmocka_unit_test(connections_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
