// SPDX-License-Identifier: GPL-3.0-or-later
//
// Counters, gauges and histograms. Each loop's thread counts in its own set without locks or
// atomics in the reader's way (relaxed atomic adds on its own cache lines); sets are merged when
// read, in Prometheus text format 0.0.4 / OpenMetrics names. The catalogue is a static table, so
// that names, help and labels stand at one place and cardinality is bounded by declaration.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

#define METRIC_MAX_SERIES 1024 // label combinations of one metric; further ones count as "other"
#define METRIC_MAX_LABELS 4

struct metric_info {
    const char *name; // "remora_connections_total"
    const char *help; // one line
    enum metric_kind kind;
    const char *labels[METRIC_MAX_LABELS]; // names; NULL after the last
    const double *buckets;                 // histogram: upper bounds, ascending
    size_t bucket_count;                   // at most 20
};

struct metrics;    // the catalogue and all sets; shared
struct metric_set; // one thread's values

// `catalogue` is static. NULL when memory is exhausted.
struct metrics *metrics_new(const struct metric_info *catalogue, size_t count);
void metrics_free(struct metrics *metrics);
// A set for the calling thread's use; lives as long as `metrics`.
struct metric_set *metrics_set_new(struct metrics *metrics);

// `metric` is an index of the catalogue; `values` has one text per label (borrowed; NULL when the
// metric has none). Counts of several sets add up; so do gauges: set a gauge from one set only, or
// add to it. Without memory for a new series the count is lost.
void metric_add(struct metric_set *set, size_t metric, const char *const *values, uint64_t amount);
void metric_gauge_set(struct metric_set *set, size_t metric, const char *const *values,
                      double value);
void metric_gauge_add(struct metric_set *set, size_t metric, const char *const *values,
                      double delta);
void metric_observe(struct metric_set *set, size_t metric, const char *const *values, double value);
// Drops one series of a gauge (a certificate that is no more).
void metric_gauge_clear(struct metric_set *set, size_t metric, const char *const *values);

// Merged text of all sets. Thread-safe. Errors: RM_ERR_NO_MEMORY, RM_ERR_TOO_LARGE.
RM_NODISCARD enum rm_err metrics_write(struct metrics *metrics, struct buffer *out);
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
