// SPDX-License-Identifier: GPL-3.0-or-later
#include "attest_fixture.h"

#include "base/clock.h"
#include "records/record_keys.h"

static enum attest_refusal refusal_of_token(struct attest_fixture *fixture, const char *token)
{
    struct workload workload = workload_new();
    struct grant grant = issue_by_token(fixture, &workload, token);
    enum attest_refusal refusal = grant.refusal;
    grant_free(&grant);
    workload_free(&workload);
    return refusal;
}

static void malformed_tokens(void **state)
{
    char token[TOKEN_BYTES];
    make_test_token(*state, token);
    char changed[TOKEN_BYTES + 1];
    static const char *const bad[] = {
        "", "rmt1", "rmt1.", "rmt1.0123456789ab.", "hello", "rmt1.0123456789ab.AAAA.AAAA"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(refusal_of_token(*state, bad[i]), ATTEST_REFUSAL_TOKEN_MALFORMED);
    }
    memcpy(changed, token, sizeof token);
    changed[3] = '2'; // rmt2
    assert_int_equal(refusal_of_token(*state, changed), ATTEST_REFUSAL_TOKEN_MALFORMED);
    memcpy(changed, token, sizeof token);
    changed[5] = 'x'; // no hex digit
    assert_int_equal(refusal_of_token(*state, changed), ATTEST_REFUSAL_TOKEN_MALFORMED);
    memcpy(changed, token, sizeof token);
    changed[20] = '!'; // no base64url
    assert_int_equal(refusal_of_token(*state, changed), ATTEST_REFUSAL_TOKEN_MALFORMED);
    memset(changed, 'a', sizeof changed - 1);
    changed[sizeof changed - 1] = '\0';
    memcpy(changed, token, strlen(token));
    assert_int_equal(refusal_of_token(*state, changed), ATTEST_REFUSAL_TOKEN_MALFORMED);
    assert_int_equal(refusal_of_token(*state, token), ATTEST_REFUSAL_NONE);
}

static void unknown_id_and_wrong_secret_look_alike(void **state)
{
    char token[TOKEN_BYTES];
    make_test_token(*state, token);
    char changed[TOKEN_BYTES];
    memcpy(changed, token, sizeof token);
    changed[5] = changed[5] == '0' ? '1' : '0';
    assert_int_equal(refusal_of_token(*state, changed), ATTEST_REFUSAL_TOKEN_UNKNOWN);
    memcpy(changed, token, sizeof token);
    changed[25] = changed[25] == 'A' ? 'B' : 'A';
    assert_int_equal(refusal_of_token(*state, changed), ATTEST_REFUSAL_TOKEN_UNKNOWN);
    assert_int_equal(refusal_of_token(*state, token), ATTEST_REFUSAL_NONE);
}

static void expired_token(void **state)
{
    char token[TOKEN_BYTES];
    make_test_token(*state, token);
    clock_move(3601);
    assert_int_equal(refusal_of_token(*state, token), ATTEST_REFUSAL_TOKEN_EXPIRED);
    assert_int_equal(count_records(*state, RECORD_LINEAGE_PREFIX), 0);
    clock_move(0);
}

static void deleted_token(void **state)
{
    struct attest_fixture *fixture = *state;
    char token[TOKEN_BYTES];
    make_test_token(fixture, token);
    struct store_operation delete = {STORE_DELETE_PREFIX, RECORD_TOKEN_PREFIX, NULL, 0};
    assert_int_equal(fixture_commit(fixture->ca->base, NULL, 0, &delete, 1, NULL), RM_OK);
    assert_int_equal(refusal_of_token(fixture, token), ATTEST_REFUSAL_TOKEN_UNKNOWN);
}

static void nothing_at_all(void **state)
{
    struct workload workload = workload_new();
    struct attest_evidence evidence = evidence_of(&workload);
    struct grant grant = issue(*state, &evidence);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_NO_EVIDENCE);
    workload_free(&workload);
}

// A bad request burns no token.
static void bad_requests(void **state)
{
    struct attest_fixture *fixture = *state;
    char token[TOKEN_BYTES];
    uint8_t huge[CSR_MAX_DER_BYTES + 1] = {0x30};
    make_test_token(fixture, token);
    struct workload workload = workload_new();
    struct attest_evidence evidence = evidence_of(&workload);
    evidence.join_token = token;

    evidence.csr_length = 0;
    struct grant grant = issue(fixture, &evidence);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_CSR_INVALID);
    assert_string_not_equal(grant.detail, "");

    evidence.csr = huge;
    evidence.csr_length = sizeof huge;
    grant = issue(fixture, &evidence);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_CSR_INVALID);

    evidence = evidence_of(&workload);
    evidence.join_token = token;
    workload.csr[workload.csr_length - 1] ^= 1; // its signature
    grant = issue(fixture, &evidence);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_CSR_INVALID);
    workload.csr[workload.csr_length - 1] ^= 1;
    assert_int_equal(count_records(fixture, RECORD_LINEAGE_PREFIX), 0);

    grant = issue(fixture, &evidence);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_NONE);
    grant_free(&grant);
    workload_free(&workload);
}

static void too_many_from_one_address(void **state)
{
    struct attest_fixture *fixture = *state;
    fixture->options.attestation_burst = 2;
    fixture->options.attestations_per_s = 0.001;
    attest_fixture_restart(fixture);
    assert_int_equal(refusal_of_token(fixture, "x"), ATTEST_REFUSAL_TOKEN_MALFORMED);
    assert_int_equal(refusal_of_token(fixture, "x"), ATTEST_REFUSAL_TOKEN_MALFORMED);
    assert_int_equal(refusal_of_token(fixture, "x"), ATTEST_REFUSAL_RATE_LIMITED);
    struct workload workload = workload_new();
    struct attest_evidence evidence = evidence_of(&workload);
    evidence.source = "192.0.2.2";
    struct grant grant = issue(fixture, &evidence);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_NO_EVIDENCE);
    workload_free(&workload);
}

static void every_refusal_has_a_name_and_a_sentence(void **state)
{
    (void)state;
    for (int i = 0; i < ATTEST_REFUSAL_COUNT; i++) {
        const char *name = attest_refusal_name((enum attest_refusal)i);
        assert_true(strlen(name) > 3 &&
                    strspn(name, "abcdefghijklmnopqrstuvwxyz_") == strlen(name));
        assert_true(strlen(attest_refusal_text((enum attest_refusal)i)) > 7);
    }
}

#define TEST(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, attest_fixture_setup, attest_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(malformed_tokens),
        TEST(unknown_id_and_wrong_secret_look_alike),
        TEST(expired_token),
        TEST(deleted_token),
        TEST(nothing_at_all),
        TEST(bad_requests),
        TEST(too_many_from_one_address),
        cmocka_unit_test(every_refusal_has_a_name_and_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
