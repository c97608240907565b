// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "loop/loop.h"

#define TIMER_COUNT 500

struct recorded {
    struct timer timer; // under test
    uint64_t delay_ms;  // it was started with
    unsigned started;   // in which place
    bool is_stopped;    // before it expired
    bool has_expired;   // called back
};

static struct recorded recorded[TIMER_COUNT];
static struct recorded *expired[TIMER_COUNT];
static unsigned expired_count;

static void on_expire(void *context)
{
    struct recorded *one = context;
    assert_false(one->has_expired);
    assert_false(timer_is_active(&one->timer));
    one->has_expired = true;
    expired[expired_count++] = one;
}

static void on_stop(void *context)
{
    loop_stop(context);
}

// Many timers, started, restarted and stopped in no order, expire by time, then by order of start.
static void timers_expire_by_time_then_by_start(void **state)
{
    (void)state;
    struct loop *loop = loop_new("timers");
    struct timer last;
    unsigned stopped = 0;
    srand(4711);
    for (unsigned i = 0; i < TIMER_COUNT; i++) {
        timer_init(&recorded[i].timer, loop, on_expire, &recorded[i]);
    }
    for (unsigned start = 0; start < TIMER_COUNT * 3; start++) {
        struct recorded *one =
            &recorded[start < TIMER_COUNT ? start : (unsigned)rand() % TIMER_COUNT];
        one->delay_ms = (uint64_t)rand() % 20;
        one->started = start;
        assert_int_equal(timer_start(&one->timer, one->delay_ms), RM_OK);
    }
    for (unsigned i = 0; i < TIMER_COUNT; i += 3) {
        timer_stop(&recorded[i].timer);
        timer_stop(&recorded[i].timer);
        recorded[i].is_stopped = true;
        stopped++;
    }
    timer_init(&last, loop, on_stop, loop);
    assert_int_equal(timer_start(&last, 20), RM_OK);
    loop_run(loop);

    assert_int_equal(expired_count, TIMER_COUNT - stopped);
    for (unsigned i = 0; i < TIMER_COUNT; i++) {
        assert_int_equal(recorded[i].has_expired, !recorded[i].is_stopped);
    }
    for (unsigned i = 1; i < expired_count; i++) {
        const struct recorded *a = expired[i - 1];
        const struct recorded *b = expired[i];
        assert_true(a->delay_ms < b->delay_ms ||
                    (a->delay_ms == b->delay_ms && a->started < b->started));
    }
    loop_free(loop);
}

struct pair {
    struct timer first;  // its callback acts on the other
    struct timer second; // acted on
    struct loop *loop;   // both's
    unsigned calls;      // of `second`
};

static void on_second(void *context)
{
    struct pair *pair = context;
    pair->calls++;
    loop_stop(pair->loop);
}

static void on_first_stops_second(void *context)
{
    struct pair *pair = context;
    timer_stop(&pair->second);
    loop_stop(pair->loop);
}

// Both are due at once; the first to run stops the other.
static void timer_stopped_in_a_callback_does_not_expire(void **state)
{
    (void)state;
    struct pair pair = {.loop = loop_new("timers")};
    timer_init(&pair.first, pair.loop, on_first_stops_second, &pair);
    timer_init(&pair.second, pair.loop, on_second, &pair);
    assert_int_equal(timer_start(&pair.first, 0), RM_OK);
    assert_int_equal(timer_start(&pair.second, 0), RM_OK);
    loop_run(pair.loop);
    assert_int_equal(pair.calls, 0);
    loop_free(pair.loop);
}

static void on_count(void *context)
{
    ++*(unsigned *)context;
}

static struct deferred between;
static unsigned between_calls;
static unsigned again_calls;

static void on_again(void *context)
{
    struct timer *timer = context;
    // A turn passes between two expiries even of a timer that is due at once.
    assert_int_equal(between_calls, again_calls);
    deferred_schedule(timer->loop, &between);
    if (++again_calls == 5) {
        loop_stop(timer->loop);
        return;
    }
    assert_int_equal(timer_start(timer, 0), RM_OK);
}

static void timer_started_in_a_callback_waits_for_the_next_turn(void **state)
{
    (void)state;
    struct loop *loop = loop_new("timers");
    struct timer timer;
    deferred_init(&between, on_count, &between_calls);
    timer_init(&timer, loop, on_again, &timer);
    assert_int_equal(timer_start(&timer, 0), RM_OK);
    loop_run(loop);
    assert_int_equal(again_calls, 5);
    loop_free(loop);
}

static void timer_of_forever_never_expires(void **state)
{
    (void)state;
    struct loop *loop = loop_new("timers");
    struct timer forever;
    struct timer soon;
    unsigned calls = 0;
    timer_init(&forever, loop, on_count, &calls);
    timer_init(&soon, loop, on_stop, loop);
    assert_int_equal(timer_start(&forever, UINT64_MAX), RM_OK);
    assert_int_equal(timer_start(&soon, 1), RM_OK);
    loop_run(loop);
    assert_int_equal(calls, 0);
    assert_true(timer_is_active(&forever));
    timer_stop(&forever);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_expire_by_time_then_by_start),
        cmocka_unit_test(timer_stopped_in_a_callback_does_not_expire),
        cmocka_unit_test(timer_started_in_a_callback_waits_for_the_next_turn),
        cmocka_unit_test(timer_of_forever_never_expires),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
