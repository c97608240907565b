// SPDX-License-Identifier: GPL-3.0-or-later
//
// Whoever has proven an identity is told by a Reply why it may not pass; nobody else is told
// anything. Not a byte reaches the application, and the server's own name for it is counted.
#include "caller.h"

#include "cases.h"

#define CONTROL                                                                                    \
    "identity: {control: {address: 'c:1', trust_domain: td.test, join_token_file: /x}}\n"
#define FILES "identity: {files: {certificate: /x, key: /x, bundle: /x}}\n"

static void expect_server(struct tunnel_world *world, const char *direction, const char *result)
{
    expect_quiet(world);
    assert_int_equal(world->application_count, 0);
    if (result_count(&world->server, direction, result) != 1) {
        fail_msg("the server does not name %s", result);
    }
}

// The Reply is all that comes, then an orderly end.
static void expect_reply(struct caller *caller, enum tunnel_status status, const char *reason)
{
    struct tunnel_reply reply;
    assert_int_equal(caller_end(caller), RM_ERR_EOF);
    assert_int_equal(caller_reply(caller, &reply), caller->party.length);
    assert_int_equal(reply.status, status);
    assert_string_equal(reply.reason, reason);
    caller_leave(caller);
    expect_server(caller->world, "inbound", reason);
}

static void expect_refusal(struct tunnel_world *world, const char *service, uint16_t port,
                           enum tunnel_status status, const char *reason)
{
    struct caller caller;
    caller_enter(&caller, world);
    caller_ask(&caller, service, port, "secret");
    expect_reply(&caller, status, reason);
}

static void service_and_port_must_both_be_exposed(void **state)
{
    expect_refusal(*state, "wob", 80, TUNNEL_DENIED, "service_not_exposed");
}

static void port_of_another_service_is_none(void **state)
{
    expect_refusal(*state, "web", 81, TUNNEL_DENIED, "service_not_exposed");
}

static void policy_names_its_reason(void **state)
{
    server_hosts(*state, "spiffe://td.test/ns/a/sa/friend");
    expect_refusal(*state, "web", 80, TUNNEL_DENIED, "guarded");
}

static void draining_sends_to_another_endpoint(void **state)
{
    ((struct tunnel_world *)*state)->server.worker.is_draining = true;
    expect_refusal(*state, "web", 80, TUNNEL_DRAINING, "draining");
}

static void hosts_with_view(struct tunnel_world *world, struct mesh_view *view)
{
    char yaml[512];
    (void)snprintf(yaml, sizeof(yaml),
                   CONTROL "inbound: {services: [{name: web, port: 80, target: '%s'}]}\n",
                   world->application_address);
    sidecar_adopt(world, &world->server, yaml, view);
}

// Another endpoint of the service may have a view: not a final no.
static void without_a_view_nobody_is_let_in(void **state)
{
    hosts_with_view(*state, NULL);
    expect_refusal(*state, "web", 80, TUNNEL_UNREACHABLE, "view_missing");
}

static void service_that_the_view_does_not_know_is_refused(void **state)
{
    hosts_with_view(*state, full_view(PUTS()));
    expect_refusal(*state, "web", 80, TUNNEL_DENIED, "service_unknown");
}

static void service_of_another_identity_is_refused(void **state)
{
    hosts_with_view(*state, full_view(PUTS(make_service("web", 80, LIST(CLIENT_ID), LIST()))));
    expect_refusal(*state, "web", 80, TUNNEL_DENIED, "service_not_owned");
}

static void application_that_is_away_is_told(void **state)
{
    sidecar_adopt(*state, &((struct tunnel_world *)*state)->server,
                  FILES "inbound: {services: [{name: web, port: 80, target: 'unix:/none/x', "
                        "allow: ['spiffe://td.test/**']}]}\n",
                  NULL);
    expect_refusal(*state, "web", 80, TUNNEL_UNREACHABLE, "application_unreachable");
}

static void preface_that_is_none_is_refused(void **state)
{
    struct tunnel_world *world = *state;
    static const char *const prefaces[] = {
        "GET / HTTP/1.1\r\n\r\n", // its prefix says 18245 bytes
        "\x00\x04\xff\xff\xff\xff",
    };
    for (size_t i = 0; i < 2; i++) {
        struct caller caller;
        struct tunnel_reply reply;
        caller_enter(&caller, world);
        caller_send(&caller, prefaces[i], i == 0 ? 18 : 6);
        assert_int_equal(caller_end(&caller), RM_ERR_EOF);
        (void)caller_reply(&caller, &reply);
        assert_int_equal(reply.status, TUNNEL_DENIED);
        assert_string_equal(reply.reason, "preface_malformed");
        caller_leave(&caller);
        expect_quiet(world);
        assert_int_equal(result_count(&world->server, "inbound", "preface_malformed"), i + 1);
    }
}

