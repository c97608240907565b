// SPDX-License-Identifier: GPL-3.0-or-later
//
// One transaction for each certificate: burnt token or renewed lineage, the certificate, the
// re-join key and the audit record, or nothing. Its conditions are the revisions that were judged.
#include <stdio.h>
#include <string.h>

#include "attest/attest_internal.h"
#include "audit/audit.h"
#include "base/encode.h"

// A P-256 SubjectPublicKeyInfo differs from another only in its point: whether that lies on the
// curve shows when a proof is verified.
#define SPKI_HEAD_BYTES 27

// The key that is asked for may stand in the store, unless it is another identity's.
static bool may_register_rejoin(const struct issue *issue)
{
    const struct cached_rejoin *there = attest_find_rejoin(issue->attest, issue->new_rejoin_hash);
    return issue->new_rejoin.length == issue->spki.length &&
           issue->new_rejoin.length > SPKI_HEAD_BYTES &&
           memcmp(issue->new_rejoin.bytes, issue->spki.bytes, SPKI_HEAD_BYTES) == 0 &&
           (there == NULL || strcmp(there->record.identity, issue->identity) == 0);
}

static void put_rejoin(struct transaction *transaction, const struct issue *issue,
                       const uint8_t hash[KEY_ID_BYTES], const struct record_bytes *key,
                       int64_t attested_at_s)
{
    char store_key[RECORD_KEY_BYTES];
    const struct cached_rejoin *there = attest_find_rejoin(issue->attest, hash);
    struct rejoin_record record = {
        .identity = issue->identity,
        .public_key = *key,
        .expires_s = attested_at_s + ATTEST_LINEAGE_MAX_AGE_S,
    };
    memcpy(record.lineage, issue->lineage, LINEAGE_BYTES);
    record_key_rejoin(hash, store_key);
    transaction_require(transaction, store_key, there != NULL ? there->revision : 0);
    transaction_put_rejoin(transaction, hash, &record);
}

// Leaves the lineage with one re-join key, the new one or the one it had, and that key with the
// lineage.
static void update_rejoin(struct transaction *transaction, struct issue *issue,
                          struct lineage_record *record)
{
    uint8_t old_hash[KEY_ID_BYTES];
    bool has_old = record->rejoin_key.length > 0;
    sha256(record->rejoin_key.bytes, record->rejoin_key.length, old_hash);
    issue->is_rejoin_registered = may_register_rejoin(issue);
    if (!issue->is_rejoin_registered) {
        if (has_old && issue->plan == ISSUE_BEGIN) {
            put_rejoin(transaction, issue, old_hash, &record->rejoin_key, record->attested_at_s);
        }
        return;
    }
    if (has_old && memcmp(old_hash, issue->new_rejoin_hash, sizeof old_hash) != 0) {
        char old_key[RECORD_KEY_BYTES];
        record_key_rejoin(old_hash, old_key);
        transaction_delete(transaction, old_key);
    }
    put_rejoin(transaction, issue, issue->new_rejoin_hash, &issue->new_rejoin,
               record->attested_at_s);
    record->rejoin_key = issue->new_rejoin;
}

static void put_certificate(struct transaction *transaction, const struct issue *issue)
{
    struct certificate_record record = {
        .identity = issue->identity,
        .not_before_s = issue->leaf.not_before_s,
        .not_after_s = issue->leaf.not_after_s,
    };
    memcpy(record.lineage, issue->lineage, LINEAGE_BYTES);
    memcpy(record.issuer_key_id, issue->leaf.issuer_key_id, KEY_ID_BYTES);
    transaction_put_certificate(transaction, issue->serial, &record);
}

static void put_audit(struct transaction *transaction, const struct issue *issue,
                      const char *action, const char *evidence)
{
    char detail[256];
    char serial[HEX_BYTES(ISSUE_SERIAL_BYTES)];
    hex_encode(issue->serial, ISSUE_SERIAL_BYTES, serial);
    snprintf(detail, sizeof detail, "serial %s, evidence %s", serial, evidence);
    audit_record_operation(transaction, action, issue->source, issue->identity, detail);
}

// The certificate becomes the lineage's newest. `record` borrows.
static void set_newest(const struct issue *issue, struct lineage_record *record)
{
    memcpy(record->serial, issue->serial, ISSUE_SERIAL_BYTES);
    memcpy(record->key_hash, issue->key_hash, SHA256_BYTES);
    record->not_after_s = issue->leaf.not_after_s;
    record->state = LINEAGE_LIVE;
}

