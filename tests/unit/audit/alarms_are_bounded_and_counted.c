// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "audit/alarms.h"

static int clear(void **state)
{
    (void)state;
    for (int kind = 0; kind < ALARM_KIND_COUNT; kind++) {
        alarms_clear((enum alarm_kind)kind);
    }
    return 0;
}

static void newest_is_first_and_repeats_count(void **state)
{
    (void)state;
    alarms_raise(ALARM_ROOT_EXPIRES, "one");
    alarms_raise(ALARM_STORE_FAILS, "two");
    assert_string_equal(alarms_at(0)->text, "two");
    alarms_raise(ALARM_ROOT_EXPIRES, "one");
    assert_int_equal(alarms_count(), 2);
    assert_string_equal(alarms_at(0)->text, "one");
    assert_int_equal(alarms_at(0)->count, 2);
    assert_string_equal(alarms_at(1)->text, "two");
    assert_null(alarms_at(2));
}

static void oldest_gives_way(void **state)
{
    (void)state;
    for (int i = 0; i < ALARMS_MAX + 3; i++) {
        char text[32];
        snprintf(text, sizeof text, "alarm %d", i);
        alarms_raise(ALARM_LINEAGE_FORKED, text);
    }
    assert_int_equal(alarms_count(), ALARMS_MAX);
    assert_string_equal(alarms_at(ALARMS_MAX - 1)->text, "alarm 3");
}

static void one_kind_is_cleared(void **state)
{
    (void)state;
    alarms_raise(ALARM_ROOT_EXPIRES, "a");
    alarms_raise(ALARM_STORE_FAILS, "b");
    alarms_raise(ALARM_ROOT_EXPIRES, "c");
    alarms_clear(ALARM_ROOT_EXPIRES);
    assert_int_equal(alarms_count(), 1);
    assert_string_equal(alarms_at(0)->text, "b");
}

static void long_text_is_cut(void **state)
{
    (void)state;
    char text[ALARM_TEXT_BYTES * 2];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    alarms_raise(ALARM_ENDPOINT_REFUSED, text);
    alarms_raise(ALARM_ENDPOINT_REFUSED, text);
    assert_int_equal(alarms_count(), 1);
    assert_int_equal(strlen(alarms_at(0)->text), ALARM_TEXT_BYTES - 1);
}

static void every_kind_has_a_name(void **state)
{
    (void)state;
    for (int kind = 0; kind < ALARM_KIND_COUNT; kind++) {
        const char *name = alarm_kind_name((enum alarm_kind)kind);
        assert_true(strlen(name) > 5 &&
                    strspn(name, "abcdefghijklmnopqrstuvwxyz_") == strlen(name));
        assert_true(strlen(alarm_kind_text((enum alarm_kind)kind)) > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(newest_is_first_and_repeats_count, clear),
        cmocka_unit_test_setup(oldest_gives_way, clear),
        cmocka_unit_test_setup(one_kind_is_cleared, clear),
        cmocka_unit_test_setup(long_text_is_cut, clear),
        cmocka_unit_test(every_kind_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
