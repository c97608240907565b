// SPDX-License-Identifier: GPL-3.0-or-later
#include "attest_fixture.h"

#include <sched.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "crypto/crypto.h"
#include "records/record_keys.h"
#include "records/records_wire.h"

// --- Life.

struct load {
    struct attest_fixture *fixture; // borrowed
    enum rm_err result;             // of the loading
    size_t done;                    // 1 once answered
};

static void on_loaded(void *context, enum rm_err result)
{
    struct load *load = context;
    load->result = result;
    fixture_count(load->fixture->ca->base, &load->done);
}

static void do_load(struct fixture *base, void *context)
{
    struct load *load = context;
    struct attest_fixture *fixture = load->fixture;
    assert_int_equal(attest_new(base->loop, base->store, fixture->ca->authority, &fixture->options,
                                &fixture->attest),
                     RM_OK);
    assert_int_equal(attest_load(fixture->attest, on_loaded, load), RM_OK);
}

static void load_attest(struct attest_fixture *fixture)
{
    struct load load = {.fixture = fixture};
    fixture_run(fixture->ca->base, do_load, &load);
    fixture_wait(fixture->ca->base, &load.done, 1);
    assert_int_equal(load.result, RM_OK);
}

static void do_free(struct fixture *base, void *context)
{
    struct attest_fixture *fixture = context;
    (void)base;
    attest_free(fixture->attest);
    fixture->attest = NULL;
}

int attest_fixture_setup(void **state)
{
    struct attest_fixture *fixture = rm_calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    void *ca = NULL;
    authority_fixture_setup(&ca);
    fixture->ca = ca;
    fixture->options = (struct attest_options){
        .trust_domain = TEST_DOMAIN,
        .default_lifetime_s = 3600,
        .minimum_lifetime_s = 300,
        .maximum_lifetime_s = 86400,
        .attestations_per_s = 1000,
        .attestation_burst = 1000,
        .signings_per_s = 1000,
        .signing_burst = 1000,
    };
    load_attest(fixture);
    *state = fixture;
    return 0;
}

int attest_fixture_teardown(void **state)
{
    struct attest_fixture *fixture = *state;
    fixture_run(fixture->ca->base, do_free, fixture);
    authority_fixture_free(fixture->ca);
    rm_free(fixture);
    return 0;
}

void attest_fixture_restart(struct attest_fixture *fixture)
{
    fixture_run(fixture->ca->base, do_free, fixture);
    load_attest(fixture);
}

// --- Workloads.

struct workload workload_new(void)
{
    struct workload workload = {0};
    assert_int_equal(key_generate(&workload.key), RM_OK);
    assert_int_equal(csr_make(workload.key, &workload.csr, &workload.csr_length), RM_OK);
    return workload;
}

void workload_free(struct workload *workload)
{
    key_unref(workload->key);
    rm_free(workload->csr);
}

struct attest_evidence evidence_of(const struct workload *workload)
{
    return (struct attest_evidence){
        .source = "192.0.2.1",
        .csr = workload->csr,
        .csr_length = workload->csr_length,
    };
}

// --- Issue.

struct call {
    struct attest_fixture *fixture;         // borrowed
    const struct attest_evidence *evidence; // borrowed for the start
    size_t count;                           // entries in evidence and grants
    struct grant *grants;                   // filled
    size_t *done;                           // counted up by each answer
};

struct pending {
    struct attest_fixture *fixture; // borrowed
    struct grant *grant;            // filled
    size_t *done;                   // counted up
};

// What the TLS room makes of a verified chain.
static struct peer *peer_of(struct attest_fixture *fixture, const struct chain *chain,
                            uint8_t serial[ISSUE_SERIAL_BYTES])
{
    struct der certificates[CHAIN_MAX_CERTIFICATES];
    struct certificate leaf;
    struct chain_facts facts;
    const char *why = NULL;
    for (size_t i = 0; i < chain->count; i++) {
        certificates[i] = (struct der){chain->certificates[i].bytes, chain->certificates[i].length};
    }
    assert_int_equal(chain_examine(certificates, chain->count,
                                   authority_trust(fixture->ca->authority), &leaf, &facts, &why),
                     RM_OK);
    assert_true(facts.is_anchored);
    assert_int_equal(facts.serial_length, ISSUE_SERIAL_BYTES);
    memcpy(serial, facts.serial, ISSUE_SERIAL_BYTES);
    struct peer *peer = peer_new(&facts, false);
    certificate_deinit(&leaf);
    assert_non_null(peer);
    return peer;
}

