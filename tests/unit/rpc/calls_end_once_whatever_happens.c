// SPDX-License-Identifier: GPL-3.0-or-later
#include "rpc_fixture.h"

static bool unknown_method(void *context)
{
    struct world *world = context;
    struct record *record = call_open(world, "/test.T/Missing", 0);
    call_send(record, 5);
    call_finish(record);
    return true;
}

static void unknown(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_run(world, (const scenario_step_fn[]){unknown_method, step_all_closed, NULL});
    assert_int_equal(world->client_calls[0].status, RPC_UNIMPLEMENTED);
    assert_string_equal(world->client_calls[0].text, "unknown method");
    world_free(world);
}

static bool one(void *context)
{
    call_unary(context, 5);
    return true;
}

// on_open said no: nothing else is called, on_close neither.
static void refused_on_open(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world->manners.refuses = RPC_PERMISSION_DENIED;
    world_run(world, (const scenario_step_fn[]){one, step_all_closed, NULL});
    assert_int_equal(world->server_count, 0);
    assert_int_equal(world->client_calls[0].status, RPC_PERMISSION_DENIED);
    assert_string_equal(world->client_calls[0].text, "refused");
    world_free(world);
}

static bool no_message(void *context)
{
    call_finish(call_open(context, "/test.T/Unary", 0));
    return true;
}

static void unary_without_a_message(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_run(world, (const scenario_step_fn[]){no_message, step_all_closed, NULL});
    assert_int_equal(world->client_calls[0].status, RPC_UNIMPLEMENTED);
    assert_int_equal(world->server_calls[0].message_count, 0);
    world_free(world);
}

static bool two_messages(void *context)
{
    struct record *record = call_open(context, "/test.T/Unary", 0);
    call_send(record, 5);
    call_send(record, 5);
    call_finish(record);
    return true;
}

// The first of two is not acted upon either.
static void unary_with_two_messages(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_run(world, (const scenario_step_fn[]){two_messages, step_all_closed, NULL});
    assert_int_equal(world->client_calls[0].status, RPC_UNIMPLEMENTED);
    assert_int_equal(world->server_calls[0].message_count, 0);
    world_free(world);
}

static bool open_chat(void *context)
{
    struct world *world = context;
    if (world->client_count == 0) {
        call_send(call_open(world, "/test.T/Chat", 0), 10);
    }
    return world->client_calls[0].message_count == 1;
}

static bool cancel(void *context)
{
    struct world *world = context;
    rpc_call_cancel(world->client_calls[0].call);
    assert_int_equal(world->client_calls[0].close_count, 0); // later, from the loop
    rpc_call_cancel(world->client_calls[0].call);
    assert_int_equal(rpc_call_send(world->client_calls[0].call, NULL, 0), RM_ERR_CLOSED);
    return true;
}

static void cancelled_by_the_client(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_run(world, (const scenario_step_fn[]){open_chat, cancel, step_all_closed, NULL});
    assert_int_equal(world->client_calls[0].status, RPC_CANCELLED);
    assert_int_equal(world->server_calls[0].status, RPC_CANCELLED);
    world_free(world);
}

static bool cancel_at_once(void *context)
{
    struct world *world = context;
    rpc_call_cancel(call_open(world, "/test.T/Unary", 0)->call);
    return true;
}

static void cancelled_before_it_left(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_run(world, (const scenario_step_fn[]){cancel_at_once, step_all_closed, step_turns, NULL});
    assert_int_equal(world->client_calls[0].status, RPC_CANCELLED);
    assert_int_equal(world->server_count, 0);
    world_free(world);
}

static bool abort_client(void *context)
{
    rpc_client_abort(((struct world *)context)->client, RM_ERR_REVOKED);
    return true;
}

static void connection_lost(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_run(world, (const scenario_step_fn[]){open_chat, abort_client, step_all_closed,
                                                step_turns, NULL});
    assert_int_equal(world->client_calls[0].status, RPC_UNAVAILABLE);
    assert_int_equal(world->server_calls[0].status, RPC_CANCELLED);
    assert_int_equal(world->client_reason, RM_ERR_REVOKED);
    assert_int_equal(world->client_end_count, 1);
    world_free(world);
}

static void end_early(struct record *record)
{
    rpc_call_end(record->call, RPC_ABORTED, "enough");
}

// The server ends while the client is still sending.
static void ended_by_the_server_in_the_middle(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world->manners.on_message = end_early;
    world_run(world, (const scenario_step_fn[]){open_chat, step_all_closed, NULL});
    assert_int_equal(world->client_calls[0].status, RPC_ABORTED);
    assert_string_equal(world->client_calls[0].text, "enough");
    assert_int_equal(world->client_calls[0].message_count, 1); // what was queued went first
    assert_int_equal(world->server_calls[0].status, RPC_ABORTED);
    world_free(world);
}

static bool fill(void *context)
{
    struct world *world = context;
    for (int i = 0; i < H2_MAX_STREAMS; i++) {
        assert_non_null(call_open(world, "/test.T/Chat", 0));
    }
    struct rpc_call *over = NULL;
    static const struct rpc_client_handler none;
    assert_int_equal(rpc_client_call(world->client, "/test.T/Chat", 0, &none, NULL, &over),
                     RM_ERR_LIMIT);
    return true;
}

static void as_many_calls_as_streams(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_run(world,
              (const scenario_step_fn[]){fill, step_turns, abort_client, step_all_closed, NULL});
    assert_int_equal(world->server_count, H2_MAX_STREAMS);
    world_free(world);
}

static void cancel_in_message(struct world *world, struct record *record)
{
    (void)world;
    rpc_call_cancel(record->call);
}

static void cancelled_inside_its_own_callback(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world->on_client_message = cancel_in_message;
    world_run(world, (const scenario_step_fn[]){one, step_all_closed, NULL});
    assert_int_equal(world->client_calls[0].status, RPC_CANCELLED);
    world_free(world);
}

static void abort_in_message(struct world *world, struct record *record)
{
    (void)record;
    rpc_client_abort(world->client, RM_ERR_REVOKED);
}

static void connection_aborted_inside_a_callback(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world->on_client_message = abort_in_message;
    world_run(world, (const scenario_step_fn[]){one, step_all_closed, NULL});
    assert_int_equal(world->client_calls[0].status, RPC_UNAVAILABLE);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown),
        cmocka_unit_test(refused_on_open),
        cmocka_unit_test(unary_without_a_message),
        cmocka_unit_test(unary_with_two_messages),
        cmocka_unit_test(cancelled_by_the_client),
        cmocka_unit_test(cancelled_before_it_left),
        cmocka_unit_test(connection_lost),
        cmocka_unit_test(ended_by_the_server_in_the_middle),
        cmocka_unit_test(as_many_calls_as_streams),
        cmocka_unit_test(cancelled_inside_its_own_callback),
        cmocka_unit_test(connection_aborted_inside_a_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
