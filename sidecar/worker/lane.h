// SPDX-License-Identifier: GPL-3.0-or-later
//
// The lane to one endpoint: how many connections of this worker may be on their way to it (connect
// and handshake) at a time. The others wait in line, so that a thousand applications at once do not
// meet the endpoint as a thousand half-done handshakes that it must drop.
// Life of an entry: lane_entry_init -> lane_enter -> [on_turn] -> lane_leave.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "loop/loop.h"

// A tenth of a second's work for the other end. Eight workers of one sidecar together stay below
// half of what one source may have under way there (SIDECAR_HANDSHAKES_PER_SOURCE).
#define LANE_WIDTH 128

struct lane {
    uint32_t under_way;  // entries that are on their way
    struct list waiting; // struct lane_entry, first come first
    uint64_t arrived_ms; // loop time when one last arrived
};

struct lane_entry {
    struct list node;     // of lane->waiting
    struct lane *lane;    // NULL: neither waiting nor under way
    struct deferred turn; // calls the user when its turn has come
};

void lane_init(struct lane *lane);
// `on_turn` is called once, from the loop, when an entry that had to wait is under way.
void lane_entry_init(struct lane_entry *entry, deferred_fn on_turn, void *context);
// True: under way at once. False: waits; on_turn follows, or lane_leave().
bool lane_enter(struct lane *lane, struct lane_entry *entry);
// It arrived: the lane moves.
void lane_arrive(struct loop *loop, struct lane_entry *entry);
// It failed, or waits no more; the next one's turn comes. No effect on an entry that is not inside.
void lane_leave(struct loop *loop, struct lane_entry *entry);
