// SPDX-License-Identifier: GPL-3.0-or-later
#include "attest_fixture.h"

#include <sched.h>

#include "attest/attest_internal.h"
#include "audit/audit.h"
#include "records/record_keys.h"

#define DAY INT64_C(86400)
#define MANY 150 // more than two pages of the collection

static void start_collection(struct fixture *base, void *context)
{
    struct attest_fixture *fixture = context;
    (void)base;
    timer_stop(&fixture->attest->collect);
    attest_collect_on_timer(fixture->attest);
}

struct look {
    struct attest_fixture *fixture; // borrowed
    bool is_collecting;             // seen on the loop's thread
};

static void look(struct fixture *base, void *context)
{
    struct look *seen = context;
    (void)base;
    seen->is_collecting = seen->fixture->attest->collection != NULL;
}

static void collect(struct attest_fixture *fixture)
{
    struct look seen = {.fixture = fixture, .is_collecting = true};
    fixture_run(fixture->ca->base, start_collection, fixture);
    while (seen.is_collecting) {
        fixture_run(fixture->ca->base, look, &seen);
        sched_yield();
    }
}

static struct grant join(struct attest_fixture *fixture, struct workload *workload)
{
    char token[TOKEN_BYTES];
    struct private_key *rejoin = NULL;
    assert_int_equal(key_generate(&rejoin), RM_OK);
    make_test_token(fixture, token);
    struct attest_evidence evidence = evidence_of(workload);
    evidence.join_token = token;
    key_spki(rejoin, &evidence.new_rejoin_key, &evidence.new_rejoin_key_length);
    struct grant grant = issue(fixture, &evidence);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_NONE);
    key_unref(rejoin);
    return grant;
}

static void each_kind_stays_for_its_time(void **state)
{
    struct attest_fixture *fixture = *state;
    struct workload workload = workload_new();
    char unused[TOKEN_BYTES];
    struct grant grant = join(fixture, &workload);
    make_test_token(fixture, unused);

    clock_move(6 * DAY);
    collect(fixture);
    assert_int_equal(count_records(fixture, RECORD_CERTIFICATE_PREFIX), 1);
    assert_int_equal(count_records(fixture, RECORD_TOKEN_PREFIX), 2);

    clock_move(8 * DAY);
    collect(fixture);
    assert_int_equal(count_records(fixture, RECORD_CERTIFICATE_PREFIX), 0);
    assert_int_equal(count_records(fixture, RECORD_TOKEN_PREFIX), 0);
    assert_int_equal(count_records(fixture, RECORD_REJOIN_PREFIX), 1);
    assert_int_equal(count_records(fixture, RECORD_LINEAGE_PREFIX), 1); // live: it has yet to lapse

    attest_fixture_restart(fixture);
    wait_for_state(fixture, grant.peer->lineage, LINEAGE_LAPSED);
    assert_int_equal(count_records(fixture, RECORD_WITHDRAWAL_PREFIX), 1);
    collect(fixture);
    assert_int_equal(count_records(fixture, RECORD_WITHDRAWAL_PREFIX), 0);
    assert_int_equal(count_records(fixture, RECORD_LINEAGE_PREFIX), 1); // the re-join key names it

    clock_move(31 * DAY);
    collect(fixture);
    assert_int_equal(count_records(fixture, RECORD_REJOIN_PREFIX), 0);
    assert_int_equal(count_records(fixture, RECORD_LINEAGE_PREFIX), 0);
    assert_null(attest_lineage(fixture->attest, grant.peer->lineage));
    assert_true(count_records(fixture, RECORD_AUDIT_PREFIX) > 0);

    clock_move(91 * DAY);
    collect(fixture);
    // What was written on the way, at eight days, is younger than ninety.
    assert_int_equal(count_records(fixture, RECORD_AUDIT_PREFIX), 1);
    clock_move(99 * DAY);
    collect(fixture);
    assert_int_equal(count_records(fixture, RECORD_AUDIT_PREFIX), 0);
    grant_free(&grant);
    workload_free(&workload);
    clock_move(0);
}

static void many_pages_are_gone_through(void **state)
{
    struct attest_fixture *fixture = *state;
    char token[TOKEN_BYTES];
    for (int i = 0; i < MANY; i++) {
        make_test_token(fixture, token);
    }
    clock_move(8 * DAY);
    make_test_token(fixture, token); // as old as nothing
    collect(fixture);
    assert_int_equal(count_records(fixture, RECORD_TOKEN_PREFIX), 1);
    assert_int_equal(count_records(fixture, RECORD_AUDIT_PREFIX), MANY + 1);
    clock_move(91 * DAY);
    collect(fixture);
    assert_int_equal(count_records(fixture, RECORD_AUDIT_PREFIX), 1);
    clock_move(0);
}

#define TEST(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, attest_fixture_setup, attest_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_kind_stays_for_its_time),
        TEST(many_pages_are_gone_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
