// SPDX-License-Identifier: GPL-3.0-or-later
#include "histogram.h"

// Octave 0 holds 0..63 ns one by one; octave n the durations of n + 6 bits in 64 steps.
void histogram_add(struct histogram *histogram, uint64_t duration_ns)
{
    uint64_t octave = 0;
    uint64_t step = duration_ns;
    if (duration_ns >= HISTOGRAM_STEPS) {
        octave = (uint64_t)(63 - __builtin_clzll(duration_ns)) - 5;
        step = (duration_ns >> (octave - 1)) & (HISTOGRAM_STEPS - 1);
    }
    if (octave >= HISTOGRAM_OCTAVES) {
        octave = HISTOGRAM_OCTAVES - 1;
        step = HISTOGRAM_STEPS - 1;
    }
    histogram->counts[octave * HISTOGRAM_STEPS + step]++;
    histogram->total++;
    if (duration_ns > histogram->max_ns) {
        histogram->max_ns = duration_ns;
    }
}

uint64_t histogram_at(const struct histogram *histogram, double share)
{
    double wanted = share * (double)histogram->total;
    uint64_t seen = 0;
    for (uint64_t i = 0; i < HISTOGRAM_STEPS * HISTOGRAM_OCTAVES; i++) {
        seen += histogram->counts[i];
        if (seen > 0 && (double)seen >= wanted) {
            uint64_t octave = i / HISTOGRAM_STEPS;
            uint64_t step = i % HISTOGRAM_STEPS;
            return octave == 0 ? step : (HISTOGRAM_STEPS + step) << (octave - 1);
        }
    }
    return histogram->max_ns;
}
