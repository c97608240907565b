// SPDX-License-Identifier: GPL-3.0-or-later
#include "certs/rotation.h"

struct rotation rotation_plan(int64_t issued_at_s, int64_t not_after_s, int64_t now_wall_s,
                              uint64_t now_mono_ms, uint32_t random)
{
    int64_t life_ms = not_after_s > issued_at_s ? (not_after_s - issued_at_s) * 1000 : 0;
    int64_t half_ms = life_ms / 2;
    // From -10 % to +10 % of the half.
    int64_t jitter_ms = half_ms / 10 * ((int64_t)(random % 2001) - 1000) / 1000;
    int64_t delay_ms = half_ms + jitter_ms;
    // What has passed already, if the certificate was not issued just now.
    int64_t age_ms = now_wall_s > issued_at_s ? (now_wall_s - issued_at_s) * 1000 : 0;
    delay_ms = delay_ms > age_ms ? delay_ms - age_ms : 0;
    return (struct rotation){
        .due_wall_s = now_wall_s + delay_ms / 1000,
        .due_mono_ms = now_mono_ms + (uint64_t)delay_ms,
    };
}

bool rotation_is_due(const struct rotation *rotation, int64_t now_wall_s, uint64_t now_mono_ms)
{
    // The wall clock counts in whole seconds: one more than due, or lives of seconds would jitter
    // early.
    return now_mono_ms >= rotation->due_mono_ms || now_wall_s > rotation->due_wall_s + 1;
}

uint64_t rotation_sleep_ms(const struct rotation *rotation, uint64_t now_mono_ms)
{
    uint64_t left = rotation->due_mono_ms > now_mono_ms ? rotation->due_mono_ms - now_mono_ms : 0;
    if (left < ROTATION_LOOK_MIN_MS) {
        return ROTATION_LOOK_MIN_MS;
    }
    return left < ROTATION_LOOK_MS ? left : ROTATION_LOOK_MS;
}
