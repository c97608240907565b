// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relayed.h"

struct aborted {
    struct relayed relayed; // under test
    struct timer timer;     // aborts
    struct timer later;     // closes the right side
};

static void on_abort(void *context)
{
    struct aborted *aborted = context;
    if (aborted->relayed.relay != NULL) {
        relay_abort(aborted->relayed.relay, RM_ERR_REVOKED);
        // Not from within.
        assert_int_equal(aborted->relayed.done, 0);
        relay_abort(aborted->relayed.relay, RM_ERR_CANCELLED);
    }
}

static void on_close_right(void *context)
{
    struct aborted *aborted = context;
    // The relay was blocked, so bytes were in flight; none is held any more.
    assert_int_equal(chunk_lent_count(aborted->relayed.loop), 0);
    stream_close(aborted->relayed.right_stream, STREAM_CLOSE_ABORT, NULL, NULL);
}

static void abort_after(struct aborted *aborted, uint64_t delay_ms)
{
    struct relayed *relayed = &aborted->relayed;
    timer_init(&aborted->timer, relayed->loop, on_abort, aborted);
    assert_int_equal(timer_start(&aborted->timer, delay_ms), RM_OK);
    relayed_run(relayed, &relayed_no_limits);
    timer_stop(&aborted->timer);
    assert_int_equal(relayed->result.error, RM_ERR_REVOKED);
}

static void both_sides_see_a_reset(void **state)
{
    (void)state;
    static const pair_fn kinds[] = {streams_tcp, streams_memory};
    for (size_t i = 0; i < 2; i++) {
        struct aborted aborted;
        relayed_make(&aborted.relayed, kinds[i], kinds[i]);
        aborted.relayed.left.stays_open = true;
        aborted.relayed.right.stays_open = true;
        abort_after(&aborted, 2);
        assert_int_equal(aborted.relayed.left.read_end, RM_ERR_RESET);
        assert_int_equal(aborted.relayed.right.read_end, RM_ERR_RESET);
    }
}

// Nobody reads on the right: bytes are in flight when it ends.
static void a_stalled_relay_is_aborted(void **state)
{
    (void)state;
    static const pair_fn kinds[] = {streams_tcp, streams_memory};
    for (size_t i = 0; i < 2; i++) {
        struct aborted aborted;
        relayed_make(&aborted.relayed, kinds[i], kinds[i]);
        aborted.relayed.left.stays_open = true;
        aborted.relayed.left.send_bytes = UINT64_MAX;
        relayed_relay(&aborted.relayed, &relayed_no_limits);
        party_start(&aborted.relayed.left, aborted.relayed.left_stream);
        timer_init(&aborted.timer, aborted.relayed.loop, on_abort, &aborted);
        assert_int_equal(timer_start(&aborted.timer, 20), RM_OK);
        timer_init(&aborted.later, aborted.relayed.loop, on_close_right, &aborted);
        assert_int_equal(timer_start(&aborted.later, 25), RM_OK);
        loop_finish(aborted.relayed.loop);
        assert_int_equal(aborted.relayed.done, 1);
        assert_int_equal(aborted.relayed.result.error, RM_ERR_REVOKED);
        assert_int_equal(aborted.relayed.left.write_end, RM_ERR_RESET);
    }
}

static void a_half_closed_relay_is_aborted(void **state)
{
    (void)state;
    struct aborted aborted;
    relayed_make(&aborted.relayed, streams_tcp, streams_tcp);
    aborted.relayed.left.send_bytes = 100;
    aborted.relayed.right.stays_open = true;
    abort_after(&aborted, 5);
    assert_int_equal(aborted.relayed.right.received_bytes, 100);
    assert_int_equal(aborted.relayed.left.read_end, RM_ERR_RESET);
}

static void a_relay_is_aborted_before_its_first_turn(void **state)
{
    (void)state;
    struct aborted aborted;
    relayed_make(&aborted.relayed, streams_tcp, streams_memory);
    relayed_relay(&aborted.relayed, &relayed_no_limits);
    on_abort(&aborted);
    aborted.relayed.left.stays_open = true;
    aborted.relayed.right.stays_open = true;
    party_start(&aborted.relayed.left, aborted.relayed.left_stream);
    party_start(&aborted.relayed.right, aborted.relayed.right_stream);
    loop_finish(aborted.relayed.loop);
    assert_int_equal(aborted.relayed.done, 1);
    assert_int_equal(aborted.relayed.result.error, RM_ERR_REVOKED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_see_a_reset),
        cmocka_unit_test(a_stalled_relay_is_aborted),
        cmocka_unit_test(a_half_closed_relay_is_aborted),
        cmocka_unit_test(a_relay_is_aborted_before_its_first_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
