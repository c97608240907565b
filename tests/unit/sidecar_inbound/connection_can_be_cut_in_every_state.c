// SPDX-License-Identifier: GPL-3.0-or-later
//
// In each state of its life a connection is ended by the mesh, by its peer, or by its application:
// once, by name, and nothing of it stays.
#include "stuck.h"

static bool has_application(void *context)
{
    return ((struct tunnel_world *)context)->behind.length > 0;
}

enum stage { HANDSHAKE, PREFACE, TARGET, RELAY, STAGES };

struct stand {
    struct caller caller;
    struct stuck stuck; // TARGET only
    enum stage stage;
};

static void stand_in(struct stand *stand, struct tunnel_world *world, enum stage stage)
{
    memset(stand, 0, sizeof(*stand));
    stand->stage = stage;
    if (stage == HANDSHAKE) {
        caller_stay_silent(&stand->caller, world);
        party_send(&stand->caller.party, "\x16\x03\x01"); // a record begins
        world_turns(world->loop, 20);
        return;
    }
    if (stage == TARGET) {
        stuck_open(&stand->stuck, world, "spiffe://td.test/**");
    }
    caller_enter(&stand->caller, world);
    if (stage == PREFACE) {
        caller_send(&stand->caller, "\x00", 1);
    } else {
        caller_ask(&stand->caller, "web", 80, "x");
    }
    if (stage == RELAY) {
        world_until(world->loop, has_application, world);
    }
    world_turns(world->loop, 20);
    assert_int_equal(world->server.worker.connection_count, 1);
}

static void stand_end(struct stand *stand)
{
    struct tunnel_world *world = stand->caller.world;
    caller_leave(&stand->caller);
    expect_quiet(world);
    if (stand->stage == TARGET) {
        stuck_close(&stand->stuck);
        server_hosts(world, "spiffe://td.test/**");
    }
    world->behind.length = 0;
}

static void mesh_cuts_it(void **state)
{
    struct tunnel_world *world = *state;
    for (enum stage stage = HANDSHAKE; stage < STAGES; stage++) {
        struct stand stand;
        stand_in(&stand, world, stage);
        worker_cut_all(&world->server.worker, FAULT_DRAIN_DEADLINE);
        worker_cut_all(&world->server.worker, FAULT_DRAINING);
        assert_int_equal(caller_end(&stand.caller),
                         stage == RELAY ? RM_ERR_CANCELLED : RM_ERR_RESET);
        stand_end(&stand);
        assert_int_equal(result_count(&world->server, "inbound", "drain_deadline"), stage + 1);
        assert_int_equal(result_count(&world->server, "inbound", "draining"), 0);
    }
    while (world->behind.end == RM_OK) {
        world_turns(world->loop, 1);
    }
    assert_int_equal(world->behind.end, RM_ERR_RESET);
}

static void peer_vanishes(void **state)
{
    struct tunnel_world *world = *state;
    for (enum stage stage = HANDSHAKE; stage < STAGES; stage++) {
        struct stand stand;
        stand_in(&stand, world, stage);
        party_close(&stand.caller.party, STREAM_CLOSE_ABORT);
        if (stage == TARGET) {
            // Nobody reads the tunnel while the application is asked; the connect's end tells.
            worker_cut_all(&world->server.worker, FAULT_DRAIN_DEADLINE);
        }
        stand_end(&stand);
    }
    assert_int_equal(result_count(&world->server, "inbound", "preface_missing"), 1);
    assert_int_equal(result_count(&world->server, "inbound", "tunnel_reset"), 1);
    assert_int_equal(result_count(&world->server, "inbound", "ok"), 0);
}

// Refused, told so, and lingering until the peer closes, too.
static void mesh_cuts_what_is_closing(void **state)
{
    struct tunnel_world *world = *state;
    struct caller caller;
    caller_enter(&caller, world);
    caller_ask(&caller, "none", 80, "x");
    while (caller.party.length == 0) {
        world_turns(world->loop, 1);
    }
    worker_cut_all(&world->server.worker, FAULT_DRAIN_DEADLINE);
    caller_leave(&caller);
    expect_quiet(world);
    assert_int_equal(result_count(&world->server, "inbound", "service_not_exposed"), 1);
}

static void application_resets(void **state)
{
    struct tunnel_world *world = *state;
    struct stand stand;
    stand_in(&stand, world, RELAY);
    party_close(&world->behind, STREAM_CLOSE_ABORT);
    assert_int_equal(caller_end(&stand.caller), RM_ERR_RESET);
    stand_end(&stand);
    assert_int_equal(result_count(&world->server, "inbound", "application_reset"), 1);
}

#define IN_WORLD(test)                                                                             \
    cmocka_unit_test_setup_teardown(test, tunnel_world_setup, tunnel_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(mesh_cuts_it),
        IN_WORLD(peer_vanishes),
        IN_WORLD(mesh_cuts_what_is_closing),
        IN_WORLD(application_resets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
