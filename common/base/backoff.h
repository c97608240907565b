// SPDX-License-Identifier: GPL-3.0-or-later
//
// Exponential back-off with jitter. Pure: randomness comes in.
#pragma once

#include <stdint.h>

struct backoff {
    uint32_t min_ms;  // first delay, > 0
    uint32_t max_ms;  // ceiling of the delay before jitter
    uint32_t attempt; // failures since the last success
};

void backoff_init(struct backoff *backoff, uint32_t min_ms, uint32_t max_ms);
// Delay before the next attempt: min * 2^attempt capped at max, then spread over [1/2, 1] of it by
// `random` (any 32 random bits). Counts the attempt.
uint32_t backoff_next_ms(struct backoff *backoff, uint32_t random);
void backoff_reset(struct backoff *backoff);
