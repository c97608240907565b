// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "base/alloc.h"
#include "store/store_internal.h"

struct store_watch {
    struct list node;          // in the store's watches
    struct store *store;       // borrowed
    store_change_fn on_change; // NULL once cancelled
    void *context;             // for on_change
    uint64_t born;             // changes announced before it was made
    size_t prefix_length;      // bytes
    char prefix[];             // with its NUL
};

enum rm_err store_watch(struct store *store, const char *prefix, store_change_fn on_change,
                        void *context, struct store_watch **out)
{
    if (store->is_closing) {
        return RM_ERR_CLOSED;
    }
    RM_TRY(store_key_check(prefix, STORE_MAX_KEY_BYTES));
    size_t length = strlen(prefix);
    struct store_watch *watch = rm_calloc(1, sizeof(*watch) + length + 1);
    if (watch == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    watch->store = store;
    watch->on_change = on_change;
    watch->context = context;
    watch->born = store->announce_count;
    watch->prefix_length = length;
    memcpy(watch->prefix, prefix, length + 1);
    list_append(&store->watches, &watch->node);
    *out = watch;
    return RM_OK;
}

static void watch_free(struct store_watch *watch)
{
    list_remove(&watch->node);
    rm_free(watch);
}

void store_watch_cancel(struct store_watch *watch)
{
    watch->on_change = NULL;
    if (watch->store->announce_depth == 0) {
        watch_free(watch);
    }
}

void store_watch_end(struct store *store)
{
    list_each_safe (node, following, &store->watches) {
        watch_free(list_entry(node, struct store_watch, node));
    }
}

static void free_cancelled(struct store *store)
{
    list_each_safe (node, following, &store->watches) {
        struct store_watch *watch = list_entry(node, struct store_watch, node);
        if (watch->on_change == NULL) {
            watch_free(watch);
        }
    }
}

// Watches made or cancelled by a callback do not move the list's other nodes: a new one is appended
// and was born after this change, a cancelled one stays linked until the depth is 0 again.
static void announce_entry(struct store *store, const struct store_entry *entry, bool is_deleted)
{
    uint64_t now = ++store->announce_count;
    list_each (node, &store->watches) {
        struct store_watch *watch = list_entry(node, struct store_watch, node);
        if (watch->on_change != NULL && watch->born < now &&
            strncmp(entry->key, watch->prefix, watch->prefix_length) == 0) {
            watch->on_change(watch->context, entry, is_deleted);
        }
    }
}

static void announce_deleted_keys(struct store *store, const struct store_change *change,
                                  uint64_t revision)
{
    const char *key = (const char *)buffer_data(&change->deleted_keys);
    size_t left = buffer_length(&change->deleted_keys);
    while (left > 0) {
        size_t bytes = strlen(key) + 1;
        announce_entry(store, &(struct store_entry){.key = key, .revision = revision}, true);
        key += bytes;
        left -= bytes;
    }
}

static void announce_change(struct store *store, const struct store_change *change,
                            uint64_t revision)
{
    const struct store_operation *operation = &change->operation;
    struct store_entry entry = {.key = operation->key, .revision = revision};
    switch (operation->kind) {
    case STORE_PUT:
        entry.value = operation->value != NULL ? operation->value : (const uint8_t *)"";
        entry.value_length = operation->value_length;
        announce_entry(store, &entry, false);
        break;
    case STORE_DELETE:
        announce_entry(store, &entry, true);
        break;
    case STORE_DELETE_PREFIX:
        announce_deleted_keys(store, change, revision);
        break;
    }
}

void store_watch_announce(struct store *store, const struct store_request *request)
{
    store->announce_depth++;
    for (size_t i = 0; i < request->commit.change_count; i++) {
        if (request->commit.changes[i].had_effect) {
            announce_change(store, &request->commit.changes[i], request->revision);
        }
    }
    if (--store->announce_depth == 0) {
        free_cancelled(store);
    }
}
