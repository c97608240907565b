// SPDX-License-Identifier: GPL-3.0-or-later
//
// One way to fail each check of the peer verdict, in the order of the checks.
#pragma once

#include "cases.h"

struct court {
    struct chain_facts facts;         // of the peer on trial
    struct trust_builder *builder;    // becomes the trust of the question
    struct verdict_question question; // facts and trust are filled by judge()
};

static const char *const nobody[] = {"spiffe://example.org/ns/shop/sa/other"};

static inline struct court court_open(void)
{
    return (struct court){.facts = good_facts(),
                          .builder = good_builder(),
                          .question = {.now_s = NOW_S, .role = VERDICT_ROLE_CLIENT}};
}

static inline void withdraw(struct court *court, enum trust_withdrawal_kind kind, const void *key,
                            size_t length, int64_t before_s)
{
    assert_int_equal(trust_builder_withdraw(court->builder, kind, key, length, before_s), RM_OK);
}

// Spoils the fact behind `reason`; false where the reason is none of a check.
static inline bool court_spoil(struct court *court, enum verdict_reason reason)
{
    struct chain_facts *facts = &court->facts;
    switch (reason) {
    case VERDICT_REASON_NO_SPIFFE_ID:
        facts->uri_count = 0;
        return true;
    case VERDICT_REASON_SEVERAL_SPIFFE_IDS:
        facts->uri_count += 2;
        return true;
    case VERDICT_REASON_BAD_SPIFFE_ID:
        facts->spiffe_id = "spiffe://example.org/ns//web";
        facts->spiffe_id_length = 28;
        return true;
    case VERDICT_REASON_UNKNOWN_TRUST_DOMAIN:
        facts->spiffe_id = "spiffe://unknown.org/ns/shop/sa/web";
        return true;
    case VERDICT_REASON_NOT_ANCHORED:
        facts->is_anchored = false;
        return true;
    case VERDICT_REASON_NOT_YET_VALID:
        facts->not_before_s = NOW_S + 1;
        return true;
    case VERDICT_REASON_CERTIFICATE_EXPIRED:
        facts->not_after_s = NOW_S - 1;
        return true;
    case VERDICT_REASON_WRONG_USAGE:
        facts->has_client_auth = false;
        return true;
    case VERDICT_REASON_LEAF_IS_CA:
        facts->leaf_is_ca = true;
        return true;
    case VERDICT_REASON_CERTIFICATE_REVOKED:
        withdraw(court, TRUST_REVOKED_LINEAGE, lineage, LINEAGE_BYTES, 0);
        return true;
    case VERDICT_REASON_LINEAGE_LAPSED:
        withdraw(court, TRUST_LAPSED_LINEAGE, lineage, LINEAGE_BYTES, 0);
        return true;
    case VERDICT_REASON_WRONG_IDENTITY:
        court->question.expected_ids = nobody;
        court->question.expected_count = 1;
        return true;
    case VERDICT_REASON_UNJUDGED:
    case VERDICT_REASON_OK:
    case VERDICT_REASON_COUNT:
        break;
    }
    return false;
}

// Closes the court.
static inline struct verdict_answer court_judge(struct court *court)
{
    struct trust_snapshot *trust = trust_builder_finish(court->builder);
    assert_non_null(trust);
    court->question.facts = &court->facts;
    court->question.trust = trust;
    struct verdict_answer answer = verdict_judge(&court->question);
    trust_unref(trust);
    return answer;
}

static inline void assert_denied(struct court *court, enum verdict_reason reason)
{
    struct verdict_answer answer = court_judge(court);
    assert_int_equal(answer.verdict, VERDICT_DENIED);
    assert_string_equal(fault_name(verdict_fault(answer.reason)),
                        fault_name(verdict_fault(reason)));
}

static inline void assert_accepted(struct court *court)
{
    struct verdict_answer answer = court_judge(court);
    assert_string_equal(fault_name(verdict_fault(answer.reason)), "ok");
    assert_int_equal(answer.verdict, VERDICT_IDENTITY);
}
