// SPDX-License-Identifier: GPL-3.0-or-later
#include "tunnel_world.h"

#include "cases.h"
#include "fake_time.h"
#include "worker/endpoints.h"

// The false peer is drawn first: the good one seems busy.
static void liar_comes_first(struct tunnel_world *world, enum false_manners manners)
{
    liar_start(world, manners);
    client_has_view(world, LIST(world->liar.address, world->tunnel_address));
    struct endpoint_state *good =
        endpoint_state_get(world->client.worker.endpoints, world->tunnel_address);
    good->open_count += 100;
}

static void expect_other(struct tunnel_world *world, const char *text)
{
    world_call(world, text);
    if (text == NULL) {
        while (world->application_count == 0) {
            world_turns(world->loop, 1);
        }
        party_send(&world->before, "x");
        text = "x";
    }
    expect_before(world, text);
    assert_int_equal(world->liar.accepted_count, 1);
    assert_int_equal(world->application_count, 1);
}

static void expect_no_other(struct tunnel_world *world, const char *result)
{
    expect_end(world, RM_ERR_RESET);
    expect_quiet(world);
    assert_int_equal(world->liar.accepted_count, 1);
    assert_int_equal(world->application_count, 0);
    if (result_count(&world->client, "outbound", result) != 1) {
        fail_msg("it does not name %s", result);
    }
}

static void refused_connect_goes_elsewhere(void **state)
{
    struct tunnel_world *world = *state;
    liar_comes_first(world, FALSE_SILENT);
    listener_close(world->liar.listener, false);
    world->liar.listener = NULL;
    tls_context_unref(world->liar.tls);
    world_call(world, "x");
    expect_before(world, "x");
    // What failed is set aside.
    assert_true(
        endpoint_state_get(world->client.worker.endpoints, world->liar.address)->ejected_until_ms >
        0);
}

static void draining_and_unreachable_go_elsewhere_with_all_bytes(void **state)
{
    static const enum tunnel_status statuses[] = {TUNNEL_DRAINING, TUNNEL_UNREACHABLE};
    for (size_t i = 0; i < 2; i++) {
        struct tunnel_world *world = *state;
        uint8_t bytes[TUNNEL_PREFIX_BYTES + TUNNEL_MAX_MESSAGE_BYTES];
        struct tunnel_reply reply = {.status = statuses[i], .reason = "x"};
        world->liar.answer = (const char *)bytes;
        assert_int_equal(tunnel_encode_reply(&reply, bytes, &world->liar.answer_length), RM_OK);
        liar_comes_first(world, FALSE_ANSWERS);
        expect_other(world, "kept for the other");
        assert_int_equal(tunnel_world_teardown(state), 0);
        assert_int_equal(tunnel_world_setup(state), 0);
    }
}

static void denial_goes_nowhere_else(void **state)
{
    struct tunnel_world *world = *state;
    uint8_t bytes[TUNNEL_PREFIX_BYTES + TUNNEL_MAX_MESSAGE_BYTES];
    struct tunnel_reply reply = {.status = TUNNEL_DENIED, .reason = "guarded"};
    world->liar.answer = (const char *)bytes;
    assert_int_equal(tunnel_encode_reply(&reply, bytes, &world->liar.answer_length), RM_OK);
    liar_comes_first(world, FALSE_ANSWERS);
    world_call(world, "x");
    expect_no_other(world, "denied_by_peer");
}

static void lost_reply_after_bytes_goes_nowhere_else(void **state)
{
    struct tunnel_world *world = *state;
    liar_comes_first(world, FALSE_RESETS);
    world_call(world, "pay 10");
    expect_no_other(world, "tunnel_reset");
}

static void end_without_reply_after_bytes_goes_nowhere_else(void **state)
{
    struct tunnel_world *world = *state;
    liar_comes_first(world, FALSE_CLOSES);
    world_call(world, "pay 10");
    expect_no_other(world, "tunnel_reset");
}

static void lost_reply_without_bytes_goes_elsewhere(void **state)
{
    struct tunnel_world *world = *state;
    liar_comes_first(world, FALSE_RESETS);
    expect_other(world, NULL);
}

static void malformed_reply_ends_it(void **state)
{
    struct tunnel_world *world = *state;
    world->liar.answer = "\xff\xff\xff\xff";
    world->liar.answer_length = 4;
    liar_comes_first(world, FALSE_ANSWERS);
    world_call(world, "x");
    expect_no_other(world, "reply_malformed");
}

