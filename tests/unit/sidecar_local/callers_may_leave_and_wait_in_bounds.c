// SPDX-License-Identifier: GPL-3.0-or-later
//
// Connections come page by page, each once; a caller may leave while another part of the process
// owes it an answer; the number of calls is bounded; a close ends them all.
#include "local_fixture.h"

#include "remora/sidecar/v1/local.pb-c.h"

#define THIRD                                                                                      \
    "\x0a\x05"                                                                                     \
    "third"

// --- Pages. ---

static bool ask_for_all_and_some(void *context)
{
    struct local_world *world = context;
    if (world->call_count == 0) {
        (void)local_call(world, "ListConnections", NULL, 0);
    } else if (step_all_closed(world)) {
        (void)local_call(world, "ListConnections", THIRD, sizeof THIRD - 1);
        return true;
    }
    return false;
}

// How many came, each once (an id's first two bytes say which it is).
static size_t assert_each_once(const struct told *told)
{
    static bool has_come[4 * 256];
    memset(has_come, 0, sizeof has_come);
    assert_int_equal(told->status, RPC_OK);
    Remora__Sidecar__V1__ListConnectionsResponse *list = (void *)protobuf_c_message_unpack(
        &remora__sidecar__v1__list_connections_response__descriptor, NULL, told->length,
        told->bytes);
    assert_non_null(list);
    size_t count = list->n_connections;
    for (size_t i = 0; i < count; i++) {
        const Remora__Sidecar__V1__Connection *connection = list->connections[i];
        size_t number = (size_t)(connection->id.data[0] - 1) * 256 + connection->id.data[1];
        assert_in_range(number, 0, sizeof has_come - 1);
        assert_false(has_come[number]);
        has_come[number] = true;
        assert_int_equal(connection->worker, number % LOCAL_WORKERS);
        assert_int_equal(connection->received_bytes, 2 * connection->sent_bytes);
        assert_string_equal(connection->service, number % 3 == 0 ? "third" : "other");
        assert_string_equal(connection->local_identity, LOCAL_OWN_ID);
    }
    protobuf_c_message_free_unpacked(&list->base, NULL);
    return count;
}

static void each_connection_comes_once(void **state)
{
    struct local_world *world = *state;
    local_add_connections(world, 1000);
    local_run(world, (const scenario_step_fn[]){step_connect, ask_for_all_and_some, step_all_closed,
                                                NULL});
    assert_int_equal(assert_each_once(&world->calls[0]), 1000);
    assert_int_equal(world->calls[0].message_count, 4); // 500 of each worker, 256 on a page
    assert_int_equal(assert_each_once(&world->calls[1]), 334);
}

// --- Leaving. ---

static bool ask_and_hold(void *context)
{
    struct local_world *world = context;
    world->holds_pages = true;
    (void)local_call(world, "ListConnections", NULL, 0);
    return true;
}

static bool leave_when_held(void *context)
{
    struct local_world *world = context;
    if (world->held == NULL) {
        return false;
    }
    rpc_call_cancel(world->calls[0].call);
    return true;
}

// The caller's reset needs some turns to get there.
static bool release_after_turns(void *context)
{
    struct local_world *world = context;
    if (++world->count < 200) {
        return false;
    }
    local_release_page(world);
    return true;
}

static void caller_leaves_while_a_worker_owes_an_answer(void **state)
{
    struct local_world *world = *state;
    local_add_connections(world, 10);
    local_run(world, (const scenario_step_fn[]){step_connect, ask_and_hold, leave_when_held,
                                                release_after_turns, NULL});
    assert_int_equal(world->calls[0].status, RPC_CANCELLED);
}

static bool ask_and_leave(void *context)
{
    struct local_world *world = context;
    struct told *told = local_call(world, "ListConnections", NULL, 0);
    told->must_leave = true;
    return true;
}

static void caller_leaves_between_two_pages(void **state)
{
    struct local_world *world = *state;
    local_add_connections(world, 1000);
    local_run(world,
              (const scenario_step_fn[]){step_connect, ask_and_leave, step_all_closed, NULL});
    assert_int_equal(world->calls[0].status, RPC_CANCELLED);
    assert_in_range(world->calls[0].message_count, 1, 3);
}

// --- Renewals, and bounds. ---

static bool ask_many_renewals(void *context)
{
    struct local_world *world = context;
    while (world->call_count < LOCAL_MAX_CALLS + 1) {
        (void)local_call(world, "Renew", NULL, 0);
    }
    return true;
}

static size_t waiting(const struct local_world *world)
{
    size_t count = 0;
    list_each (node, &world->renewals) {
        count++;
    }
    return count;
}

static bool all_but_one_wait(void *context)
{
    struct local_world *world = context;
    return world->calls[LOCAL_MAX_CALLS].is_closed && waiting(world) == LOCAL_MAX_CALLS;
}

static bool one_leaves(void *context)
{
    struct local_world *world = context;
    if (!world->calls[0].is_closed && world->at == 0) {
        rpc_call_cancel(world->calls[0].call);
        world->at = 1;
    }
    return waiting(world) == LOCAL_MAX_CALLS - 1;
}

static bool two_come_out(void *context)
{
    struct local_world *world = context;
    static const enum rm_err results[] = {RM_OK, RM_ERR_CLOSED};
    for (size_t i = 0; i < 2; i++) {
        struct certs_renewal *renewal =
            list_entry(list_first(&world->renewals), struct certs_renewal, node);
        list_remove(&renewal->node);
        renewal->done(renewal->context, results[i]);
    }
    return true;
}

static bool two_are_told(void *context)
{
    const struct local_world *world = context;
    return world->calls[1].is_closed && world->calls[2].is_closed;
}

static void renewals_wait_are_bounded_and_end_with_the_api(void **state)
{
    struct local_world *world = *state;
    local_run(world, (const scenario_step_fn[]){step_connect, ask_many_renewals, all_but_one_wait,
                                                one_leaves, two_come_out, two_are_told, NULL});
    assert_int_equal(world->calls[LOCAL_MAX_CALLS].status, RPC_RESOURCE_EXHAUSTED);
    assert_int_equal(world->calls[0].status, RPC_CANCELLED);
    assert_int_equal(world->calls[1].status, RPC_OK);
    assert_int_equal(world->calls[2].status, RPC_UNAVAILABLE);
    assert_string_equal(world->calls[2].text, "said by a peer: ?");
    // Nobody waited for the others' outcome at the end.
    assert_int_equal(waiting(world), 0);
    assert_true(step_all_closed(world));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, local_setup, local_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_connection_comes_once),
        TEST(caller_leaves_while_a_worker_owes_an_answer),
        TEST(caller_leaves_between_two_pages),
        TEST(renewals_wait_are_bounded_and_end_with_the_api),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
