// SPDX-License-Identifier: GPL-3.0-or-later
//
// Revocation of a lineage: read its certificates for the last end, then lineage, withdrawal and
// audit record in one transaction. A renewal that comes in between makes it start again.
#include <string.h>

#include "attest/attest_internal.h"
#include "audit/audit.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "records/records_wire.h"

struct revocation {
    struct attest *attest;       // counts this as pending
    uint8_t id[LINEAGE_BYTES];   // of the lineage
    char *action;                // for the audit record; owned
    char *reason;                // owned
    char *actor;                 // owned
    unsigned attempts;           // so far
    int64_t last_end_s;          // latest notAfter of its certificates
    uint32_t live_count;         // certificates that have not ended
    struct deferred later;       // an answer that is known at once
    enum rm_err result;          // for it
    attest_revoke_fn on_revoked; // once
    void *context;               // for on_revoked
};

static void finish(struct revocation *revocation, enum rm_err result)
{
    struct attest *attest = revocation->attest;
    const struct cached_lineage *lineage = attest_find_lineage(attest, revocation->id);
    revocation->on_revoked(revocation->context, result, revocation->id,
                           lineage != NULL ? lineage->record.identity : NULL,
                           revocation->live_count);
    rm_free(revocation->action);
    rm_free(revocation->reason);
    rm_free(revocation->actor);
    rm_free(revocation);
    attest_leave(attest);
}

static void on_later(void *context)
{
    struct revocation *revocation = context;
    finish(revocation, revocation->result);
}

static enum rm_err start(struct revocation *revocation);

static void on_commit(void *context, enum rm_err result, uint64_t revision)
{
    struct revocation *revocation = context;
    (void)revision;
    if (result == RM_ERR_CONFLICT && !revocation->attest->is_freed &&
        ++revocation->attempts < ATTEST_REVOKE_ATTEMPTS) {
        result = start(revocation);
        if (result == RM_OK) {
            return;
        }
    }
    if (result == RM_OK) {
        log_warn(LOG_ATTEST, "lineage_revoked", LOG_STR("actor", revocation->actor),
                 LOG_STR("reason", revocation->reason));
    }
    finish(revocation, result);
}

static enum rm_err commit(struct revocation *revocation, const struct cached_lineage *lineage)
{
    char key[RECORD_KEY_BYTES];
    struct transaction transaction;
    struct lineage_record record = lineage->record; // borrows its strings
    struct withdrawal_record withdrawal = {
        .kind = TRUST_REVOKED_LINEAGE,
        .subject = {revocation->id, LINEAGE_BYTES},
        .expires_s = revocation->last_end_s + ATTEST_WITHDRAWAL_MARGIN_S,
        .reason = revocation->reason,
    };
    record.state = LINEAGE_REVOKED;
    record_key_lineage(revocation->id, key);
    transaction_init(&transaction);
    transaction_require(&transaction, key, lineage->revision);
    transaction_put_lineage(&transaction, revocation->id, &record);
    transaction_put_withdrawal(&transaction, &withdrawal);
    audit_record_operation(&transaction, revocation->action, revocation->actor, record.identity,
                           revocation->reason);
    return transaction_commit(&transaction, revocation->attest->store, on_commit, revocation);
}

static void count_certificates(struct revocation *revocation, const struct store_entry *entries,
                               size_t count)
{
    int64_t now_s = clock_wall_s();
    for (size_t i = 0; i < count; i++) {
        struct certificate_record record;
        if (certificate_record_decode(entries[i].value, entries[i].value_length, &record) !=
            RM_OK) {
            continue;
        }
        revocation->live_count += record.not_after_s >= now_s ? 1 : 0;
        if (record.not_after_s > revocation->last_end_s) {
            revocation->last_end_s = record.not_after_s;
        }
        certificate_record_deinit(&record);
    }
}

static void on_certificates(void *context, enum rm_err result, const struct store_entry *entries,
                            size_t count, uint64_t revision)
{
    struct revocation *revocation = context;
    const struct cached_lineage *lineage = attest_find_lineage(revocation->attest, revocation->id);
    (void)revision;
    if (result == RM_OK && (lineage == NULL || revocation->attest->is_freed)) {
        result = lineage == NULL ? RM_ERR_NOT_FOUND : RM_ERR_CLOSED;
    }
    if (result == RM_OK) {
        revocation->live_count = 0;
        revocation->last_end_s = lineage->record.not_after_s;
        count_certificates(revocation, entries, count);
        result = commit(revocation, lineage);
    }
    if (result != RM_OK) {
        finish(revocation, result);
    }
}

static enum rm_err start(struct revocation *revocation)
{
    char prefix[RECORD_KEY_BYTES];
    record_key_lineage_certificates(revocation->id, prefix);
    return store_read_prefix(revocation->attest->store, prefix, NULL, 0, on_certificates,
                             revocation);
}

static enum rm_err revocation_new(struct attest *attest, const char *action, const char *reason,
                                  const char *actor, struct revocation **out)
{
    struct revocation *revocation = rm_calloc(1, sizeof *revocation);
    if (revocation == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    revocation->attest = attest;
    revocation->action = rm_strdup(action);
    revocation->reason = rm_strdup(reason != NULL ? reason : "");
    revocation->actor = rm_strdup(actor);
    deferred_init(&revocation->later, on_later, revocation);
    if (revocation->action == NULL || revocation->reason == NULL || revocation->actor == NULL) {
        rm_free(revocation->action);
        rm_free(revocation->reason);
        rm_free(revocation->actor);
        rm_free(revocation);
        return RM_ERR_NO_MEMORY;
    }
    *out = revocation;
    return RM_OK;
}

enum rm_err attest_revoke_lineage(struct attest *attest, const uint8_t lineage[LINEAGE_BYTES],
                                  const char *action, const char *reason, const char *actor,
                                  attest_revoke_fn on_revoked, void *context)
{
    struct revocation *revocation = NULL;
    RM_TRY(revocation_new(attest, action, reason, actor, &revocation));
    memcpy(revocation->id, lineage, LINEAGE_BYTES);
    revocation->on_revoked = on_revoked;
    revocation->context = context;
    attest->pending_count++;
    revocation->result =
        attest_find_lineage(attest, lineage) != NULL ? start(revocation) : RM_ERR_NOT_FOUND;
    if (revocation->result != RM_OK) {
        deferred_schedule(attest->loop, &revocation->later);
    }
    return RM_OK;
}

enum rm_err attest_revoke(struct attest *attest, const uint8_t *serial, size_t serial_length,
                          const char *reason, const char *actor, attest_revoke_fn on_revoked,
                          void *context)
{
    // A serial that is not ours names a lineage that nobody has: RM_ERR_NOT_FOUND comes later.
    uint8_t lineage[LINEAGE_BYTES] = {0};
    if (!serial_lineage(serial, serial_length, lineage)) {
        memset(lineage, 0, sizeof lineage);
    }
    return attest_revoke_lineage(attest, lineage, "revoke", reason, actor, on_revoked, context);
}
