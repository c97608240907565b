// SPDX-License-Identifier: GPL-3.0-or-later
//
// The peer verdict: (chain facts, trust, now, expectation) -> DENIED or an identity. The same pure
// function judges at the handshake, at resumption and on live connections. It comes after the TLS
// library's own verdict on signatures, and trusts nothing that the facts do not say.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "faults/faults.h"
#include "identity/peer.h"
#include "identity/trust.h"

enum verdict { VERDICT_DENIED = 0, VERDICT_IDENTITY = 1 };

// Each is a fault of the same name: faults/catalogue.def has the words.
#define VERDICT_REASON_LIST(X)                                                                     \
    X(UNJUDGED)                                                                                    \
    X(OK)                                                                                          \
    X(NO_SPIFFE_ID)                                                                                \
    X(SEVERAL_SPIFFE_IDS)                                                                          \
    X(BAD_SPIFFE_ID)                                                                               \
    X(UNKNOWN_TRUST_DOMAIN)                                                                        \
    X(NOT_ANCHORED)                                                                                \
    X(NOT_YET_VALID)                                                                               \
    X(CERTIFICATE_EXPIRED)                                                                         \
    X(WRONG_USAGE)                                                                                 \
    X(LEAF_IS_CA)                                                                                  \
    X(CERTIFICATE_REVOKED)                                                                         \
    X(LINEAGE_LAPSED)                                                                              \
    X(WRONG_IDENTITY)

enum verdict_reason {
#define VERDICT_REASON_ENUM(name) VERDICT_REASON_##name,
    VERDICT_REASON_LIST(VERDICT_REASON_ENUM)
#undef VERDICT_REASON_ENUM
        VERDICT_REASON_COUNT,
};

enum verdict_role { VERDICT_ROLE_CLIENT, VERDICT_ROLE_SERVER }; // what the judged peer is

struct verdict_question {
    const struct chain_facts *facts;    // of the peer; borrowed
    const struct trust_snapshot *trust; // NULL denies
    int64_t now_s;                      // our wall clock, Unix seconds
    enum verdict_role role;             // which EKU the peer must have
    const char *const *expected_ids;    // SPIFFE IDs, any of which will do; NULL: any identity
    size_t expected_count;              // of expected_ids
    bool is_live;                       // on a live connection: dates do not count, lapse does
};

struct verdict_answer {
    enum verdict verdict;       // VERDICT_DENIED unless every check passed
    enum verdict_reason reason; // VERDICT_REASON_OK exactly when verdict is IDENTITY
};

// Never fails, never allocates. Order of checks is the order of the reasons above.
struct verdict_answer verdict_judge(const struct verdict_question *question);
// For a live connection or a ticket: the facts that remain of a peer.
void verdict_facts_of_peer(const struct peer *peer, struct chain_facts *out);

// FAULT_OK for OK; FAULT_UNJUDGED for a value that is none.
enum fault verdict_fault(enum verdict_reason reason);
