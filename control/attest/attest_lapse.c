// SPDX-License-Identifier: GPL-3.0-or-later
//
// A lineage whose newest certificate has ended without a successor lapses: durable, with its
// withdrawal, so that connections under it end everywhere. Each live lineage has a timer; the wall
// clock is asked again when it expires.
#include <string.h>

#include "attest/attest_internal.h"
#include "audit/audit.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

static void start_timer(struct cached_lineage *lineage, uint64_t delay_ms)
{
    enum rm_err result = timer_start(&lineage->lapse, delay_ms);
    if (result != RM_OK) {
        log_error(LOG_ATTEST, "lapse_not_watched", LOG_STR("identity", lineage->record.identity),
                  LOG_ERR(result));
    }
}

void attest_lapse_plan(struct cached_lineage *lineage)
{
    timer_stop(&lineage->lapse);
    if (lineage->record.state != LINEAGE_LIVE) {
        return;
    }
    int64_t left_s = lineage->record.not_after_s + ATTEST_LAPSE_GRACE_S - clock_wall_s();
    uint64_t delay_ms = left_s < 0 ? 0 : (uint64_t)left_s * 1000 + 1000;
    start_timer(lineage, delay_ms < ATTEST_LAPSE_LOOK_MS ? delay_ms : ATTEST_LAPSE_LOOK_MS);
}

struct lapse {
    struct attest *attest;     // counts this as pending
    uint8_t id[LINEAGE_BYTES]; // of the lineage, which may be gone meanwhile
};

static void on_lapse_commit(void *context, enum rm_err result, uint64_t revision)
{
    struct lapse *lapse = context;
    struct attest *attest = lapse->attest;
    struct cached_lineage *lineage = attest_find_lineage(attest, lapse->id);
    (void)revision;
    if (result != RM_OK && lineage != NULL && !attest->is_freed) {
        // A renewal that came in between has planned anew already.
        if (result != RM_ERR_CONFLICT) {
            log_warn(LOG_ATTEST, "lapse_not_stored", LOG_ERR(result));
            start_timer(lineage, ATTEST_LAPSE_RETRY_MS);
        }
    }
    rm_free(lapse);
    attest_leave(attest);
}

static enum rm_err commit(struct cached_lineage *lineage, struct lapse *lapse)
{
    char key[RECORD_KEY_BYTES];
    struct transaction transaction;
    struct lineage_record record = lineage->record; // borrows its strings
    struct withdrawal_record withdrawal = {
        .kind = TRUST_LAPSED_LINEAGE,
        .subject = {lineage->id, LINEAGE_BYTES},
        .expires_s = record.not_after_s + ATTEST_WITHDRAWAL_MARGIN_S,
        .reason = "its last certificate ended without a successor",
    };
    record.state = LINEAGE_LAPSED;
    record_key_lineage(lineage->id, key);
    transaction_init(&transaction);
    transaction_require(&transaction, key, lineage->revision);
    transaction_put_lineage(&transaction, lineage->id, &record);
    transaction_put_withdrawal(&transaction, &withdrawal);
    audit_record_operation(&transaction, "lapse", "remora-control", record.identity, key);
    return transaction_commit(&transaction, lineage->attest->store, on_lapse_commit, lapse);
}

void attest_lapse_on_timer(void *context)
{
    struct cached_lineage *lineage = context;
    struct attest *attest = lineage->attest;
    if (attest->is_freed) {
        return;
    }
    if (clock_wall_s() <= lineage->record.not_after_s + ATTEST_LAPSE_GRACE_S) {
        attest_lapse_plan(lineage);
        return;
    }
    struct lapse *lapse = rm_calloc(1, sizeof *lapse);
    enum rm_err result = RM_ERR_NO_MEMORY;
    if (lapse != NULL) {
        lapse->attest = attest;
        memcpy(lapse->id, lineage->id, sizeof lapse->id);
        result = commit(lineage, lapse);
    }
    if (result != RM_OK) {
        rm_free(lapse);
        start_timer(lineage, ATTEST_LAPSE_RETRY_MS);
        return;
    }
    attest->pending_count++;
}
