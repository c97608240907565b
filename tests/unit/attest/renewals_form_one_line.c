// SPDX-License-Identifier: GPL-3.0-or-later
#include "attest_fixture.h"

#include "audit/alarms.h"
#include "base/clock.h"
#include "records/record_keys.h"

struct joined {
    struct workload workload; // of the first certificate
    struct grant grant;       // the first certificate
};

static struct joined join(struct attest_fixture *fixture)
{
    char token[TOKEN_BYTES];
    struct joined joined = {.workload = workload_new()};
    make_test_token(fixture, token);
    joined.grant = issue_by_token(fixture, &joined.workload, token);
    assert_int_equal(joined.grant.refusal, ATTEST_REFUSAL_NONE);
    return joined;
}

static void joined_free(struct joined *joined)
{
    grant_free(&joined->grant);
    workload_free(&joined->workload);
}

static struct grant renew(struct attest_fixture *fixture, const struct grant *shown)
{
    struct workload workload = workload_new();
    struct grant grant = issue_by_peer(fixture, &workload, shown);
    workload_free(&workload);
    return grant;
}

static void each_renewal_names_its_predecessor(void **state)
{
    struct joined joined = join(*state);
    struct grant second = renew(*state, &joined.grant);
    struct grant third = renew(*state, &second);
    assert_int_equal(third.refusal, ATTEST_REFUSAL_NONE);
    assert_memory_equal(third.serial, joined.grant.serial, LINEAGE_BYTES);
    struct lineage_record record = read_lineage(*state, joined.grant.peer->lineage);
    assert_memory_equal(record.serial, third.serial, ISSUE_SERIAL_BYTES);
    assert_true(record.has_previous);
    assert_memory_equal(record.previous_serial, second.serial, ISSUE_SERIAL_BYTES);
    assert_int_equal(record.not_after_s, third.not_after_s);
    lineage_record_deinit(&record);
    assert_int_equal(count_records(*state, RECORD_CERTIFICATE_PREFIX), 3);
    joined_free(&joined);
    grant_free(&second);
    grant_free(&third);
}

static void lost_answer_is_given_again(void **state)
{
    struct joined joined = join(*state);
    struct workload next = workload_new();
    struct grant lost = issue_by_peer(*state, &next, &joined.grant);
    attest_fixture_restart(*state);
    struct grant again = issue_by_peer(*state, &next, &joined.grant);
    assert_int_equal(again.refusal, ATTEST_REFUSAL_NONE);
    assert_memory_equal(lost.serial, again.serial, ISSUE_SERIAL_BYTES);
    assert_int_equal(lost.not_after_s, again.not_after_s);
    assert_int_equal(count_records(*state, RECORD_CERTIFICATE_PREFIX), 2);
    joined_free(&joined);
    grant_free(&lost);
    grant_free(&again);
    workload_free(&next);
}

static void assert_forked(struct attest_fixture *fixture, const struct joined *joined)
{
    struct lineage_record record = read_lineage(fixture, joined->grant.peer->lineage);
    assert_int_equal(record.state, LINEAGE_REVOKED);
    lineage_record_deinit(&record);
    assert_int_equal(count_records(fixture, RECORD_WITHDRAWAL_PREFIX "1:"), 1);
    assert_true(alarms_count() > 0);
    assert_int_equal(alarms_at(0)->kind, ALARM_LINEAGE_FORKED);
    assert_non_null(strstr(alarms_at(0)->text, TEST_IDENTITY));
    alarms_clear(ALARM_LINEAGE_FORKED);
}

static void two_keys_for_one_predecessor_end_the_lineage(void **state)
{
    struct joined joined = join(*state);
    struct grant second = renew(*state, &joined.grant);
    struct grant fork = renew(*state, &joined.grant);
    assert_int_equal(fork.refusal, ATTEST_REFUSAL_LINEAGE_FORKED);
    assert_forked(*state, &joined);
    // Neither line goes on.
    struct grant after = renew(*state, &second);
    assert_int_equal(after.refusal, ATTEST_REFUSAL_LINEAGE_REVOKED);
    after = renew(*state, &joined.grant);
    assert_int_equal(after.refusal, ATTEST_REFUSAL_LINEAGE_REVOKED);
    joined_free(&joined);
    grant_free(&second);
}

static void two_keys_at_once_end_the_lineage_too(void **state)
{
    struct joined joined = join(*state);
    struct workload a = workload_new();
    struct workload b = workload_new();
    struct attest_evidence evidence[2] = {evidence_of(&a), evidence_of(&b)};
    struct grant grants[2];
    evidence[0].peer = joined.grant.peer;
    evidence[1].peer = joined.grant.peer;
    issue_two(*state, evidence, grants);
    size_t winner = grants[0].refusal == ATTEST_REFUSAL_NONE ? 0 : 1;
    assert_int_equal(grants[winner].refusal, ATTEST_REFUSAL_NONE);
    assert_int_equal(grants[1 - winner].refusal, ATTEST_REFUSAL_LINEAGE_FORKED);
    assert_forked(*state, &joined);
    grant_free(&grants[winner]);
    joined_free(&joined);
    workload_free(&a);
    workload_free(&b);
}

static void certificate_of_long_ago_is_a_fork(void **state)
{
    struct joined joined = join(*state);
    struct grant second = renew(*state, &joined.grant);
    struct grant third = renew(*state, &second);
    struct grant fork = renew(*state, &joined.grant);
    assert_int_equal(fork.refusal, ATTEST_REFUSAL_LINEAGE_FORKED);
    assert_forked(*state, &joined);
    joined_free(&joined);
    grant_free(&second);
    grant_free(&third);
}