static bool has_tunnel(void *context)
{
    return ((struct tunnel_world *)context)->liar.accepted_count > 0;
}

static void reply_that_never_comes_ends_it(void **state)
{
    struct tunnel_world *world = *state;
    liar_comes_first(world, FALSE_SILENT);
    world_call(world, "x");
    world_until(world->loop, has_tunnel, world);
    for (int i = 0; world->before.end == RM_OK; i++) {
        assert_true(i < 100000);
        world_turns(world->loop, 50);
        if (i > 20) {
            fake_time_jump(world->loop, 16000);
        }
    }
    expect_end(world, RM_ERR_RESET);
    expect_quiet(world);
    assert_int_equal(world->application_count, 0);
    assert_int_equal(result_count(&world->client, "outbound", "reply_timeout"), 1);
}

// An endpoint whose identity is none of the service's own must not stop the good one.
static void endpoint_of_a_stranger_is_passed_over(void **state)
{
    struct tunnel_world *world = *state;
    liar_start(world, FALSE_SILENT);
    struct mesh_view *view = full_view(
        PUTS(make_service("web", 80, LIST(SERVER_ID), LIST()),
             make_endpoint("web/1", world->liar.address, "spiffe://td.test/ns/a/sa/else", ""),
             make_endpoint("web/2", world->tunnel_address, SERVER_ID, "")));
    sidecar_adopt(world, &world->client,
                  "identity: {control: {address: 'c:1', trust_domain: td.test, join_token_file: "
                  "/x}}\noutbound: [{listen: '127.0.0.1:1', service: web}]\n",
                  view);
    endpoint_state_get(world->client.worker.endpoints, world->tunnel_address)->open_count += 100;
    world_call(world, "x");
    expect_before(world, "x");
    assert_int_equal(world->liar.accepted_count, 0);
}

static void unknown_service_and_no_endpoint_are_named(void **state)
{
    struct tunnel_world *world = *state;
    client_has_view(world, LIST());
    world_call(world, "x");
    expect_end(world, RM_ERR_RESET);
    assert_int_equal(result_count(&world->client, "outbound", "no_endpoint"), 1);
    sidecar_adopt(world, &world->client,
                  "identity: {control: {address: 'c:1', trust_domain: td.test, join_token_file: "
                  "/x}}\noutbound: [{listen: '127.0.0.1:1', service: web}]\n",
                  full_view(PUTS()));
    party_close(&world->before, STREAM_CLOSE_ABORT);
    world_call(world, "x");
    expect_end(world, RM_ERR_RESET);
    assert_int_equal(result_count(&world->client, "outbound", "service_unknown"), 1);
}

static void before_the_first_view_it_waits(void **state)
{
    struct tunnel_world *world = *state;
    static const char yaml[] =
        "identity: {control: {address: 'c:1', trust_domain: td.test, join_token_file: /x}}\n"
        "outbound: [{listen: '127.0.0.1:1', service: web}]\n";
    sidecar_adopt(world, &world->client, yaml, NULL);
    world_call(world, "patience");
    world_turns(world->loop, 50);
    assert_int_equal(world->before.end, RM_OK);
    client_has_view(world, LIST(world->tunnel_address));
    expect_before(world, "patience");
    party_close(&world->before, STREAM_CLOSE_ABORT);
    // But not for ever.
    sidecar_adopt(world, &world->client, yaml, NULL);
    world_call(world, "x");
    world_turns(world->loop, 50);
    fake_time_jump(world->loop, 6000);
    expect_end(world, RM_ERR_RESET);
    assert_int_equal(result_count(&world->client, "outbound", "view_missing"), 1);
}

#define TUNNEL_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, tunnel_world_setup, tunnel_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TUNNEL_TEST(refused_connect_goes_elsewhere),
        TUNNEL_TEST(draining_and_unreachable_go_elsewhere_with_all_bytes),
        TUNNEL_TEST(denial_goes_nowhere_else),
        TUNNEL_TEST(lost_reply_after_bytes_goes_nowhere_else),
        TUNNEL_TEST(end_without_reply_after_bytes_goes_nowhere_else),
        TUNNEL_TEST(lost_reply_without_bytes_goes_elsewhere),
        TUNNEL_TEST(malformed_reply_ends_it),
        TUNNEL_TEST(reply_that_never_comes_ends_it),
        TUNNEL_TEST(endpoint_of_a_stranger_is_passed_over),
        TUNNEL_TEST(unknown_service_and_no_endpoint_are_named),
        TUNNEL_TEST(before_the_first_view_it_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
