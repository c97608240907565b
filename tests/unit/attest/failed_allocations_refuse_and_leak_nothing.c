// SPDX-License-Identifier: GPL-3.0-or-later
//
// The nth allocation of the loop's thread fails, for every n up to where a call needs no more. The
// sanitizer watches for leaks; the records for half-done deeds.
#include "attest_fixture.h"

#include <sched.h>

#include "base/alloc.h"
#include "records/record_keys.h"

struct attempt {
    struct attest_fixture *fixture;         // borrowed
    const struct attest_evidence *evidence; // borrowed for the start
    uint64_t fail_at;                       // allocation that fails
    enum attest_refusal refusal;            // answered
    enum rm_err result;                     // of attest_issue()
    bool was_met;                           // the failure happened
    size_t done;                            // 1 once answered
};

static void on_result(void *context, const struct attest_result *result)
{
    struct attempt *attempt = context;
    attempt->was_met = rm_alloc_count() >= attempt->fail_at;
    rm_alloc_fail_at(0);
    attempt->refusal = result->refusal;
    fixture_count(attempt->fixture->ca->base, &attempt->done);
}

static void start(struct fixture *base, void *context)
{
    struct attempt *attempt = context;
    rm_alloc_fail_at(attempt->fail_at);
    attempt->result = attest_issue(attempt->fixture->attest, attempt->evidence, on_result, attempt);
    if (attempt->result != RM_OK) {
        rm_alloc_fail_at(0);
        fixture_count(base, &attempt->done);
    }
}

static struct attempt try_with_failure(struct attest_fixture *fixture,
                                       const struct attest_evidence *evidence, uint64_t fail_at)
{
    struct attempt attempt = {
        .fixture = fixture, .evidence = evidence, .fail_at = fail_at, .was_met = true};
    fixture_run(fixture->ca->base, start, &attempt);
    fixture_wait(fixture->ca->base, &attempt.done, 1);
    if (attempt.result != RM_OK) {
        assert_int_equal(attempt.result, RM_ERR_NO_MEMORY);
    } else if (attempt.refusal != ATTEST_REFUSAL_NONE) {
        assert_true(attempt.refusal == ATTEST_REFUSAL_BUSY ||
                    attempt.refusal == ATTEST_REFUSAL_STORE_UNAVAILABLE ||
                    attempt.refusal == ATTEST_REFUSAL_RATE_LIMITED);
    }
    return attempt;
}

// What failed for want of memory works when there is memory again, without a restart: at the latest
// after the cache was read anew. The key is the same, so one certificate comes of it.
static void ask_again(struct attest_fixture *fixture, const struct workload *workload,
                      const char *token)
{
    struct grant grant = issue_by_token(fixture, workload, token);
    while (grant.refusal == ATTEST_REFUSAL_BUSY) {
        sched_yield();
        grant = issue_by_token(fixture, workload, token);
    }
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_NONE);
    grant_free(&grant);
}

static void every_allocation_of_an_issue_may_fail(void **state)
{
    struct attest_fixture *fixture = *state;
    fixture->options.attestation_burst = 1e9;
    fixture->options.signing_burst = 1e9;
    attest_fixture_restart(fixture);
    size_t refused = 0;
    struct attempt attempt = {.was_met = true};
    for (uint64_t fail_at = 1; attempt.was_met; fail_at++) {
        char token[TOKEN_BYTES];
        struct workload workload = workload_new();
        make_test_token(fixture, token);
        struct attest_evidence evidence = evidence_of(&workload);
        evidence.join_token = token;
        size_t before = count_records(fixture, RECORD_CERTIFICATE_PREFIX);
        attempt = try_with_failure(fixture, &evidence, fail_at);
        size_t after = count_records(fixture, RECORD_CERTIFICATE_PREFIX);
        bool is_issued = attempt.result == RM_OK && attempt.refusal == ATTEST_REFUSAL_NONE;
        refused += is_issued ? 0 : 1;
        // What was answered with a certificate is there; what was refused may still be durable when
        // memory was short for the answer, and the same key then gets it by asking again.
        assert_true(is_issued ? after == before + 1 : after <= before + 1);
        ask_again(fixture, &workload, token);
        assert_int_equal(count_records(fixture, RECORD_CERTIFICATE_PREFIX), before + 1);
        workload_free(&workload);
    }
    assert_int_equal(attempt.refusal, ATTEST_REFUSAL_NONE);
    assert_true(refused > 20);
}

#define TEST(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, attest_fixture_setup, attest_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_allocation_of_an_issue_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
