// SPDX-License-Identifier: GPL-3.0-or-later
//
//   metrics ── family (one per metric of the catalogue)
//                └── series (one per combination of label values that is admitted)
//                      └── cell (one per set that counted it: the numbers)
//   metric_set ── per family, a private index from label values to its own cell
//
// A set's thread finds its cell in its own index and counts in it with relaxed loads and stores: it
// is the only writer. Families, series and lists of cells are shared: `metrics.mutex` guards them,
// and a set's thread takes it only when it meets label values for the first time, or drops them.
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/map.h"
#include "metrics/metrics.h"

// Longest text of one label value; what is longer is cut. A series is found by its cut values.
#define METRIC_VALUE_BYTES 256
#define METRIC_KEY_BYTES (METRIC_MAX_LABELS * (METRIC_VALUE_BYTES + 1))
#define METRIC_MAX_BUCKETS 20

// Label values, each followed by a NUL; the form in which series are compared and sorted.
struct metric_key {
    char bytes[METRIC_KEY_BYTES]; // the values
    size_t length;                // used bytes
};

struct metric_series {
    struct list cells; // struct metric_cell.of_series
    size_t key_length; // bytes of `key`
    char key[];        // as in struct metric_key
};

struct metric_family {
    const struct metric_info *info; // of the catalogue
    size_t label_count;             // names in `info`
    struct map *series;             // key -> struct metric_series, owned
};

// The numbers of one series in one set. A counter has one, a gauge one (bits of a double), a
// histogram one per bucket, one for +Inf, and the sum (bits of a double).
struct metric_cell {
    struct list of_series;        // in metric_series.cells; guarded by the mutex
    struct metric_series *series; // borrowed; lives as long as any of its cells
    char apart[64];               // keeps the numbers off the lines of what another thread touches
    _Atomic uint64_t numbers[];   // written by the set's thread only
};

struct metric_set {
    struct list of_metrics;  // in metrics.sets
    struct metrics *metrics; // borrowed
    struct map **cells;      // per family: key -> struct metric_cell, owned; this thread only
};

struct metrics {
    pthread_mutex_t mutex;          // guards families, series and lists of cells
    struct metric_family *families; // owned; one per metric
    size_t count;                   // of `families`
    struct list sets;               // struct metric_set.of_metrics, owned
};

// Numbers in a cell of this metric.
size_t metric_number_count(const struct metric_info *info);
double metric_as_double(uint64_t bits);
uint64_t metric_as_bits(double value);

// The calling thread's cell for these label values, made if need be; NULL when memory is exhausted.
// Past METRIC_MAX_SERIES, new label values share the series whose values are all "other".
struct metric_cell *metric_cell_find(struct metric_set *set, size_t metric,
                                     const char *const *values);
// Frees the set's cell for these label values, and its series when no other set has one.
void metric_cell_drop(struct metric_set *set, size_t metric, const char *const *values);
