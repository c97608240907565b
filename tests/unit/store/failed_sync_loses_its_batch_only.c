// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "disk_fault.h"
#include "store_fixture.h"

static void drop_line(void *context, const char *line)
{
    (void)context;
    (void)line;
}

static int teardown(void **state)
{
    disk_fault_clear();
    return fixture_teardown(state);
}

static void what_was_refused_is_not_there(void **state)
{
    assert_int_equal(fixture_put(*state, "a", "before"), RM_OK);
    disk_fault_fail(DISK_SYNC, 1, 1, EIO);
    assert_int_equal(fixture_put(*state, "a", "lost"), RM_ERR_IO);
    assert_value(*state, "a", "before");
    assert_int_equal(fixture_revision(*state), 1);
}

static void store_goes_on_afterwards(void **state)
{
    disk_fault_fail(DISK_SYNC, 1, 1, EIO);
    assert_int_equal(fixture_put(*state, "a", "lost"), RM_ERR_IO);
    assert_int_equal(fixture_put(*state, "b", "kept"), RM_OK);
    fixture_reopen(*state);
    assert_absent(*state, "a");
    assert_value(*state, "b", "kept");
    assert_int_equal(fixture_revision(*state), 1);
}

static void writes_are_refused_while_the_disk_fails_and_reads_are_not(void **state)
{
    assert_int_equal(fixture_put(*state, "a", "before"), RM_OK);
    disk_fault_fail(DISK_SYNC, 1, 0, EIO);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(fixture_put(*state, "a", "lost"), RM_ERR_IO);
        assert_value(*state, "a", "before");
    }
    disk_fault_clear();
    assert_int_equal(fixture_put(*state, "a", "after"), RM_OK);
    assert_value(*state, "a", "after");
    assert_int_equal(fixture_revision(*state), 2);
}

// The frames of the failed batch lie in the log, whole. Whoever dies now must not leave them to the
// next life.
static void batch_does_not_come_back_after_a_crash(void **state)
{
    (void)state;
    char folder[64];
    make_folder(folder, sizeof(folder));
    pid_t child = fork();
    if (child == 0) {
        struct fixture *fixture = fixture_new_in(folder);
        fixture_open(fixture);
        bool went_as_said = fixture_put(fixture, "a", "before") == RM_OK;
        disk_fault_fail(DISK_SYNC, 1, 1, EIO);
        went_as_said = went_as_said && fixture_put(fixture, "a", "lost") == RM_ERR_IO;
        _exit(went_as_said ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct fixture *fixture = fixture_new_in(folder);
    fixture_open(fixture);
    assert_value(fixture, "a", "before");
    assert_int_equal(fixture_revision(fixture), 1);
    fixture_free(fixture);
}

// --- A batch of many. ----------------------------------------------------------------------------

#define BATCH 20

struct batch {
    struct fixture *fixture; // borrowed
    size_t failed;           // transactions that were refused
    size_t seen;             // changes that the watch saw
    size_t read;             // reads that were answered well
    size_t answered;         // all
};

static void on_first(void *context, enum rm_err result, uint64_t revision)
{
    (void)revision;
    struct batch *batch = context;
    assert_int_equal(result, RM_OK);
    fixture_count(batch->fixture, &batch->answered);
}

static void on_lost(void *context, enum rm_err result, uint64_t revision)
{
    struct batch *batch = context;
    batch->failed += result == RM_ERR_IO && revision == 2;
    fixture_count(batch->fixture, &batch->answered);
}

static void on_read(void *context, enum rm_err result, const struct store_entry *entries,
                    size_t count, uint64_t revision)
{
    struct batch *batch = context;
    batch->read += result == RM_OK && count == 1 && revision == 2 && entries[0].value[0] == '0';
    fixture_count(batch->fixture, &batch->answered);
}

static void on_change(void *context, const struct store_entry *entry, bool is_deleted)
{
    struct batch *batch = context;
    (void)entry;
    (void)is_deleted;
    batch->seen++;
}

static void submit_first(struct fixture *fixture, void *context)
{
    struct store_operation put = {STORE_PUT, "a", "0", 1};
    assert_int_equal(store_commit(fixture->store, NULL, 0, &put, 1, on_first, context), RM_OK);
}

static void submit_batch(struct fixture *fixture, void *context)
{
    struct store_watch *watch = NULL;
    struct store_condition absent = {"a", 0};
    struct store_operation put = {STORE_PUT, "a", "1", 1};
    for (size_t i = 0; i < BATCH; i++) {
        assert_int_equal(store_commit(fixture->store, NULL, 0, &put, 1, on_lost, context), RM_OK);
        assert_int_equal(store_read(fixture->store, "a", on_read, context), RM_OK);
    }
    // A conflict that only the lost writes made is no answer either.
    assert_int_equal(store_commit(fixture->store, &absent, 1, &put, 1, on_lost, context), RM_OK);
    assert_int_equal(store_watch(fixture->store, "", on_change, context, &watch), RM_OK);
}

static void all_of_the_batch_are_refused_and_reads_see_the_state_before(void **state)
{
    struct batch batch = {.fixture = *state};
    // A new log begins with a sync of its header.
    assert_int_equal(fixture_put(*state, "warm", "x"), RM_OK);
    disk_fault_hold_sync();
    fixture_run(*state, submit_first, &batch);
    disk_fault_wait_held();
    fixture_run(*state, submit_batch, &batch);
    // The held call is counted when it goes on: it is the next one, and the batch's the second.
    disk_fault_fail(DISK_SYNC, 2, 1, EIO);
    disk_fault_release();
    fixture_wait(*state, &batch.answered, 2 * BATCH + 2);
    assert_int_equal(batch.failed, BATCH + 1);
    assert_int_equal(batch.read, BATCH);
    // The watch was made while the first put was on its way.
    assert_int_equal(batch.seen, 1);
    assert_value(*state, "a", "0");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_does_not_come_back_after_a_crash), // forks: before any thread
        TEST(what_was_refused_is_not_there),
        TEST(store_goes_on_afterwards),
        TEST(writes_are_refused_while_the_disk_fails_and_reads_are_not),
        TEST(all_of_the_batch_are_refused_and_reads_see_the_state_before),
    };
    log_redirect(drop_line, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
