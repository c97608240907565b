// SPDX-License-Identifier: GPL-3.0-or-later
#include "attest_fixture.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "records/record_keys.h"
#include "records/records_wire.h"

static struct grant join(struct attest_fixture *fixture, struct workload *workload)
{
    char token[TOKEN_BYTES];
    make_test_token(fixture, token);
    struct grant grant = issue_by_token(fixture, workload, token);
    assert_int_equal(grant.refusal, ATTEST_REFUSAL_NONE);
    return grant;
}

static void assert_lapsed(struct attest_fixture *fixture, const struct grant *grant)
{
    char prefix[RECORD_KEY_BYTES];
    struct answer answer = {0};
    struct withdrawal_record record;
    wait_for_state(fixture, grant->peer->lineage, LINEAGE_LAPSED);
    record_key_withdrawal(TRUST_LAPSED_LINEAGE, grant->peer->lineage, LINEAGE_BYTES, prefix);
    fixture_read(fixture->ca->base, prefix, &answer);
    assert_int_equal(answer.count, 1);
    assert_int_equal(
        withdrawal_record_decode(answer.entries[0].value, answer.entries[0].value_length, &record),
        RM_OK);
    assert_int_equal(record.kind, TRUST_LAPSED_LINEAGE);
    assert_int_equal(record.expires_s, grant->not_after_s + 86400);
    withdrawal_record_deinit(&record);
    answer_free(&answer);
}

static void overdue_one_lapses_at_the_next_start(void **state)
{
    struct attest_fixture *fixture = *state;
    struct workload workload = workload_new();
    struct grant grant = join(fixture, &workload);
    clock_move(3600 + ATTEST_LAPSE_GRACE_S + 5);
    attest_fixture_restart(fixture);
    assert_lapsed(fixture, &grant);
    struct workload next = workload_new();
    struct grant after = issue_by_peer(fixture, &next, &grant);
    assert_int_equal(after.refusal, ATTEST_REFUSAL_LINEAGE_LAPSED);
    grant_free(&grant);
    workload_free(&workload);
    workload_free(&next);
}

// What the store says is followed at once: a lineage that is written as over lapses without a
// restart.
static void running_attest_notices(void **state)
{
    struct attest_fixture *fixture = *state;
    struct workload workload = workload_new();
    struct grant grant = join(fixture, &workload);
    struct lineage_record record = read_lineage(fixture, grant.peer->lineage);
    char key[RECORD_KEY_BYTES];
    uint8_t *bytes = NULL;
    size_t length = 0;
    record.not_after_s = clock_wall_s() - ATTEST_LAPSE_GRACE_S - 5;
    grant.not_after_s = record.not_after_s;
    record_key_lineage(grant.peer->lineage, key);
    assert_int_equal(lineage_record_encode(&record, &bytes, &length), RM_OK);
    struct store_operation put = {STORE_PUT, key, bytes, length};
    assert_int_equal(fixture_commit(fixture->ca->base, NULL, 0, &put, 1, NULL), RM_OK);
    assert_lapsed(fixture, &grant);
    rm_free(bytes);
    lineage_record_deinit(&record);
    grant_free(&grant);
    workload_free(&workload);
}

static void one_within_the_grace_stays(void **state)
{
    struct attest_fixture *fixture = *state;
    struct workload workload = workload_new();
    struct grant grant = join(fixture, &workload);
    clock_move(3600 + ATTEST_LAPSE_GRACE_S / 2);
    attest_fixture_restart(fixture);
    // Another transaction in between: had a lapse been written, it would be there now.
    char token[TOKEN_BYTES];
    make_test_token(fixture, token);
    struct lineage_record record = read_lineage(fixture, grant.peer->lineage);
    assert_int_equal(record.state, LINEAGE_LIVE);
    lineage_record_deinit(&record);
    assert_int_equal(count_records(fixture, RECORD_WITHDRAWAL_PREFIX), 0);
    grant_free(&grant);
    workload_free(&workload);
}

static void lapsed_host_returns_by_a_new_token(void **state)
{
    struct attest_fixture *fixture = *state;
    struct workload workload = workload_new();
    struct grant grant = join(fixture, &workload);
    clock_move(3600 + ATTEST_LAPSE_GRACE_S + 5);
    attest_fixture_restart(fixture);
    assert_lapsed(fixture, &grant);
    struct workload back = workload_new();
    struct grant again = join(fixture, &back);
    assert_memory_not_equal(again.serial, grant.serial, LINEAGE_BYTES);
    grant_free(&grant);
    grant_free(&again);
    workload_free(&workload);
    workload_free(&back);
}

#define TEST(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, attest_fixture_setup, attest_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(overdue_one_lapses_at_the_next_start),
        TEST(running_attest_notices),
        TEST(one_within_the_grace_stays),
        TEST(lapsed_host_returns_by_a_new_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
