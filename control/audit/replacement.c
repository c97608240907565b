// SPDX-License-Identifier: GPL-3.0-or-later
#include "audit/replacement.h"

#include <stdio.h>
#include <string.h>

#include "audit/alarms.h"
#include "audit/audit.h"
#include "base/clock.h"
#include "base/log.h"
#include "records/records_wire.h"

static void log_failure(enum rm_err result)
{
    log_warn(LOG_AUDIT, "store_id_not_compared", LOG_ERR(result));
}

static void on_commit(void *context, enum rm_err result, uint64_t revision)
{
    (void)context;
    (void)revision;
    if (result != RM_OK) {
        log_failure(result);
    }
}

// From now on it is the one that was served last.
static void remember(struct store *store, int64_t replaced_at_s, bool is_replaced,
                     uint64_t revision)
{
    struct transaction transaction;
    struct served_record record = {.replaced_at_s = replaced_at_s};
    memcpy(record.store_id, store_id(store), sizeof record.store_id);
    transaction_init(&transaction);
    transaction_require(&transaction, RECORD_SERVED_KEY, revision);
    transaction_put_served(&transaction, &record);
    if (is_replaced) {
        audit_record_operation(&transaction, "store_replaced", "remora-control", "store",
                               "restored from a backup");
    }
    enum rm_err result = transaction_commit(&transaction, store, on_commit, NULL);
    if (result != RM_OK) {
        log_failure(result);
    }
}

static void raise_alarm(int64_t replaced_at_s)
{
    char text[ALARM_TEXT_BYTES];
    char when[CLOCK_RFC3339_BYTES];
    clock_format_rfc3339(replaced_at_s * 1000, 0, when);
    snprintf(text, sizeof text,
             "the store was restored from a backup and is served since %s: what was created, used "
             "or revoked after that backup is not known here; revoke again what was revoked since",
             when);
    alarms_raise(ALARM_STORE_REPLACED, text);
}

static void on_read(void *context, enum rm_err result, const struct store_entry *entries,
                    size_t count, uint64_t revision)
{
    struct store *store = context;
    struct served_record last = {0};
    (void)revision;
    if (result == RM_OK && count > 0) {
        result = served_record_decode(entries[0].value, entries[0].value_length, &last);
    }
    if (result != RM_OK) {
        log_failure(result);
        return;
    }
    bool is_first = count == 0;
    bool is_same = !is_first && memcmp(last.store_id, store_id(store), STORE_ID_BYTES) == 0;
    int64_t now_s = clock_wall_s();
    int64_t replaced_at_s = is_first || is_same ? last.replaced_at_s : now_s;
    if (replaced_at_s != 0 && now_s < replaced_at_s + REPLACEMENT_ALARM_S) {
        raise_alarm(replaced_at_s);
    }
    if (!is_same) {
        remember(store, replaced_at_s, !is_first, is_first ? 0 : entries[0].revision);
    }
}

void replacement_check(struct store *store)
{
    enum rm_err result = store_read(store, RECORD_SERVED_KEY, on_read, store);
    if (result != RM_OK) {
        log_failure(result);
    }
}
