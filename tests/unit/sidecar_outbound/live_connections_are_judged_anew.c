// SPDX-License-Identifier: GPL-3.0-or-later
//
// A change of policy, view or trust ends what it forbids.
#include "tunnel_world.h"

#include "cases.h"

static void stand(struct tunnel_world *world)
{
    world_call(world, "x");
    expect_before(world, "x");
}

static void policy_that_now_denies_ends_it(void **state)
{
    struct tunnel_world *world = *state;
    stand(world);
    server_hosts(world, "spiffe://td.test/ns/a/sa/friend");
    expect_end(world, RM_ERR_RESET);
    expect_quiet(world);
    assert_int_equal(result_count(&world->server, "inbound", "guarded"), 1);
}

static void policy_that_still_allows_leaves_it(void **state)
{
    struct tunnel_world *world = *state;
    stand(world);
    server_hosts(world, CLIENT_ID);
    party_send(&world->before, "y");
    expect_before(world, "xy");
}

static void service_that_is_gone_ends_it(void **state)
{
    struct tunnel_world *world = *state;
    stand(world);
    sidecar_adopt(world, &world->server,
                  "identity: {files: {certificate: /x, key: /x, bundle: /x}}\n", NULL);
    expect_end(world, RM_ERR_RESET);
    expect_quiet(world);
    assert_int_equal(result_count(&world->server, "inbound", "service_withdrawn"), 1);
}

static void service_given_to_another_identity_ends_it(void **state)
{
    struct tunnel_world *world = *state;
    client_has_view(world, LIST(world->tunnel_address));
    stand(world);
    static const char yaml[] =
        "identity: {control: {address: 'c:1', trust_domain: td.test, join_token_file: /x}}\n"
        "outbound: [{listen: '127.0.0.1:1', service: web}]\n";
    // A view that no longer speaks of it says nothing about it.
    sidecar_adopt(world, &world->client, yaml, full_view(PUTS()));
    party_send(&world->before, "y");
    expect_before(world, "xy");
    sidecar_adopt(world, &world->client, yaml,
                  full_view(PUTS(make_service("web", 80, LIST(CLIENT_ID), LIST()))));
    expect_end(world, RM_ERR_RESET);
    expect_quiet(world);
    assert_int_equal(result_count(&world->client, "outbound", "service_not_owned"), 1);
}

static void root_that_is_gone_ends_it(void **state)
{
    struct tunnel_world *world = *state;
    struct pki_authority other;
    stand(world);
    pki_authority_init(&other, "td.test");
    struct trust_snapshot *before = world->trust;
    world->trust = pki_trust("td.test", &other, NULL);
    client_calls(world, world->tunnel_address, SERVER_ID);
    expect_end(world, RM_ERR_RESET);
    expect_quiet(world);
    assert_int_equal(result_count(&world->client, "outbound", "not_anchored"), 1);
    trust_unref(world->trust);
    world->trust = before;
    pki_authority_deinit(&other);
}

static bool application_has_it(void *context)
{
    return ((struct tunnel_world *)context)->application_count > 0;
}

static bool behind_has_end(void *context)
{
    return ((struct tunnel_world *)context)->behind.end != RM_OK;
}

// One side of an ended connection lingers while the other is gone already: a cut then must touch
// neither.
static void cut_while_it_ends_touches_nothing(void **state)
{
    struct tunnel_world *world = *state;
    stand(world);
    // Both say that they are done, but the application behind never closes its socket: the server's
    // sidecar waits for it.
    assert_int_equal(stream_finish(world->before.stream), RM_OK);
    world_until(world->loop, behind_has_end, world);
    assert_int_equal(stream_finish(world->behind.stream), RM_OK);
    expect_end(world, RM_ERR_EOF);
    for (int i = 0; i < 40; i++) {
        world_turns(world->loop, 5);
        worker_cut_all(&world->client.worker, "again");
        worker_cut_all(&world->server.worker, "again");
    }
    party_close(&world->before, STREAM_CLOSE_ORDERLY);
    party_close(&world->behind, STREAM_CLOSE_ORDERLY);
    expect_quiet(world);
}

// While the application behind is being connected to, policy changes: not a byte passes.
static void change_before_the_reply_counts(void **state)
{
    struct tunnel_world *world = *state;
    world_call(world, "secret");
    world_until(world->loop, application_has_it, world);
    if (world->server.worker.connection_count == 1 && world->behind.length == 0) {
        server_hosts(world, "spiffe://td.test/ns/a/sa/friend");
        expect_end(world, RM_ERR_RESET);
        expect_quiet(world);
        assert_int_equal(world->behind.length, 0);
        assert_int_equal(result_count(&world->server, "inbound", "guarded"), 1);
    } else {
        skip(); // the relay was quicker than this test
    }
}

static void cut_in_every_state_is_told_once(void **state)
{
    for (unsigned turns = 0; turns < 60; turns++) {
        struct tunnel_world *world = *state;
        world_call(world, "x");
        world_turns(world->loop, turns);
        worker_cut_all(&world->client.worker, "cut");
        worker_cut_all(&world->client.worker, "cut");
        worker_cut_all(&world->server.worker, "cut");
        expect_quiet(world);
        expect_end(world, RM_ERR_RESET);
        party_close(&world->before, STREAM_CLOSE_ABORT);
        assert_int_equal(result_count(&world->client, "outbound", "cut"), turns + 1);
    }
}

#define TUNNEL_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, tunnel_world_setup, tunnel_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TUNNEL_TEST(policy_that_now_denies_ends_it),
        TUNNEL_TEST(policy_that_still_allows_leaves_it),
        TUNNEL_TEST(service_that_is_gone_ends_it),
        TUNNEL_TEST(service_given_to_another_identity_ends_it),
        TUNNEL_TEST(root_that_is_gone_ends_it),
        TUNNEL_TEST(cut_while_it_ends_touches_nothing),
        TUNNEL_TEST(change_before_the_reply_counts),
        TUNNEL_TEST(cut_in_every_state_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