static void put_new_lineage(struct transaction *transaction, struct issue *issue,
                            struct lineage_record *record)
{
    char key[RECORD_KEY_BYTES];
    record->identity = issue->identity;
    set_newest(issue, record);
    record_key_lineage(issue->lineage, key);
    transaction_require(transaction, key, 0);
    update_rejoin(transaction, issue, record);
    transaction_put_lineage(transaction, issue->lineage, record);
    put_certificate(transaction, issue);
    put_audit(transaction, issue, "issue", record->evidence);
}

static enum rm_err record_token(struct transaction *transaction, struct issue *issue)
{
    const struct cached_token *token = attest_find_token(issue->attest, issue->token.id);
    if (token == NULL || token->revision != issue->judged_revision) {
        return RM_ERR_CONFLICT;
    }
    char key[RECORD_KEY_BYTES];
    char evidence[sizeof "join_token/" + ATTEST_TOKEN_ID_DIGITS];
    struct token_record burnt = token->record; // borrows its strings
    snprintf(evidence, sizeof evidence, "join_token/%s", issue->token.id);
    struct lineage_record lineage = {
        .services = burnt.services,
        .address_ranges = burnt.address_ranges,
        .attested_at_s = issue->leaf.issued_at_s,
        .evidence = evidence,
    };
    burnt.used_at_s = issue->leaf.issued_at_s;
    memcpy(burnt.used_key_hash, issue->key_hash, SHA256_BYTES);
    memcpy(burnt.lineage, issue->lineage, LINEAGE_BYTES);
    RM_TRY(record_key_token(issue->token.id, key));
    transaction_require(transaction, key, token->revision);
    transaction_put_token(transaction, issue->token.id, &burnt);
    put_new_lineage(transaction, issue, &lineage);
    return RM_OK;
}

static enum rm_err record_rejoin(struct transaction *transaction, struct issue *issue)
{
    const struct cached_rejoin *rejoin = attest_find_rejoin(issue->attest, issue->rejoin_hash);
    const struct cached_lineage *old =
        rejoin != NULL ? attest_find_lineage(issue->attest, rejoin->record.lineage) : NULL;
    if (old == NULL || rejoin->revision != issue->judged_revision) {
        return RM_ERR_CONFLICT;
    }
    char key[RECORD_KEY_BYTES];
    struct lineage_record lineage = {
        .services = old->record.services, // borrowed
        .address_ranges = old->record.address_ranges,
        .attested_at_s = rejoin->record.expires_s - ATTEST_LINEAGE_MAX_AGE_S,
        .evidence = "rejoin",
        .rejoin_key = rejoin->record.public_key,
    };
    // The old lineage must not be revoked between judgement and this.
    record_key_lineage(old->id, key);
    transaction_require(transaction, key, old->revision);
    record_key_rejoin(issue->rejoin_hash, key);
    transaction_require(transaction, key, rejoin->revision);
    put_new_lineage(transaction, issue, &lineage);
    return RM_OK;
}

static enum rm_err record_renewal(struct transaction *transaction, struct issue *issue)
{
    const struct cached_lineage *lineage = attest_find_lineage(issue->attest, issue->lineage);
    if (lineage == NULL || lineage->revision != issue->judged_revision) {
        return RM_ERR_CONFLICT;
    }
    char key[RECORD_KEY_BYTES];
    struct lineage_record record = lineage->record; // borrows its strings
    if (issue->plan == ISSUE_RENEW) {
        memcpy(record.previous_serial, issue->shown_serial, ISSUE_SERIAL_BYTES);
        record.has_previous = true;
    }
    set_newest(issue, &record);
    record_key_lineage(issue->lineage, key);
    transaction_require(transaction, key, lineage->revision);
    update_rejoin(transaction, issue, &record);
    transaction_put_lineage(transaction, issue->lineage, &record);
    put_certificate(transaction, issue);
    put_audit(transaction, issue, "renew", "svid");
    return RM_OK;
}

enum rm_err attest_record(struct issue *issue, store_commit_fn on_commit)
{
    struct transaction transaction;
    transaction_init(&transaction);
    enum rm_err result = issue->plan != ISSUE_BEGIN        ? record_renewal(&transaction, issue)
                         : issue->evidence == ISSUE_REJOIN ? record_rejoin(&transaction, issue)
                                                           : record_token(&transaction, issue);
    if (result != RM_OK) {
        transaction_deinit(&transaction);
        return result;
    }
    return transaction_commit(&transaction, issue->attest->store, on_commit, issue);
}
