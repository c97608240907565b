// SPDX-License-Identifier: GPL-3.0-or-later
//
// From the store into the cache: everything once, in pages, then changes by watch.
#include <string.h>

#include "attest/attest_internal.h"
#include "base/alloc.h"

#define LOAD_PAGE 1000 // entries of one read

static const struct {
    const char *prefix;    // of the keys
    store_change_fn apply; // takes a change
} followed[] = {
    {RECORD_TOKEN_PREFIX, attest_apply_token},
    {RECORD_LINEAGE_PREFIX, attest_apply_lineage},
    {RECORD_REJOIN_PREFIX, attest_apply_rejoin},
};
#define FOLLOWED_COUNT (sizeof followed / sizeof *followed)
_Static_assert(FOLLOWED_COUNT == ATTEST_WATCH_COUNT, "one watch for each");

// --- Load. Nothing else writes these keys before it is done, so pages and watches do not overlap.

struct load {
    struct attest *attest;    // counts this as pending
    size_t index;             // of `followed`
    attest_ready_fn on_ready; // once
    void *context;            // for on_ready
};

static void load_done(struct load *load, enum rm_err result)
{
    struct attest *attest = load->attest;
    load->on_ready(load->context, result);
    rm_free(load);
    attest_leave(attest);
}

static enum rm_err watch_all(struct attest *attest)
{
    for (size_t i = 0; i < FOLLOWED_COUNT; i++) {
        RM_TRY(store_watch(attest->store, followed[i].prefix, followed[i].apply, attest,
                           &attest->watches[i]));
    }
    return RM_OK;
}

static void on_page(void *context, enum rm_err result, const struct store_entry *entries,
                    size_t count, uint64_t revision)
{
    struct load *load = context;
    struct attest *attest = load->attest;
    char next[RECORD_KEY_BYTES + 1];
    (void)revision;
    if (result == RM_OK && attest->is_freed) {
        result = RM_ERR_CLOSED;
    }
    for (size_t i = 0; result == RM_OK && i < count; i++) {
        followed[load->index].apply(attest, &entries[i], false);
    }
    bool is_last_page = count < LOAD_PAGE;
    if (result == RM_OK && is_last_page && ++load->index == FOLLOWED_COUNT) {
        load_done(load, watch_all(attest));
        return;
    }
    if (result == RM_OK) {
        if (!is_last_page) {
            memcpy(next, entries[count - 1].key, strlen(entries[count - 1].key));
            memcpy(next + strlen(entries[count - 1].key), " ", 2);
        }
        result = store_read_prefix(attest->store, followed[load->index].prefix,
                                   is_last_page ? NULL : next, LOAD_PAGE, on_page, load);
    }
    if (result != RM_OK) {
        load_done(load, result);
    }
}

enum rm_err attest_load(struct attest *attest, attest_ready_fn on_ready, void *context)
{
    struct load *load = rm_calloc(1, sizeof *load);
    if (load == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    *load = (struct load){.attest = attest, .on_ready = on_ready, .context = context};
    enum rm_err result =
        store_read_prefix(attest->store, followed[0].prefix, NULL, LOAD_PAGE, on_page, load);
    if (result != RM_OK) {
        rm_free(load);
        return result;
    }
    attest->pending_count++;
    return RM_OK;
}

void attest_unwatch(struct attest *attest)
{
    for (size_t i = 0; i < FOLLOWED_COUNT; i++) {
        if (attest->watches[i] != NULL) {
            store_watch_cancel(attest->watches[i]);
            attest->watches[i] = NULL;
        }
    }
}
