// SPDX-License-Identifier: GPL-3.0-or-later
#include "h2_fixture.h"

static bool ask(void *context)
{
    struct world *world = context;
    if (world->client.tap_count == 0) {
        for (int i = 0; i < 3; i++) {
            tap_send(world_request(world, "/", false, NULL), 1000, false);
        }
    }
    return world->server.tap_count == 3 && world->server.taps[2].body_length == 1000;
}

static bool abort_server(void *context)
{
    struct world *world = context;
    struct side *server = &world->server;
    h2_session_abort(server->session, RM_ERR_REVOKED);
    assert_int_equal(server->end_count, 0); // later, from the loop
    assert_int_equal(server->taps[0].close_count, 0);
    // Between the abort and its effect every call is refused.
    assert_int_equal(h2_stream_send(server->taps[0].stream, "x", 1, false), RM_ERR_CLOSED);
    tap_respond(&server->taps[0], true);
    h2_stream_reset(server->taps[1].stream, H2_CANCEL);
    h2_stream_consume(server->taps[2].stream, 1);
    h2_session_drain(server->session);
    return true;
}

static void by_our_own_abort(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world_run(world, (const scenario_step_fn[]){ask, abort_server, step_both_ended, NULL});
    assert_int_equal(world->server.reason, RM_ERR_REVOKED);
    assert_int_equal(world->client.reason, RM_ERR_RESET);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(world->server.taps[i].close_code, H2_CONNECTION_LOST);
        assert_int_equal(world->client.taps[i].close_code, H2_CONNECTION_LOST);
    }
    world_free(world);
}

static bool raw_ask(void *context)
{
    struct world *world = context;
    if (world->count++ == 0) {
        raw_preface(world);
        raw_request(world, 1, false);
    }
    return world->server.tap_count == 1;
}

static bool close_orderly(void *context)
{
    struct world *world = context;
    stream_close(world->raw, STREAM_CLOSE_ORDERLY, NULL, NULL);
    world->raw = NULL;
    return true;
}

static void by_the_peers_end(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 65536);
    world_run(world, (const scenario_step_fn[]){raw_ask, close_orderly, step_server_ended, NULL});
    assert_int_equal(world->server.reason, RM_ERR_EOF);
    assert_int_equal(world->server.taps[0].close_code, H2_CONNECTION_LOST);
    assert_int_equal(world->server.taps[0].end_count, 0); // a cut request is not a finished one
    world_free(world);
}

static bool close_abort(void *context)
{
    struct world *world = context;
    stream_close(world->raw, STREAM_CLOSE_ABORT, NULL, NULL);
    world->raw = NULL;
    return true;
}

static void by_a_reset(void **state)
{
    (void)state;
    struct world *world = world_new_raw(true, 65536);
    world_run(world, (const scenario_step_fn[]){raw_ask, close_abort, step_server_ended, NULL});
    assert_int_equal(world->server.reason, RM_ERR_RESET);
    assert_int_equal(world->server.taps[0].close_code, H2_CONNECTION_LOST);
    world_free(world);
}

static bool raw_serve(void *context)
{
    struct world *world = context;
    raw_frame(world, FRAME_SETTINGS, 0, 0, NULL, 0);
    (void)world_request(world, "/", true, NULL);
    return true;
}

static bool written(void *context)
{
    return ((struct world *)context)->out_length == 0;
}

static bool goaway(void *context)
{
    static const uint8_t payload[] = {0, 0, 0, 0, 0, 0, 0, 0x0b};
    raw_frame(context, FRAME_GOAWAY, 0, 0, payload, sizeof(payload));
    return true;
}

static void the_peers_reason_is_kept(void **state)
{
    (void)state;
    struct world *world = world_new_raw(false, 65536);
    world_run(world,
              (const scenario_step_fn[]){raw_serve, written, goaway, step_client_ended, NULL});
    assert_int_equal(world->client.reason, RM_ERR_LIMIT);
    assert_string_equal(world->client.detail, "ENHANCE_YOUR_CALM");
    assert_int_equal(world->client.taps[0].close_code, H2_REFUSED_STREAM);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_our_own_abort),
        cmocka_unit_test(by_the_peers_end),
        cmocka_unit_test(by_a_reset),
        cmocka_unit_test(the_peers_reason_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