static void on_result(void *context, const struct attest_result *result)
{
    struct pending *pending = context;
    struct grant *grant = pending->grant;
    grant->answers++;
    grant->refusal = result->refusal;
    snprintf(grant->detail, sizeof grant->detail, "%s",
             result->detail != NULL ? result->detail : "");
    if (result->refusal == ATTEST_REFUSAL_NONE) {
        snprintf(grant->identity, sizeof grant->identity, "%s", result->identity);
        grant->issued_at_s = result->issued_at_s;
        grant->not_after_s = result->not_after_s;
        grant->is_rejoin_registered = result->is_rejoin_registered;
        for (size_t i = 0; i < result->chain->count; i++) {
            assert_int_equal(chain_append(&grant->chain, result->chain->certificates[i].bytes,
                                          result->chain->certificates[i].length),
                             RM_OK);
        }
        grant->peer = peer_of(pending->fixture, &grant->chain, grant->serial);
    } else {
        assert_null(result->chain);
    }
    struct fixture *base = pending->fixture->ca->base;
    size_t *done = pending->done;
    rm_free(pending);
    fixture_count(base, done);
}

static void do_issue(struct fixture *base, void *context)
{
    struct call *call = context;
    (void)base;
    for (size_t i = 0; i < call->count; i++) {
        struct pending *pending = rm_calloc(1, sizeof *pending);
        assert_non_null(pending);
        *pending = (struct pending){call->fixture, &call->grants[i], call->done};
        assert_int_equal(
            attest_issue(call->fixture->attest, &call->evidence[i], on_result, pending), RM_OK);
    }
}

void issue_start(struct attest_fixture *fixture, const struct attest_evidence *evidence,
                 struct grant *grant, size_t *done)
{
    struct call call = {fixture, evidence, 1, grant, done};
    fixture_run(fixture->ca->base, do_issue, &call);
}

void issue_two(struct attest_fixture *fixture, const struct attest_evidence evidence[2],
               struct grant grants[2])
{
    size_t done = 0;
    struct call call = {fixture, evidence, 2, grants, &done};
    memset(grants, 0, 2 * sizeof *grants);
    fixture_run(fixture->ca->base, do_issue, &call);
    fixture_wait(fixture->ca->base, &done, 2);
}

struct grant issue(struct attest_fixture *fixture, const struct attest_evidence *evidence)
{
    struct grant grant = {0};
    size_t done = 0;
    issue_start(fixture, evidence, &grant, &done);
    fixture_wait(fixture->ca->base, &done, 1);
    assert_int_equal(grant.answers, 1);
    return grant;
}

struct grant issue_by_token(struct attest_fixture *fixture, const struct workload *workload,
                            const char *token)
{
    struct attest_evidence evidence = evidence_of(workload);
    evidence.join_token = token;
    return issue(fixture, &evidence);
}

struct grant issue_by_peer(struct attest_fixture *fixture, const struct workload *workload,
                           const struct grant *shown)
{
    struct attest_evidence evidence = evidence_of(workload);
    evidence.peer = shown->peer;
    return issue(fixture, &evidence);
}

struct attest_evidence rejoin_evidence(const struct workload *workload,
                                       const struct private_key *rejoin_key, const char *identity,
                                       int64_t signed_at_s, uint8_t *signature)
{
    uint8_t bytes[17 + CSR_MAX_DER_BYTES + 8] = "remora-rejoin-v1";
    size_t length = 17;
    memcpy(bytes + length, workload->csr, workload->csr_length);
    length += workload->csr_length;
    for (int shift = 56; shift >= 0; shift -= 8) {
        bytes[length++] = (uint8_t)((uint64_t)signed_at_s >> shift);
    }
    struct attest_evidence evidence = evidence_of(workload);
    evidence.rejoin_identity = identity;
    evidence.rejoin_signed_at_s = signed_at_s;
    evidence.rejoin_signature = signature;
    key_spki(rejoin_key, &evidence.rejoin_key, &evidence.rejoin_key_length);
    assert_int_equal(
        key_sign_sha256(rejoin_key, bytes, length, signature, &evidence.rejoin_signature_length),
        RM_OK);
    return evidence;
}

void grant_free(struct grant *grant)
{
    chain_deinit(&grant->chain);
    peer_unref(grant->peer);
    *grant = (struct grant){0};
}

// --- Tokens and revocations.

struct token_call {
    struct attest_fixture *fixture;             // borrowed
    const struct attest_token_request *request; // borrowed
    char *token;                                // gets the text
    struct rm_error *error;                     // may be NULL
    enum rm_err result;                         // of the call
    size_t done;                                // 1 once answered
};

