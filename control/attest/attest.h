// SPDX-License-Identifier: GPL-3.0-or-later
//
// Attestation: evidence in, certificate out. Join tokens, renewals by current SVID, re-join keys;
// lineages and forks. Every answer comes after its effect is durable. Belongs to the control loop.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "ca/authority.h"
#include "identity/peer.h"
#include "loop/loop.h"
#include "records/records.h"
#include "store/store.h"

#define ATTEST_TOKEN_REPEAT_S 600                      // same token and same key: answer again
#define ATTEST_LINEAGE_MAX_AGE_S (INT64_C(30) * 86400) // without fresh evidence
#define ATTEST_REJOIN_SKEW_S 300
#define ATTEST_LAPSE_GRACE_S 60          // after a lineage's last notAfter
#define ATTEST_WITHDRAWAL_MARGIN_S 86400 // kept after the last notAfter: clocks that are off
#define ATTEST_PENDING_MAX 4096          // Issue calls under way; beyond: BUSY
#define ATTEST_TOKEN_MAX_LIFETIME_S (INT64_C(30) * 86400)
#define ATTEST_TOKEN_MAX_BYTES 1024 // of a token's text
#define ATTEST_TOKEN_ID_DIGITS 12
#define ATTEST_SOURCE_BYTES 128

// Why a request was refused; name for logs and metrics, sentence for the caller. The sentence says
// what to do and nothing that helps a guesser.
#define ATTEST_REFUSAL_LIST(X)                                                                     \
    X(NONE, "accepted")                                                                            \
    X(NO_EVIDENCE, "no join token, re-join proof or client certificate came with the request")     \
    X(TOKEN_MALFORMED, "the join token is malformed: expected rmt1.<id>.<secret>.<pins>")          \
    X(TOKEN_UNKNOWN, "the join token is not known here, or its secret is wrong")                   \
    X(TOKEN_EXPIRED, "the join token has expired: make a new one with 'remora token create'")      \
    X(TOKEN_USED, "the join token was used already, with another key: make a new one")             \
    X(CSR_INVALID, "the certificate signing request is invalid")                                   \
    X(LINEAGE_UNKNOWN, "the certificate's lineage is not known here: join again with a new token") \
    X(LINEAGE_LAPSED, "the certificate's lineage lapsed, since it stopped renewing: join again")   \
    X(LINEAGE_REVOKED, "the certificate's lineage was revoked: join again with a new token")       \
    X(LINEAGE_ENDED, "no fresh evidence for 30 days: join again with a new token")                 \
    X(LINEAGE_FORKED, "two keys renewed one certificate: the lineage is now revoked")              \
    X(REJOIN_UNKNOWN, "the re-join key is not known here: join again with a new token")            \
    X(REJOIN_INVALID, "the re-join proof is wrong, or its clock is off by more than 5 minutes")    \
    X(RATE_LIMITED, "too many requests from this address: slow down")                              \
    X(BUSY, "the control plane is busy: try again")                                                \
    X(STORE_UNAVAILABLE, "the store did not accept the write: nothing was issued; try again")

enum attest_refusal {
#define ATTEST_REFUSAL_ENUM(name, text) ATTEST_REFUSAL_##name,
    ATTEST_REFUSAL_LIST(ATTEST_REFUSAL_ENUM)
#undef ATTEST_REFUSAL_ENUM
        ATTEST_REFUSAL_COUNT,
};
const char *attest_refusal_name(enum attest_refusal refusal);
const char *attest_refusal_text(enum attest_refusal refusal);

struct attest;

struct attest_options {
    const char *trust_domain;   // own; borrowed for the life
    int64_t default_lifetime_s; // of leaves
    int64_t minimum_lifetime_s; // 300, or 10 with test lifetimes
    int64_t maximum_lifetime_s; // 86400
    double attestations_per_s;  // per source address, without an SVID; 1
    double attestation_burst;   // 10
    double signings_per_s;      // per source address, of all kinds; 50
    double signing_burst;       // 50
    // DNS names for certificates of `identity`, as registry_dns_names(). NULL: none.
    enum rm_err (*dns_names)(void *context, const char *identity, char ***names, size_t *count);
    void *dns_context; // for dns_names
};
RM_NODISCARD enum rm_err attest_new(struct loop *loop, struct store *store,
                                    struct authority *authority,
                                    const struct attest_options *options, struct attest **out);
