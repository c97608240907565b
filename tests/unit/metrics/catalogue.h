// SPDX-License-Identifier: GPL-3.0-or-later
//
// A catalogue with one metric of each kind, and what reading it gives.
#pragma once

#include <string.h>

#include "base/alloc.h"
#include "metrics/metrics.h"

enum sample_metric {
    SAMPLE_STARTS,   // sample_starts_total{}
    SAMPLE_REQUESTS, // sample_requests_total{service,result}
    SAMPLE_OPEN,     // sample_open{service}
    SAMPLE_SECONDS,  // sample_seconds{role} histogram
    SAMPLE_COUNT,
};

static const double sample_buckets[] = {0.1, 0.5, 2.5};

static const struct metric_info sample_catalogue[SAMPLE_COUNT] = {
    [SAMPLE_STARTS] = {.name = "sample_starts_total", .help = "Starts.", .kind = METRIC_COUNTER},
    [SAMPLE_REQUESTS] = {.name = "sample_requests_total",
                         .help = "Requests.",
                         .kind = METRIC_COUNTER,
                         .labels = {"service", "result"}},
    [SAMPLE_OPEN] = {.name = "sample_open",
                     .help = "Open.",
                     .kind = METRIC_GAUGE,
                     .labels = {"service"}},
    [SAMPLE_SECONDS] = {.name = "sample_seconds",
                        .help = "Seconds.",
                        .kind = METRIC_HISTOGRAM,
                        .labels = {"role"},
                        .buckets = sample_buckets,
                        .bucket_count = 3},
};

// The text of all metrics; free with rm_free().
static inline char *sample_read(struct metrics *metrics)
{
    struct buffer out;
    buffer_init(&out, 64U << 20);
    assert_int_equal(metrics_write(metrics, &out), RM_OK);
    char *text = rm_strdup(buffer_text(&out));
    assert_non_null(text);
    buffer_deinit(&out);
    return text;
}

static inline void assert_line(struct metrics *metrics, const char *line)
{
    char *text = sample_read(metrics);
    const char *found = strstr(text, line);
    if (found == NULL) {
        print_error("not in:\n%s", text);
    }
    assert_non_null(found);
    assert_true(found == text || found[-1] == '\n');
    assert_int_equal(found[strlen(line)], '\n');
    rm_free(text);
}
