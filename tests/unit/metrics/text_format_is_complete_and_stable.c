// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "catalogue.h"

#include <math.h>

static void an_unused_catalogue_shows_what_it_can_count(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new(sample_catalogue, SAMPLE_COUNT);
    char *text = sample_read(metrics);
    assert_string_equal(text, "# HELP sample_starts_total Starts.\n"
                              "# TYPE sample_starts_total counter\n"
                              "sample_starts_total 0\n"
                              "# HELP sample_requests_total Requests.\n"
                              "# TYPE sample_requests_total counter\n"
                              "# HELP sample_open Open.\n"
                              "# TYPE sample_open gauge\n"
                              "# HELP sample_seconds Seconds.\n"
                              "# TYPE sample_seconds histogram\n");
    rm_free(text);
    metrics_free(metrics);
    metrics_free(NULL);
}

static void count_something(struct metric_set *set, size_t first)
{
    // In an order that depends on `first`: what is written must not.
    static const char *const services[] = {"web", "cache", "we", "web2"};
    for (size_t i = 0; i < 4; i++) {
        const char *service = services[(i + first) % 4];
        metric_add(set, SAMPLE_REQUESTS, (const char *const[]){service, "ok"}, 2);
        metric_add(set, SAMPLE_REQUESTS, (const char *const[]){service, "denied"}, 1);
    }
    metric_add(set, SAMPLE_STARTS, NULL, UINT64_C(9007199254740993));
    metric_gauge_set(set, SAMPLE_OPEN, (const char *const[]){"web"}, 1753180800);
    metric_gauge_add(set, SAMPLE_OPEN, (const char *const[]){"web"}, -0.5);
    const char *const role[] = {"client"};
    metric_observe(set, SAMPLE_SECONDS, role, 0.1);
    metric_observe(set, SAMPLE_SECONDS, role, 0.2);
    metric_observe(set, SAMPLE_SECONDS, role, 2.5);
    metric_observe(set, SAMPLE_SECONDS, role, 100);
}

static void every_metric_stands_once_with_sorted_series(void **state)
{
    (void)state;
    for (size_t first = 0; first < 4; first++) {
        struct metrics *metrics = metrics_new(sample_catalogue, SAMPLE_COUNT);
        count_something(metrics_set_new(metrics), first);
        char *text = sample_read(metrics);
        assert_string_equal(text, "# HELP sample_starts_total Starts.\n"
                                  "# TYPE sample_starts_total counter\n"
                                  "sample_starts_total 9007199254740993\n"
                                  "# HELP sample_requests_total Requests.\n"
                                  "# TYPE sample_requests_total counter\n"
                                  "sample_requests_total{service=\"cache\",result=\"denied\"} 1\n"
                                  "sample_requests_total{service=\"cache\",result=\"ok\"} 2\n"
                                  "sample_requests_total{service=\"we\",result=\"denied\"} 1\n"
                                  "sample_requests_total{service=\"we\",result=\"ok\"} 2\n"
                                  "sample_requests_total{service=\"web\",result=\"denied\"} 1\n"
                                  "sample_requests_total{service=\"web\",result=\"ok\"} 2\n"
                                  "sample_requests_total{service=\"web2\",result=\"denied\"} 1\n"
                                  "sample_requests_total{service=\"web2\",result=\"ok\"} 2\n"
                                  "# HELP sample_open Open.\n"
                                  "# TYPE sample_open gauge\n"
                                  "sample_open{service=\"web\"} 1753180799.5\n"
                                  "# HELP sample_seconds Seconds.\n"
                                  "# TYPE sample_seconds histogram\n"
                                  "sample_seconds_bucket{role=\"client\",le=\"0.1\"} 1\n"
                                  "sample_seconds_bucket{role=\"client\",le=\"0.5\"} 2\n"
                                  "sample_seconds_bucket{role=\"client\",le=\"2.5\"} 3\n"
                                  "sample_seconds_bucket{role=\"client\",le=\"+Inf\"} 4\n"
                                  "sample_seconds_sum{role=\"client\"} 102.8\n"
                                  "sample_seconds_count{role=\"client\"} 4\n");
        rm_free(text);
        metrics_free(metrics);
    }
}

static void numbers_read_back_as_they_were(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *line;
    } cases[] = {
        {0.1, "sample_open{service=\"a\"} 0.1"},
        {0.1 + 0.2, "sample_open{service=\"a\"} 0.30000000000000004"},
        {1e300, "sample_open{service=\"a\"} 1e+300"},
        {-7, "sample_open{service=\"a\"} -7"},
        {INFINITY, "sample_open{service=\"a\"} +Inf"},
        {-INFINITY, "sample_open{service=\"a\"} -Inf"},
        {NAN, "sample_open{service=\"a\"} NaN"},
    };
    struct metrics *metrics = metrics_new(sample_catalogue, SAMPLE_COUNT);
    struct metric_set *set = metrics_set_new(metrics);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        metric_gauge_set(set, SAMPLE_OPEN, (const char *const[]){"a"}, cases[i].value);
        assert_line(metrics, cases[i].line);
    }
    metrics_free(metrics);
}

static void a_histogram_without_labels_begins_at_zero(void **state)
{
    (void)state;
    static const struct metric_info bare = {.name = "bare",
                                            .help = "Bare.",
                                            .kind = METRIC_HISTOGRAM,
                                            .buckets = sample_buckets,
                                            .bucket_count = 1};
    struct metrics *metrics = metrics_new(&bare, 1);
    char *text = sample_read(metrics);
    assert_string_equal(text, "# HELP bare Bare.\n# TYPE bare histogram\n"
                              "bare_bucket{le=\"0.1\"} 0\nbare_bucket{le=\"+Inf\"} 0\n"
                              "bare_sum 0\nbare_count 0\n");
    rm_free(text);
    metrics_free(metrics);
}

static void a_cleared_gauge_is_gone(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new(sample_catalogue, SAMPLE_COUNT);
    struct metric_set *set = metrics_set_new(metrics);
    struct metric_set *other = metrics_set_new(metrics);
    const char *const web[] = {"web"};
    metric_gauge_set(set, SAMPLE_OPEN, web, 1);
    metric_gauge_set(other, SAMPLE_OPEN, web, 2);
    assert_line(metrics, "sample_open{service=\"web\"} 3");
    metric_gauge_clear(set, SAMPLE_OPEN, web);
    metric_gauge_clear(set, SAMPLE_OPEN, web);
    assert_line(metrics, "sample_open{service=\"web\"} 2");
    metric_gauge_clear(other, SAMPLE_OPEN, web);
    char *text = sample_read(metrics);
    assert_null(strstr(text, "sample_open{"));
    rm_free(text);
    metric_gauge_set(set, SAMPLE_OPEN, web, 5);
    assert_line(metrics, "sample_open{service=\"web\"} 5");
    metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unused_catalogue_shows_what_it_can_count),
        cmocka_unit_test(every_metric_stands_once_with_sorted_series),
        cmocka_unit_test(numbers_read_back_as_they_were),
        cmocka_unit_test(a_histogram_without_labels_begins_at_zero),
        cmocka_unit_test(a_cleared_gauge_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
