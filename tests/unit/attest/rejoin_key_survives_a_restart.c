// SPDX-License-Identifier: GPL-3.0-or-later
#include "attest_fixture.h"

#include "base/clock.h"
#include "records/record_keys.h"

// A host with a re-join key, registered with its first certificate.
struct host {
    struct workload workload;       // of the first certificate
    struct private_key *rejoin_key; // registered
    struct grant grant;             // the first certificate
};

static struct attest_evidence with_new_rejoin(struct attest_evidence evidence,
                                              const struct private_key *key)
{
    key_spki(key, &evidence.new_rejoin_key, &evidence.new_rejoin_key_length);
    return evidence;
}

static struct host host_join(struct attest_fixture *fixture)
{
    char token[TOKEN_BYTES];
    struct host host = {.workload = workload_new()};
    assert_int_equal(key_generate(&host.rejoin_key), RM_OK);
    make_test_token(fixture, token);
    struct attest_evidence evidence = with_new_rejoin(evidence_of(&host.workload), host.rejoin_key);
    evidence.join_token = token;
    host.grant = issue(fixture, &evidence);
    assert_int_equal(host.grant.refusal, ATTEST_REFUSAL_NONE);
    assert_true(host.grant.is_rejoin_registered);
    return host;
}

static void host_free(struct host *host)
{
    grant_free(&host->grant);
    workload_free(&host->workload);
    key_unref(host->rejoin_key);
}

static struct grant rejoin_with(struct attest_fixture *fixture, const struct workload *workload,
                                const struct private_key *key, const char *identity, int64_t off_s)
{
    uint8_t signature[SIGNATURE_P256_MAX_BYTES];
    struct attest_evidence evidence =
        rejoin_evidence(workload, key, identity, clock_wall_s() + off_s, signature);
    return issue(fixture, &evidence);
}

static enum attest_refusal rejoin_refusal(struct attest_fixture *fixture,
                                          const struct private_key *key, const char *identity,
                                          int64_t off_s)
{
    struct workload workload = workload_new();
    struct grant grant = rejoin_with(fixture, &workload, key, identity, off_s);
    enum attest_refusal refusal = grant.refusal;
    grant_free(&grant);
    workload_free(&workload);
    return refusal;
}

static void proof_begins_a_new_lineage_with_the_old_rights(void **state)
{
    struct attest_fixture *fixture = *state;
    struct host host = host_join(fixture);
    struct workload next = workload_new();
    clock_move(7200); // the certificate has ended
    struct grant grant = rejoin_with(fixture, &next, host.rejoin_key, TEST_IDENTITY, 0);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_NONE);
    assert_string_equal(grant.identity, TEST_IDENTITY);
    assert_memory_not_equal(grant.serial, host.grant.serial, LINEAGE_BYTES);
    struct lineage_record old = read_lineage(fixture, host.grant.peer->lineage);
    struct lineage_record new = read_lineage(fixture, grant.peer->lineage);
    assert_string_equal(new.services.items[0], "web");
    assert_string_equal(new.address_ranges.items[0], "10.0.0.0/8");
    assert_string_equal(new.evidence, "rejoin");
    assert_int_equal(new.attested_at_s, old.attested_at_s); // the 30 days go on
    lineage_record_deinit(&old);
    lineage_record_deinit(&new);
    // And once more: the key moved to the new lineage.
    struct workload third = workload_new();
    struct grant again = rejoin_with(fixture, &third, host.rejoin_key, TEST_IDENTITY, 0);
    assert_int_equal(again.refusal, ATTEST_REFUSAL_NONE);
    assert_int_equal(count_records(fixture, RECORD_REJOIN_PREFIX), 1);
    grant_free(&again);
    workload_free(&third);
    grant_free(&grant);
    workload_free(&next);
    host_free(&host);
}

static void lost_answer_is_given_again(void **state)
{
    struct attest_fixture *fixture = *state;
    struct host host = host_join(fixture);
    struct workload next = workload_new();
    struct grant lost = rejoin_with(fixture, &next, host.rejoin_key, TEST_IDENTITY, 0);
    struct grant again = rejoin_with(fixture, &next, host.rejoin_key, TEST_IDENTITY, 1);
    assert_int_equal(again.refusal, ATTEST_REFUSAL_NONE);
    assert_memory_equal(lost.serial, again.serial, ISSUE_SERIAL_BYTES);
    assert_int_equal(count_records(fixture, RECORD_LINEAGE_PREFIX), 2);
    grant_free(&lost);
    grant_free(&again);
    workload_free(&next);
    host_free(&host);
}

