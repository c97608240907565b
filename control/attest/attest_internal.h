// SPDX-License-Identifier: GPL-3.0-or-later
//
// Inside attestation: the cache that judging reads, one Issue call, and who does what.
#pragma once

#include "attest/attest.h"
#include "attest/rate.h"
#include "base/backoff.h"
#include "base/machine.h"
#include "base/map.h"
#include "records/transaction.h"

#define ATTEST_LAPSE_LOOK_MS 600000   // longest wait for a lapse: the wall clock may jump
#define ATTEST_LAPSE_RETRY_MS 5000    // after the store did not take it
#define ATTEST_COLLECT_FIRST_MS 60000 // the first look for records that are no longer needed
#define ATTEST_COLLECT_MS 3600000     // the later ones
#define ATTEST_RECORD_KEEP_S (INT64_C(7) * 86400) // after a record's end
#define ATTEST_REVOKE_ATTEMPTS 8                  // against renewals that come in between
#define ATTEST_WATCH_COUNT 3
#define ATTEST_RELOAD_MIN_MS 100 // after memory was short
#define ATTEST_RELOAD_MAX_MS 10000

// What the store holds, by watch: judging needs no read.
struct cached_token {
    struct token_record record; // owned
    uint64_t revision;          // for conditions
};
struct cached_lineage {
    struct attest *attest;        // back
    uint8_t id[LINEAGE_BYTES];    // key
    struct lineage_record record; // owned
    uint64_t revision;            // for conditions
    struct timer lapse;           // while LIVE
    bool is_lapsing;              // the transaction is under way
};
struct cached_rejoin {
    struct rejoin_record record; // owned
    uint64_t revision;           // for conditions
};

struct attest {
    struct loop *loop;                               // borrowed
    struct store *store;                             // borrowed
    struct authority *authority;                     // borrowed
    struct attest_options options;                   // trust_domain is owned
    struct map *tokens;                              // id -> struct cached_token
    struct map *lineages;                            // 8 bytes -> struct cached_lineage
    struct map *rejoins;                             // key hash -> struct cached_rejoin
    struct store_watch *watches[ATTEST_WATCH_COUNT]; // of the three
    struct rate *attestations;                       // without an SVID
    struct rate *signings;                           // of all kinds
    struct timer collect;                            // of records that are no longer needed
    struct collection *collection;                   // under way, or NULL
    size_t pending_count;                            // calls and transactions under way
    uint64_t next_id;                                // of issues, for traces
    struct timer reload;                             // of the cache, when memory was short
    struct backoff reload_backoff;                   // between reloads
    uint64_t loss_count;                             // changes that memory was short for
    bool is_incomplete;                              // the cache may lack what the store has
    bool is_store_failing;                           // an alarm stands
    bool is_freed;                                   // attest_free() was called
};
// Ends an activity that counted itself in pending_count.
void attest_leave(struct attest *attest);

// --- attest_cache.c
RM_NODISCARD enum rm_err attest_cache_init(struct attest *attest);
void attest_cache_deinit(struct attest *attest);
struct cached_token *attest_find_token(const struct attest *attest, const char *id);
struct cached_lineage *attest_find_lineage(const struct attest *attest,
                                           const uint8_t id[LINEAGE_BYTES]);
struct cached_rejoin *attest_find_rejoin(const struct attest *attest,
                                         const uint8_t key_hash[KEY_ID_BYTES]);

// store_change_fn for each kind; `context` is the attest.
void attest_apply_token(void *context, const struct store_entry *entry, bool is_deleted);
void attest_apply_lineage(void *context, const struct store_entry *entry, bool is_deleted);
void attest_apply_rejoin(void *context, const struct store_entry *entry, bool is_deleted);

// --- attest_load.c
// Memory was short for a change: reads everything again, later.
void attest_note_loss(struct attest *attest);
void attest_on_reload_timer(void *context);
void attest_unwatch(struct attest *attest);

// --- attest_lapse.c
// Starts, moves or stops a lineage's timer by its record.
void attest_lapse_plan(struct cached_lineage *lineage);
void attest_lapse_on_timer(void *context);

// --- attest_collect.c
void attest_collect_on_timer(void *context);

// --- attest_token.c
struct token_parts {
    char id[ATTEST_TOKEN_ID_DIGITS + 1]; // NUL-terminated
    uint8_t secret_hash[SHA256_BYTES];   // SHA-256 of the secret
};
// Errors: RM_ERR_MALFORMED.
RM_NODISCARD enum rm_err attest_token_parse(const char *text, struct token_parts *out);

