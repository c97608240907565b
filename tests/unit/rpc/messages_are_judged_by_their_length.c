// SPDX-License-Identifier: GPL-3.0-or-later
#include "rpc_fixture.h"

#include "rpc/rpc_internal.h"

static size_t size_to_send;

static bool send_one(void *context)
{
    call_unary(context, size_to_send);
    return true;
}

static void run(const char *peer, bool allows_large, size_t size, enum rpc_status status)
{
    size_to_send = size;
    struct world *world = world_new(peer);
    world->manners.allows_large = allows_large;
    world_run(world, (const scenario_step_fn[]){send_one, step_all_closed, NULL});
    assert_int_equal(world->client_calls[0].status, status);
    assert_int_equal(world->server_calls[0].message_count, status == RPC_OK ? 1 : 0);
    world_free(world);
}

static void unauthenticated(void **state)
{
    (void)state;
    run(NULL, false, RPC_MAX_UNAUTHENTICATED_BYTES, RPC_OK);
    run(NULL, false, RPC_MAX_UNAUTHENTICATED_BYTES + 1, RPC_RESOURCE_EXHAUSTED);
}

static void authenticated(void **state)
{
    (void)state;
    run("spiffe://td/a", false, RPC_MAX_UNAUTHENTICATED_BYTES + 1, RPC_OK);
    run("spiffe://td/a", false, RPC_MAX_MESSAGE_BYTES, RPC_OK);
}

static void allowed_by_the_method(void **state)
{
    (void)state;
    run(NULL, true, RPC_MAX_UNAUTHENTICATED_BYTES + 1, RPC_OK);
}

static bool too_large_to_send(void *context)
{
    struct record *record = call_open(context, "/test.T/Unary", 0);
    static const uint8_t bytes[RPC_MAX_MESSAGE_BYTES + 1];
    assert_int_equal(rpc_call_send(record->call, bytes, sizeof(bytes)), RM_ERR_TOO_LARGE);
    rpc_call_cancel(record->call);
    return true;
}

static void we_do_not_send_larger_ones(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_run(world, (const scenario_step_fn[]){too_large_to_send, step_all_closed, NULL});
    world_free(world);
}

// --- the reader alone ---

static size_t seen_count;
static size_t seen_bytes;

static bool on_message(void *context, const uint8_t *bytes, size_t length)
{
    (void)bytes;
    seen_count++;
    seen_bytes += length;
    return context == NULL || seen_count < *(size_t *)context;
}

// The announced length takes no memory; what comes does.
static void memory_follows_the_bytes_that_came(void **state)
{
    (void)state;
    size_t assembling = 0;
    struct rpc_reader reader;
    rpc_reader_init(&reader, RPC_MAX_MESSAGE_BYTES, &assembling);
    const uint8_t prefix[] = {0, 0x00, 0x40, 0x00, 0x00, 'x'};
    assert_int_equal(rpc_reader_feed(&reader, prefix, 6, on_message, NULL), RM_OK);
    assert_int_equal(assembling, RPC_MAX_MESSAGE_BYTES);
    assert_true(reader.message.capacity <= 64);
    assert_false(rpc_reader_is_between(&reader));
    rpc_reader_deinit(&reader);
    assert_int_equal(assembling, 0);
}

static void one_byte_too_many_is_refused_on_the_prefix(void **state)
{
    (void)state;
    size_t assembling = 0;
    struct rpc_reader reader;
    rpc_reader_init(&reader, 1000, &assembling);
    const uint8_t prefix[] = {0, 0, 0, 0x03, 0xe9};
    rm_alloc_fail_at(1); // nothing may be allocated
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(rpc_reader_feed(&reader, prefix + i, 1, on_message, NULL), RM_OK);
    }
    assert_int_equal(rpc_reader_feed(&reader, prefix + 4, 1, on_message, NULL), RM_ERR_TOO_LARGE);
    assert_int_equal(rm_alloc_count(), 0);
    rm_alloc_fail_at(0);
    rpc_reader_deinit(&reader);
}