static void wrong_proofs_are_refused(void **state)
{
    struct attest_fixture *fixture = *state;
    struct host host = host_join(fixture);
    struct private_key *stranger = NULL;
    assert_int_equal(key_generate(&stranger), RM_OK);
    assert_int_equal(rejoin_refusal(fixture, stranger, TEST_IDENTITY, 0),
                     ATTEST_REFUSAL_REJOIN_UNKNOWN);
    assert_int_equal(
        rejoin_refusal(fixture, host.rejoin_key, "spiffe://" TEST_DOMAIN "/ns/demo/sa/other", 0),
        ATTEST_REFUSAL_REJOIN_UNKNOWN);
    assert_int_equal(rejoin_refusal(fixture, host.rejoin_key, TEST_IDENTITY, -305),
                     ATTEST_REFUSAL_REJOIN_INVALID);
    assert_int_equal(rejoin_refusal(fixture, host.rejoin_key, TEST_IDENTITY, 305),
                     ATTEST_REFUSAL_REJOIN_INVALID);

    // A proof for one request is no proof for another, nor for another time.
    struct workload signed_for = workload_new();
    struct workload other = workload_new();
    uint8_t signature[SIGNATURE_P256_MAX_BYTES];
    struct attest_evidence evidence =
        rejoin_evidence(&signed_for, host.rejoin_key, TEST_IDENTITY, clock_wall_s(), signature);
    evidence.csr = other.csr;
    evidence.csr_length = other.csr_length;
    struct grant grant = issue(fixture, &evidence);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_REJOIN_INVALID);
    evidence.csr = signed_for.csr;
    evidence.csr_length = signed_for.csr_length;
    evidence.rejoin_signed_at_s++;
    grant = issue(fixture, &evidence);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_REJOIN_INVALID);
    assert_int_equal(count_records(fixture, RECORD_LINEAGE_PREFIX), 1);
    workload_free(&signed_for);
    workload_free(&other);
    key_unref(stranger);
    host_free(&host);
}

static void revoked_lineage_does_not_come_back(void **state)
{
    struct attest_fixture *fixture = *state;
    struct host host = host_join(fixture);
    assert_int_equal(revoke(fixture, host.grant.serial, ISSUE_SERIAL_BYTES, NULL), RM_OK);
    assert_int_equal(rejoin_refusal(fixture, host.rejoin_key, TEST_IDENTITY, 0),
                     ATTEST_REFUSAL_LINEAGE_REVOKED);
    host_free(&host);
}

static void thirty_days_are_the_end(void **state)
{
    struct attest_fixture *fixture = *state;
    struct host host = host_join(fixture);
    clock_move(ATTEST_LINEAGE_MAX_AGE_S + 10);
    assert_int_equal(rejoin_refusal(fixture, host.rejoin_key, TEST_IDENTITY, 0),
                     ATTEST_REFUSAL_LINEAGE_ENDED);
    clock_move(0);
    host_free(&host);
}

static void renewal_may_bring_another_key(void **state)
{
    struct attest_fixture *fixture = *state;
    struct host host = host_join(fixture);
    struct private_key *second = NULL;
    struct workload next = workload_new();
    assert_int_equal(key_generate(&second), RM_OK);
    struct attest_evidence evidence = with_new_rejoin(evidence_of(&next), second);
    evidence.peer = host.grant.peer;
    struct grant renewed = issue(fixture, &evidence);
    assert_true(renewed.is_rejoin_registered);
    assert_int_equal(rejoin_refusal(fixture, host.rejoin_key, TEST_IDENTITY, 0),
                     ATTEST_REFUSAL_REJOIN_UNKNOWN);
    assert_int_equal(rejoin_refusal(fixture, second, TEST_IDENTITY, 0), ATTEST_REFUSAL_NONE);
    grant_free(&renewed);
    workload_free(&next);
    key_unref(second);
    host_free(&host);
}

// Whoever knows the public key of another's re-join key must not take it over.
static void another_identity_cannot_take_the_key(void **state)
{
    struct attest_fixture *fixture = *state;
    struct host host = host_join(fixture);
    char token[TOKEN_BYTES];
    const struct attest_token_request request = {
        .identity = "spiffe://" TEST_DOMAIN "/ns/demo/sa/thief", .lifetime_s = 60, .actor = "test"};
    assert_int_equal(make_token(fixture, &request, token, NULL), RM_OK);
    struct workload thief = workload_new();
    struct attest_evidence evidence = with_new_rejoin(evidence_of(&thief), host.rejoin_key);
    evidence.join_token = token;
    struct grant grant = issue(fixture, &evidence);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_NONE);
    assert_false(grant.is_rejoin_registered);
    assert_int_equal(rejoin_refusal(fixture, host.rejoin_key, TEST_IDENTITY, 0),
                     ATTEST_REFUSAL_NONE);
    grant_free(&grant);
    workload_free(&thief);
    host_free(&host);
}

static void what_is_no_p256_key_is_not_registered(void **state)
{
    struct attest_fixture *fixture = *state;
    char token[TOKEN_BYTES];
    uint8_t nonsense[91] = {0x30};
    struct workload workload = workload_new();
    make_test_token(fixture, token);
    struct attest_evidence evidence = evidence_of(&workload);
    evidence.join_token = token;
    evidence.new_rejoin_key = nonsense;
    evidence.new_rejoin_key_length = sizeof nonsense;
    struct grant grant = issue(fixture, &evidence);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_NONE);
    assert_false(grant.is_rejoin_registered);
    assert_int_equal(count_records(fixture, RECORD_REJOIN_PREFIX), 0);
    grant_free(&grant);
    workload_free(&workload);
}

#define TEST(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, attest_fixture_setup, attest_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(proof_begins_a_new_lineage_with_the_old_rights),
        TEST(lost_answer_is_given_again),
        TEST(wrong_proofs_are_refused),
        TEST(revoked_lineage_does_not_come_back),
        TEST(thirty_days_are_the_end),
        TEST(renewal_may_bring_another_key),
        TEST(another_identity_cannot_take_the_key),
        TEST(what_is_no_p256_key_is_not_registered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
