// SPDX-License-Identifier: GPL-3.0-or-later
#include "worker/lane.h"

void lane_init(struct lane *lane)
{
    lane->under_way = 0;
    lane->arrived_ms = 0;
    list_init(&lane->waiting);
}

void lane_entry_init(struct lane_entry *entry, deferred_fn on_turn, void *context)
{
    list_init(&entry->node);
    entry->lane = NULL;
    deferred_init(&entry->turn, on_turn, context);
}

bool lane_enter(struct lane *lane, struct lane_entry *entry)
{
    entry->lane = lane;
    if (lane->under_way < LANE_WIDTH) {
        lane->under_way++;
        return true;
    }
    list_append(&lane->waiting, &entry->node);
    return false;
}

void lane_arrive(struct loop *loop, struct lane_entry *entry)
{
    if (entry->lane != NULL) {
        entry->lane->arrived_ms = loop_now_ms(loop);
        lane_leave(loop, entry);
    }
}

void lane_leave(struct loop *loop, struct lane_entry *entry)
{
    struct lane *lane = entry->lane;
    if (lane == NULL) {
        return;
    }
    entry->lane = NULL;
    deferred_cancel(&entry->turn);
    if (!list_is_empty(&entry->node)) {
        list_remove(&entry->node); // it was still waiting
        return;
    }
    struct list *next = list_first(&lane->waiting);
    if (next == NULL) {
        lane->under_way--;
        return;
    }
    list_remove(next); // takes over the place
    deferred_schedule(loop, &list_entry(next, struct lane_entry, node)->turn);
}
