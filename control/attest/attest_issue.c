// SPDX-License-Identifier: GPL-3.0-or-later
//
// One Issue call.
//
//   early --> verifying --> judging --> signing --> recording --> answered
//     |       (pool: CSR)    ^  |  |    (pool)  \       |            ^
//     |                      |  |  +-> revoking  \      +- conflict  |
//     |                      |  |      (fork)     \        --> judging (once)
//     |                      |  +----> looking up  \                 |
//     |                      +------------'         `-- repeat ------+
//     +-- refused -------------------------------------------------- +
//
// Nothing is answered before its effect is durable; a repeat has none.
#include <stdio.h>
#include <string.h>

#include "attest/attest_internal.h"
#include "audit/alarms.h"
#include "audit/audit.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "records/records_wire.h"

#define JUDGEMENTS_MAX 2 // the first, and one after a conflict

enum issue_state {
    STATE_EARLY,
    STATE_VERIFYING,
    STATE_JUDGING,
    STATE_LOOKING_UP,
    STATE_SIGNING,
    STATE_RECORDING,
    STATE_REVOKING,
    STATE_ANSWERED,
};

static const struct sm_state states[] = {
    [STATE_EARLY] = {"early", SM_BIT(STATE_VERIFYING) | SM_BIT(STATE_ANSWERED)},
    [STATE_VERIFYING] = {"verifying", SM_BIT(STATE_JUDGING) | SM_BIT(STATE_ANSWERED)},
    [STATE_JUDGING] = {"judging", SM_BIT(STATE_LOOKING_UP) | SM_BIT(STATE_SIGNING) |
                                      SM_BIT(STATE_REVOKING) | SM_BIT(STATE_ANSWERED)},
    [STATE_LOOKING_UP] = {"looking_up", SM_BIT(STATE_JUDGING) | SM_BIT(STATE_ANSWERED)},
    [STATE_SIGNING] = {"signing",
                       SM_BIT(STATE_RECORDING) | SM_BIT(STATE_JUDGING) | SM_BIT(STATE_ANSWERED)},
    [STATE_RECORDING] = {"recording", SM_BIT(STATE_JUDGING) | SM_BIT(STATE_ANSWERED)},
    [STATE_REVOKING] = {"revoking", SM_BIT(STATE_ANSWERED)},
    [STATE_ANSWERED] = {"answered", 0},
};

static void issue_free(struct issue *issue)
{
    attest_evidence_deinit(issue);
    chain_deinit(&issue->leaf.chain);
    rm_free(issue->identity);
    rm_free(issue);
}

// --- The answer.

// Refusals of genuine evidence go into the audit log; noise only into the limited log.
static bool is_worth_auditing(enum attest_refusal refusal)
{
    return refusal == ATTEST_REFUSAL_TOKEN_USED || refusal == ATTEST_REFUSAL_LINEAGE_REVOKED ||
           refusal == ATTEST_REFUSAL_REJOIN_INVALID;
}

static void log_refusal(const struct issue *issue)
{
    static struct log_limit limit;
    uint64_t suppressed = 0;
    const char *subject = issue->claimed != NULL ? issue->claimed : issue->token.id;
    if (is_worth_auditing(issue->refusal) && !issue->attest->is_freed) {
        audit_refusal(issue->attest->store, "refuse", issue->source, subject,
                      attest_refusal_name(issue->refusal));
    }
    if (log_limit_pass(&limit, &suppressed)) {
        log_warn(LOG_ATTEST, "refused", LOG_STR("source", issue->source),
                 LOG_STR("subject", subject),
                 LOG_STR("reason", attest_refusal_name(issue->refusal)),
                 LOG_STR("detail", issue->csr_error.message), LOG_U64("suppressed", suppressed));
    }
}

static void log_grant(const struct issue *issue)
{
    char serial[HEX_BYTES(ISSUE_SERIAL_BYTES)];
    hex_encode(issue->serial, ISSUE_SERIAL_BYTES, serial);
    log_info(LOG_ATTEST, issue->plan == ISSUE_REPEAT ? "repeated" : "issued",
             LOG_STR("identity", issue->identity), LOG_STR("serial", serial),
             LOG_STR("source", issue->source), LOG_I64("not_after_s", issue->leaf.not_after_s));
}

