// SPDX-License-Identifier: GPL-3.0-or-later
//
// Reading everything from the store: at the start, and again after a change was lost.
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "registry/registry_internal.h"

static const char *const watched[REGISTRY_WATCHED_COUNT] = {
    RECORD_SERVICE_PREFIX, RECORD_ENDPOINT_PREFIX, RECORD_WITHDRAWAL_PREFIX};

static void read_next_page(struct page *page);

static void end_of_prefix(struct registry *registry, enum rm_err result)
{
    registry->loading--;
    if (sm_is(&registry->sm, REGISTRY_CLOSED)) {
        if (registry->loading == 0) {
            rm_free(registry);
        }
        return;
    }
    if (registry->load_result == RM_OK) {
        registry->load_result = result;
    }
    if (registry->loading == 0) {
        uint64_t revision = store_revision(registry->store);
        registry->pending_number =
            revision > registry->pending_number ? revision : registry->pending_number;
        deferred_schedule(registry->loop, &registry->apply);
    }
}

static void registry_on_page(void *context, enum rm_err result, const struct store_entry *entries,
                             size_t count, uint64_t revision)
{
    struct page *page = context;
    struct registry *registry = page->registry;
    (void)revision;
    if (result != RM_OK || sm_is(&registry->sm, REGISTRY_CLOSED)) {
        end_of_prefix(registry, result);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        registry_take_entry(registry, &entries[i], false);
    }
    if (count < REGISTRY_READ_PAGE) {
        end_of_prefix(registry, RM_OK);
        return;
    }
    size_t length = strlen(entries[count - 1].key);
    memcpy(page->next, entries[count - 1].key, length);
    memcpy(page->next + length, " ", 2);
    read_next_page(page);
}

static void read_next_page(struct page *page)
{
    enum rm_err result = store_read_prefix(page->registry->store, page->prefix,
                                           page->next[0] != '\0' ? page->next : NULL,
                                           REGISTRY_READ_PAGE, registry_on_page, page);
    if (result != RM_OK) {
        end_of_prefix(page->registry, result);
    }
}

static void registry_on_store_change(void *context, const struct store_entry *entry,
                                     bool is_deleted)
{
    registry_take_entry(context, entry, is_deleted);
}

enum rm_err registry_follow(struct registry *registry)
{
    for (size_t i = 0; i < REGISTRY_WATCHED_COUNT; i++) {
        RM_TRY(store_watch(registry->store, watched[i], registry_on_store_change, registry,
                           &registry->watches[i]));
        registry->watch_count++;
    }
    return RM_OK;
}

// The watches stand already: what changes while a prefix is read comes too, in order.
void registry_load(struct registry *registry)
{
    registry->load_result = RM_OK;
    registry->loading = REGISTRY_WATCHED_COUNT;
    for (size_t i = 0; i < REGISTRY_WATCHED_COUNT; i++) {
        registry->pages[i] = (struct page){.registry = registry, .prefix = watched[i]};
        read_next_page(&registry->pages[i]);
    }
}

void registry_lose_change(struct registry *registry, enum rm_err cause)
{
    if (sm_is(&registry->sm, REGISTRY_LOADING)) {
        registry->load_result = registry->load_result != RM_OK ? registry->load_result : cause;
    } else if (sm_is(&registry->sm, REGISTRY_FOLLOWING)) {
        registry_fall_behind(registry, cause);
    }
}

void registry_fall_behind(struct registry *registry, enum rm_err cause)
{
    log_error(LOG_REGISTRY, "view_is_behind", LOG_ERR(cause),
              LOG_STR("text", "the view stays as it is until the store was read anew"));
    sm_move(&registry->sm, REGISTRY_BEHIND);
    registry_clear_pending(registry);
    if (timer_start(&registry->retry, REGISTRY_RETRY_MS) != RM_OK) {
        deferred_schedule(registry->loop, &registry->apply); // needs no memory
    }
}

void registry_on_retry(void *context)
{
    struct registry *registry = context;
    sm_move(&registry->sm, REGISTRY_LOADING);
    registry_clear_pending(registry);
    registry_mark_stale(registry);
    registry_load(registry);
}