static void caller_that_leaves_before_its_preface_is_noted(void **state)
{
    struct tunnel_world *world = *state;
    for (int mode = STREAM_CLOSE_ORDERLY; mode <= STREAM_CLOSE_ABORT; mode++) {
        struct caller caller;
        caller_enter(&caller, world);
        world_turns(world->loop, 20);
        caller_send(&caller, "\x00", 1);
        party_close(&caller.party, (enum stream_close_mode)mode);
        caller_leave(&caller);
        expect_quiet(world);
    }
    assert_int_equal(result_count(&world->server, "inbound", "preface_missing"), 2);
}

// --- Without a Reply -----------------------------------------------------------------------------

static void stranger_is_told_nothing(void **state)
{
    struct tunnel_world *world = *state;
    struct caller caller;
    caller_stay_silent(&caller, world);
    party_send(&caller.party, "GET / HTTP/1.1\r\n\r\n");
    (void)caller_end(&caller);
    caller_leave(&caller);
    expect_quiet(world);
    assert_int_equal(world->application_count, 0);
    assert_int_equal(result_count(&world->server, "inbound", "ok"), 0);
}

static void without_an_identity_nobody_is_answered(void **state)
{
    struct tunnel_world *world = *state;
    struct tls_identity *identity = world->server.identity;
    struct caller caller;
    world->server.identity = NULL;
    server_hosts(world, "spiffe://td.test/**");
    caller_stay_silent(&caller, world);
    assert_int_equal(world->server.worker.connection_count, 0);
    assert_int_equal(caller_end(&caller), RM_ERR_RESET);
    assert_int_equal(caller.party.length, 0);
    caller_leave(&caller);
    world->server.identity = identity;
}

static void expect_edge_reset(struct tunnel_world *world, const char *reason)
{
    struct caller caller;
    caller_connect(&caller, world, true);
    caller_be_ready(&caller);
    party_send(&caller.party, "secret");
    assert_int_equal(caller_end(&caller), RM_ERR_RESET);
    assert_int_equal(caller.party.length, 0);
    caller_leave(&caller);
    expect_server(world, "edge", reason);
}

// A client of an edge knows no Reply: it is reset.
static void edge_resets_whom_policy_denies(void **state)
{
    server_hosts(*state, "spiffe://td.test/ns/a/sa/friend");
    expect_edge_reset(*state, "guarded");
}

static void edge_resets_while_draining(void **state)
{
    ((struct tunnel_world *)*state)->server.worker.is_draining = true;
    expect_edge_reset(*state, "draining");
}

static void edge_resets_when_the_application_is_away(void **state)
{
    sidecar_adopt(*state, &((struct tunnel_world *)*state)->server,
                  FILES "inbound:\n  services: [{name: web, port: 80, target: 'unix:/none/x', "
                        "allow: ['spiffe://td.test/**']}]\n"
                        "  edges: [{listen: '127.0.0.1:1', service: web}]\n",
                  NULL);
    expect_edge_reset(*state, "application_unreachable");
}

#define IN_WORLD(test)                                                                             \
    cmocka_unit_test_setup_teardown(test, tunnel_world_setup, tunnel_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(service_and_port_must_both_be_exposed),
        IN_WORLD(port_of_another_service_is_none),
        IN_WORLD(policy_names_its_reason),
        IN_WORLD(draining_sends_to_another_endpoint),
        IN_WORLD(without_a_view_nobody_is_let_in),
        IN_WORLD(service_that_the_view_does_not_know_is_refused),
        IN_WORLD(service_of_another_identity_is_refused),
        IN_WORLD(application_that_is_away_is_told),
        IN_WORLD(preface_that_is_none_is_refused),
        IN_WORLD(caller_that_leaves_before_its_preface_is_noted),
        IN_WORLD(stranger_is_told_nothing),
        IN_WORLD(without_an_identity_nobody_is_answered),
        IN_WORLD(edge_resets_whom_policy_denies),
        IN_WORLD(edge_resets_while_draining),
        IN_WORLD(edge_resets_when_the_application_is_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
