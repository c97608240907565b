// SPDX-License-Identifier: GPL-3.0-or-later
//
// A diagnosis of a service makes the call that an application would make, and says where it ends.
#include "diagnosed.h"

static struct diagnosed seen;

static void look_at_web(struct tunnel_world *world)
{
    diagnosed_init(&seen, world);
    diagnosed_run(&seen, &(struct diagnose_request){.service = "web"});
    diagnosed_deinit(&seen);
}

static void call_that_works_is_well(void **state)
{
    struct tunnel_world *world = *state;
    client_has_view(world, LIST(world->tunnel_address));
    look_at_web(world);
    assert_string_equal(fact_of(&seen, "view", "complete"), "true");
    assert_string_equal(fact_of(&seen, "service", "port"), "80");
    assert_string_equal(fact_of(&seen, "endpoint", "identity"), SERVER_ID);
    assert_string_equal(fact_of(&seen, "handshake", "version"), "TLSv1.3");
    assert_string_equal(fact_of(&seen, "tunnel", "status"), "ok");
    assert_true(seen.is_well);
}

static void fixed_endpoint_is_called(void **state)
{
    struct tunnel_world *world = *state;
    look_at_web(world);
    assert_string_equal(fact_of(&seen, "service", "identity"), SERVER_ID);
    assert_string_equal(fact_of(&seen, "tunnel", "status"), "ok");
    assert_true(seen.is_well);
    client_calls(world, world->tunnel_address, CLIENT_ID);
    look_at_web(world);
    assert_found(&seen, FAULT_REFUSED_BY_PEER, DIAGNOSE_ERROR, "unrecognized_name");
}

static void policy_at_the_other_end_is_named(void **state)
{
    struct tunnel_world *world = *state;
    server_hosts(world, "spiffe://td.test/ns/a/sa/somebody-else");
    look_at_web(world);
    assert_string_equal(fact_of(&seen, "tunnel", "status"), "denied");
    assert_found(&seen, FAULT_GUARDED, DIAGNOSE_ERROR, world->tunnel_address);
    assert_false(seen.is_well);
}

static void application_that_is_away_is_named(void **state)
{
    struct tunnel_world *world = *state;
    strcpy(world->application_address, "127.0.0.1:2");
    server_hosts(world, "spiffe://td.test/**");
    look_at_web(world);
    assert_string_equal(fact_of(&seen, "tunnel", "status"), "unreachable");
    assert_found(&seen, FAULT_APPLICATION_UNREACHABLE, DIAGNOSE_ERROR, world->tunnel_address);
}

static void each_endpoint_is_tried(void **state)
{
    struct tunnel_world *world = *state;
    client_has_view(world, LIST("127.0.0.1:1", world->tunnel_address));
    look_at_web(world);
    assert_found(&seen, FAULT_ENDPOINT_UNREACHABLE, DIAGNOSE_ERROR, "127.0.0.1:1");
    assert_string_equal(fact_of(&seen, "tunnel", "status"), "ok");
    client_has_view(world, (const char *const[]){NULL});
    look_at_web(world);
    assert_found(&seen, FAULT_NO_ENDPOINT, DIAGNOSE_ERROR, "web");
}

static void endpoint_that_is_set_aside_is_named(void **state)
{
    struct tunnel_world *world = *state;
    client_has_view(world, LIST("127.0.0.1:1"));
    look_at_web(world);
    assert_string_equal(fact_of(&seen, "endpoint", "set_aside"), "false");
    world_call(world, "hello");
    expect_end(world, RM_ERR_RESET);
    look_at_web(world);
    assert_string_equal(fact_of(&seen, "endpoint", "set_aside"), "true");
    assert_found(&seen, FAULT_ENDPOINT_SET_ASIDE, DIAGNOSE_NOTE,
                 "127.0.0.1:1: by 1 of its workers");
}

static void unknown_service_and_missing_view_are_named(void **state)
{
    struct tunnel_world *world = *state;
    diagnosed_init(&seen, world);
    diagnosed_run(&seen, &(struct diagnose_request){.service = "nobody"});
    diagnosed_deinit(&seen);
    assert_found(&seen, FAULT_VIEW_MISSING, DIAGNOSE_ERROR, "");
    assert_found(&seen, FAULT_SERVICE_UNKNOWN, DIAGNOSE_ERROR, "nobody");
}

static void peer_that_ends_the_tunnel_is_named(void **state)
{
    struct tunnel_world *world = *state;
    liar_start(world, FALSE_CLOSES);
    client_calls(world, world->liar.address, SERVER_ID);
    look_at_web(world);
    assert_found(&seen, FAULT_TUNNEL_RESET, DIAGNOSE_ERROR, world->liar.address);
}

static void answer_that_is_none_is_named(void **state)
{
    struct tunnel_world *world = *state;
    world->liar.answer = "\xff\xff";
    world->liar.answer_length = 2;
    liar_start(world, FALSE_ANSWERS);
    client_calls(world, world->liar.address, SERVER_ID);
    look_at_web(world);
    assert_found(&seen, FAULT_REPLY_MALFORMED, DIAGNOSE_ERROR, world->liar.address);
}

// Whatever a peer calls its refusal, it is one.
static void refusal_called_ok_is_a_refusal(void **state)
{
    struct tunnel_world *world = *state;
    static uint8_t reply[TUNNEL_PREFIX_BYTES + TUNNEL_MAX_MESSAGE_BYTES];
    assert_int_equal(
        tunnel_encode_reply(&(struct tunnel_reply){.status = TUNNEL_DENIED, .reason = "ok"}, reply,
                            &world->liar.answer_length),
        RM_OK);
    world->liar.answer = (const char *)reply;
    liar_start(world, FALSE_ANSWERS);
    client_calls(world, world->liar.address, SERVER_ID);
    look_at_web(world);
    assert_found(&seen, FAULT_DENIED_BY_PEER, DIAGNOSE_ERROR, world->liar.address);
    assert_false(seen.is_well);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, tunnel_world_setup, tunnel_world_teardown)
    const struct CMUnitTest tests[] = {
        CASE(call_that_works_is_well),
        CASE(fixed_endpoint_is_called),
        CASE(policy_at_the_other_end_is_named),
        CASE(application_that_is_away_is_named),
        CASE(each_endpoint_is_tried),
        CASE(endpoint_that_is_set_aside_is_named),
        CASE(unknown_service_and_missing_view_are_named),
        CASE(peer_that_ends_the_tunnel_is_named),
        CASE(answer_that_is_none_is_named),
        CASE(refusal_called_ok_is_a_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
