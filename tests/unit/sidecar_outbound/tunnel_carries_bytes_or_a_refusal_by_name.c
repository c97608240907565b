// SPDX-License-Identifier: GPL-3.0-or-later
#include "tunnel_world.h"

static void bytes_travel_both_ways_and_end_in_order(void **state)
{
    struct tunnel_world *world = *state;
    world_call(world, "early "); // rides with the Connect
    expect_before(world, "early ");
    party_send(&world->before, "late");
    expect_before(world, "early late");
    assert_int_equal(stream_finish(world->before.stream), RM_OK);
    world->behind.must_echo = false;
    // Half-close: the application behind may still speak.
    while (world->behind.end == RM_OK) {
        world_turns(world->loop, 1);
    }
    assert_int_equal(world->behind.end, RM_ERR_EOF);
    party_send(&world->behind, " more");
    expect_before(world, "early late more");
    party_close(&world->behind, STREAM_CLOSE_ORDERLY);
    expect_end(world, RM_ERR_EOF);
    party_close(&world->before, STREAM_CLOSE_ORDERLY);
    expect_quiet(world);
    assert_int_equal(result_count(&world->client, "outbound", "ok"), 1);
    assert_int_equal(result_count(&world->server, "inbound", "ok"), 1);
}

// Who speaks first is the application's own affair.
static void server_may_speak_first(void **state)
{
    struct tunnel_world *world = *state;
    world_call(world, NULL);
    while (world->application_count == 0) {
        world_turns(world->loop, 1);
    }
    party_send(&world->behind, "220 ready");
    expect_before(world, "220 ready");
}

// Refused: the client's application is reset, and nothing ever reached the other one.
static void expect_refusal(struct tunnel_world *world, const char *client, const char *server)
{
    world_call(world, "secret");
    expect_end(world, RM_ERR_RESET);
    expect_quiet(world);
    assert_int_equal(world->application_count, 0);
    assert_int_equal(world->before.length, 0);
    if (result_count(&world->client, "outbound", client) != 1) {
        fail_msg("the client does not name %s", client);
    }
    if (server != NULL && result_count(&world->server, "inbound", server) != 1) {
        fail_msg("the server does not name %s", server);
    }
}

static void peer_of_another_identity_is_refused(void **state)
{
    struct tunnel_world *world = *state;
    client_calls(world, world->tunnel_address, "spiffe://td.test/ns/a/sa/else");
    expect_refusal(world, "refused_by_peer", "sni_unknown"); // it is not who we asked for
    liar_start(world, FALSE_SILENT);
    client_calls(world, world->liar.address, "spiffe://td.test/ns/a/sa/else");
    expect_refusal(world, "wrong_identity", NULL);
}

static void policy_refuses_by_name(void **state)
{
    struct tunnel_world *world = *state;
    server_hosts(world, "spiffe://td.test/ns/a/sa/friend");
    expect_refusal(world, "denied_by_peer", "guarded");
}

static void service_that_is_not_exposed_is_refused(void **state)
{
    struct tunnel_world *world = *state;
    sidecar_adopt(world, &world->server,
                  "identity: {files: {certificate: /x, key: /x, bundle: /x}}\n"
                  "inbound: {services: [{name: web, port: 81, target: '127.0.0.1:9'}]}\n",
                  NULL);
    expect_refusal(world, "denied_by_peer", "service_not_exposed");
}

static void application_that_is_away_is_named(void **state)
{
    struct tunnel_world *world = *state;
    sidecar_adopt(world, &world->server,
                  "identity: {files: {certificate: /x, key: /x, bundle: /x}}\n"
                  "inbound: {services: [{name: web, port: 80, target: 'unix:/nonexistent/x'}]}\n",
                  NULL);
    expect_refusal(world, "unreachable", "application_unreachable");
}

static void endpoint_that_is_away_is_named(void **state)
{
    struct tunnel_world *world = *state;
    client_calls(world, "no-such-host.invalid:1", SERVER_ID);
    expect_refusal(world, "name_not_resolved", NULL);
}

static void draining_worker_refuses_new_tunnels(void **state)
{
    struct tunnel_world *world = *state;
    world->server.worker.is_draining = true;
    expect_refusal(world, "draining", "draining");
}

// Between two answers of an application that dies is no orderly end.
static void reset_of_the_application_is_carried(void **state)
{
    struct tunnel_world *world = *state;
    world_call(world, "x");
    expect_before(world, "x");
    party_close(&world->behind, STREAM_CLOSE_ABORT);
    expect_end(world, RM_ERR_RESET);
    expect_quiet(world);
    assert_int_equal(result_count(&world->server, "inbound", "application_reset"), 1);
    assert_int_equal(result_count(&world->client, "outbound", "ok"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_travel_both_ways_and_end_in_order, tunnel_world_setup,
                                        tunnel_world_teardown),
        cmocka_unit_test_setup_teardown(server_may_speak_first, tunnel_world_setup,
                                        tunnel_world_teardown),
        cmocka_unit_test_setup_teardown(peer_of_another_identity_is_refused, tunnel_world_setup,
                                        tunnel_world_teardown),
        cmocka_unit_test_setup_teardown(policy_refuses_by_name, tunnel_world_setup,
                                        tunnel_world_teardown),
        cmocka_unit_test_setup_teardown(service_that_is_not_exposed_is_refused, tunnel_world_setup,
                                        tunnel_world_teardown),
        cmocka_unit_test_setup_teardown(application_that_is_away_is_named, tunnel_world_setup,
                                        tunnel_world_teardown),
        cmocka_unit_test_setup_teardown(endpoint_that_is_away_is_named, tunnel_world_setup,
                                        tunnel_world_teardown),
        cmocka_unit_test_setup_teardown(draining_worker_refuses_new_tunnels, tunnel_world_setup,
                                        tunnel_world_teardown),
        cmocka_unit_test_setup_teardown(reset_of_the_application_is_carried, tunnel_world_setup,
                                        tunnel_world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
