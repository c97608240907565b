// SPDX-License-Identifier: GPL-3.0-or-later
#include "identity/verdict.h"

#include <string.h>

#include "identity/spiffe.h"

// What one judgement knows; filled as the checks go on.
struct trial {
    const struct verdict_question *question;
    const struct chain_facts *facts;
    const struct trust_domain *domain; // the ID's own; set by check_trust_domain
    struct spiffe_id id;               // set by check_identity
};

static enum verdict_reason check_identity(struct trial *trial)
{
    const struct chain_facts *facts = trial->facts;
    if (facts->uri_count == 0) {
        return VERDICT_REASON_NO_SPIFFE_ID;
    }
    if (facts->uri_count > 1) {
        return VERDICT_REASON_SEVERAL_SPIFFE_IDS;
    }
    if (facts->spiffe_id == NULL ||
        spiffe_id_parse(facts->spiffe_id, facts->spiffe_id_length, &trial->id, NULL) != RM_OK) {
        return VERDICT_REASON_BAD_SPIFFE_ID;
    }
    // X509-SVID.md 2: a leaf's ID names a workload, so it has a path.
    return trial->id.path_length == 0 ? VERDICT_REASON_BAD_SPIFFE_ID : VERDICT_REASON_OK;
}

// The root is looked up anew each time: one that was removed denies what was accepted under it.
static enum verdict_reason check_anchor(struct trial *trial)
{
    const struct trust_snapshot *trust = trial->question->trust;
    const struct trust_domain *domain =
        trust == NULL
            ? NULL
            : trust_domain_find(trust, trial->id.trust_domain, trial->id.trust_domain_length);
    if (domain == NULL) {
        return VERDICT_REASON_UNKNOWN_TRUST_DOMAIN;
    }
    if (!trial->facts->is_anchored ||
        !trust_root_is_in_domain(domain, trial->facts->anchor_key_id)) {
        return VERDICT_REASON_NOT_ANCHORED;
    }
    return VERDICT_REASON_OK;
}

// RFC 5280 4.1.2.5: both ends belong to the validity. A live connection outlives its dates: it ends
// when the lineage lapses.
static enum verdict_reason check_dates(struct trial *trial)
{
    const struct chain_facts *facts = trial->facts;
    int64_t now_s = trial->question->now_s;
    if (trial->question->is_live) {
        return VERDICT_REASON_OK;
    }
    if (now_s < facts->not_before_s || now_s < facts->leaf_not_before_s) {
        return VERDICT_REASON_NOT_YET_VALID;
    }
    if (now_s > facts->not_after_s || now_s > facts->leaf_not_after_s) {
        return VERDICT_REASON_CERTIFICATE_EXPIRED;
    }
    return VERDICT_REASON_OK;
}

static bool may_act_as(const struct chain_facts *facts, enum verdict_role role)
{
    switch (role) {
    case VERDICT_ROLE_CLIENT:
        return facts->has_client_auth;
    case VERDICT_ROLE_SERVER:
        return facts->has_server_auth;
    }
    return false;
}

// X509-SVID.md 4.3: a leaf signs handshakes and nothing else.
static enum verdict_reason check_usage(struct trial *trial)
{
    const struct chain_facts *facts = trial->facts;
    if (!facts->has_digital_signature || facts->has_cert_sign ||
        !may_act_as(facts, trial->question->role)) {
        return VERDICT_REASON_WRONG_USAGE;
    }
    return facts->leaf_is_ca ? VERDICT_REASON_LEAF_IS_CA : VERDICT_REASON_OK;
}

static bool identity_is_revoked(const struct trial *trial)
{
    int64_t before_s = 0;
    return trust_is_withdrawn(trial->question->trust, TRUST_REVOKED_IDENTITY, trial->id.text,
                              trial->id.length, &before_s) &&
           trial->facts->leaf_not_before_s < before_s;
}

