// SPDX-License-Identifier: GPL-3.0-or-later
#include "rpc_fixture.h"

static bool ask_with_deadline(void *context)
{
    struct record *record = call_open(context, "/test.T/Unary", 5000);
    call_send(record, 10);
    call_finish(record);
    return true;
}

static bool arrived(void *context)
{
    struct world *world = context;
    return world->server_count == 1 && world->server_calls[0].message_count == 1;
}

static bool jump_call(void *context)
{
    struct world *world = context;
    assert_int_equal(world->client_calls[0].close_count, 0);
    fake_time_jump(world->loop, 5001);
    return true;
}

static void a_call_that_is_never_answered(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world->manners = (struct manners){.echoes = false};
    world_run(world, (const scenario_step_fn[]){ask_with_deadline, arrived, jump_call,
                                                step_all_closed, NULL});
    assert_int_equal(world->client_calls[0].status, RPC_DEADLINE_EXCEEDED);
    assert_int_equal(world->server_calls[0].status, RPC_DEADLINE_EXCEEDED);
    world_free(world);
}

static bool ask_without_deadline(void *context)
{
    call_unary(context, 10);
    return true;
}

static bool still_open(void *context)
{
    struct world *world = context;
    if (!step_turns(world)) {
        return false;
    }
    assert_int_equal(world->client_calls[0].close_count, 0);
    return true;
}

static void no_deadline_means_none(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world->manners = (struct manners){.echoes = false};
    world_run(world, (const scenario_step_fn[]){ask_without_deadline, arrived, jump_call,
                                                still_open, NULL});
    assert_int_equal(world->client_calls[0].status, RPC_UNAVAILABLE); // the fixture's own end
    world_free(world);
}

// The first request was complete, so that the connection's own deadline is not at work here.
static bool open_half(void *context)
{
    struct world *world = context;
    call_unary(world, 1);
    assert_non_null(call_open(world, "/test.T/Unary", 0));
    return true;
}

static bool first_done_second_open(void *context)
{
    struct world *world = context;
    return world->client_calls[0].close_count == 1 && world->server_count == 2;
}

static bool jump_receive(void *context)
{
    struct world *world = context;
    assert_int_equal(world->server_calls[1].close_count, 0);
    fake_time_jump(world->loop, RPC_RECEIVE_TIMEOUT_MS / 2);
    return true;
}

static void a_request_that_never_comes(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_run(world, (const scenario_step_fn[]){open_half, first_done_second_open, jump_receive,
                                                step_turns, jump_receive, step_all_closed, NULL});
    assert_int_equal(world->client_calls[1].status, RPC_DEADLINE_EXCEEDED);
    assert_int_equal(world->server_calls[1].message_count, 0);
    world_free(world);
}

static bool open_stream(void *context)
{
    struct world *world = context;
    struct record *record = call_open(world, "/test.T/Chat", 0);
    call_send(record, 10);
    return true;
}

static bool echoed(void *context)
{
    return ((struct world *)context)->client_calls[0].message_count == 1;
}

static bool jump_far(void *context)
{
    fake_time_jump(((struct world *)context)->loop, 2 * RPC_RECEIVE_TIMEOUT_MS);
    return true;
}

// Between messages a stream may be silent: only the connection's ping watches over it.
static void a_silent_stream_stays(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_run(world, (const scenario_step_fn[]){open_stream, echoed, jump_far, still_open, NULL});
    world_free(world);
}

static struct stream *server_end;

static bool cut_off_by_the_client(void *context)
{
    struct world *world = context;
    if (world->client_calls[0].close_count == 0) {
        return false;
    }
    stream_close(server_end, STREAM_CLOSE_ABORT, NULL, NULL);
    return true;
}

// A server that ignores the deadline: the client's own timer ends the call.
static void our_own_timer_does_not_trust_the_server(void **state)
{
    (void)state;
    struct world *world = world_new_client(&server_end);
    assert_non_null(call_open(world, "/test.T/Unary", 5000));
    world_run(world,
              (const scenario_step_fn[]){step_turns, jump_call, cut_off_by_the_client, NULL});
    assert_int_equal(world->client_calls[0].status, RPC_DEADLINE_EXCEEDED);
    assert_string_equal(world->client_calls[0].text, "deadline exceeded");
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_that_is_never_answered),
        cmocka_unit_test(no_deadline_means_none),
        cmocka_unit_test(a_request_that_never_comes),
        cmocka_unit_test(a_silent_stream_stays),
        cmocka_unit_test(our_own_timer_does_not_trust_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
