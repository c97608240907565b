// SPDX-License-Identifier: GPL-3.0-or-later
#include "h2_fixture.h"

static void reset_stream(struct world *world, void *context)
{
    (void)world;
    struct tap *tap = context;
    if (tap->stream != NULL) {
        h2_stream_reset(tap->stream, H2_CANCEL);
        // The stream takes nothing more, and says so.
        assert_int_equal(h2_stream_send(tap->stream, "x", 1, false), RM_ERR_CLOSED);
        h2_stream_reset(tap->stream, H2_CANCEL);
        h2_stream_consume(tap->stream, 1);
    }
}

static void abort_session(struct world *world, void *context)
{
    struct tap *tap = context;
    struct side *side = tap->is_server ? &world->server : &world->client;
    if (side->session != NULL) {
        h2_session_abort(side->session, RM_ERR_REVOKED);
        h2_session_abort(side->session, RM_ERR_TIMEOUT); // the first reason counts
    }
}

static void open_another(struct world *world, void *context)
{
    struct tap *tap = context;
    if (!tap->is_server && world->client.session != NULL && world->client.tap_count < 5) {
        (void)world_request(world, "/another", true, NULL);
    }
}

static bool ask(void *context)
{
    struct world *world = context;
    for (int i = 0; i < 3; i++) {
        tap_send(world_request(world, "/", false, NULL), 1000, true);
    }
    return true;
}

static bool quiet(void *context)
{
    struct world *world = context;
    return ++world->count > 300;
}

typedef void (*habit_fn)(struct world *, void *);

// Puts the deed into each callback of each side, one at a time.
static void everywhere(habit_fn deed)
{
    for (int where = 0; where < 8; where++) {
        struct world *world = world_new(65536);
        world->server.habits.echoes = true;
        struct habits *habits = where < 4 ? &world->server.habits : &world->client.habits;
        habit_fn *places[] = {&habits->on_headers, &habits->on_data, &habits->on_end,
                              &habits->on_close};
        *places[where % 4] = deed;
        world_run(world, (const scenario_step_fn[]){ask, quiet, NULL});
        assert_int_equal(world->client.tap_count, 3);
        if (deed == abort_session) {
            enum rm_err reason = where < 4 ? world->server.reason : world->client.reason;
            assert_int_equal(reason, RM_ERR_REVOKED);
        }
        world_free(world); // asserts that each stream closed exactly once, before its session
    }
}

static void reset_from_every_callback(void **state)
{
    (void)state;
    everywhere(reset_stream);
}

static void abort_from_every_callback(void **state)
{
    (void)state;
    everywhere(abort_session);
}

static void request_from_on_close(void **state)
{
    (void)state;
    struct world *world = world_new(65536);
    world->server.habits.echoes = true;
    world->client.habits.on_close = open_another;
    world_run(world, (const scenario_step_fn[]){ask, quiet, NULL});
    assert_int_equal(world->client.tap_count, 5);
    assert_int_equal(world->client.taps[4].head_count, 1);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reset_from_every_callback),
        cmocka_unit_test(abort_from_every_callback),
        cmocka_unit_test(request_from_on_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