static void on_created(void *context, enum rm_err result, const char *token, const char *id,
                       int64_t expires_at_s)
{
    struct token_call *call = context;
    call->result = result;
    if (result == RM_OK) {
        assert_int_equal(strlen(id), ATTEST_TOKEN_ID_DIGITS);
        assert_true(expires_at_s > clock_wall_s());
        snprintf(call->token, TOKEN_BYTES, "%s", token);
    }
    fixture_count(call->fixture->ca->base, &call->done);
}

static void do_create(struct fixture *base, void *context)
{
    struct token_call *call = context;
    call->result =
        attest_create_token(call->fixture->attest, call->request, on_created, call, call->error);
    if (call->result != RM_OK) {
        fixture_count(base, &call->done);
    }
}

enum rm_err make_token(struct attest_fixture *fixture, const struct attest_token_request *request,
                       char token[TOKEN_BYTES], struct rm_error *error)
{
    struct token_call call = {
        .fixture = fixture, .request = request, .token = token, .error = error};
    fixture_run(fixture->ca->base, do_create, &call);
    fixture_wait(fixture->ca->base, &call.done, 1);
    return call.result;
}

void make_test_token(struct attest_fixture *fixture, char token[TOKEN_BYTES])
{
    const char *services[] = {"web"};
    const char *ranges[] = {"10.0.0.0/8"};
    const struct attest_token_request request = {
        .identity = TEST_IDENTITY,
        .services = services,
        .service_count = 1,
        .address_ranges = ranges,
        .address_range_count = 1,
        .lifetime_s = 3600,
        .actor = "uid 0",
    };
    assert_int_equal(make_token(fixture, &request, token, NULL), RM_OK);
}

struct revoke_call {
    struct attest_fixture *fixture; // borrowed
    const uint8_t *serial;          // of a certificate
    size_t length;                  // of serial
    uint32_t certificate_count;     // answered
    enum rm_err result;             // answered
    size_t done;                    // 1 once answered
};

static void on_revoked(void *context, enum rm_err result, const uint8_t lineage[LINEAGE_BYTES],
                       const char *identity, uint32_t certificate_count)
{
    struct revoke_call *call = context;
    call->result = result;
    call->certificate_count = certificate_count;
    if (result == RM_OK) {
        assert_memory_equal(lineage, call->serial, LINEAGE_BYTES);
        assert_string_equal(identity, TEST_IDENTITY);
    }
    fixture_count(call->fixture->ca->base, &call->done);
}

static void do_revoke(struct fixture *base, void *context)
{
    struct revoke_call *call = context;
    (void)base;
    assert_int_equal(attest_revoke(call->fixture->attest, call->serial, call->length, "test",
                                   "uid 0", on_revoked, call),
                     RM_OK);
}

enum rm_err revoke(struct attest_fixture *fixture, const uint8_t *serial, size_t length,
                   uint32_t *certificate_count)
{
    struct revoke_call call = {.fixture = fixture, .serial = serial, .length = length};
    fixture_run(fixture->ca->base, do_revoke, &call);
    fixture_wait(fixture->ca->base, &call.done, 1);
    if (certificate_count != NULL) {
        *certificate_count = call.certificate_count;
    }
    return call.result;
}

// --- What the store holds.

size_t count_records(struct attest_fixture *fixture, const char *prefix)
{
    struct answer answer = {0};
    fixture_read_prefix(fixture->ca->base, prefix, NULL, 0, &answer);
    assert_int_equal(answer.result, RM_OK);
    size_t count = answer.count;
    answer_free(&answer);
    return count;
}

struct lineage_record read_lineage(struct attest_fixture *fixture,
                                   const uint8_t lineage[LINEAGE_BYTES])
{
    struct answer answer = {0};
    struct lineage_record record;
    char key[RECORD_KEY_BYTES];
    record_key_lineage(lineage, key);
    fixture_read(fixture->ca->base, key, &answer);
    assert_int_equal(answer.count, 1);
    assert_int_equal(
        lineage_record_decode(answer.entries[0].value, answer.entries[0].value_length, &record),
        RM_OK);
    answer_free(&answer);
    return record;
}

void wait_for_state(struct attest_fixture *fixture, const uint8_t lineage[LINEAGE_BYTES],
                    enum lineage_state state)
{
    for (;;) {
        struct lineage_record record = read_lineage(fixture, lineage);
        bool is_there = record.state == state;
        lineage_record_deinit(&record);
        if (is_there) {
            return;
        }
        sched_yield();
    }
}