static void messages_of_one_connection_share_a_bound(void **state)
{
    (void)state;
    size_t assembling = RPC_MAX_ASSEMBLING_BYTES - 10;
    struct rpc_reader reader;
    rpc_reader_init(&reader, 1000, &assembling);
    const uint8_t eleven[] = {0, 0, 0, 0, 11};
    assert_int_equal(rpc_reader_feed(&reader, eleven, 5, on_message, NULL), RM_ERR_TOO_LARGE);
    rpc_reader_deinit(&reader);
    rpc_reader_init(&reader, 1000, &assembling);
    const uint8_t ten[] = {0, 0, 0, 0, 10};
    assert_int_equal(rpc_reader_feed(&reader, ten, 5, on_message, NULL), RM_OK);
    rpc_reader_deinit(&reader);
    assert_int_equal(assembling, RPC_MAX_ASSEMBLING_BYTES - 10);
}

static void every_way_to_cut_the_input(void **state)
{
    (void)state;
    const uint8_t wire[] = {0, 0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 'd'};
    for (size_t part = 1; part <= sizeof(wire); part++) {
        size_t assembling = 0;
        struct rpc_reader reader;
        rpc_reader_init(&reader, 1000, &assembling);
        seen_count = 0;
        seen_bytes = 0;
        for (size_t at = 0; at < sizeof(wire); at += part) {
            size_t length = sizeof(wire) - at < part ? sizeof(wire) - at : part;
            assert_int_equal(rpc_reader_feed(&reader, wire + at, length, on_message, NULL), RM_OK);
        }
        assert_int_equal(seen_count, 3);
        assert_int_equal(seen_bytes, 4);
        assert_true(rpc_reader_is_between(&reader));
        assert_int_equal(assembling, 0);
        rpc_reader_deinit(&reader);
    }
}

static void the_receiver_may_stop(void **state)
{
    (void)state;
    const uint8_t wire[] = {0, 0, 0, 0, 1, 'a', 0, 0, 0, 0, 1, 'b', 0, 0, 0, 0, 1, 'c'};
    size_t assembling = 0;
    size_t stop_at = 2;
    struct rpc_reader reader;
    rpc_reader_init(&reader, 1000, &assembling);
    seen_count = 0;
    assert_int_equal(rpc_reader_feed(&reader, wire, sizeof(wire), on_message, &stop_at),
                     RM_ERR_CLOSED);
    assert_int_equal(seen_count, 2);
    rpc_reader_deinit(&reader);
}

static void compressed_flag(void **state)
{
    (void)state;
    size_t assembling = 0;
    struct rpc_reader reader;
    rpc_reader_init(&reader, 1000, &assembling);
    const uint8_t one[] = {1, 0, 0, 0, 1, 'a'};
    assert_int_equal(rpc_reader_feed(&reader, one, 6, on_message, NULL), RM_ERR_UNSUPPORTED);
    rpc_reader_deinit(&reader);
    rpc_reader_init(&reader, 1000, &assembling);
    const uint8_t two[] = {2, 0, 0, 0, 1, 'a'};
    assert_int_equal(rpc_reader_feed(&reader, two, 6, on_message, NULL), RM_ERR_PROTOCOL);
    rpc_reader_deinit(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unauthenticated),
        cmocka_unit_test(authenticated),
        cmocka_unit_test(allowed_by_the_method),
        cmocka_unit_test(we_do_not_send_larger_ones),
        cmocka_unit_test(memory_follows_the_bytes_that_came),
        cmocka_unit_test(one_byte_too_many_is_refused_on_the_prefix),
        cmocka_unit_test(messages_of_one_connection_share_a_bound),
        cmocka_unit_test(every_way_to_cut_the_input),
        cmocka_unit_test(the_receiver_may_stop),
        cmocka_unit_test(compressed_flag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
