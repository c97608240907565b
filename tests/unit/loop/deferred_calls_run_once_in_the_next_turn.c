// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loop/loop.h"

struct calls {
    struct loop *loop;        // under test
    struct deferred first;    // schedules `second` and itself, cancels `third`
    struct deferred second;   // records
    struct deferred third;    // must not run
    unsigned first_count;     // runs
    unsigned second_count;    // runs
    unsigned third_count;     // runs
    unsigned second_in_first; // runs of `second` when `first` ran last
};

static void on_first(void *context)
{
    struct calls *calls = context;
    calls->second_in_first = calls->second_count;
    deferred_cancel(&calls->third);
    if (++calls->first_count == 3) {
        loop_stop(calls->loop);
        return;
    }
    deferred_schedule(calls->loop, &calls->second);
    deferred_schedule(calls->loop, &calls->first);
    // Not run from within: both wait for the next turn.
    assert_int_equal(calls->second_count, calls->second_in_first);
}

static void on_second(void *context)
{
    ((struct calls *)context)->second_count++;
}

static void on_third(void *context)
{
    ((struct calls *)context)->third_count++;
}

static void calls_run_once_in_turn_unless_cancelled(void **state)
{
    (void)state;
    struct calls calls = {.loop = loop_new("deferred")};
    deferred_init(&calls.first, on_first, &calls);
    deferred_init(&calls.second, on_second, &calls);
    deferred_init(&calls.third, on_third, &calls);
    deferred_schedule(calls.loop, &calls.first);
    deferred_schedule(calls.loop, &calls.first);
    deferred_schedule(calls.loop, &calls.third);
    loop_run(calls.loop);
    assert_int_equal(calls.first_count, 3);
    assert_int_equal(calls.second_count, 2);
    assert_int_equal(calls.second_in_first, 2);
    assert_int_equal(calls.third_count, 0);
    deferred_cancel(&calls.third);
    loop_free(calls.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_run_once_in_turn_unless_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