static enum verdict_reason check_withdrawals(struct trial *trial)
{
    const struct trust_snapshot *trust = trial->question->trust;
    const struct chain_facts *facts = trial->facts;
    uint8_t lineage[LINEAGE_BYTES];
    bool has_lineage = serial_lineage(facts->serial, facts->serial_length, lineage);
    if (has_lineage &&
        trust_is_withdrawn(trust, TRUST_REVOKED_LINEAGE, lineage, sizeof(lineage), NULL)) {
        return VERDICT_REASON_CERTIFICATE_REVOKED;
    }
    if (trust_is_withdrawn(trust, TRUST_REVOKED_ISSUER, facts->issuer_key_id, KEY_ID_BYTES, NULL) ||
        trust_is_withdrawn(trust, TRUST_REVOKED_ISSUER, facts->anchor_key_id, KEY_ID_BYTES, NULL) ||
        identity_is_revoked(trial)) {
        return VERDICT_REASON_CERTIFICATE_REVOKED;
    }
    if (has_lineage &&
        trust_is_withdrawn(trust, TRUST_LAPSED_LINEAGE, lineage, sizeof(lineage), NULL)) {
        return VERDICT_REASON_LINEAGE_LAPSED;
    }
    return VERDICT_REASON_OK;
}

// An empty list expects nobody; only an absent one accepts any identity.
static enum verdict_reason check_expectation(struct trial *trial)
{
    const struct verdict_question *question = trial->question;
    if (question->expected_ids == NULL) {
        return VERDICT_REASON_OK;
    }
    for (size_t i = 0; i < question->expected_count; i++) {
        const char *expected = question->expected_ids[i];
        if (expected != NULL && strlen(expected) == trial->id.length &&
            memcmp(expected, trial->id.text, trial->id.length) == 0) {
            return VERDICT_REASON_OK;
        }
    }
    return VERDICT_REASON_WRONG_IDENTITY;
}

struct verdict_answer verdict_judge(const struct verdict_question *question)
{
    static enum verdict_reason (*const checks[])(struct trial *) = {
        check_identity, check_anchor,      check_dates,
        check_usage,    check_withdrawals, check_expectation,
    };
    struct trial trial = {.question = question, .facts = question->facts};
    if (trial.facts == NULL || trial.facts->serial_length > SERIAL_MAX_BYTES) {
        return (struct verdict_answer){VERDICT_DENIED, VERDICT_REASON_UNJUDGED};
    }
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        enum verdict_reason reason = checks[i](&trial);
        if (reason != VERDICT_REASON_OK) {
            return (struct verdict_answer){VERDICT_DENIED, reason};
        }
    }
    return (struct verdict_answer){VERDICT_IDENTITY, VERDICT_REASON_OK};
}

// Usage was judged when the peer was accepted and cannot change since; all else is judged again.
void verdict_facts_of_peer(const struct peer *peer, struct chain_facts *out)
{
    *out = (struct chain_facts){
        .spiffe_id = peer->spiffe_id,
        .spiffe_id_length = peer->spiffe_id_length,
        .uri_count = 1,
        .serial_length = peer->serial_length,
        .is_anchored = true,
        .has_digital_signature = true,
        .has_server_auth = true,
        .has_client_auth = true,
        .not_before_s = peer->leaf_not_before_s,
        .not_after_s = peer->not_after_s,
        .leaf_not_before_s = peer->leaf_not_before_s,
        .leaf_not_after_s = peer->not_after_s,
    };
    memcpy(out->serial, peer->serial, sizeof(out->serial));
    memcpy(out->issuer_key_id, peer->issuer_key_id, sizeof(out->issuer_key_id));
    memcpy(out->anchor_key_id, peer->anchor_key_id, sizeof(out->anchor_key_id));
}

enum fault verdict_fault(enum verdict_reason reason)
{
    static const enum fault faults[] = {
#define REASON_FAULT(name) FAULT_##name,
        VERDICT_REASON_LIST(REASON_FAULT)
#undef REASON_FAULT
    };
    return (unsigned)reason < VERDICT_REASON_COUNT ? faults[reason] : FAULT_UNJUDGED;
}
