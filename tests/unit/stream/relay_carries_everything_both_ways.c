// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relayed.h"

static void carry(pair_fn left, pair_fn right, uint64_t left_bytes, uint64_t right_bytes)
{
    struct relayed relayed;
    relayed_make(&relayed, left, right);
    relayed.left.send_bytes = left_bytes;
    relayed.right.send_bytes = right_bytes;
    relayed_run(&relayed, &relayed_no_limits);
    assert_int_equal(relayed.left.received_bytes, right_bytes);
    assert_int_equal(relayed.right.received_bytes, left_bytes);
    assert_int_equal(relayed.left.read_end, RM_ERR_EOF);
    assert_int_equal(relayed.right.read_end, RM_ERR_EOF);
    assert_int_equal(relayed.result.error, RM_OK);
    assert_int_equal(relayed.result.a_to_b_bytes, left_bytes);
    assert_int_equal(relayed.result.b_to_a_bytes, right_bytes);
}

static void all_kinds_of_streams_are_relayed(void **state)
{
    (void)state;
    static const pair_fn kinds[] = {streams_tcp, streams_unix, streams_memory};
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 3; j++) {
            carry(kinds[i], kinds[j], 0, 0);
            carry(kinds[i], kinds[j], 1, 100000);
            carry(kinds[i], kinds[j], 300000, 500000);
        }
    }
    // More than the kernel buffers on the way.
    carry(streams_tcp, streams_tcp, 8000000, 8000000);
}

// One direction ends long before the other: a request, its end, then the answer.
static void a_half_closed_direction_leaves_the_other_alone(void **state)
{
    (void)state;
    static const pair_fn kinds[] = {streams_tcp, streams_memory};
    for (size_t i = 0; i < 2; i++) {
        struct relayed relayed;
        relayed_make(&relayed, kinds[i], kinds[i]);
        relayed.left.send_bytes = 10;
        relayed.right.send_bytes = 3000000;
        // A slow reader, so that the answer is long on its way after the request's end.
        relayed.left.read_bytes = 50000;
        relayed_run(&relayed, &relayed_no_limits);
        assert_int_equal(relayed.right.read_end, RM_ERR_EOF);
        assert_int_equal(relayed.left.received_bytes, 3000000);
        assert_int_equal(relayed.result.error, RM_OK);
    }
}

static void bytes_read_before_the_relay_go_first(void **state)
{
    (void)state;
    static uint8_t first[CHUNK_BYTES + 1];
    static const size_t lengths[] = {1, 100, RELAY_LEAN_BYTES, RELAY_LEAN_BYTES + 1, CHUNK_BYTES};
    for (size_t i = 0; i < sizeof(first); i++) {
        first[i] = party_byte(i);
    }
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct relayed relayed;
        const struct relay_options options = {.from_a = {first, lengths[i]},
                                              .from_b = {first, lengths[i]}};
        relayed_make(&relayed, streams_tcp, streams_memory);
        // The parties have sent that much already, and go on behind it.
        relayed.left.sent_bytes = lengths[i];
        relayed.left.send_bytes = lengths[i] + 200000;
        relayed.right.sent_bytes = lengths[i];
        relayed.right.send_bytes = lengths[i];
        relayed_run(&relayed, &options);
        assert_int_equal(relayed.right.received_bytes, lengths[i] + 200000);
        assert_int_equal(relayed.left.received_bytes, lengths[i]);
        assert_int_equal(relayed.result.a_to_b_bytes, lengths[i] + 200000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_of_streams_are_relayed),
        cmocka_unit_test(a_half_closed_direction_leaves_the_other_alone),
        cmocka_unit_test(bytes_read_before_the_relay_go_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
