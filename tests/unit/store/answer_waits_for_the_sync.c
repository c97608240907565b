// SPDX-License-Identifier: GPL-3.0-or-later
#include "store_fixture.h"

#include "disk_fault.h"

#define WAITING 50

struct commits {
    struct fixture *fixture; // borrowed
    size_t answered;         // good answers
    size_t seen;             // changes that the watch saw
};

static void on_commit(void *context, enum rm_err result, uint64_t revision)
{
    struct commits *commits = context;
    (void)revision;
    assert_int_equal(result, RM_OK);
    fixture_count(commits->fixture, &commits->answered);
}

static void on_change(void *context, const struct store_entry *entry, bool is_deleted)
{
    struct commits *commits = context;
    (void)entry;
    (void)is_deleted;
    fixture_count(commits->fixture, &commits->seen);
}

static void submit(struct fixture *fixture, void *context, size_t count)
{
    struct store_operation put = {STORE_PUT, "a", "x", 1};
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(store_commit(fixture->store, NULL, 0, &put, 1, on_commit, context), RM_OK);
    }
}

static void submit_one(struct fixture *fixture, void *context)
{
    struct store_watch *watch = NULL;
    assert_int_equal(store_watch(fixture->store, "", on_change, context, &watch), RM_OK);
    submit(fixture, context, 1);
}

static void submit_many(struct fixture *fixture, void *context)
{
    submit(fixture, context, WAITING);
}

static void assert_nothing_was_said(struct fixture *fixture, void *context)
{
    const struct commits *commits = context;
    assert_int_equal(commits->answered, 0);
    assert_int_equal(commits->seen, 0);
    assert_int_equal(store_revision(fixture->store), 0);
}

static void nothing_is_said_before_the_disk_has_it(void **state)
{
    struct commits commits = {.fixture = *state};
    disk_fault_hold_sync();
    fixture_run(*state, submit_one, &commits);
    disk_fault_wait_held();
    // The batch is written and the sync has begun: on the loop, nobody knows of it.
    fixture_run(*state, assert_nothing_was_said, &commits);
    disk_fault_release();
    fixture_wait(*state, &commits.answered, 1);
    assert_int_equal(commits.seen, 1);
    assert_int_equal(fixture_revision(*state), 1);
}

static void what_queues_during_a_sync_shares_the_next(void **state)
{
    struct commits commits = {.fixture = *state};
    assert_int_equal(fixture_put(*state, "warm", "x"), RM_OK);
    disk_fault_hold_sync();
    fixture_run(*state, submit_one, &commits);
    disk_fault_wait_held();
    size_t syncs = disk_fault_calls(DISK_SYNC);
    fixture_run(*state, submit_many, &commits);
    disk_fault_release();
    fixture_wait(*state, &commits.answered, WAITING + 1);
    // The held one, which is counted when it goes on, and one for all the others.
    assert_int_equal(disk_fault_calls(DISK_SYNC) - syncs, 2);
}

static void reads_and_refusals_need_no_sync(void **state)
{
    struct store_condition wrong = {"a", 9};
    struct store_operation put = {STORE_PUT, "a", "x", 1};
    assert_int_equal(fixture_put(*state, "a", "x"), RM_OK);
    size_t syncs = disk_fault_calls(DISK_SYNC);
    assert_value(*state, "a", "x");
    assert_int_equal(fixture_commit(*state, &wrong, 1, &put, 1, NULL), RM_ERR_CONFLICT);
    assert_int_equal(disk_fault_calls(DISK_SYNC), syncs);
    assert_int_equal(fixture_put(*state, "a", "y"), RM_OK);
    assert_int_equal(disk_fault_calls(DISK_SYNC), syncs + 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_said_before_the_disk_has_it),
        TEST(what_queues_during_a_sync_shares_the_next),
        TEST(reads_and_refusals_need_no_sync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
