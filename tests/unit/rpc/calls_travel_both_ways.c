// SPDX-License-Identifier: GPL-3.0-or-later
#include "rpc_fixture.h"

static bool ask_sizes(void *context)
{
    static const size_t sizes[] = {0, 1, 1000, 16379, 60000, RPC_MAX_UNAUTHENTICATED_BYTES};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        call_unary(context, sizes[i]);
    }
    return true;
}

static void unary(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_run(world, (const scenario_step_fn[]){ask_sizes, step_all_closed, NULL});
    assert_int_equal(world->client_count, 6);
    for (size_t i = 0; i < world->client_count; i++) {
        struct record *asked = &world->server_calls[i];
        struct record *answer = &world->client_calls[i];
        assert_int_equal(asked->message_count, 1);
        assert_int_equal(asked->half_close_count, 1);
        assert_int_equal(asked->status, RPC_OK);
        assert_int_equal(answer->status, RPC_OK);
        assert_int_equal(answer->message_count, 1);
        assert_int_equal(answer->byte_count, asked->byte_count);
        assert_memory_equal(answer->bytes, asked->bytes, asked->byte_count);
    }
    world_free(world);
}

static bool chat(void *context)
{
    struct world *world = context;
    if (world->client_count == 0) {
        (void)call_open(world, "/test.T/Chat", 0);
    }
    struct record *record = &world->client_calls[0];
    if (record->message_count < (int)world->count) {
        return false;
    }
    call_send(record, world->count * 100);
    return ++world->count == 50;
}

static bool finish_chat(void *context)
{
    struct world *world = context;
    if (world->client_calls[0].message_count < 50) {
        return false;
    }
    call_finish(&world->client_calls[0]);
    return true;
}

static void streaming_both_ways_in_turn(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_run(world, (const scenario_step_fn[]){chat, finish_chat, step_all_closed, NULL});
    assert_int_equal(world->client_calls[0].message_count, 50);
    assert_int_equal(world->client_calls[0].byte_count, 100 * 49 * 50 / 2);
    assert_int_equal(world->client_calls[0].status, RPC_OK);
    world_free(world);
}

static bool many_small(void *context)
{
    struct record *record = call_open(context, "/test.T/Chat", 0);
    for (int i = 0; i < 5000; i++) {
        call_send(record, 10);
    }
    call_finish(record);
    return true;
}

static void many_messages_in_few_frames(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_run(world, (const scenario_step_fn[]){many_small, step_all_closed, NULL});
    assert_int_equal(world->client_calls[0].message_count, 5000);
    world_free(world);
}

static bool watch(void *context)
{
    struct record *record = call_open(context, "/test.T/Watch", 0);
    call_send(record, 1);
    call_finish(record);
    return true;
}

// The server fills its queue, and goes on each time the client took enough.
static bool pour(void *context)
{
    struct world *world = context;
    if (world->server_count == 0 || world->server_calls[0].message_count == 0) {
        return false;
    }
    struct record *record = &world->server_calls[0];
    static const uint8_t bytes[100000];
    if (world->count > 0 && record->writable_count == 0) {
        return false;
    }
    record->writable_count = 0;
    while (rpc_call_send(record->call, bytes, sizeof(bytes)) == RM_OK) {
        if (++world->count == 100) {
            assert_true(rpc_call_queued_bytes(record->call) > 0);
            rpc_call_end(record->call, RPC_OK, NULL);
            return true;
        }
    }
    return false;
}

static void back_pressure_on_a_stream(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world->manners = (struct manners){.echoes = false};
    world_run(world, (const scenario_step_fn[]){watch, pour, step_all_closed, NULL});
    assert_int_equal(world->client_calls[0].message_count, 100);
    assert_int_equal(world->client_calls[0].byte_count, 100 * 100000);
    world_free(world);
}

static void check_headers(struct record *record)
{
    assert_null(rpc_call_peer(record->call));
    assert_int_equal(rpc_call_remote(record->call).length, 0); // a memory pipe has none
    assert_int_equal(stream_descriptor(rpc_call_stream(record->call)), -1);
}

static bool one(void *context)
{
    call_unary(context, 5);
    return true;
}

static void caller_is_unknown_without_tls(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world->manners.on_message = check_headers;
    world_run(world, (const scenario_step_fn[]){one, step_all_closed, NULL});
    world_free(world);
}

static void check_peer(struct record *record)
{
    assert_string_equal(rpc_call_peer(record->call)->spiffe_id, "spiffe://td/a");
}

static void caller_is_known(void **state)
{
    (void)state;
    struct world *world = world_new("spiffe://td/a");
    world->manners.on_message = check_peer;
    world_run(world, (const scenario_step_fn[]){one, step_all_closed, NULL});
    assert_int_equal(world->client_calls[0].status, RPC_OK);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unary),
        cmocka_unit_test(streaming_both_ways_in_turn),
        cmocka_unit_test(many_messages_in_few_frames),
        cmocka_unit_test(back_pressure_on_a_stream),
        cmocka_unit_test(caller_is_unknown_without_tls),
        cmocka_unit_test(caller_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
