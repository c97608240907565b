// SPDX-License-Identifier: GPL-3.0-or-later
//
// Time. Two clocks: monotonic for waits and deadlines, wall for certificates. Both can be replaced
// in tests. Thread-safe, except clock_replace().
#pragma once

#include <stddef.h>
#include <stdint.h>

// Milliseconds since an arbitrary start; never goes back.
uint64_t clock_mono_ms(void);
// Nanoseconds of the same clock, for measurements.
uint64_t clock_mono_ns(void);
// Seconds since 1970-01-01 UTC; may jump.
int64_t clock_wall_s(void);
// Milliseconds since 1970-01-01 UTC.
int64_t clock_wall_ms(void);

typedef uint64_t (*clock_mono_ns_fn)(void);
typedef int64_t (*clock_wall_ms_fn)(void);
// Test hook: replaces either clock; NULL restores the system's.
void clock_replace(clock_mono_ns_fn mono_ns, clock_wall_ms_fn wall_ms);

#define CLOCK_RFC3339_BYTES 32 // "2026-01-31T12:00:00.123Z" and its NUL, with room for large years
// Writes `wall_ms` as RFC 3339 in UTC with milliseconds; with seconds only if `with_ms` is 0.
void clock_format_rfc3339(int64_t wall_ms, int with_ms, char out[CLOCK_RFC3339_BYTES]);

#define CLOCK_DURATION_BYTES 32
// A length of time for people: "20s", "4m10s", "23h12m", "29d3h"; negative ones get a '-'.
void clock_format_duration(int64_t seconds, char out[CLOCK_DURATION_BYTES]);
