// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "certs/rotation.h"

#define ISSUED_S INT64_C(1700000000)
#define HOUR_S INT64_C(3600)
#define MONO_MS UINT64_C(5000000)

static struct rotation hour_plan(uint32_t random)
{
    return rotation_plan(ISSUED_S, ISSUED_S + HOUR_S, ISSUED_S, MONO_MS, random);
}

static void renewal_is_at_half_life_give_or_take_a_tenth(void **state)
{
    uint64_t earliest = UINT64_MAX;
    uint64_t latest = 0;
    (void)state;
    for (uint32_t random = 0; random < 5000; random++) {
        struct rotation plan = hour_plan(random);
        uint64_t delay_ms = plan.due_mono_ms - MONO_MS;
        earliest = delay_ms < earliest ? delay_ms : earliest;
        latest = delay_ms > latest ? delay_ms : latest;
        assert_in_range(plan.due_wall_s - ISSUED_S, delay_ms / 1000, delay_ms / 1000);
    }
    assert_int_equal(earliest, 1620000); // 30 min - 10 %
    assert_int_equal(latest, 1980000);   // 30 min + 10 %
    assert_int_equal(hour_plan(1000).due_mono_ms, MONO_MS + 1800000);
}

static void short_lives_jitter_as_well(void **state)
{
    (void)state;
    struct rotation early = rotation_plan(ISSUED_S, ISSUED_S + 20, ISSUED_S, MONO_MS, 0);
    struct rotation late = rotation_plan(ISSUED_S, ISSUED_S + 20, ISSUED_S, MONO_MS, 2000);
    assert_int_equal(early.due_mono_ms - MONO_MS, 9000);
    assert_int_equal(late.due_mono_ms - MONO_MS, 11000);
}

static void age_counts(void **state)
{
    (void)state;
    struct rotation plan =
        rotation_plan(ISSUED_S, ISSUED_S + HOUR_S, ISSUED_S + 1000, MONO_MS, 1000);
    assert_int_equal(plan.due_mono_ms - MONO_MS, 800000);
    // Past its half already, or at its end: now.
    plan = rotation_plan(ISSUED_S, ISSUED_S + HOUR_S, ISSUED_S + 3000, MONO_MS, 1000);
    assert_int_equal(plan.due_mono_ms, MONO_MS);
    plan = rotation_plan(ISSUED_S, ISSUED_S - 1, ISSUED_S, MONO_MS, 0);
    assert_int_equal(plan.due_mono_ms, MONO_MS);
    // Issued in what is our future: the whole half.
    plan = rotation_plan(ISSUED_S, ISSUED_S + HOUR_S, ISSUED_S - 500, MONO_MS, 1000);
    assert_int_equal(plan.due_mono_ms - MONO_MS, 1800000);
}

static void neither_clock_is_due_before_its_time(void **state)
{
    (void)state;
    struct rotation plan = hour_plan(1000);
    assert_false(rotation_is_due(&plan, ISSUED_S, MONO_MS));
    assert_false(rotation_is_due(&plan, ISSUED_S + 1800, MONO_MS + 1799999));
    assert_true(rotation_is_due(&plan, ISSUED_S + 1800, MONO_MS + 1800000));
}

static void wall_clock_set_back_does_not_delay(void **state)
{
    (void)state;
    struct rotation plan = hour_plan(1000);
    assert_true(rotation_is_due(&plan, ISSUED_S - 10 * HOUR_S, MONO_MS + 1800000));
}

// A suspended machine: the monotonic clock stood still.
static void wall_clock_that_jumped_ahead_is_heard(void **state)
{
    (void)state;
    struct rotation plan = hour_plan(1000);
    assert_true(rotation_is_due(&plan, ISSUED_S + 1802, MONO_MS + 1));
    assert_true(rotation_is_due(&plan, ISSUED_S + 100 * HOUR_S, MONO_MS));
}

static void sleep_is_short_enough_to_see_a_jump(void **state)
{
    (void)state;
    struct rotation plan = hour_plan(1000);
    assert_int_equal(rotation_sleep_ms(&plan, MONO_MS), ROTATION_LOOK_MS);
    assert_int_equal(rotation_sleep_ms(&plan, MONO_MS + 1790000), 10000);
    assert_int_equal(rotation_sleep_ms(&plan, MONO_MS + 1799999), ROTATION_LOOK_MIN_MS);
    assert_int_equal(rotation_sleep_ms(&plan, MONO_MS + 9000000), ROTATION_LOOK_MIN_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renewal_is_at_half_life_give_or_take_a_tenth),
        cmocka_unit_test(short_lives_jitter_as_well),
        cmocka_unit_test(age_counts),
        cmocka_unit_test(neither_clock_is_due_before_its_time),
        cmocka_unit_test(wall_clock_set_back_does_not_delay),
        cmocka_unit_test(wall_clock_that_jumped_ahead_is_heard),
        cmocka_unit_test(sleep_is_short_enough_to_see_a_jump),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
