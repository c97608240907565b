// SPDX-License-Identifier: GPL-3.0-or-later
#include "attest_fixture.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "records/record_keys.h"

static void certificate_and_records_are_as_promised(void **state)
{
    struct attest_fixture *fixture = *state;
    char token[TOKEN_BYTES];
    struct workload workload = workload_new();
    make_test_token(fixture, token);
    struct grant grant = issue_by_token(fixture, &workload, token);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_NONE);
    assert_string_equal(grant.identity, TEST_IDENTITY);
    assert_int_equal(grant.chain.count, 2);
    assert_int_equal(grant.not_after_s - grant.issued_at_s, 3600);
    assert_true(grant.peer->has_lineage);
    assert_string_equal(grant.peer->spiffe_id, TEST_IDENTITY);

    struct lineage_record lineage = read_lineage(fixture, grant.peer->lineage);
    assert_string_equal(lineage.identity, TEST_IDENTITY);
    assert_int_equal(lineage.state, LINEAGE_LIVE);
    assert_int_equal(lineage.services.count, 1);
    assert_string_equal(lineage.services.items[0], "web");
    assert_string_equal(lineage.address_ranges.items[0], "10.0.0.0/8");
    assert_memory_equal(lineage.serial, grant.serial, ISSUE_SERIAL_BYTES);
    assert_false(lineage.has_previous);
    assert_memory_equal(lineage.evidence, "join_token/", 11);
    lineage_record_deinit(&lineage);
    assert_int_equal(count_records(fixture, RECORD_CERTIFICATE_PREFIX), 1);
    assert_int_equal(count_records(fixture, RECORD_AUDIT_PREFIX), 2); // token_create, issue
    grant_free(&grant);
    workload_free(&workload);
}

static void same_key_gets_the_same_answer_for_ten_minutes(void **state)
{
    struct attest_fixture *fixture = *state;
    char token[TOKEN_BYTES];
    struct workload workload = workload_new();
    make_test_token(fixture, token);
    struct grant first = issue_by_token(fixture, &workload, token);
    clock_move(ATTEST_TOKEN_REPEAT_S - 5);
    struct grant again = issue_by_token(fixture, &workload, token);
    assert_int_equal(again.refusal, ATTEST_REFUSAL_NONE);
    assert_memory_equal(first.serial, again.serial, ISSUE_SERIAL_BYTES);
    assert_int_equal(first.not_after_s, again.not_after_s);
    assert_int_equal(first.issued_at_s, again.issued_at_s);
    assert_int_equal(count_records(fixture, RECORD_CERTIFICATE_PREFIX), 1);
    grant_free(&again);
    // Also after a restart, and not a second longer than promised.
    attest_fixture_restart(fixture);
    again = issue_by_token(fixture, &workload, token);
    assert_int_equal(again.refusal, ATTEST_REFUSAL_NONE);
    grant_free(&again);
    clock_move(ATTEST_TOKEN_REPEAT_S + 5);
    again = issue_by_token(fixture, &workload, token);
    assert_int_equal(again.refusal, ATTEST_REFUSAL_TOKEN_USED);
    grant_free(&first);
    workload_free(&workload);
}

static void another_key_gets_nothing(void **state)
{
    struct attest_fixture *fixture = *state;
    char token[TOKEN_BYTES];
    struct workload workload = workload_new();
    struct workload other = workload_new();
    make_test_token(fixture, token);
    struct grant first = issue_by_token(fixture, &workload, token);
    struct grant second = issue_by_token(fixture, &other, token);
    assert_int_equal(second.refusal, ATTEST_REFUSAL_TOKEN_USED);
    assert_int_equal(count_records(fixture, RECORD_LINEAGE_PREFIX), 1);
    grant_free(&first);
    workload_free(&workload);
    workload_free(&other);
}

// The repeat is for lost answers: once the lineage went on, the token is spent.
static void token_is_spent_once_its_certificate_was_renewed(void **state)
{
    struct attest_fixture *fixture = *state;
    char token[TOKEN_BYTES];
    struct workload workload = workload_new();
    struct workload next = workload_new();
    make_test_token(fixture, token);
    struct grant first = issue_by_token(fixture, &workload, token);
    struct grant renewed = issue_by_peer(fixture, &next, &first);
    assert_int_equal(renewed.refusal, ATTEST_REFUSAL_NONE);
    struct grant again = issue_by_token(fixture, &workload, token);
    assert_int_equal(again.refusal, ATTEST_REFUSAL_TOKEN_USED);
    again = issue_by_token(fixture, &next, token); // nor does the newest key revive it
    assert_int_equal(again.refusal, ATTEST_REFUSAL_TOKEN_USED);
    grant_free(&first);
    grant_free(&renewed);
    workload_free(&workload);
    workload_free(&next);
}