// --- attest_issue.c: one Issue call. attest_judge.c decides, attest_record.c writes.
enum issue_evidence { ISSUE_NOTHING, ISSUE_TOKEN, ISSUE_REJOIN, ISSUE_SVID };
// What the evidence is good for.
enum issue_plan {
    ISSUE_REFUSE,  // see refusal
    ISSUE_BEGIN,   // a new lineage
    ISSUE_RENEW,   // the newest certificate of a lineage gets a successor
    ISSUE_REPLACE, // the newest one's answer was lost and it has expired: another in its place
    ISSUE_REPEAT,  // the newest one's answer was lost: the same again
    ISSUE_LOOK_UP, // read the record of certificate `lookup_serial`, then judge again
    ISSUE_FORK,    // revoke, then refuse
};
enum issue_lookup { LOOKUP_NONE, LOOKUP_ABSENT, LOOKUP_FOUND };

struct issue {
    struct attest *attest;            // counts this as pending
    struct sm sm;                     // see attest_issue.c
    attest_result_fn on_result;       // once
    void *context;                    // for on_result
    struct deferred later;            // for an answer that is known at once
    char source[ATTEST_SOURCE_BYTES]; // numeric address

    enum issue_evidence evidence;             // which of the following counts
    struct token_parts token;                 // TOKEN
    bool is_token_malformed;                  // TOKEN
    bool has_lineage;                         // SVID: issued by us
    uint8_t shown_serial[ISSUE_SERIAL_BYTES]; // SVID: the caller's certificate
    char *claimed;                            // SVID, REJOIN: SPIFFE ID; owned
    struct record_bytes rejoin_key;           // REJOIN: SPKI
    uint8_t rejoin_hash[KEY_ID_BYTES];        // of rejoin_key
    struct record_bytes rejoin_signature;     // REJOIN
    int64_t rejoin_signed_at_s;               // REJOIN
    struct record_bytes csr;                  // DER
    struct record_bytes new_rejoin;           // SPKI to register; empty: none
    uint8_t new_rejoin_hash[KEY_ID_BYTES];    // of new_rejoin
    int64_t wanted_lifetime_s;                // 0: default

    struct record_bytes spki;       // of the CSR; set on the pool
    uint8_t key_hash[SHA256_BYTES]; // of spki
    struct rm_error csr_error;      // set on the pool
    enum rm_err csr_result;         // set on the pool
    enum rm_err proof_result;       // REJOIN: set on the pool

    enum issue_plan plan;                      // last judgement
    enum attest_refusal refusal;               // of REFUSE, or of what failed later
    uint64_t judged_revision;                  // of the token, lineage or re-join record
    uint8_t lineage[LINEAGE_BYTES];            // it is about
    uint8_t serial[ISSUE_SERIAL_BYTES];        // of the certificate
    char *identity;                            // of the certificate; owned
    enum issue_lookup lookup;                  // what was found for lookup_serial
    uint8_t lookup_serial[ISSUE_SERIAL_BYTES]; // LOOK_UP
    int64_t found_not_before_s;                // LOOKUP_FOUND: of that certificate
    int64_t found_not_after_s;                 // LOOKUP_FOUND
    unsigned attempts;                         // judgements after a conflict

    struct authority_leaf leaf; // signed; its chain is owned
    bool is_rejoin_registered;  // by this call or an earlier one
};

// --- attest_evidence.c
// Copies the evidence. Errors: RM_ERR_NO_MEMORY, RM_ERR_TOO_LARGE; `issue` is then to be freed.
RM_NODISCARD enum rm_err attest_evidence_take(struct issue *issue,
                                              const struct attest_evidence *evidence);
void attest_evidence_deinit(struct issue *issue);
// On the pool: reads the CSR and verifies the re-join proof.
void attest_evidence_verify(void *context);

// --- attest_judge.c
// What can be refused before anything is computed; NONE: go on.
enum attest_refusal attest_judge_early(const struct issue *issue);
// Fills plan, refusal, judged_revision, lineage, identity. Errors: RM_ERR_NO_MEMORY, RM_ERR_CRYPTO.
RM_NODISCARD enum rm_err attest_judge(struct issue *issue);

// --- attest_record.c
// Writes what was decided and signed, in one transaction. Errors: RM_ERR_CONFLICT (what was judged
// has changed), and the store's.
RM_NODISCARD enum rm_err attest_record(struct issue *issue, store_commit_fn on_commit);

// --- attest_revoke.c
RM_NODISCARD enum rm_err attest_revoke_lineage(struct attest *attest,
                                               const uint8_t lineage[LINEAGE_BYTES],
                                               const char *action, const char *reason,
                                               const char *actor, attest_revoke_fn on_revoked,
                                               void *context);