// While the cache is incomplete, what it does not know may be known to the store.
static bool may_be_mistaken(const struct attest *attest, enum attest_refusal refusal)
{
    bool is_of_absence =
        refusal == ATTEST_REFUSAL_TOKEN_UNKNOWN || refusal == ATTEST_REFUSAL_TOKEN_USED ||
        refusal == ATTEST_REFUSAL_LINEAGE_UNKNOWN || refusal == ATTEST_REFUSAL_REJOIN_UNKNOWN;
    return attest->is_incomplete && is_of_absence;
}

static void answer(struct issue *issue, enum attest_refusal refusal)
{
    struct attest *attest = issue->attest;
    if (may_be_mistaken(attest, refusal)) {
        refusal = ATTEST_REFUSAL_BUSY;
    }
    sm_move(&issue->sm, STATE_ANSWERED);
    issue->refusal = refusal;
    struct attest_result result = {
        .refusal = refusal,
        .detail = issue->csr_error.code != RM_OK ? issue->csr_error.message : NULL,
    };
    if (refusal == ATTEST_REFUSAL_NONE) {
        result.chain = &issue->leaf.chain;
        result.identity = issue->identity;
        result.issued_at_s = issue->leaf.not_before_s + AUTHORITY_BACKDATE_S;
        result.not_after_s = issue->leaf.not_after_s;
        result.is_rejoin_registered = issue->is_rejoin_registered;
        log_grant(issue);
    } else {
        log_refusal(issue);
    }
    issue->on_result(issue->context, &result);
    issue_free(issue);
    attest_leave(attest);
}

static void answer_later(void *context)
{
    struct issue *issue = context;
    answer(issue, issue->refusal);
}

static enum attest_refusal refusal_of(enum rm_err error)
{
    return error == RM_ERR_BUSY || error == RM_ERR_NO_MEMORY || error == RM_ERR_CONFLICT
               ? ATTEST_REFUSAL_BUSY
               : ATTEST_REFUSAL_STORE_UNAVAILABLE;
}

static void note_store(struct attest *attest, enum rm_err result)
{
    bool is_failing =
        result == RM_ERR_IO || result == RM_ERR_NO_SPACE || result == RM_ERR_PERMISSION;
    if (is_failing && !attest->is_store_failing) {
        char text[ALARM_TEXT_BYTES];
        snprintf(text, sizeof text, "the store does not accept writes: %s", rm_err_text(result));
        alarms_raise(ALARM_STORE_FAILS, text);
    } else if (result == RM_OK && attest->is_store_failing) {
        alarms_clear(ALARM_STORE_FAILS);
    }
    attest->is_store_failing = is_failing;
}

// --- Judged, signed, recorded.

static void judge(struct issue *issue);

static void judge_again(struct issue *issue)
{
    if (++issue->attempts >= JUDGEMENTS_MAX) {
        answer(issue, ATTEST_REFUSAL_BUSY);
        return;
    }
    chain_deinit(&issue->leaf.chain);
    issue->lookup = LOOKUP_NONE;
    judge(issue);
}

static void on_recorded(void *context, enum rm_err result, uint64_t revision)
{
    struct issue *issue = context;
    (void)revision;
    note_store(issue->attest, result);
    if (result == RM_ERR_CONFLICT) {
        judge_again(issue);
        return;
    }
    answer(issue, result == RM_OK ? ATTEST_REFUSAL_NONE : refusal_of(result));
}

// A repeat tells again whether its re-join key was taken.
static void note_repeat(struct issue *issue)
{
    const struct lineage_record *record = attest_lineage(issue->attest, issue->lineage);
    issue->is_rejoin_registered =
        record != NULL && issue->new_rejoin.length > 0 &&
        record->rejoin_key.length == issue->new_rejoin.length &&
        memcmp(record->rejoin_key.bytes, issue->new_rejoin.bytes, issue->new_rejoin.length) == 0;
}

