// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/backoff.h"

void backoff_init(struct backoff *backoff, uint32_t min_ms, uint32_t max_ms)
{
    backoff->min_ms = min_ms;
    backoff->max_ms = max_ms < min_ms ? min_ms : max_ms;
    backoff->attempt = 0;
}

uint32_t backoff_next_ms(struct backoff *backoff, uint32_t random)
{
    // 32 doublings bring any first delay past any ceiling.
    uint32_t doublings = backoff->attempt < 32 ? backoff->attempt : 32;
    uint64_t delay = (uint64_t)backoff->min_ms << doublings;
    if (delay > backoff->max_ms) {
        delay = backoff->max_ms;
    }
    if (backoff->attempt < UINT32_MAX) {
        backoff->attempt++;
    }
    uint64_t least = (delay + 1) / 2;
    uint64_t spread = (delay - least + 1) * random >> 32;
    return (uint32_t)(least + spread);
}

void backoff_reset(struct backoff *backoff)
{
    backoff->attempt = 0;
}
