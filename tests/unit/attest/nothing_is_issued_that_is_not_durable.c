// SPDX-License-Identifier: GPL-3.0-or-later
#include "attest_fixture.h"

#include <errno.h>

#include "audit/alarms.h"
#include "disk_fault.h"
#include "records/record_keys.h"

static void failing_disk_issues_nothing_and_burns_nothing(void **state)
{
    struct attest_fixture *fixture = *state;
    char token[TOKEN_BYTES];
    struct workload workload = workload_new();
    make_test_token(fixture, token);
    disk_fault_fail(DISK_SYNC, 1, 0, EIO);
    struct grant grant = issue_by_token(fixture, &workload, token);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_STORE_UNAVAILABLE);
    assert_int_equal(grant.chain.count, 0);
    assert_true(alarms_count() > 0);
    assert_int_equal(alarms_at(0)->kind, ALARM_STORE_FAILS);
    disk_fault_clear();
    assert_int_equal(count_records(fixture, RECORD_LINEAGE_PREFIX), 0);

    // Afterwards it goes on, with the same token.
    grant = issue_by_token(fixture, &workload, token);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_NONE);
    assert_int_equal(alarms_count(), 0);
    grant_free(&grant);
    workload_free(&workload);
}

static void full_disk_does_the_same(void **state)
{
    struct attest_fixture *fixture = *state;
    char token[TOKEN_BYTES];
    struct workload workload = workload_new();
    make_test_token(fixture, token);
    disk_fault_fail(DISK_WRITE, 1, 0, ENOSPC);
    struct grant grant = issue_by_token(fixture, &workload, token);
    disk_fault_clear();
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_STORE_UNAVAILABLE);
    assert_int_equal(count_records(fixture, RECORD_LINEAGE_PREFIX), 0);
    grant = issue_by_token(fixture, &workload, token);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_NONE);
    grant_free(&grant);
    workload_free(&workload);
    alarms_clear(ALARM_STORE_FAILS);
}

static void answer_waits_for_the_sync(void **state)
{
    struct attest_fixture *fixture = *state;
    struct fixture *base = fixture->ca->base;
    char token[TOKEN_BYTES];
    struct workload workload = workload_new();
    make_test_token(fixture, token);
    struct attest_evidence evidence = evidence_of(&workload);
    evidence.join_token = token;
    struct grant grant = {0};
    size_t done = 0;
    disk_fault_hold_sync();
    issue_start(fixture, &evidence, &grant, &done);
    disk_fault_wait_held();
    // The transaction has reached the disk's door: no answer before it is through.
    pthread_mutex_lock(&base->mutex);
    assert_int_equal(done, 0);
    pthread_mutex_unlock(&base->mutex);
    disk_fault_release();
    fixture_wait(base, &done, 1);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_NONE);
    grant_free(&grant);
    workload_free(&workload);
}

static void fork_is_told_only_when_it_is_durable(void **state)
{
    struct attest_fixture *fixture = *state;
    char token[TOKEN_BYTES];
    struct workload first = workload_new();
    struct workload second = workload_new();
    struct workload third = workload_new();
    make_test_token(fixture, token);
    struct grant joined = issue_by_token(fixture, &first, token);
    struct grant renewed = issue_by_peer(fixture, &second, &joined);
    disk_fault_fail(DISK_SYNC, 1, 0, EIO);
    struct grant fork = issue_by_peer(fixture, &third, &joined);
    disk_fault_clear();
    assert_int_equal(fork.refusal, ATTEST_REFUSAL_STORE_UNAVAILABLE);
    fork = issue_by_peer(fixture, &third, &joined);
    assert_int_equal(fork.refusal, ATTEST_REFUSAL_LINEAGE_FORKED);
    grant_free(&joined);
    grant_free(&renewed);
    workload_free(&first);
    workload_free(&second);
    workload_free(&third);
    alarms_clear(ALARM_LINEAGE_FORKED);
    alarms_clear(ALARM_STORE_FAILS);
}

// The end comes while a call is under way: it is answered once, with a refusal or a certificate.
static void free_attest(struct fixture *base, void *context)
{
    struct attest_fixture *fixture = context;
    (void)base;
    attest_free(fixture->attest);
    fixture->attest = NULL;
}

static void call_under_way_is_answered_once_when_attest_ends(void **state)
{
    struct attest_fixture *fixture = *state;
    char token[TOKEN_BYTES];
    struct workload workload = workload_new();
    make_test_token(fixture, token);
    struct attest_evidence evidence = evidence_of(&workload);
    evidence.join_token = token;
    struct grant grants[2] = {0};
    size_t done = 0;
    issue_start(fixture, &evidence, &grants[0], &done);
    evidence.join_token = NULL; // refused at once, answered later
    issue_start(fixture, &evidence, &grants[1], &done);
    fixture_run(fixture->ca->base, free_attest, fixture);
    fixture_wait(fixture->ca->base, &done, 2);
    assert_int_equal(grants[0].answers, 1);
    assert_int_equal(grants[1].answers, 1);
    grant_free(&grants[0]);
    workload_free(&workload);
}

#define TEST(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, attest_fixture_setup, attest_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(failing_disk_issues_nothing_and_burns_nothing),
        TEST(full_disk_does_the_same),
        TEST(answer_waits_for_the_sync),
        TEST(fork_is_told_only_when_it_is_durable),
        TEST(call_under_way_is_answered_once_when_attest_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
