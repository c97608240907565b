// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../loop/clock_ahead.h"
#include "relayed.h"

struct silence {
    struct relayed relayed; // under test
    struct timer timer;     // lets time pass
    uint64_t step_ms;       // by which the clock moves
    unsigned steps;         // moves before the test gives up
    unsigned finish_at;     // steps left when the left says its end; 0: as it likes
    bool sends;             // the left sends a byte at each step
};

static void on_step(void *context)
{
    struct silence *silence = context;
    struct party *left = &silence->relayed.left;
    if (silence->relayed.relay == NULL) {
        return;
    }
    if (silence->steps-- == 0) {
        relay_abort(silence->relayed.relay, RM_ERR_CANCELLED);
        return;
    }
    clock_ahead_ms += silence->step_ms;
    if (silence->finish_at != 0 && silence->steps == silence->finish_at) {
        left->stays_open = false;
        party_go_on(left);
    }
    if (silence->sends) {
        left->send_bytes++;
        party_go_on(left);
    }
    assert_int_equal(timer_start(&silence->timer, 1), RM_OK);
}

static enum rm_err run_silence(struct silence *silence, const struct relay_options *options)
{
    clock_ahead_ms = 0;
    timer_init(&silence->timer, silence->relayed.loop, on_step, silence);
    assert_int_equal(timer_start(&silence->timer, 1), RM_OK);
    relayed_run(&silence->relayed, options);
    return silence->relayed.result.error;
}

static struct silence silence_make(uint64_t step_ms, unsigned steps)
{
    struct silence silence = {.step_ms = step_ms, .steps = steps};
    relayed_make(&silence.relayed, streams_tcp, streams_tcp);
    silence.relayed.left.stays_open = true;
    silence.relayed.right.stays_open = true;
    return silence;
}

static void silence_both_ways_ends_it(void **state)
{
    (void)state;
    const struct relay_options options = {.idle_timeout_ms = 60000, .half_close_timeout_ms = 1000};
    struct silence silence = silence_make(10000, 8);
    assert_int_equal(run_silence(&silence, &options), RM_ERR_TIMEOUT);
    assert_int_equal(silence.relayed.left.read_end, RM_ERR_RESET);
    assert_int_equal(silence.relayed.right.read_end, RM_ERR_RESET);
}

static void a_byte_now_and_then_keeps_it(void **state)
{
    (void)state;
    const struct relay_options options = {.idle_timeout_ms = 60000};
    struct silence silence = silence_make(30000, 12);
    silence.sends = true;
    assert_int_equal(run_silence(&silence, &options), RM_ERR_CANCELLED);
    assert_true(silence.relayed.right.received_bytes >= 10);
}

static void without_limits_it_stays(void **state)
{
    (void)state;
    struct silence silence = silence_make(UINT32_MAX, 5);
    assert_int_equal(run_silence(&silence, &relayed_no_limits), RM_ERR_CANCELLED);
}

static void half_closed_it_has_its_own_limit(void **state)
{
    (void)state;
    const struct relay_options options = {.half_close_timeout_ms = 60000};
    struct silence silence = silence_make(25000, 6);
    silence.relayed.left.stays_open = false;
    assert_int_equal(run_silence(&silence, &options), RM_ERR_TIMEOUT);
    assert_int_equal(silence.relayed.right.read_end, RM_ERR_EOF);

    // Not half-closed, the same silence is nothing to it.
    struct silence open = silence_make(25000, 6);
    assert_int_equal(run_silence(&open, &options), RM_ERR_CANCELLED);
}

// Long silent while open, which nothing forbids, and then half-closed.
static void the_half_closed_silence_begins_with_the_end(void **state)
{
    (void)state;
    const struct relay_options options = {.half_close_timeout_ms = 60000};
    struct silence silence = silence_make(25000, 7);
    silence.finish_at = 2;
    assert_int_equal(run_silence(&silence, &options), RM_ERR_CANCELLED);
    assert_int_equal(silence.relayed.right.read_end, RM_ERR_EOF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_both_ways_ends_it),
        cmocka_unit_test(a_byte_now_and_then_keeps_it),
        cmocka_unit_test(without_limits_it_stays),
        cmocka_unit_test(half_closed_it_has_its_own_limit),
        cmocka_unit_test(the_half_closed_silence_begins_with_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
