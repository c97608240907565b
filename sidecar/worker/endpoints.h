// SPDX-License-Identifier: GPL-3.0-or-later
//
// Which endpoint of a service to dial: power of two choices on open connections and recent
// failures, own zone first. An endpoint that failed is set aside, each time in a row for twice as
// long; then one connection probes it, and only its success brings the others back. Per worker; the
// choice itself is pure.
//
//   good --failure--> set aside --time is up--> probed --success--> good
//                        ^                        | failure
//                        +------------------------+
// Life of a use: endpoint_begin -> endpoint_note_* (when the outcome is known) -> endpoint_end.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "mesh/view.h"
#include "worker/lane.h"

#define ENDPOINT_EJECT_MIN_MS 1000  // after a first failure
#define ENDPOINT_EJECT_MAX_MS 30000 // after many in a row
#define ENDPOINT_MAX_TRIED 8        // endpoints that one connection may try
// An endpoint that failed lately and was probed with success counts as if it had so many more
// connections: it comes back gently. Halved as often as this time has passed.
#define ENDPOINT_FAILURE_COST 8
#define ENDPOINT_FAILURE_COST_MAX 64
#define ENDPOINT_FAILURE_HALF_MS 1000

struct endpoint_state {
    uint32_t open_count;       // connections of this worker
    uint32_t failure_count;    // in a row
    uint64_t ejected_until_ms; // loop time; 0: never failed
    uint64_t failed_ms;        // loop time of the last failure
    uint32_t failure_cost;     // at that time, in connections
    bool is_probed;            // one connection is finding out whether it is back
    struct lane lane;          // to it
};

// One connection's use of an endpoint; all zero: none.
struct endpoint_use {
    struct endpoint_state *state; // borrowed from the worker; NULL: none
    bool is_probe;                // it finds out whether the endpoint is back
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
// first and is not being probed is better than none. Borrowed from the view.
const struct mesh_resource *endpoint_choose(const struct endpoint_question *question,
                                            const struct map *states);

// The state of an address, made on first use; NULL when memory is exhausted.
struct endpoint_state *endpoint_state_get(struct map *states, const char *address);
void endpoint_begin(struct endpoint_use *use, struct endpoint_state *state);
// The outcome of the attempt: it cost the endpoint's standing, or restored it.
void endpoint_note_failure(struct endpoint_use *use, uint64_t now_ms);
void endpoint_note_success(struct endpoint_use *use);
// No effect without a use.
void endpoint_end(struct endpoint_use *use);
// Forgets addresses without open connections that the view does not have, so that the map does not
// grow with every endpoint that ever was.
void endpoints_prune(struct map *states, const struct mesh_view *view);
// Frees the map and its states. `states` may be NULL.
void endpoints_free(struct map *states);
