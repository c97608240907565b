// SPDX-License-Identifier: GPL-3.0-or-later
//
// Durations in buckets whose width grows with them: within 1.6 % from 64 ns to an hour.
#pragma once

#include <stdint.h>

enum { HISTOGRAM_STEPS = 64, HISTOGRAM_OCTAVES = 36 };

struct histogram {
    uint64_t counts[HISTOGRAM_STEPS * HISTOGRAM_OCTAVES]; // by duration
    uint64_t total;                                       // all of them
    uint64_t max_ns;                                      // the longest, exactly
};

void histogram_add(struct histogram *histogram, uint64_t duration_ns);
// The duration that `share` (0..1) of all were not above; 0 when there are none.
uint64_t histogram_at(const struct histogram *histogram, double share);
