// SPDX-License-Identifier: GPL-3.0-or-later
//
// What evidence is good for. Reads the cache, changes nothing but the issue; the transaction later
// holds only if what was judged here still stands.
#include <string.h>

#include "attest/attest_internal.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "identity/spiffe.h"

static void refuse(struct issue *issue, enum attest_refusal refusal)
{
    issue->plan = ISSUE_REFUSE;
    issue->refusal = refusal;
}

// The token's record, if id and secret are right; which of them is wrong is nobody's business.
static struct cached_token *find_token(const struct issue *issue)
{
    struct cached_token *token = attest_find_token(issue->attest, issue->token.id);
    if (token == NULL ||
        !rm_equal_secret(token->record.secret_hash, issue->token.secret_hash, SHA256_BYTES)) {
        return NULL;
    }
    return token;
}

enum attest_refusal attest_judge_early(const struct issue *issue)
{
    switch (issue->evidence) {
    case ISSUE_NOTHING:
        return ATTEST_REFUSAL_NO_EVIDENCE;
    case ISSUE_TOKEN:
        if (issue->is_token_malformed) {
            return ATTEST_REFUSAL_TOKEN_MALFORMED;
        }
        return find_token(issue) != NULL ? ATTEST_REFUSAL_NONE : ATTEST_REFUSAL_TOKEN_UNKNOWN;
    case ISSUE_REJOIN:
        return attest_find_rejoin(issue->attest, issue->rejoin_hash) != NULL
                   ? ATTEST_REFUSAL_NONE
                   : ATTEST_REFUSAL_REJOIN_UNKNOWN;
    case ISSUE_SVID:
        return issue->has_lineage && attest_find_lineage(issue->attest, issue->shown_serial) != NULL
                   ? ATTEST_REFUSAL_NONE
                   : ATTEST_REFUSAL_LINEAGE_UNKNOWN;
    }
    return ATTEST_REFUSAL_NO_EVIDENCE;
}

// Defence in depth: no record should hold such an identity.
static bool may_be_issued(const struct issue *issue, const char *identity)
{
    struct spiffe_id id;
    return spiffe_id_parse(identity, strlen(identity), &id, NULL) == RM_OK && id.path_length > 0 &&
           !spiffe_id_is_reserved(&id) &&
           spiffe_id_in_domain(&id, issue->attest->options.trust_domain);
}

static enum rm_err take_identity(struct issue *issue, const char *identity)
{
    rm_free(issue->identity);
    issue->identity = rm_strdup(identity);
    return issue->identity != NULL ? RM_OK : RM_ERR_NO_MEMORY;
}

static enum rm_err plan_begin(struct issue *issue, const char *identity, uint64_t revision)
{
    issue->plan = ISSUE_BEGIN;
    issue->judged_revision = revision;
    RM_TRY(authority_random_lineage(issue->lineage));
    return take_identity(issue, identity);
}

static enum rm_err plan_for_lineage(struct issue *issue, enum issue_plan plan,
                                    const struct cached_lineage *lineage)
{
    issue->plan = plan;
    issue->judged_revision = lineage->revision;
    memcpy(issue->lineage, lineage->id, LINEAGE_BYTES);
    return take_identity(issue, lineage->record.identity);
}

// Whether the store was asked for this certificate already; if not, the plan is to ask.
static bool was_looked_up(struct issue *issue, const uint8_t serial[ISSUE_SERIAL_BYTES])
{
    if (issue->lookup != LOOKUP_NONE &&
        memcmp(issue->lookup_serial, serial, ISSUE_SERIAL_BYTES) == 0) {
        return true;
    }
    memcpy(issue->lookup_serial, serial, ISSUE_SERIAL_BYTES);
    issue->lookup = LOOKUP_NONE;
    issue->plan = ISSUE_LOOK_UP;
    return false;
}

// The answer with the newest certificate did not arrive: it is given again, with the same serial
// and dates, as long as it lives.
static enum rm_err judge_lost_answer(struct issue *issue, const struct cached_lineage *lineage)
{
    if (lineage->record.not_after_s > clock_wall_s()) {
        if (!was_looked_up(issue, lineage->record.serial)) {
            return RM_OK;
        }
        if (issue->lookup == LOOKUP_FOUND) {
            memcpy(issue->serial, lineage->record.serial, ISSUE_SERIAL_BYTES);
            return plan_for_lineage(issue, ISSUE_REPEAT, lineage);
        }
    }
    return plan_for_lineage(issue, ISSUE_REPLACE, lineage);
}

// False when the lineage may issue nothing more; the refusal is set.
static bool is_alive(struct issue *issue, const struct cached_lineage *lineage)
{
    if (lineage->record.state == LINEAGE_REVOKED) {
        refuse(issue, ATTEST_REFUSAL_LINEAGE_REVOKED);
    } else if (lineage->record.state == LINEAGE_LAPSED) {
        refuse(issue, ATTEST_REFUSAL_LINEAGE_LAPSED);
    } else if (clock_wall_s() > lineage->record.attested_at_s + ATTEST_LINEAGE_MAX_AGE_S) {
        refuse(issue, ATTEST_REFUSAL_LINEAGE_ENDED);
    } else {
        return true;
    }
    return false;
}

static bool is_newest_key(const struct issue *issue, const struct cached_lineage *lineage)
{
    return memcmp(lineage->record.key_hash, issue->key_hash, SHA256_BYTES) == 0;
}

