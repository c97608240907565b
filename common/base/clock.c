// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define NS_PER_MS 1000000
#define NS_PER_S UINT64_C(1000000000)
#define MS_PER_S 1000

static uint64_t clock_system_mono_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static int64_t clock_system_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * MS_PER_S + now.tv_nsec / NS_PER_MS;
}

static clock_mono_ns_fn read_mono_ns = clock_system_mono_ns;
static clock_wall_ms_fn read_wall_ms = clock_system_wall_ms;

void clock_replace(clock_mono_ns_fn mono_ns, clock_wall_ms_fn wall_ms)
{
    read_mono_ns = mono_ns != NULL ? mono_ns : clock_system_mono_ns;
    read_wall_ms = wall_ms != NULL ? wall_ms : clock_system_wall_ms;
}

uint64_t clock_mono_ns(void)
{
    return read_mono_ns();
}

uint64_t clock_mono_ms(void)
{
    return read_mono_ns() / NS_PER_MS;
}

int64_t clock_wall_ms(void)
{
    return read_wall_ms();
}

// Rounds down also before 1970, so that a second always has its 1000 milliseconds.
static int64_t clock_floor_s(int64_t wall_ms)
{
    return wall_ms / MS_PER_S - (wall_ms % MS_PER_S < 0 ? 1 : 0);
}

int64_t clock_wall_s(void)
{
    return clock_floor_s(read_wall_ms());
}

void clock_format_rfc3339(int64_t wall_ms, int with_ms, char out[CLOCK_RFC3339_BYTES])
{
    time_t seconds = (time_t)clock_floor_s(wall_ms);
    int ms = (int)(wall_ms % MS_PER_S);
    ms += ms < 0 ? MS_PER_S : 0;
    struct tm utc = {0};
    if (gmtime_r(&seconds, &utc) == NULL) {
        snprintf(out, CLOCK_RFC3339_BYTES, "out-of-range");
        return;
    }
    size_t used = strftime(out, CLOCK_RFC3339_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
    if (with_ms) {
        snprintf(out + used, CLOCK_RFC3339_BYTES - used, ".%03dZ", ms);
    } else {
        snprintf(out + used, CLOCK_RFC3339_BYTES - used, "Z");
    }
}

void clock_format_duration(int64_t seconds, char out[CLOCK_DURATION_BYTES])
{
    const char *sign = seconds < 0 ? "-" : "";
    uint64_t total = seconds < 0 ? UINT64_C(0) - (uint64_t)seconds : (uint64_t)seconds;
    uint64_t minutes = total / 60;
    uint64_t hours = minutes / 60;
    uint64_t days = hours / 24;
    if (days > 0) {
        snprintf(out, CLOCK_DURATION_BYTES, "%s%" PRIu64 "d%" PRIu64 "h", sign, days, hours % 24);
    } else if (hours > 0) {
        snprintf(out, CLOCK_DURATION_BYTES, "%s%" PRIu64 "h%" PRIu64 "m", sign, hours,
                 minutes % 60);
    } else if (minutes > 0) {
        snprintf(out, CLOCK_DURATION_BYTES, "%s%" PRIu64 "m%" PRIu64 "s", sign, minutes,
                 total % 60);
    } else {
        snprintf(out, CLOCK_DURATION_BYTES, "%s%" PRIu64 "s", sign, total);
    }
}
