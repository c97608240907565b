// SPDX-License-Identifier: GPL-3.0-or-later
//
// Handshake, preface, the application's answer to a connect, silence in the relay: each ends after
// its time and not before, by name. The loop's time jumps.
#include "stuck.h"

#include "fake_time.h"

#define LITTLE_MS 50 // less than any deadline here

static void pass(struct tunnel_world *world, uint64_t ms)
{
    fake_time_jump(world->loop, ms);
    world_turns(world->loop, 20);
}

// Stands until LITTLE_MS before the deadline, and is over LITTLE_MS behind it.
static void expect_deadline(struct caller *caller, uint64_t ms, const char *result)
{
    struct tunnel_world *world = caller->world;
    assert_true(ms > 2 * LITTLE_MS);
    pass(world, ms - LITTLE_MS);
    assert_int_equal(world->server.worker.connection_count, 1);
    assert_int_equal(caller->party.end, RM_OK);
    pass(world, 2 * LITTLE_MS);
    assert_int_not_equal(caller_end(caller), RM_OK);
    caller_leave(caller);
    expect_quiet(world);
    if (result_count(&world->server, "inbound", result) != 1) {
        fail_msg("the server does not name %s", result);
    }
}

static void handshake_that_never_begins(void **state)
{
    struct caller caller;
    caller_stay_silent(&caller, *state);
    expect_deadline(&caller, TLS_HANDSHAKE_TIMEOUT_MS, "timeout");
    assert_int_equal(((struct tunnel_world *)*state)->application_count, 0);
}

static void preface_that_never_comes(void **state)
{
    struct caller caller;
    caller_enter(&caller, *state);
    world_turns(caller.world->loop, 20);
    expect_deadline(&caller, TUNNEL_PREFACE_TIMEOUT_MS, "preface_timeout");
}

// A byte now and then wins no time.
static void preface_that_comes_too_slowly(void **state)
{
    struct caller caller;
    caller_enter(&caller, *state);
    world_turns(caller.world->loop, 20);
    caller_send(&caller, "\x00", 1);
    pass(caller.world, TUNNEL_PREFACE_TIMEOUT_MS / 2);
    caller_send(&caller, "\x40", 1);
    world_turns(caller.world->loop, 20);
    expect_deadline(&caller, TUNNEL_PREFACE_TIMEOUT_MS - TUNNEL_PREFACE_TIMEOUT_MS / 2,
                    "preface_timeout");
}

// The deadline of the preface is over; the one of the connect has its own length.
static void application_that_does_not_answer(void **state)
{
    struct stuck stuck;
    struct caller caller;
    struct tunnel_reply reply;
    stuck_open(&stuck, *state, "spiffe://td.test/**");
    caller_enter(&caller, *state);
    caller_ask(&caller, "web", 80, "secret");
    world_turns(caller.world->loop, 20);
    const struct sidecar_config *config = caller.world->server.config;
    expect_deadline(&caller, (uint64_t)config->connect_timeout_ms, "application_unreachable");
    (void)caller_reply(&caller, &reply);
    assert_int_equal(reply.status, TUNNEL_UNREACHABLE);
    stuck_close(&stuck);
}

// What changed while the application was asked counts: nothing passes by an old yes.
static void rule_that_changes_meanwhile_decides(void **state)
{
    struct stuck stuck;
    struct caller caller;
    struct tunnel_reply reply;
    struct tunnel_world *world = *state;
    stuck_open(&stuck, world, "spiffe://td.test/**");
    caller_enter(&caller, world);
    caller_ask(&caller, "web", 80, "secret");
    world_turns(world->loop, 20);
    const struct sidecar_config *config = world->server.config;
    uint64_t connect_ms = (uint64_t)config->connect_timeout_ms;
    server_hosts(world, "spiffe://td.test/ns/a/sa/friend");
    expect_deadline(&caller, connect_ms, "guarded");
    (void)caller_reply(&caller, &reply);
    assert_int_equal(reply.status, TUNNEL_DENIED);
    assert_string_equal(reply.reason, "guarded");
    stuck_close(&stuck);
}

static bool has_application(void *context)
{
    return ((struct tunnel_world *)context)->behind.length > 0;
}

static void silence_in_the_relay(void **state)
{
    struct tunnel_world *world = *state;
    struct caller caller;
    char yaml[512];
    (void)snprintf(yaml, sizeof(yaml),
                   "identity: {files: {certificate: /x, key: /x, bundle: /x}}\n"
                   "inbound: {services: [{name: web, port: 80, target: '%s', "
                   "allow: ['spiffe://td.test/**']}]}\ntimeouts: {idle: 60s}\n",
                   world->application_address);
    sidecar_adopt(world, &world->server, yaml, NULL);
    caller_enter(&caller, world);
    caller_ask(&caller, "web", 80, "x");
    world_until(world->loop, has_application, world);
    world_turns(world->loop, 20);
    // The sweep over live connections wakes the loop once a second; here it is once in all.
    expect_deadline(&caller, 60000, "idle_timeout");
    assert_int_equal(world->behind.end, RM_ERR_RESET);
}

#define IN_WORLD(test)                                                                             \
    cmocka_unit_test_setup_teardown(test, tunnel_world_setup, tunnel_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(handshake_that_never_begins),         IN_WORLD(preface_that_never_comes),
        IN_WORLD(preface_that_comes_too_slowly),       IN_WORLD(application_that_does_not_answer),
        IN_WORLD(rule_that_changes_meanwhile_decides), IN_WORLD(silence_in_the_relay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
