// SPDX-License-Identifier: GPL-3.0-or-later
//
// When to renew. Pure: clocks and randomness come in.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ROTATION_LOOK_MS 30000 // both clocks are looked at this often at least
#define ROTATION_LOOK_MIN_MS 250

struct rotation {
    int64_t due_wall_s;   // Unix seconds
    uint64_t due_mono_ms; // the same moment on the monotonic clock
};

// Half of the time from issuance to the end, +-10 % of it by `random`.
struct rotation rotation_plan(int64_t issued_at_s, int64_t not_after_s, int64_t now_wall_s,
                              uint64_t now_mono_ms, uint32_t random);
// Due by either clock: a wall clock that jumped ahead, or one that was set back.
bool rotation_is_due(const struct rotation *rotation, int64_t now_wall_s, uint64_t now_mono_ms);
// How long to sleep before looking again.
uint64_t rotation_sleep_ms(const struct rotation *rotation, uint64_t now_mono_ms);
