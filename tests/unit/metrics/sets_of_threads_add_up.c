// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "catalogue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum { THREADS = 4, ROUNDS = 5000 };

static void *count(void *context)
{
    struct metric_set *set = context;
    for (int i = 0; i < ROUNDS; i++) {
        char name[32];
        snprintf(name, sizeof(name), "name-%d", i % 50);
        metric_add(set, SAMPLE_STARTS, NULL, 1);
        metric_add(set, SAMPLE_REQUESTS, (const char *const[]){name, "ok"}, 1);
        metric_observe(set, SAMPLE_SECONDS, (const char *const[]){"client"}, 0.25);
        metric_gauge_add(set, SAMPLE_OPEN, (const char *const[]){"web"}, 1);
        metric_gauge_set(set, SAMPLE_OPEN, (const char *const[]){name}, i);
        metric_gauge_clear(set, SAMPLE_OPEN, (const char *const[]){name});
    }
    return NULL;
}

// A reader and its end.
struct reader {
    struct metrics *metrics; // borrowed
    atomic_bool is_told;     // to stop
};

static void *read_until_told(void *context)
{
    struct reader *reader = context;
    while (!atomic_load(&reader->is_told)) {
        struct buffer out;
        buffer_init(&out, 1U << 20);
        enum rm_err result = metrics_write(reader->metrics, &out);
        buffer_deinit(&out);
        if (result != RM_OK) {
            return "cannot read";
        }
    }
    return NULL;
}

static void nothing_is_lost_between_threads_and_a_reader(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new(sample_catalogue, SAMPLE_COUNT);
    pthread_t threads[THREADS];
    pthread_t reading;
    struct reader reader = {.metrics = metrics};
    assert_int_equal(pthread_create(&reading, NULL, read_until_told, &reader), 0);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count, metrics_set_new(metrics)), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    void *complaint = NULL;
    atomic_store(&reader.is_told, true);
    assert_int_equal(pthread_join(reading, &complaint), 0);
    assert_null(complaint);
    assert_line(metrics, "sample_starts_total 20000");
    assert_line(metrics, "sample_requests_total{service=\"name-7\",result=\"ok\"} 400");
    assert_line(metrics, "sample_open{service=\"web\"} 20000");
    assert_line(metrics, "sample_seconds_sum{role=\"client\"} 5000");
    assert_line(metrics, "sample_seconds_count{role=\"client\"} 20000");
    metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_between_threads_and_a_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
