// SPDX-License-Identifier: GPL-3.0-or-later
#include "worker/standing.h"

#include <string.h>

#include "worker/endpoints.h"

static void entry_add(struct standing_entry *entry, const struct endpoint_state *state,
                      uint64_t now_ms)
{
    if (state->failure_count > entry->failure_count) {
        entry->failure_count = state->failure_count;
    }
    if (state->failure_count == 0 || state->ejected_until_ms <= now_ms) {
        return;
    }
    uint64_t left_ms = state->ejected_until_ms - now_ms;
    entry->aside_count++;
    entry->left_ms = left_ms > entry->left_ms ? left_ms : entry->left_ms;
}

void standing_add(struct standing *standing, const struct worker *worker)
{
    uint64_t now_ms = loop_now_ms(worker->loop);
    for (size_t i = 0; i < standing->count; i++) {
        struct standing_entry *entry = &standing->entries[i];
        const struct endpoint_state *state =
            map_get(worker->endpoints, entry->address, strlen(entry->address));
        if (state != NULL) {
            entry_add(entry, state, now_ms);
        }
    }
}