static void lost_answer_that_expired_is_replaced(void **state)
{
    struct attest_fixture *fixture = *state;
    char token[TOKEN_BYTES];
    struct workload workload = workload_new();
    make_test_token(fixture, token);
    struct attest_evidence evidence = evidence_of(&workload);
    evidence.join_token = token;
    evidence.wanted_lifetime_s = 300;
    struct grant first = issue(fixture, &evidence);
    assert_int_equal(first.not_after_s - first.issued_at_s, 300);
    clock_move(330);
    struct grant again = issue(fixture, &evidence);
    assert_int_equal(again.refusal, ATTEST_REFUSAL_NONE);
    assert_memory_equal(first.serial, again.serial, LINEAGE_BYTES);
    assert_memory_not_equal(first.serial, again.serial, ISSUE_SERIAL_BYTES);
    assert_true(again.not_after_s > clock_wall_s());
    // And the lineage goes on from it.
    struct workload next = workload_new();
    struct grant renewed = issue_by_peer(fixture, &next, &again);
    assert_int_equal(renewed.refusal, ATTEST_REFUSAL_NONE);
    grant_free(&first);
    grant_free(&again);
    grant_free(&renewed);
    workload_free(&workload);
    workload_free(&next);
}

static void of_two_at_once_one_key_wins(void **state)
{
    struct attest_fixture *fixture = *state;
    char token[TOKEN_BYTES];
    struct workload a = workload_new();
    struct workload b = workload_new();
    struct grant grants[2];
    make_test_token(fixture, token);
    struct attest_evidence evidence[2] = {evidence_of(&a), evidence_of(&b)};
    evidence[0].join_token = token;
    evidence[1].join_token = token;
    issue_two(fixture, evidence, grants);
    size_t winner = grants[0].refusal == ATTEST_REFUSAL_NONE ? 0 : 1;
    assert_int_equal(grants[winner].refusal, ATTEST_REFUSAL_NONE);
    assert_int_equal(grants[1 - winner].refusal, ATTEST_REFUSAL_TOKEN_USED);
    assert_int_equal(count_records(fixture, RECORD_LINEAGE_PREFIX), 1);
    assert_int_equal(count_records(fixture, RECORD_CERTIFICATE_PREFIX), 1);
    grant_free(&grants[winner]);
    workload_free(&a);
    workload_free(&b);
}

static void two_at_once_with_one_key_get_one_certificate(void **state)
{
    struct attest_fixture *fixture = *state;
    char token[TOKEN_BYTES];
    struct workload workload = workload_new();
    struct grant grants[2];
    make_test_token(fixture, token);
    struct attest_evidence evidence[2] = {evidence_of(&workload), evidence_of(&workload)};
    evidence[0].join_token = token;
    evidence[1].join_token = token;
    issue_two(fixture, evidence, grants);
    assert_int_equal(grants[0].refusal, ATTEST_REFUSAL_NONE);
    assert_int_equal(grants[1].refusal, ATTEST_REFUSAL_NONE);
    assert_memory_equal(grants[0].serial, grants[1].serial, ISSUE_SERIAL_BYTES);
    assert_int_equal(count_records(fixture, RECORD_CERTIFICATE_PREFIX), 1);
    grant_free(&grants[0]);
    grant_free(&grants[1]);
    workload_free(&workload);
}

static void wanted_lifetime_is_kept_within_bounds(void **state)
{
    struct attest_fixture *fixture = *state;
    static const struct {
        int64_t wanted_s;
        int64_t given_s;
    } cases[] = {{0, 3600}, {1, 300}, {300, 300}, {7200, 7200}, {1000000, 86400}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char token[TOKEN_BYTES];
        struct workload workload = workload_new();
        make_test_token(fixture, token);
        struct attest_evidence evidence = evidence_of(&workload);
        evidence.join_token = token;
        evidence.wanted_lifetime_s = cases[i].wanted_s;
        struct grant grant = issue(fixture, &evidence);
        assert_int_equal(grant.not_after_s - grant.issued_at_s, cases[i].given_s);
        grant_free(&grant);
        workload_free(&workload);
    }
}

#define TEST(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, attest_fixture_setup, attest_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(certificate_and_records_are_as_promised),
        TEST(same_key_gets_the_same_answer_for_ten_minutes),
        TEST(another_key_gets_nothing),
        TEST(token_is_spent_once_its_certificate_was_renewed),
        TEST(lost_answer_that_expired_is_replaced),
        TEST(of_two_at_once_one_key_wins),
        TEST(two_at_once_with_one_key_get_one_certificate),
        TEST(wanted_lifetime_is_kept_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
