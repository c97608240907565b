// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "catalogue.h"

#include <stdio.h>

static void assert_label(const char *value, const char *expected)
{
    struct metrics *metrics = metrics_new(sample_catalogue, SAMPLE_COUNT);
    struct metric_set *set = metrics_set_new(metrics);
    metric_gauge_set(set, SAMPLE_OPEN, (const char *const[]){value}, 1);
    char line[2048];
    snprintf(line, sizeof(line), "sample_open{service=\"%s\"} 1", expected);
    assert_line(metrics, line);
    metrics_free(metrics);
}

static void special_characters_are_escaped(void **state)
{
    (void)state;
    assert_label("a\"} 7\nforged 1\n", "a\\\"} 7\\nforged 1\\n");
    assert_label("back\\slash", "back\\\\slash");
    assert_label("", "");
    assert_label(NULL, "");
    assert_label("h\xc3\xa9llo", "h\xc3\xa9llo");
    assert_label("\r\x1b[2J\x7f", "\xef\xbf\xbd\xef\xbf\xbd[2J\xef\xbf\xbd");
    assert_label("\xff", "\xef\xbf\xbd");
}

static void long_values_are_cut_between_characters(void **state)
{
    (void)state;
    char value[600];
    char expected[257];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    memset(expected, 'x', 256);
    expected[256] = '\0';
    assert_label(value, expected);
    memcpy(value + 255, "\xc3\xa9", 2);
    expected[255] = '\0';
    assert_label(value, expected);
}

static void neighbouring_values_do_not_run_together(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new(sample_catalogue, SAMPLE_COUNT);
    struct metric_set *set = metrics_set_new(metrics);
    metric_add(set, SAMPLE_REQUESTS, (const char *const[]){"ab", "c"}, 1);
    metric_add(set, SAMPLE_REQUESTS, (const char *const[]){"a", "bc"}, 2);
    assert_line(metrics, "sample_requests_total{service=\"ab\",result=\"c\"} 1");
    assert_line(metrics, "sample_requests_total{service=\"a\",result=\"bc\"} 2");
    metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(special_characters_are_escaped),
        cmocka_unit_test(long_values_are_cut_between_characters),
        cmocka_unit_test(neighbouring_values_do_not_run_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
