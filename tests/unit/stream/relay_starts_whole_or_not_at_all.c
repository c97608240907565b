// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "relayed.h"

static void finish_unrelayed(struct relayed *relayed)
{
    // Nothing was taken: the streams are ours to close.
    stream_close(relayed->a, STREAM_CLOSE_ABORT, NULL, NULL);
    stream_close(relayed->b, STREAM_CLOSE_ABORT, NULL, NULL);
    stream_close(relayed->left_stream, STREAM_CLOSE_ABORT, NULL, NULL);
    stream_close(relayed->right_stream, STREAM_CLOSE_ABORT, NULL, NULL);
    loop_finish(relayed->loop);
    assert_int_equal(relayed->done, 0);
}

static void without_memory_nothing_is_taken(void **state)
{
    (void)state;
    static const uint8_t first[CHUNK_BYTES];
    const struct relay_options options = {
        .idle_timeout_ms = 1000, .from_a = {first, sizeof(first)}, .from_b = {first, 10}};
    struct relayed relayed;
    unsigned failures = 0;
    relayed_make(&relayed, streams_tcp, streams_memory);
    for (uint64_t n = 1; n <= 3; n++) {
        rm_alloc_fail_at(n);
        enum rm_err result =
            relay_start(relayed.a, relayed.b, &options, relayed_on_done, &relayed, &relayed.relay);
        rm_alloc_fail_at(0);
        if (result == RM_OK) {
            // The chunk was refused and a block of the same size was not: just as well.
            relay_abort(relayed.relay, RM_ERR_CANCELLED);
            stream_close(relayed.left_stream, STREAM_CLOSE_ABORT, NULL, NULL);
            stream_close(relayed.right_stream, STREAM_CLOSE_ABORT, NULL, NULL);
            loop_finish(relayed.loop);
            relayed_make(&relayed, streams_tcp, streams_memory);
            continue;
        }
        assert_int_equal(result, RM_ERR_NO_MEMORY);
        assert_int_equal(chunk_lent_count(relayed.loop), 0);
        failures++;
    }
    assert_int_equal(failures, 2);
    finish_unrelayed(&relayed);
}

static void too_many_pending_bytes_are_refused(void **state)
{
    (void)state;
    static const uint8_t first[CHUNK_BYTES + 1];
    const struct relay_options options = {.from_a = {first, 10}, .from_b = {first, sizeof(first)}};
    struct relayed relayed;
    relayed_make(&relayed, streams_tcp, streams_memory);
    assert_int_equal(
        relay_start(relayed.a, relayed.b, &options, relayed_on_done, &relayed, &relayed.relay),
        RM_ERR_TOO_LARGE);
    finish_unrelayed(&relayed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory_nothing_is_taken),
        cmocka_unit_test(too_many_pending_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
