// SPDX-License-Identifier: GPL-3.0-or-later
//
// A duration or number is what it says, or it is refused: no guess, no overflow.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "args.h"

static void durations_are_read(void **state)
{
    static const struct {
        const char *text; // as typed
        int64_t ms;       // that it means
    } rows[] = {
        {"1ms", 1},         {"500ms", 500},
        {"90s", 90000},     {"15m", 900000},
        {"1h", 3600000},    {"7d", INT64_C(7) * 86400000},
        {"1h30m", 5400000}, {"1d2h3m4s5ms", INT64_C(93784005)},
        {"0h1s", 1000},     {"3650d", INT64_C(3650) * 86400000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rm_error error = {0};
        int64_t ms = 0;
        assert_int_equal(duration_parse(rows[i].text, &ms, &error), RM_OK);
        assert_int_equal(ms, rows[i].ms);
    }
}

static void other_durations_are_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "10",
        "s",
        "0s",
        "-1s",
        "+1s",
        " 1s",
        "1s ",
        "1 s",
        "1.5s",
        "1S",
        "1hour",
        "1m1h",
        "1s1s",
        "1h2h",
        "3651d",
        "9999999999999d",
        "1w",
        "1s\n",
        "0x10s",
        "1e3s",
        "1min",
        "4m10",
        "87601h",
        "999999999999999999999999s",
        "106751991167d",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rm_error error = {0};
        int64_t ms = 4711;
        assert_int_equal(duration_parse(rows[i], &ms, &error), RM_ERR_CONFIG);
        assert_int_equal(ms, 4711);
        assert_non_null(strstr(rm_error_message(&error), "1h30m"));
    }
}

static void numbers_are_read_within_their_range(void **state)
{
    static const char *const wrong[] = {
        "", "0", "65536", "-1", "+1", " 1", "1 ", "0x1", "1.0", "eins", "99999999999999999999"};
    struct rm_error error = {0};
    int64_t number = 0;
    (void)state;
    assert_int_equal(number_parse("1", 1, 65535, &number, &error), RM_OK);
    assert_int_equal(number, 1);
    assert_int_equal(number_parse("65535", 1, 65535, &number, &error), RM_OK);
    assert_int_equal(number, 65535);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(number_parse(wrong[i], 1, 65535, &number, &error), RM_ERR_CONFIG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(other_durations_are_refused),
        cmocka_unit_test(numbers_are_read_within_their_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
