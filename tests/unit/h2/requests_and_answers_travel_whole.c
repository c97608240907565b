// SPDX-License-Identifier: GPL-3.0-or-later
#include "h2_fixture.h"

static bool open_one(void *context)
{
    struct world *world = context;
    struct tap *tap = world_request(world, "/one", false, NULL);
    tap_send(tap, 100, true);
    return true;
}

static bool first_answered(void *context)
{
    struct world *world = context;
    return world->client.tap_count > 0 && world->client.taps[0].close_count == 1;
}

static bool drain_both(void *context)
{
    struct world *world = context;
    h2_session_drain(world->client.session);
    return true;
}

static void small_request(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world->server.habits.echoes = true;
    world_run(world, (const scenario_step_fn[]){open_one, first_answered, drain_both,
                                                step_both_ended, NULL});
    struct tap *request = &world->server.taps[0];
    struct tap *answer = &world->client.taps[0];
    assert_string_equal(request->head, ":method: POST\n:scheme: http\n:path: /one\n"
                                       ":authority: test\n");
    assert_int_equal(request->body_length, 100);
    assert_int_equal(request->end_count, 1);
    assert_string_equal(answer->head, ":status: 200\nx-test: yes\n");
    assert_int_equal(answer->body_length, 100);
    assert_memory_equal(answer->body, request->body, 100);
    assert_string_equal(answer->trailers, "grpc-status: 0\n");
    assert_int_equal(answer->trailer_count, 1);
    assert_int_equal(answer->end_count, 1);
    assert_int_equal(answer->close_code, H2_NO_ERROR);
    assert_int_equal(request->close_code, H2_NO_ERROR);
    assert_int_equal(world->server.reason, RM_OK);
    assert_int_equal(world->client.reason, RM_OK);
    world_free(world);
}

#define LARGE_BYTES 3000000 // past every window, both ways

static bool open_large(void *context)
{
    tap_send(world_request(context, "/large", false, NULL), LARGE_BYTES, true);
    return true;
}

// Through a connection that takes only a little at a time.
static void large_body_through_a_narrow_connection(void **state)
{
    (void)state;
    struct world *world = world_new(1000);
    world->server.habits.echoes = true;
    world_run(world, (const scenario_step_fn[]){open_large, first_answered, NULL});
    struct tap *answer = &world->client.taps[0];
    assert_int_equal(answer->body_length, LARGE_BYTES);
    assert_memory_equal(answer->body, world->server.taps[0].body, LARGE_BYTES);
    assert_string_equal(answer->trailers, "grpc-status: 0\n");
    world_free(world);
}

static bool open_many(void *context)
{
    struct world *world = context;
    for (size_t i = 0; i < H2_MAX_STREAMS; i++) {
        tap_send(world_request(world, "/many", false, NULL), 5000 + i, true);
    }
    enum rm_err result = RM_OK;
    assert_null(world_request(world, "/over", false, &result));
    assert_int_equal(result, RM_ERR_LIMIT);
    assert_int_equal(h2_session_stream_count(world->client.session), H2_MAX_STREAMS);
    return true;
}

static bool all_answered(void *context)
{
    struct world *world = context;
    for (size_t i = 0; i < H2_MAX_STREAMS; i++) {
        if (world->client.taps[i].close_count == 0) {
            return false;
        }
    }
    return true;
}

static void as_many_streams_as_allowed(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world->server.habits.echoes = true;
    world_run(world, (const scenario_step_fn[]){open_many, all_answered, NULL});
    for (size_t i = 0; i < H2_MAX_STREAMS; i++) {
        assert_int_equal(world->client.taps[i].body_length, 5000 + i);
        assert_int_equal(world->client.taps[i].close_code, H2_NO_ERROR);
    }
    world_free(world);
}

static void answer_headers_only(struct world *world, void *tap)
{
    (void)world;
    tap_respond(tap, true);
}

static bool open_unfinished(void *context)
{
    tap_send(world_request(context, "/early", false, NULL), 10, false);
    return true;
}

// The server answers in full before the request's end: both streams end without an error.
static void early_answer_ends_the_request(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world->server.habits.on_headers = answer_headers_only;
    world_run(world, (const scenario_step_fn[]){open_unfinished, first_answered, NULL});
    assert_int_equal(world->client.taps[0].end_count, 1);
    assert_int_equal(world->client.taps[0].close_code, H2_NO_ERROR);
    assert_int_equal(world->server.taps[0].close_code, H2_NO_ERROR);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_request),
        cmocka_unit_test(large_body_through_a_narrow_connection),
        cmocka_unit_test(as_many_streams_as_allowed),
        cmocka_unit_test(early_answer_ends_the_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