// A store from a backup knows an older certificate than the workload has: nobody is at fault.
static void certificate_that_a_restored_store_never_saw_is_renewed(void **state)
{
    struct attest_fixture *fixture = *state;
    struct joined joined = join(fixture);
    char lineage_key[RECORD_KEY_BYTES];
    char certificate_key[RECORD_KEY_BYTES];
    struct answer old = {0};
    record_key_lineage(joined.grant.peer->lineage, lineage_key);
    fixture_read(fixture->ca->base, lineage_key, &old);
    struct grant second = renew(fixture, &joined.grant);
    record_key_certificate(second.serial, certificate_key);
    struct store_operation back[] = {
        {STORE_PUT, lineage_key, old.entries[0].value, old.entries[0].value_length},
        {STORE_DELETE, certificate_key, NULL, 0},
    };
    assert_int_equal(fixture_commit(fixture->ca->base, NULL, 0, back, 2, NULL), RM_OK);
    struct grant third = renew(fixture, &second);
    assert_int_equal(third.refusal, ATTEST_REFUSAL_NONE);
    struct grant fourth = renew(fixture, &third);
    assert_int_equal(fourth.refusal, ATTEST_REFUSAL_NONE);
    answer_free(&old);
    joined_free(&joined);
    grant_free(&second);
    grant_free(&third);
    grant_free(&fourth);
}

static void lineage_ends_without_fresh_evidence(void **state)
{
    struct attest_fixture *fixture = *state;
    struct joined joined = join(fixture);
    clock_move(ATTEST_LINEAGE_MAX_AGE_S - 60);
    struct grant late = renew(fixture, &joined.grant);
    assert_int_equal(late.refusal, ATTEST_REFUSAL_NONE);
    grant_free(&late);
    clock_move(ATTEST_LINEAGE_MAX_AGE_S + 60);
    late = renew(fixture, &joined.grant);
    assert_int_equal(late.refusal, ATTEST_REFUSAL_LINEAGE_ENDED);
    joined_free(&joined);
    clock_move(0);
}

static void revoked_lineage_renews_nothing(void **state)
{
    struct attest_fixture *fixture = *state;
    struct joined joined = join(fixture);
    struct grant second = renew(fixture, &joined.grant);
    uint32_t count = 0;
    assert_int_equal(revoke(fixture, joined.grant.serial, ISSUE_SERIAL_BYTES, &count), RM_OK);
    assert_int_equal(count, 2);
    struct grant after = renew(fixture, &second);
    assert_int_equal(after.refusal, ATTEST_REFUSAL_LINEAGE_REVOKED);
    assert_int_equal(count_records(fixture, RECORD_WITHDRAWAL_PREFIX "1:"), 1);
    // Durable, and no error to ask for again.
    attest_fixture_restart(fixture);
    after = renew(fixture, &second);
    assert_int_equal(after.refusal, ATTEST_REFUSAL_LINEAGE_REVOKED);
    assert_int_equal(revoke(fixture, second.serial, ISSUE_SERIAL_BYTES, NULL), RM_OK);
    joined_free(&joined);
    grant_free(&second);
}

static void unknown_certificates_are_not_revoked(void **state)
{
    uint8_t serial[ISSUE_SERIAL_BYTES] = {0x10, 1, 2, 3};
    assert_int_equal(revoke(*state, serial, sizeof serial, NULL), RM_ERR_NOT_FOUND);
    assert_int_equal(revoke(*state, serial, 3, NULL), RM_ERR_NOT_FOUND);
    assert_int_equal(count_records(*state, RECORD_WITHDRAWAL_PREFIX), 0);
}

static void foreign_certificates_are_not_renewed(void **state)
{
    struct attest_fixture *fixture = *state;
    struct joined joined = join(fixture);
    struct peer peer = *joined.grant.peer;
    struct workload workload = workload_new();
    struct attest_evidence evidence = evidence_of(&workload);
    evidence.peer = &peer;
    peer.lineage[3] ^= 1;
    peer.serial[3] ^= 1;
    struct grant grant = issue(fixture, &evidence);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_LINEAGE_UNKNOWN);
    peer = *joined.grant.peer;
    peer.has_lineage = false;
    grant = issue(fixture, &evidence);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_LINEAGE_UNKNOWN);
    peer = *joined.grant.peer;
    peer.spiffe_id = "spiffe://" TEST_DOMAIN "/ns/demo/sa/other";
    grant = issue(fixture, &evidence);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_LINEAGE_UNKNOWN);
    joined_free(&joined);
    workload_free(&workload);
}

// The certificate wins over a token that is shown beside it.
static void certificate_wins_over_token(void **state)
{
    struct attest_fixture *fixture = *state;
    struct joined joined = join(fixture);
    struct workload next = workload_new();
    struct attest_evidence evidence = evidence_of(&next);
    evidence.peer = joined.grant.peer;
    evidence.join_token = "nonsense";
    struct grant grant = issue(fixture, &evidence);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_NONE);
    assert_memory_equal(grant.serial, joined.grant.serial, LINEAGE_BYTES);
    grant_free(&grant);
    joined_free(&joined);
    workload_free(&next);
}

#define TEST(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, attest_fixture_setup, attest_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_renewal_names_its_predecessor),
        TEST(lost_answer_is_given_again),
        TEST(two_keys_for_one_predecessor_end_the_lineage),
        TEST(two_keys_at_once_end_the_lineage_too),
        TEST(certificate_of_long_ago_is_a_fork),
        TEST(certificate_that_a_restored_store_never_saw_is_renewed),
        TEST(lineage_ends_without_fresh_evidence),
        TEST(revoked_lineage_renews_nothing),
        TEST(unknown_certificates_are_not_revoked),
        TEST(foreign_certificates_are_not_renewed),
        TEST(certificate_wins_over_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