static enum rm_err judge_used_token(struct issue *issue, const struct cached_token *token)
{
    const struct cached_lineage *lineage =
        attest_find_lineage(issue->attest, token->record.lineage);
    int64_t now_s = clock_wall_s();
    bool is_same_key = memcmp(token->record.used_key_hash, issue->key_hash, SHA256_BYTES) == 0;
    if (!is_same_key || now_s > token->record.used_at_s + ATTEST_TOKEN_REPEAT_S ||
        lineage == NULL || !is_newest_key(issue, lineage)) {
        refuse(issue, ATTEST_REFUSAL_TOKEN_USED);
        return RM_OK;
    }
    return is_alive(issue, lineage) ? judge_lost_answer(issue, lineage) : RM_OK;
}

static enum rm_err judge_token(struct issue *issue)
{
    const struct cached_token *token = find_token(issue);
    if (token == NULL || !may_be_issued(issue, token->record.identity)) {
        refuse(issue, ATTEST_REFUSAL_TOKEN_UNKNOWN);
        return RM_OK;
    }
    if (token->record.used_at_s != 0) {
        return judge_used_token(issue, token);
    }
    if (clock_wall_s() >= token->record.expires_at_s) {
        refuse(issue, ATTEST_REFUSAL_TOKEN_EXPIRED);
        return RM_OK;
    }
    return plan_begin(issue, token->record.identity, token->revision);
}

// Neither the newest certificate nor its predecessor. One that is on record was renewed before: two
// keys claim its succession. One that is not was issued after the backup that this store was
// restored from: its signature is ours, so its holder goes on.
static enum rm_err judge_stranger(struct issue *issue, const struct cached_lineage *lineage)
{
    if (!was_looked_up(issue, issue->shown_serial)) {
        return RM_OK;
    }
    return plan_for_lineage(issue, issue->lookup == LOOKUP_FOUND ? ISSUE_FORK : ISSUE_RENEW,
                            lineage);
}

static enum rm_err judge_svid(struct issue *issue)
{
    const struct cached_lineage *lineage =
        issue->has_lineage ? attest_find_lineage(issue->attest, issue->shown_serial) : NULL;
    if (lineage == NULL || strcmp(lineage->record.identity, issue->claimed) != 0 ||
        !may_be_issued(issue, issue->claimed)) {
        refuse(issue, ATTEST_REFUSAL_LINEAGE_UNKNOWN);
        return RM_OK;
    }
    if (!is_alive(issue, lineage)) {
        return RM_OK;
    }
    const struct lineage_record *record = &lineage->record;
    if (memcmp(record->serial, issue->shown_serial, ISSUE_SERIAL_BYTES) == 0) {
        return plan_for_lineage(issue, ISSUE_RENEW, lineage);
    }
    if (!record->has_previous ||
        memcmp(record->previous_serial, issue->shown_serial, ISSUE_SERIAL_BYTES) != 0) {
        return judge_stranger(issue, lineage);
    }
    return is_newest_key(issue, lineage) ? judge_lost_answer(issue, lineage)
                                         : plan_for_lineage(issue, ISSUE_FORK, lineage);
}

static bool is_proof_good(const struct issue *issue)
{
    int64_t off_s = clock_wall_s() - issue->rejoin_signed_at_s;
    return issue->proof_result == RM_OK && off_s <= ATTEST_REJOIN_SKEW_S &&
           off_s >= -ATTEST_REJOIN_SKEW_S;
}

// A re-join shows that the host is the same; it is no fresh evidence, so the 30 days go on.
static enum rm_err judge_rejoin(struct issue *issue)
{
    const struct cached_rejoin *rejoin = attest_find_rejoin(issue->attest, issue->rejoin_hash);
    if (rejoin == NULL || strcmp(rejoin->record.identity, issue->claimed) != 0 ||
        !may_be_issued(issue, issue->claimed)) {
        refuse(issue, ATTEST_REFUSAL_REJOIN_UNKNOWN);
        return RM_OK;
    }
    const struct cached_lineage *lineage =
        attest_find_lineage(issue->attest, rejoin->record.lineage);
    if (!is_proof_good(issue)) {
        refuse(issue, ATTEST_REFUSAL_REJOIN_INVALID);
    } else if (lineage == NULL) {
        refuse(issue, ATTEST_REFUSAL_REJOIN_UNKNOWN);
    } else if (lineage->record.state == LINEAGE_REVOKED) {
        refuse(issue, ATTEST_REFUSAL_LINEAGE_REVOKED);
    } else if (clock_wall_s() > rejoin->record.expires_s) {
        refuse(issue, ATTEST_REFUSAL_LINEAGE_ENDED);
    } else if (lineage->record.state == LINEAGE_LIVE && is_newest_key(issue, lineage)) {
        return judge_lost_answer(issue, lineage);
    } else {
        return plan_begin(issue, rejoin->record.identity, rejoin->revision);
    }
    return RM_OK;
}

enum rm_err attest_judge(struct issue *issue)
{
    switch (issue->evidence) {
    case ISSUE_TOKEN:
        return judge_token(issue);
    case ISSUE_SVID:
        return judge_svid(issue);
    case ISSUE_REJOIN:
        return judge_rejoin(issue);
    case ISSUE_NOTHING:
        break;
    }
    refuse(issue, ATTEST_REFUSAL_NO_EVIDENCE);
    return RM_OK;
}