static void on_signed(void *context, enum rm_err result, struct authority_leaf *leaf)
{
    struct issue *issue = context;
    if (result != RM_OK || issue->attest->is_freed) {
        answer(issue, ATTEST_REFUSAL_BUSY);
        return;
    }
    issue->leaf = *leaf;
    leaf->chain = (struct chain){0};
    if (issue->plan == ISSUE_REPEAT) {
        note_repeat(issue);
        answer(issue, ATTEST_REFUSAL_NONE);
        return;
    }
    sm_move(&issue->sm, STATE_RECORDING);
    result = attest_record(issue, on_recorded);
    if (result != RM_OK) {
        on_recorded(issue, result, 0);
    }
}

static int64_t choose_lifetime(const struct issue *issue)
{
    const struct attest_options *options = &issue->attest->options;
    int64_t wanted_s =
        issue->wanted_lifetime_s > 0 ? issue->wanted_lifetime_s : options->default_lifetime_s;
    if (wanted_s < options->minimum_lifetime_s) {
        return options->minimum_lifetime_s;
    }
    return wanted_s > options->maximum_lifetime_s ? options->maximum_lifetime_s : wanted_s;
}

static enum rm_err choose_serial(struct issue *issue)
{
    if (issue->plan == ISSUE_REPEAT) {
        return RM_OK; // the one that was judged
    }
    memcpy(issue->serial, issue->lineage, LINEAGE_BYTES);
    return random_bytes(issue->serial + LINEAGE_BYTES, ISSUE_SERIAL_BYTES - LINEAGE_BYTES);
}

