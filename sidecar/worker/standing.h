// SPDX-License-Identifier: GPL-3.0-or-later
//
// What workers think of some endpoints: which of them they set aside, and for how long. Plain data:
// one worker after the other adds its part on its own thread, then anybody reads.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "worker/worker.h"

#define STANDING_MAX 16            // endpoints of one question
#define STANDING_ADDRESS_BYTES 320 // "host:port" of a fixed endpoint, too

struct standing_entry {
    char address[STANDING_ADDRESS_BYTES]; // as in the view or the configuration
    uint32_t aside_count;                 // workers that set it aside now
    uint32_t failure_count;               // in a row, of the worker with the most
    uint64_t left_ms;                     // until it is tried again, of the last worker to do so
};
struct standing {
    struct standing_entry entries[STANDING_MAX];
    size_t count; // of entries
};

// On the worker's thread.
void standing_add(struct standing *standing, const struct worker *worker);
