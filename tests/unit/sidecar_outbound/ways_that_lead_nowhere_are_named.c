// SPDX-License-Identifier: GPL-3.0-or-later
//
// What keeps a connection from its endpoint before a byte leaves has a name each: a record that
// cannot be used, a crowd at the endpoint, no memory.
#include "tunnel_world.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "cases.h"
#include "fake_time.h"
#include "worker/endpoints.h"

#define CONTROL                                                                                    \
    "identity: {control: {address: 'c:1', trust_domain: td.test, join_token_file: /x}}\n"
#define QUEUE_MS TLS_HANDSHAKE_TIMEOUT_MS

static void client_has_endpoint(struct tunnel_world *world, const char *address,
                                const char *identity)
{
    sidecar_adopt(world, &world->client,
                  CONTROL "outbound: [{listen: '127.0.0.1:1', service: web}]\n",
                  full_view(PUTS(make_service("web", 80, LIST(SERVER_ID), LIST()),
                                 make_endpoint("web/0", address, identity, ""))));
}

static void expect_named(struct tunnel_world *world, const char *name)
{
    expect_end(world, RM_ERR_RESET);
    expect_quiet(world);
    assert_int_equal(world->application_count, 0);
    assert_int_equal(result_count(&world->client, "outbound", name), 1);
}

// An endpoint whose identity the service does not have is never dialled.
static void record_that_cannot_be_used(void **state)
{
    struct tunnel_world *world = *state;
    client_has_endpoint(world, world->tunnel_address, "spiffe://td.test/ns/a/sa/else");
    world_call(world, "secret");
    expect_named(world, "endpoint_unusable");
}

static void nobody_s_turn(void *context)
{
    (void)context;
}

// A thousand others are on their way to it, and stay there.
static void crowd_at_the_endpoint(void **state)
{
    struct tunnel_world *world = *state;
    static struct lane_entry crowd[LANE_WIDTH];
    client_has_endpoint(world, world->tunnel_address, SERVER_ID);
    struct endpoint_state *endpoint =
        endpoint_state_get(world->client.worker.endpoints, world->tunnel_address);
    assert_non_null(endpoint);
    for (size_t i = 0; i < LANE_WIDTH; i++) {
        lane_entry_init(&crowd[i], nobody_s_turn, NULL);
        assert_true(lane_enter(&endpoint->lane, &crowd[i]));
    }
    world_call(world, "secret");
    world_turns(world->loop, 4);
    assert_int_equal(world->client.worker.connection_count, 1);
    fake_time_jump(world->loop, QUEUE_MS);
    expect_named(world, "endpoint_busy");
    for (size_t i = 0; i < LANE_WIDTH; i++) {
        lane_leave(world->loop, &crowd[i]);
    }
}

// Each allocation of a call fails once: it ends by a name, and never as if nothing had been.
static void no_memory_is_named(void **state)
{
    struct tunnel_world *world = *state;
    int named = 0;
    for (unsigned n = 3; named == 0 && n < 40; n++) {
        world_call(world, NULL);
        rm_alloc_fail_at(n);
        while (world->before.end == RM_OK && world->application_count == 0) {
            world_turns(world->loop, 1);
        }
        rm_alloc_fail_at(0);
        party_close(&world->before, STREAM_CLOSE_ABORT);
        party_close(&world->behind, STREAM_CLOSE_ABORT);
        expect_quiet(world);
        world->application_count = 0;
        named = result_count(&world->client, "outbound", "no_memory");
    }
    assert_true(named > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(record_that_cannot_be_used, tunnel_world_setup,
                                        tunnel_world_teardown),
        cmocka_unit_test_setup_teardown(crowd_at_the_endpoint, tunnel_world_setup,
                                        tunnel_world_teardown),
        cmocka_unit_test_setup_teardown(no_memory_is_named, tunnel_world_setup,
                                        tunnel_world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
