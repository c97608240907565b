// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/backoff.h"

static void delays_double_up_to_the_ceiling(void **state)
{
    (void)state;
    const uint32_t expected[] = {1000, 2000, 4000, 8000, 10000, 10000};
    struct backoff backoff;
    backoff_init(&backoff, 1000, 10000);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(backoff_next_ms(&backoff, UINT32_MAX), expected[i]);
    }
    backoff_reset(&backoff);
    assert_int_equal(backoff_next_ms(&backoff, UINT32_MAX), 1000);
}

static void jitter_spreads_over_the_upper_half(void **state)
{
    (void)state;
    struct backoff backoff;
    backoff_init(&backoff, 1000, 1000);
    assert_int_equal(backoff_next_ms(&backoff, 0), 500);
    assert_int_equal(backoff_next_ms(&backoff, UINT32_MAX / 2), 750);
    assert_int_equal(backoff_next_ms(&backoff, UINT32_MAX), 1000);
}

static void endless_failures_stay_at_the_ceiling(void **state)
{
    (void)state;
    struct backoff backoff;
    backoff_init(&backoff, UINT32_MAX, UINT32_MAX);
    backoff.attempt = UINT32_MAX;
    assert_int_equal(backoff_next_ms(&backoff, UINT32_MAX), UINT32_MAX);
    assert_int_equal(backoff.attempt, UINT32_MAX);
}

static void a_ceiling_below_the_first_delay_gives_way(void **state)
{
    (void)state;
    struct backoff backoff;
    backoff_init(&backoff, 100, 10);
    assert_int_equal(backoff_next_ms(&backoff, UINT32_MAX), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_double_up_to_the_ceiling),
        cmocka_unit_test(jitter_spreads_over_the_upper_half),
        cmocka_unit_test(endless_failures_stay_at_the_ceiling),
        cmocka_unit_test(a_ceiling_below_the_first_delay_gives_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
