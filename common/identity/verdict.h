// SPDX-License-Identifier: GPL-3.0-or-later
//
// The peer verdict: (chain facts, trust, now, expectation) -> DENIED or an identity. The same pure
// function judges at the handshake, at resumption and on live connections. It comes after the TLS
// library's own verdict on signatures, and trusts nothing that the facts do not say.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "identity/peer.h"
#include "identity/trust.h"

enum verdict { VERDICT_DENIED = 0, VERDICT_IDENTITY = 1 };

// name, sentence. The name in lower case is the log's, the metric's and the Reply's.
#define VERDICT_REASON_LIST(X)                                                                     \
    X(UNJUDGED, "no verdict was made")                                                             \
    X(OK, "accepted")                                                                              \
    X(NO_SPIFFE_ID, "the certificate has no URI SAN, so it proves no SPIFFE ID")                   \
    X(SEVERAL_SPIFFE_IDS, "the certificate has more than one URI SAN")                             \
    X(BAD_SPIFFE_ID, "the certificate's URI SAN is not a valid SPIFFE ID")                         \
    X(UNKNOWN_TRUST_DOMAIN, "the SPIFFE ID's trust domain is not trusted here")                    \
    X(NOT_ANCHORED, "the chain does not end at a root of the SPIFFE ID's own trust domain")        \
    X(NOT_YET_VALID, "the certificate is not yet valid")                                           \
    X(CERTIFICATE_EXPIRED, "the certificate has expired")                                          \
    X(WRONG_USAGE, "the certificate's key usage does not allow this")                              \
    X(LEAF_IS_CA, "the certificate is a CA certificate, not a workload's")                         \
    X(CERTIFICATE_REVOKED, "the certificate's lineage, identity or issuer was revoked")            \
    X(LINEAGE_LAPSED, "the certificate's lineage lapsed: it stopped renewing")                     \
    X(WRONG_IDENTITY, "the certificate proves another SPIFFE ID than the one expected")

enum verdict_reason {
#define VERDICT_REASON_ENUM(name, text) VERDICT_REASON_##name,
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

// Lower-case name; the sentence. Never NULL.
const char *verdict_reason_name(enum verdict_reason reason);
const char *verdict_reason_text(enum verdict_reason reason);
