// SPDX-License-Identifier: GPL-3.0-or-later
//
// Attestation over a real store and a real authority. Calls wait for their answer. Workloads have
// fresh P-256 keys.
#pragma once

#include "authority_fixture.h"

#include "attest/attest.h"

#define TEST_IDENTITY "spiffe://" TEST_DOMAIN "/ns/demo/sa/web"
#define TOKEN_BYTES (ATTEST_TOKEN_MAX_BYTES + 1)

struct attest_fixture {
    struct authority_fixture *ca;  // authority, store, loop
    struct attest *attest;         // loaded
    struct attest_options options; // it was made with
};

int attest_fixture_setup(void **state);
int attest_fixture_teardown(void **state);
// Frees and loads again, as a restart would; the store stays open.
void attest_fixture_restart(struct attest_fixture *fixture);

// A workload's key and the request for it.
struct workload {
    struct private_key *key; // owned
    uint8_t *csr;            // owned
    size_t csr_length;       // of csr
};
struct workload workload_new(void);
void workload_free(struct workload *workload);

// An answer, copied. grant_free().
struct grant {
    enum attest_refusal refusal;        // NONE: issued
    char detail[512];                   // "" when none
    struct chain chain;                 // owned
    char identity[256];                 // SPIFFE ID
    int64_t issued_at_s;                // Unix seconds
    int64_t not_after_s;                // Unix seconds
    bool is_rejoin_registered;          // as answered
    struct peer *peer;                  // what TLS would make of the chain; owned
    uint8_t serial[ISSUE_SERIAL_BYTES]; // of the leaf
    size_t answers;                     // times the callback came: must be 1
};
void grant_free(struct grant *grant);

// Evidence with the defaults of the tests: source 192.0.2.1 and the workload's request.
struct attest_evidence evidence_of(const struct workload *workload);
struct grant issue(struct attest_fixture *fixture, const struct attest_evidence *evidence);
struct grant issue_by_token(struct attest_fixture *fixture, const struct workload *workload,
                            const char *token);
struct grant issue_by_peer(struct attest_fixture *fixture, const struct workload *workload,
                           const struct grant *shown);
// Two calls in the same turn; grants in the order of the evidence.
void issue_two(struct attest_fixture *fixture, const struct attest_evidence evidence[2],
               struct grant grants[2]);
// Only starts it; the grant's `answers` tells when it is filled.
void issue_start(struct attest_fixture *fixture, const struct attest_evidence *evidence,
                 struct grant *grant, size_t *done);

// Signs the workload's request with the re-join key: evidence to issue() with. `signature` is the
// caller's, SIGNATURE_P256_MAX_BYTES.
struct attest_evidence rejoin_evidence(const struct workload *workload,
                                       const struct private_key *rejoin_key, const char *identity,
                                       int64_t signed_at_s, uint8_t *signature);

enum rm_err make_token(struct attest_fixture *fixture, const struct attest_token_request *request,
                       char token[TOKEN_BYTES], struct rm_error *error);
// A token of TEST_IDENTITY that lives an hour.
void make_test_token(struct attest_fixture *fixture, char token[TOKEN_BYTES]);
enum rm_err revoke(struct attest_fixture *fixture, const uint8_t *serial, size_t length,
                   uint32_t *certificate_count);

// Entries under a prefix.
size_t count_records(struct attest_fixture *fixture, const char *prefix);
struct lineage_record read_lineage(struct attest_fixture *fixture,
                                   const uint8_t lineage[LINEAGE_BYTES]);
// Waits until the lineage's record has this state.
void wait_for_state(struct attest_fixture *fixture, const uint8_t lineage[LINEAGE_BYTES],
                    enum lineage_state state);
