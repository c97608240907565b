// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

static void assert_time(int64_t wall_ms, int with_ms, const char *expected)
{
    char text[CLOCK_RFC3339_BYTES];
    clock_format_rfc3339(wall_ms, with_ms, text);
    assert_string_equal(text, expected);
}

static void wall_times_are_rfc_3339(void **state)
{
    (void)state;
    assert_time(0, 0, "1970-01-01T00:00:00Z");
    assert_time(1769860800123, 1, "2026-01-31T12:00:00.123Z");
    assert_time(951782399999, 1, "2000-02-28T23:59:59.999Z");
    assert_time(951782400000, 0, "2000-02-29T00:00:00Z");
    assert_time(-1, 1, "1969-12-31T23:59:59.999Z");
    assert_time(253402300799000, 0, "9999-12-31T23:59:59Z");
    assert_time(INT64_MAX, 1, "292278994-08-17T07:12:55.807Z");
    assert_time(INT64_MIN, 1, "-292275055-05-16T16:47:04.192Z");
}

static void assert_duration(int64_t seconds, const char *expected)
{
    char text[CLOCK_DURATION_BYTES];
    clock_format_duration(seconds, text);
    assert_string_equal(text, expected);
}

static void durations_show_their_two_largest_units(void **state)
{
    (void)state;
    assert_duration(0, "0s");
    assert_duration(59, "59s");
    assert_duration(60, "1m0s");
    assert_duration(250, "4m10s");
    assert_duration(23 * 3600 + 12 * 60 + 59, "23h12m");
    assert_duration(29 * 86400 + 3 * 3600, "29d3h");
    assert_duration(-250, "-4m10s");
    assert_duration(INT64_MIN, "-106751991167300d15h");
}

static uint64_t fixed_mono_ns(void)
{
    return UINT64_C(5000000001);
}

static int64_t fixed_wall_ms(void)
{
    return -1500;
}

static void replaced_clocks_are_read(void **state)
{
    (void)state;
    clock_replace(fixed_mono_ns, fixed_wall_ms);
    assert_int_equal(clock_mono_ms(), 5000);
    assert_int_equal(clock_mono_ns(), UINT64_C(5000000001));
    assert_int_equal(clock_wall_ms(), -1500);
    assert_int_equal(clock_wall_s(), -2);
    clock_replace(NULL, NULL);
    assert_true(clock_wall_s() > 1700000000);
    uint64_t before = clock_mono_ns();
    assert_true(clock_mono_ns() >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wall_times_are_rfc_3339),
        cmocka_unit_test(durations_show_their_two_largest_units),
        cmocka_unit_test(replaced_clocks_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