// Reads what the store holds, then follows it. Once, before all else. Calls back once, later.
typedef void (*attest_ready_fn)(void *context, enum rm_err result);
RM_NODISCARD enum rm_err attest_load(struct attest *attest, attest_ready_fn on_ready,
                                     void *context);
// New lifetimes and limits after a reload; the trust domain stays.
void attest_set_options(struct attest *attest, const struct attest_options *options);
// Calls under way are still answered. `attest` may be NULL.
void attest_free(struct attest *attest);

// A lineage's record; NULL when it is not known. Borrowed until the loop's next turn.
const struct lineage_record *attest_lineage(const struct attest *attest,
                                            const uint8_t lineage[LINEAGE_BYTES]);
typedef void (*attest_visit_fn)(void *context, const uint8_t lineage[LINEAGE_BYTES],
                                const struct lineage_record *record);
// Visits every lineage, in no order.
void attest_each_lineage(const struct attest *attest, attest_visit_fn visit, void *context);

// One Issue call. All borrowed for the call to attest_issue().
struct attest_evidence {
    const char *source; // numeric source address, for limits and audit
    const uint8_t *csr; // DER
    size_t csr_length;
    const char *join_token;      // NULL: none
    const char *rejoin_identity; // NULL: none
    const uint8_t *rejoin_key;   // SPKI
    size_t rejoin_key_length;
    const uint8_t *rejoin_signature;
    size_t rejoin_signature_length;
    int64_t rejoin_signed_at_s;
    const struct peer *peer;       // authenticated caller, or NULL; wins over all else
    const uint8_t *new_rejoin_key; // SPKI to register; NULL: none
    size_t new_rejoin_key_length;
    int64_t wanted_lifetime_s; // 0: default
};
struct attest_result {
    enum attest_refusal refusal; // NONE: issued
    const char *detail;          // more about the refusal, e.g. of the CSR; may be NULL
    struct chain *chain;         // leaf, intermediate; borrowed for the callback
    const char *identity;
    int64_t issued_at_s;
    int64_t not_after_s;
    bool is_rejoin_registered;
};
typedef void (*attest_result_fn)(void *context, const struct attest_result *result);
// Calls back exactly once, later. Errors: RM_ERR_NO_MEMORY (then not).
RM_NODISCARD enum rm_err attest_issue(struct attest *attest, const struct attest_evidence *evidence,
                                      attest_result_fn on_result, void *context);

struct attest_token_request {
    const char *identity; // full SPIFFE ID in the own trust domain, not reserved
    const char *const *services;
    size_t service_count;
    const char *const *address_ranges; // CIDR
    size_t address_range_count;
    int64_t lifetime_s; // 1..30 d
    const char *actor;  // for the audit record
};
typedef void (*attest_token_fn)(void *context, enum rm_err result, const char *token,
                                const char *id, int64_t expires_at_s);
// Makes a join token: 12 hex digits of id, 32 random bytes of secret, and the SPKI SHA-256 of each
// root as pins ('+'-separated base64url). Stored hashed.
// Errors: RM_ERR_MALFORMED with a sentence; RM_ERR_BUSY.
RM_NODISCARD enum rm_err attest_create_token(struct attest *attest,
                                             const struct attest_token_request *request,
                                             attest_token_fn on_created, void *context,
                                             struct rm_error *error);

typedef void (*attest_revoke_fn)(void *context, enum rm_err result,
                                 const uint8_t lineage[LINEAGE_BYTES], const char *identity,
                                 uint32_t certificate_count);
// `certificate_count`: how many of its certificates had not expired. RM_ERR_NOT_FOUND: no such
// lineage (`identity` is NULL then). Revoking again is no error. `identity` is borrowed.
// Revokes the lineage of a certificate: durable, with its withdrawal record, in one transaction.
RM_NODISCARD enum rm_err attest_revoke(struct attest *attest, const uint8_t *serial,
                                       size_t serial_length, const char *reason, const char *actor,
                                       attest_revoke_fn on_revoked, void *context);
