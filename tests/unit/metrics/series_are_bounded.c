// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "catalogue.h"

#include <stdio.h>

static size_t count_lines(struct metrics *metrics, const char *beginning)
{
    char *text = sample_read(metrics);
    size_t count = 0;
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += line == text ? 0 : 1;
        count += strncmp(line, beginning, strlen(beginning)) == 0 ? 1 : 0;
    }
    rm_free(text);
    return count;
}

static void further_label_values_count_as_other(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new(sample_catalogue, SAMPLE_COUNT);
    struct metric_set *sets[] = {metrics_set_new(metrics), metrics_set_new(metrics)};
    // Two sets that meet different names: the bound is on what is written, not on each set.
    for (int i = 0; i < 2 * METRIC_MAX_SERIES; i++) {
        char name[32];
        snprintf(name, sizeof(name), "name-%d", i);
        metric_add(sets[i % 2], SAMPLE_REQUESTS, (const char *const[]){name, "ok"}, 1);
    }
    assert_int_equal(count_lines(metrics, "sample_requests_total{"), METRIC_MAX_SERIES + 1);
    assert_line(metrics, "sample_requests_total{service=\"other\",result=\"other\"} 1024");
    assert_line(metrics, "sample_requests_total{service=\"name-0\",result=\"ok\"} 1");
    // A name that was admitted stays itself, in the set that brought it and in the other.
    metric_add(sets[0], SAMPLE_REQUESTS, (const char *const[]){"name-0", "ok"}, 1);
    metric_add(sets[1], SAMPLE_REQUESTS, (const char *const[]){"name-0", "ok"}, 1);
    assert_line(metrics, "sample_requests_total{service=\"name-0\",result=\"ok\"} 3");
    metrics_free(metrics);
}

static void a_cleared_gauge_gives_its_place_back(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new(sample_catalogue, SAMPLE_COUNT);
    struct metric_set *set = metrics_set_new(metrics);
    for (int i = 0; i < 3 * METRIC_MAX_SERIES; i++) {
        char name[32];
        snprintf(name, sizeof(name), "name-%d", i);
        metric_gauge_set(set, SAMPLE_OPEN, (const char *const[]){name}, i);
        metric_gauge_clear(set, SAMPLE_OPEN, (const char *const[]){name});
    }
    assert_int_equal(count_lines(metrics, "sample_open{"), 0);
    metrics_free(metrics);
}

// Counts with the n-th allocation failing; true when nothing failed.
static bool count_with_fault(uint64_t n)
{
    rm_alloc_fail_at(n);
    struct metrics *metrics = metrics_new(sample_catalogue, SAMPLE_COUNT);
    struct metric_set *set = metrics != NULL ? metrics_set_new(metrics) : NULL;
    if (set != NULL) {
        metric_add(set, SAMPLE_STARTS, NULL, 1);
        metric_gauge_set(set, SAMPLE_OPEN, (const char *const[]){"web"}, 1);
        metric_observe(set, SAMPLE_SECONDS, (const char *const[]){"client"}, 1);
    }
    struct buffer out;
    buffer_init(&out, 1U << 20);
    enum rm_err result = metrics != NULL ? metrics_write(metrics, &out) : RM_ERR_NO_MEMORY;
    bool is_untouched = rm_alloc_count() < n;
    rm_alloc_fail_at(0);
    assert_true(!is_untouched || (result == RM_OK && set != NULL));
    buffer_deinit(&out);
    if (set != NULL) {
        // What failed once works the next time.
        metric_add(set, SAMPLE_STARTS, NULL, 1);
        char *text = sample_read(metrics);
        assert_null(strstr(text, "sample_starts_total 0"));
        rm_free(text);
    }
    metrics_free(metrics);
    return is_untouched;
}

static void failed_allocations_lose_a_count_and_nothing_else(void **state)
{
    (void)state;
    uint64_t n = 1;
    while (!count_with_fault(n)) {
        n++;
        assert_true(n < 200);
    }
    assert_true(n > 20);
}

static void too_small_a_buffer_is_said(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new(sample_catalogue, SAMPLE_COUNT);
    struct buffer out;
    buffer_init(&out, 100);
    assert_int_equal(metrics_write(metrics, &out), RM_ERR_TOO_LARGE);
    buffer_deinit(&out);
    metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(further_label_values_count_as_other),
        cmocka_unit_test(a_cleared_gauge_gives_its_place_back),
        cmocka_unit_test(failed_allocations_lose_a_count_and_nothing_else),
        cmocka_unit_test(too_small_a_buffer_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
