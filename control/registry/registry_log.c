// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/alloc.h"
#include "registry/registry_internal.h"

#define FIRST_ROOM 64

const struct registry_change *change_log_at(const struct change_log *log, size_t index)
{
    return &log->items[(log->start + index) % log->room];
}

static void drop_oldest(struct change_log *log)
{
    const struct registry_change *oldest = change_log_at(log, 0);
    log->floor = oldest->number;
    rm_free(oldest->key);
    log->start = (log->start + 1) % log->room;
    log->count--;
}

void change_log_reset(struct change_log *log, uint64_t floor)
{
    while (log->count > 0) {
        drop_oldest(log);
    }
    log->floor = floor;
}

void change_log_deinit(struct change_log *log)
{
    change_log_reset(log, 0);
    rm_free(log->items);
    *log = (struct change_log){0};
}

// A ring cannot be grown in place: it is laid out anew from its oldest change.
static bool make_room(struct change_log *log)
{
    if (log->count < log->room) {
        return true;
    }
    size_t room = log->room == 0 ? FIRST_ROOM : log->room * 2;
    struct registry_change *items = rm_calloc(room, sizeof *items);
    if (items == NULL) {
        return false;
    }
    for (size_t i = 0; i < log->count; i++) {
        items[i] = *change_log_at(log, i);
    }
    rm_free(log->items);
    log->items = items;
    log->room = room;
    log->start = 0;
    return true;
}

void change_log_add(struct change_log *log, struct registry_change change, size_t limit)
{
    char *copy = rm_strdup(change.key);
    while (log->count >= limit) {
        drop_oldest(log);
    }
    if (copy == NULL || !make_room(log)) {
        rm_free(copy);
        change_log_reset(log, change.number);
        return;
    }
    size_t at = (log->start + log->count++) % log->room;
    log->items[at] = (struct registry_change){change.number, change.kind, copy};
}

size_t change_log_after(const struct change_log *log, uint64_t number)
{
    size_t low = 0;
    size_t high = log->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (change_log_at(log, middle)->number > number) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}
