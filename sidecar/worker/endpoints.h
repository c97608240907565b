// SPDX-License-Identifier: GPL-3.0-or-later
//
// Which endpoint of a service to dial: power of two choices on open connections, own zone first,
// failed endpoints set aside for a while and probed again. Per worker; the choice itself is pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "mesh/view.h"

#define ENDPOINT_EJECT_MIN_MS 1000  // after a first failure
#define ENDPOINT_EJECT_MAX_MS 30000 // after many in a row
#define ENDPOINT_MAX_TRIED 8        // endpoints that one connection may try

struct endpoint_state {
    uint32_t open_count;       // connections of this worker
    uint32_t failure_count;    // in a row
    uint64_t ejected_until_ms; // loop time; 0: never failed
};

struct endpoint_question {
    const struct mesh_view *view; // endpoints come from
    const char *service;          // whose
    const char *zone;             // own; NULL or "": none
    const char *const *tried;     // addresses that failed for this connection
    size_t tried_count;           // of tried
    uint64_t now_ms;              // loop time
    uint32_t random;              // any 32 random bits
};

// The endpoint to dial, or NULL when none is left. When all are set aside, the one that comes back
// first is taken: a probe. Borrowed from the view.
const struct mesh_resource *endpoint_choose(const struct endpoint_question *question,
                                            const struct map *states);

// The state of an address, made on first use; NULL when memory is exhausted.
struct endpoint_state *endpoint_state_get(struct map *states, const char *address);
void endpoint_note_failure(struct endpoint_state *state, uint64_t now_ms);
void endpoint_note_success(struct endpoint_state *state);
// Forgets addresses without open connections that the view does not have, so that the map does not
// grow with every endpoint that ever was.
void endpoints_prune(struct map *states, const struct mesh_view *view);
// Frees the map and its states. `states` may be NULL.
void endpoints_free(struct map *states);