static enum rm_err fill_request(struct issue *issue, struct authority_leaf_request *request)
{
    const struct attest_options *options = &issue->attest->options;
    RM_TRY(choose_serial(issue));
    memcpy(request->serial, issue->serial, ISSUE_SERIAL_BYTES);
    request->lifetime_s = choose_lifetime(issue);
    if (issue->plan == ISSUE_REPEAT) {
        request->not_before_s = issue->found_not_before_s;
        request->not_after_s = issue->found_not_after_s;
    }
    request->spiffe_id = rm_strdup(issue->identity);
    request->spki = rm_memdup(issue->spki.bytes, issue->spki.length);
    request->spki_length = issue->spki.length;
    if (request->spiffe_id == NULL || request->spki == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    if (options->dns_names == NULL) {
        return RM_OK;
    }
    return options->dns_names(options->dns_context, issue->identity, &request->dns_names,
                              &request->dns_count);
}

static void sign(struct issue *issue)
{
    struct authority_leaf_request request = {0};
    enum rm_err result = fill_request(issue, &request);
    if (result != RM_OK) {
        rm_free(request.spki);
        rm_free(request.spiffe_id);
        answer(issue, ATTEST_REFUSAL_BUSY);
        return;
    }
    sm_move(&issue->sm, STATE_SIGNING);
    if (authority_sign(issue->attest->authority, &request, on_signed, issue) != RM_OK) {
        answer(issue, ATTEST_REFUSAL_BUSY);
    }
}

// --- Forks.

static void on_revoked(void *context, enum rm_err result, const uint8_t lineage[LINEAGE_BYTES],
                       const char *identity, uint32_t certificate_count)
{
    (void)lineage;
    (void)identity;
    (void)certificate_count;
    answer(context, result == RM_OK ? ATTEST_REFUSAL_LINEAGE_FORKED : refusal_of(result));
}

static void revoke(struct issue *issue)
{
    char text[ALARM_TEXT_BYTES];
    snprintf(text, sizeof text,
             "%.300s: two keys renewed one certificate (the second from %.64s); its lineage is "
             "revoked. A key was copied, or a workload runs twice with one state folder",
             issue->identity, issue->source);
    alarms_raise(ALARM_LINEAGE_FORKED, text);
    sm_move(&issue->sm, STATE_REVOKING);
    enum rm_err result =
        attest_revoke_lineage(issue->attest, issue->lineage, "fork",
                              "two keys renewed one certificate", issue->source, on_revoked, issue);
    if (result != RM_OK) {
        answer(issue, refusal_of(result));
    }
}

// --- Judging.

static void on_looked_up(void *context, enum rm_err result, const struct store_entry *entries,
                         size_t count, uint64_t revision)
{
    struct issue *issue = context;
    struct certificate_record record;
    (void)revision;
    issue->lookup = LOOKUP_ABSENT;
    if (result == RM_OK && count == 1) {
        result = certificate_record_decode(entries[0].value, entries[0].value_length, &record);
        if (result == RM_OK) {
            issue->lookup = LOOKUP_FOUND;
            issue->found_not_before_s = record.not_before_s;
            issue->found_not_after_s = record.not_after_s;
            certificate_record_deinit(&record);
        }
    }
    if (result != RM_OK) {
        answer(issue, refusal_of(result));
        return;
    }
    judge(issue);
}

static void look_up(struct issue *issue)
{
    char key[RECORD_KEY_BYTES];
    record_key_certificate(issue->lookup_serial, key);
    sm_move(&issue->sm, STATE_LOOKING_UP);
    enum rm_err result = store_read(issue->attest->store, key, on_looked_up, issue);
    if (result != RM_OK) {
        answer(issue, refusal_of(result));
    }
}

static void judge(struct issue *issue)
{
    sm_move(&issue->sm, STATE_JUDGING);
    if (issue->attest->is_freed || attest_judge(issue) != RM_OK) {
        answer(issue, ATTEST_REFUSAL_BUSY);
        return;
    }
    switch (issue->plan) {
    case ISSUE_REFUSE:
        answer(issue, issue->refusal);
        return;
    case ISSUE_LOOK_UP:
        look_up(issue);
        return;
    case ISSUE_FORK:
        revoke(issue);
        return;
    case ISSUE_BEGIN:
    case ISSUE_RENEW:
    case ISSUE_REPLACE:
    case ISSUE_REPEAT:
        sign(issue);
        return;
    }
}

static void on_verified(void *context)
{
    struct issue *issue = context;
    if (issue->csr_result == RM_ERR_NO_MEMORY) {
        answer(issue, ATTEST_REFUSAL_BUSY);
    } else if (issue->csr_result != RM_OK) {
        answer(issue, ATTEST_REFUSAL_CSR_INVALID);
    } else {
        judge(issue);
    }
}

// --- The beginning.

static enum attest_refusal check_rate(const struct issue *issue)
{
    struct attest *attest = issue->attest;
    uint64_t now_ms = clock_mono_ms();
    if (attest->pending_count > ATTEST_PENDING_MAX) {
        return ATTEST_REFUSAL_BUSY;
    }
    if (!rate_pass(attest->signings, issue->source, now_ms) ||
        (issue->evidence != ISSUE_SVID &&
         !rate_pass(attest->attestations, issue->source, now_ms))) {
        return ATTEST_REFUSAL_RATE_LIMITED;
    }
    return ATTEST_REFUSAL_NONE;
}

static enum attest_refusal begin(struct issue *issue, enum rm_err taken)
{
    if (taken != RM_OK) {
        return taken == RM_ERR_TOO_LARGE ? ATTEST_REFUSAL_CSR_INVALID : ATTEST_REFUSAL_BUSY;
    }
    enum attest_refusal refusal = check_rate(issue);
    if (refusal == ATTEST_REFUSAL_NONE) {
        refusal = attest_judge_early(issue);
    }
    if (refusal != ATTEST_REFUSAL_NONE) {
        return refusal;
    }
    if (loop_work(issue->attest->loop, attest_evidence_verify, on_verified, issue) != RM_OK) {
        return ATTEST_REFUSAL_BUSY;
    }
    sm_move(&issue->sm, STATE_VERIFYING);
    return ATTEST_REFUSAL_NONE;
}

enum rm_err attest_issue(struct attest *attest, const struct attest_evidence *evidence,
                         attest_result_fn on_result, void *context)
{
    struct issue *issue = rm_calloc(1, sizeof *issue);
    if (issue == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    issue->attest = attest;
    issue->on_result = on_result;
    issue->context = context;
    sm_init(&issue->sm, "issue", ++attest->next_id, states, STATE_EARLY);
    deferred_init(&issue->later, answer_later, issue);
    attest->pending_count++;
    issue->refusal = begin(issue, attest_evidence_take(issue, evidence));
    if (issue->refusal != ATTEST_REFUSAL_NONE) {
        deferred_schedule(attest->loop, &issue->later);
    }
    return RM_OK;
}
