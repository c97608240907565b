// SPDX-License-Identifier: GPL-3.0-or-later
//
// Takes away records that are no longer needed: one kind after the other, page by page, slowly.
// What it takes away cannot come back to life, so its deletes need no conditions.
#include <stdlib.h>
#include <string.h>

#include "attest/attest_internal.h"
#include "audit/audit.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "records/records_wire.h"

struct collection {
    struct attest *attest;           // counts this as pending
    size_t kind;                     // of `kinds`
    char next[RECORD_KEY_BYTES + 1]; // first key of the next page; "": from the beginning
    bool is_last_page;               // of this kind
    size_t removed_count;            // in all
};

static bool certificate_is_over(const struct store_entry *entry, int64_t now_s)
{
    struct certificate_record record;
    if (certificate_record_decode(entry->value, entry->value_length, &record) != RM_OK) {
        return false;
    }
    bool is_over = record.not_after_s + ATTEST_RECORD_KEEP_S < now_s;
    certificate_record_deinit(&record);
    return is_over;
}

static bool token_is_over(const struct store_entry *entry, int64_t now_s)
{
    struct token_record record;
    if (token_record_decode(entry->value, entry->value_length, &record) != RM_OK) {
        return false;
    }
    int64_t end_s = record.used_at_s != 0 ? record.used_at_s : record.expires_at_s;
    token_record_deinit(&record);
    return end_s + ATTEST_RECORD_KEEP_S < now_s;
}

// A dead lineage stays as long as a re-join key may refer to it.
static bool lineage_is_over(const struct store_entry *entry, int64_t now_s)
{
    struct lineage_record record;
    if (lineage_record_decode(entry->value, entry->value_length, &record) != RM_OK) {
        return false;
    }
    bool is_over = record.state != LINEAGE_LIVE &&
                   record.not_after_s + ATTEST_RECORD_KEEP_S < now_s &&
                   record.attested_at_s + ATTEST_LINEAGE_MAX_AGE_S < now_s;
    lineage_record_deinit(&record);
    return is_over;
}

static bool rejoin_is_over(const struct store_entry *entry, int64_t now_s)
{
    struct rejoin_record record;
    if (rejoin_record_decode(entry->value, entry->value_length, &record) != RM_OK) {
        return false;
    }
    bool is_over = record.expires_s < now_s;
    rejoin_record_deinit(&record);
    return is_over;
}

static bool withdrawal_is_over(const struct store_entry *entry, int64_t now_s)
{
    struct withdrawal_record record;
    if (withdrawal_record_decode(entry->value, entry->value_length, &record) != RM_OK) {
        return false;
    }
    bool is_over = record.expires_s < now_s;
    withdrawal_record_deinit(&record);
    return is_over;
}

// The time stands in the key: "audit/<16 hex digits of wall ms>-...".
static bool audit_is_over(const struct store_entry *entry, int64_t now_s)
{
    uint64_t wall_ms = strtoull(entry->key + strlen(RECORD_AUDIT_PREFIX), NULL, 16);
    return (int64_t)(wall_ms / 1000) + AUDIT_KEEP_S < now_s;
}

static const struct {
    const char *prefix;                                              // of its keys
    bool (*is_over)(const struct store_entry *entry, int64_t now_s); // may go
    bool is_by_time; // the first that stays is the last to look at
} kinds[] = {
    {RECORD_CERTIFICATE_PREFIX, certificate_is_over, false},
    {RECORD_TOKEN_PREFIX, token_is_over, false},
    {RECORD_REJOIN_PREFIX, rejoin_is_over, false},
    {RECORD_LINEAGE_PREFIX, lineage_is_over, false},
    {RECORD_WITHDRAWAL_PREFIX, withdrawal_is_over, false},
    {RECORD_AUDIT_PREFIX, audit_is_over, true},
};

static void finish(struct collection *collection, enum rm_err result)
{
    struct attest *attest = collection->attest;
    if (result != RM_OK) {
        log_warn(LOG_ATTEST, "collection_stopped", LOG_ERR(result));
    }
    if (collection->removed_count > 0) {
        log_info(LOG_ATTEST, "records_removed", LOG_U64("count", collection->removed_count));
    }
    attest->collection = NULL;
    rm_free(collection);
    if (!attest->is_freed && timer_start(&attest->collect, ATTEST_COLLECT_MS) != RM_OK) {
        log_error(LOG_ATTEST, "collection_not_planned", LOG_ERR(RM_ERR_NO_MEMORY));
    }
    attest_leave(attest);
}

static void on_page(void *context, enum rm_err result, const struct store_entry *entries,
                    size_t count, uint64_t revision);

static void read_page(struct collection *collection)
{
    struct attest *attest = collection->attest;
    if (attest->is_freed || collection->kind == sizeof kinds / sizeof *kinds) {
        finish(collection, RM_OK);
        return;
    }
    const char *first = collection->next[0] != '\0' ? collection->next : NULL;
    enum rm_err result = store_read_prefix(attest->store, kinds[collection->kind].prefix, first,
                                           STORE_MAX_OPERATIONS, on_page, collection);
    if (result != RM_OK) {
        finish(collection, result);
    }
}

static void on_removed(void *context, enum rm_err result, uint64_t revision)
{
    struct collection *collection = context;
    (void)revision;
    if (result != RM_OK) {
        finish(collection, result);
        return;
    }
    if (collection->is_last_page) {
        collection->kind++;
        collection->next[0] = '\0';
    }
    read_page(collection);
}

static void on_page(void *context, enum rm_err result, const struct store_entry *entries,
                    size_t count, uint64_t revision)
{
    struct collection *collection = context;
    struct store_operation deletes[STORE_MAX_OPERATIONS];
    size_t delete_count = 0;
    int64_t now_s = clock_wall_s();
    (void)revision;
    if (result != RM_OK) {
        finish(collection, result);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (kinds[collection->kind].is_over(&entries[i], now_s)) {
            deletes[delete_count++] =
                (struct store_operation){.kind = STORE_DELETE, .key = entries[i].key};
        }
    }
    collection->is_last_page = count < STORE_MAX_OPERATIONS ||
                               (kinds[collection->kind].is_by_time && delete_count < count);
    if (count > 0) {
        size_t length = strlen(entries[count - 1].key);
        memcpy(collection->next, entries[count - 1].key, length);
        memcpy(collection->next + length, " ", 2);
    }
    collection->removed_count += delete_count;
    result = store_commit(collection->attest->store, NULL, 0, deletes, delete_count, on_removed,
                          collection);
    if (result != RM_OK) {
        finish(collection, result);
    }
}

void attest_collect_on_timer(void *context)
{
    struct attest *attest = context;
    struct collection *collection = rm_calloc(1, sizeof *collection);
    if (collection == NULL) {
        log_warn(LOG_ATTEST, "collection_stopped", LOG_ERR(RM_ERR_NO_MEMORY));
        if (timer_start(&attest->collect, ATTEST_COLLECT_MS) != RM_OK) {
            log_error(LOG_ATTEST, "collection_not_planned", LOG_ERR(RM_ERR_NO_MEMORY));
        }
        return;
    }
    collection->attest = attest;
    attest->collection = collection;
    attest->pending_count++;
    read_page(collection);
}
