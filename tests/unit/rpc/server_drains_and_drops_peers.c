// SPDX-License-Identifier: GPL-3.0-or-later
#include "rpc_fixture.h"

static bool open_chat(void *context)
{
    struct world *world = context;
    if (world->client_count == 0) {
        call_send(call_open(world, "/test.T/Chat", 0), 10);
    }
    return world->client_calls[0].message_count == 1;
}

static void on_drained(void *context)
{
    ((struct world *)context)->is_drained = true;
}

static bool drain(void *context)
{
    struct world *world = context;
    rpc_server_drain(world->server, 5000, on_drained, world);
    assert_false(world->is_drained); // later, from the loop
    return true;
}

static bool call_goes_on(void *context)
{
    struct world *world = context;
    if (!step_turns(world)) {
        return false;
    }
    assert_false(world->is_drained);
    call_send(&world->client_calls[0], 20);
    call_finish(&world->client_calls[0]);
    return true;
}

static bool drained(void *context)
{
    return ((struct world *)context)->is_drained;
}

static void running_calls_are_finished(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_run(world, (const scenario_step_fn[]){open_chat, drain, call_goes_on, drained, NULL});
    assert_int_equal(world->client_calls[0].status, RPC_OK);
    assert_int_equal(world->client_calls[0].byte_count, 30);
    assert_int_equal(world->client_reason, RM_OK);
    world_free(world);
}

static bool jump(void *context)
{
    fake_time_jump(((struct world *)context)->loop, 5001);
    return true;
}

static void the_deadline_ends_the_rest(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_run(world, (const scenario_step_fn[]){open_chat, drain, step_turns, jump, drained, NULL});
    assert_int_equal(world->client_calls[0].status, RPC_UNAVAILABLE);
    assert_int_equal(world->server_calls[0].status, RPC_CANCELLED);
    world_free(world);
}

static bool accept_another(void *context)
{
    struct world *world = context;
    struct stream *a = NULL;
    struct stream *b = NULL;
    assert_int_equal(memory_stream_pair(world->loop, 100, &a, &b), RM_OK);
    assert_int_equal(rpc_server_accept(world->server, a), RM_ERR_CLOSED);
    uint8_t byte = 0;
    size_t length = 0;
    assert_int_equal(stream_read(b, &byte, 1, &length), RM_ERR_RESET);
    stream_close(b, STREAM_CLOSE_ABORT, NULL, NULL);
    return true;
}

static void nobody_new_is_let_in(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_run(world, (const scenario_step_fn[]){open_chat, drain, accept_another, NULL});
    world_free(world);
}

static bool abort_client(void *context)
{
    struct world *world = context;
    rpc_client_abort(world->client, RM_ERR_CANCELLED);
    return true;
}

static bool nobody_connected(void *context)
{
    return rpc_server_connection_count(((struct world *)context)->server) == 0;
}

static void without_connections_it_is_done_at_once(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_run(world,
              (const scenario_step_fn[]){abort_client, nobody_connected, drain, drained, NULL});
    world_free(world);
}

static const char *revoked;

static bool is_revoked(void *context, const struct peer *peer)
{
    (void)context;
    return strcmp(peer->spiffe_id, revoked) == 0;
}

static bool close_peers(void *context)
{
    struct world *world = context;
    assert_int_equal(rpc_server_connection_count(world->server), 1);
    rpc_server_close_peers(world->server, is_revoked, NULL);
    return true;
}

static void revoked_peers_are_dropped(void **state)
{
    (void)state;
    revoked = "spiffe://td/a";
    struct world *world = world_new("spiffe://td/a");
    world_run(world, (const scenario_step_fn[]){open_chat, close_peers, nobody_connected,
                                                step_all_closed, NULL});
    assert_int_equal(world->client_calls[0].status, RPC_UNAVAILABLE);
    world_free(world);
}

static bool still_there(void *context)
{
    struct world *world = context;
    if (!step_turns(world)) {
        return false;
    }
    assert_int_equal(rpc_server_connection_count(world->server), 1);
    return true;
}

static void others_stay(void **state)
{
    (void)state;
    revoked = "spiffe://td/b";
    struct world *known = world_new("spiffe://td/a");
    world_run(known, (const scenario_step_fn[]){open_chat, close_peers, still_there, NULL});
    world_free(known);
    struct world *unknown = world_new(NULL);
    world_run(unknown, (const scenario_step_fn[]){open_chat, close_peers, still_there, NULL});
    world_free(unknown);
}

static enum rpc_status refuse(void *context, struct rpc_call *call, const char **text)
{
    (void)context;
    (void)call;
    (void)text;
    return RPC_INTERNAL;
}

static bool nothing(void *context)
{
    (void)context;
    return true;
}

static void a_path_has_one_method(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    static const struct rpc_method again = {.path = "/test.T/Unary", .on_open = refuse};
    assert_int_equal(rpc_server_add(world->server, &again, 1, NULL), RM_ERR_EXISTS);
    world_run(world, (const scenario_step_fn[]){nothing, NULL});
    world_free(world);
}

static bool drain_client(void *context)
{
    struct world *world = context;
    rpc_client_drain(world->client);
    struct rpc_call *call = NULL;
    static const struct rpc_client_handler none;
    assert_int_equal(rpc_client_call(world->client, "/test.T/Chat", 0, &none, NULL, &call),
                     RM_ERR_CLOSED);
    return true;
}

static bool client_ended(void *context)
{
    return ((struct world *)context)->client_end_count == 1;
}

static void a_client_drains_too(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_run(world, (const scenario_step_fn[]){open_chat, drain_client, call_goes_on, client_ended,
                                                nobody_connected, NULL});
    assert_int_equal(world->client_calls[0].status, RPC_OK);
    assert_int_equal(world->client_reason, RM_OK);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_calls_are_finished),
        cmocka_unit_test(the_deadline_ends_the_rest),
        cmocka_unit_test(nobody_new_is_let_in),
        cmocka_unit_test(without_connections_it_is_done_at_once),
        cmocka_unit_test(revoked_peers_are_dropped),
        cmocka_unit_test(others_stay),
        cmocka_unit_test(a_path_has_one_method),
        cmocka_unit_test(a_client_drains_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
