// SPDX-License-Identifier: GPL-3.0-or-later
//
// From the store into the cache: everything once, in pages, then changes by watch. When memory was
// short for a change, everything is read again a little later; until then, what the cache does not
// know may be there all the same.
#include <string.h>

#include "attest/attest_internal.h"
#include "base/alloc.h"
#include "base/log.h"
#include "crypto/crypto.h"

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

// The store answers in order and tells watches in order: a page never overwrites a later change.
struct load {
    struct attest *attest;    // counts this as pending
    size_t index;             // of `followed`
    uint64_t loss_count;      // attest->loss_count at the beginning
    attest_ready_fn on_ready; // once; NULL: a later load
    void *context;            // for on_ready
};

static void plan_reload(struct attest *attest)
{
    uint32_t delay_ms = backoff_next_ms(&attest->reload_backoff, random_u32());
    if (!attest->is_freed && timer_start(&attest->reload, delay_ms) != RM_OK) {
        log_error(LOG_ATTEST, "reload_not_planned", LOG_ERR(RM_ERR_NO_MEMORY));
    }
}

static void load_done(struct load *load, enum rm_err result)
{
    struct attest *attest = load->attest;
    if (result == RM_OK && attest->loss_count != load->loss_count) {
        result = RM_ERR_NO_MEMORY;
    }
    attest->is_incomplete = result != RM_OK;
    if (result == RM_OK) {
        backoff_reset(&attest->reload_backoff);
    }
    if (load->on_ready != NULL) {
        load->on_ready(load->context, result);
    } else if (result != RM_OK) {
        plan_reload(attest);
    }
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
        load_done(load, load->on_ready != NULL ? watch_all(attest) : RM_OK);
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
    *load = (struct load){.attest = attest,
                          .loss_count = attest->loss_count,
                          .on_ready = on_ready,
                          .context = context};
    enum rm_err result =
        store_read_prefix(attest->store, followed[0].prefix, NULL, LOAD_PAGE, on_page, load);
    if (result != RM_OK) {
        rm_free(load);
        return result;
    }
    attest->pending_count++;
    return RM_OK;
}

void attest_on_reload_timer(void *context)
{
    struct attest *attest = context;
    if (attest_load(attest, NULL, NULL) != RM_OK) {
        plan_reload(attest);
    }
}

void attest_note_loss(struct attest *attest)
{
    if (!attest->is_incomplete) {
        log_error(LOG_ATTEST, "cache_incomplete", LOG_ERR(RM_ERR_NO_MEMORY));
    }
    attest->is_incomplete = true;
    attest->loss_count++;
    if (!timer_is_active(&attest->reload)) {
        plan_reload(attest);
    }
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
