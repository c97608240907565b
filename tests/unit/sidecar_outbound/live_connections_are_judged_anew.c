// SPDX-License-Identifier: GPL-3.0-or-later
//
// A change of policy, view or trust ends what it forbids.
#include "tunnel_world.h"

#include <netinet/in.h>

#include "cases.h"
#include "fake_time.h"
#include "worker/connection.h"

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

static bool is_over(void *context)
{
    struct tunnel_world *world = context;
    return world->server.worker.connection_count == 0 || world->before.end != RM_OK;
}

// Of an ended connection one stream is gone before the other: a cut in between must touch neither.
static void cut_while_it_ends_touches_nothing(void **state)
{
    static char much[60000];
    struct tunnel_world *world = *state;
    memset(much, 'x', sizeof(much) - 1);
    stand(world);
    // The application behind is done, yet does not read: what is for it stays on the way.
    stream_want(world->behind.stream, 0);
    assert_int_equal(stream_finish(world->behind.stream), RM_OK);
    for (int i = 0; i < 5; i++) {
        party_send(&world->before, much);
        world_turns(world->loop, 100);
    }
    assert_int_equal(stream_finish(world->before.stream), RM_OK);
    world_until(world->loop, is_over, world);
    party_close(&world->before, STREAM_CLOSE_ORDERLY);
    for (int i = 0; i < 100; i++) {
        world_turns(world->loop, 5);
        worker_cut_all(&world->client.worker, FAULT_DRAIN_DEADLINE);
        worker_cut_all(&world->server.worker, FAULT_DRAIN_DEADLINE);
    }
    party_close(&world->behind, STREAM_CLOSE_ABORT);
    expect_quiet(world);
}

static bool is_connecting_behind(void *context)
{
    const struct worker *worker = &((struct tunnel_world *)context)->server.worker;
    struct list *node = list_first(&worker->connections);
    const struct connection *connection =
        node != NULL ? list_entry(node, struct connection, node) : NULL;
    return connection != NULL && connection->application.length > 0 && !connection->is_established;
}

// A port that takes no more connections, so that connecting to it hangs.
static void fill_up(int descriptors[4], char address[32])
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(here);
    descriptors[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(descriptors[0], (const struct sockaddr *)&here, sizeof(here)), 0);
    assert_int_equal(listen(descriptors[0], 0), 0);
    assert_int_equal(getsockname(descriptors[0], (struct sockaddr *)&here, &length), 0);
    for (int i = 1; i < 4; i++) {
        descriptors[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(descriptors[i], (const struct sockaddr *)&here, sizeof(here));
    }
    (void)snprintf(address, 32, "127.0.0.1:%u", (unsigned)ntohs(here.sin_port));
}

// While the application behind is being connected to, policy changes: what counts is what holds
// when it answers.
static void change_before_the_reply_counts(void **state)
{
    struct tunnel_world *world = *state;
    int descriptors[4];
    fill_up(descriptors, world->application_address);
    server_hosts(world, "spiffe://td.test/**");
    world_call(world, "secret");
    world_until(world->loop, is_connecting_behind, world);
    server_hosts(world, "spiffe://td.test/ns/a/sa/friend");
    world_turns(world->loop, 10);
    fake_time_jump(world->loop, 6000); // past the time to connect
    expect_end(world, RM_ERR_RESET);
    expect_quiet(world);
    assert_int_equal(result_count(&world->client, "outbound", "denied_by_peer"), 1);
    assert_int_equal(result_count(&world->server, "inbound", "guarded"), 1);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(close(descriptors[i]), 0);
    }
}

static void cut_in_every_state_is_told_once(void **state)
{
    for (unsigned turns = 0; turns < 60; turns++) {
        struct tunnel_world *world = *state;
        world_call(world, "x");
        world_turns(world->loop, turns);
        worker_cut_all(&world->client.worker, FAULT_DRAIN_DEADLINE);
        worker_cut_all(&world->client.worker, FAULT_DRAIN_DEADLINE);
        worker_cut_all(&world->server.worker, FAULT_DRAIN_DEADLINE);
        expect_quiet(world);
        expect_end(world, RM_ERR_RESET);
        party_close(&world->before, STREAM_CLOSE_ABORT);
        assert_int_equal(result_count(&world->client, "outbound", "drain_deadline"), turns + 1);
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
