// SPDX-License-Identifier: GPL-3.0-or-later
//
// Fails each allocation in turn, ours and SQLite's: in opening, in batches (straight on the
// database, so that they run on this thread), in requests, in a backup and in a restore.
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "disk_fault.h"
#include "store/database_internal.h"
#include "store_fixture.h"

static void drop_line(void *context, const char *line)
{
    (void)context;
    (void)line;
}

// --- Requests and opening, on the loop's thread. -------------------------------------------------

static void on_commit(void *context, enum rm_err result, uint64_t revision)
{
    (void)revision;
    assert_int_equal(result, RM_OK);
    (*(int *)context)++;
}

static void on_read(void *context, enum rm_err result, const struct store_entry *entries,
                    size_t count, uint64_t revision)
{
    (void)entries;
    (void)revision;
    assert_int_equal(result, RM_OK);
    assert_int_equal(count, 1);
    (*(int *)context)++;
}

static void request_without_memory(struct fixture *fixture, void *context)
{
    struct store_operation put = {STORE_PUT, "a", "1", 1};
    struct store *store = fixture->store;
    rm_alloc_fail_at(1);
    assert_int_equal(store_commit(store, NULL, 0, &put, 1, on_commit, context), RM_ERR_NO_MEMORY);
    rm_alloc_fail_at(1);
    assert_int_equal(store_read(store, "a", on_read, context), RM_ERR_NO_MEMORY);
    rm_alloc_fail_at(1);
    assert_int_equal(store_read_prefix(store, "a", NULL, 0, on_read, context), RM_ERR_NO_MEMORY);
    rm_alloc_fail_at(1);
    assert_int_equal(store_backup(store, "/tmp/x", NULL, NULL), RM_ERR_NO_MEMORY);
    rm_alloc_fail_at(0);
    assert_int_equal(store_commit(store, NULL, 0, &put, 1, on_commit, context), RM_OK);
    assert_int_equal(store_read(store, "a", on_read, context), RM_OK);
}

static void refused_request_calls_nobody(void **state)
{
    struct fixture *fixture = fixture_new();
    int calls = 0;
    (void)state;
    fixture_open(fixture);
    fixture_run(fixture, request_without_memory, &calls);
    fixture_close(fixture);
    assert_int_equal(calls, 2);
    fixture_free(fixture);
}

struct attempt {
    uint64_t nth;       // allocation to fail
    enum rm_err result; // of the opening
};

static void open_without_memory(struct fixture *fixture, void *context)
{
    struct attempt *attempt = context;
    struct rm_error error = {0};
    rm_alloc_fail_at(attempt->nth);
    attempt->result =
        store_backend_under_test.open(fixture->loop, fixture->folder, &fixture->store, &error);
    rm_alloc_fail_at(0);
    assert_true(attempt->result == RM_OK || error.message[0] != '\0');
}

// SQLite does without some allocations, so success is no end: a run of them is.
static void assert_each_failing_open_can_be_repeated(struct fixture *fixture)
{
    int successes = 0;
    int failures = 0;
    for (uint64_t nth = 1; successes < 60; nth++) {
        struct attempt attempt = {.nth = nth};
        fixture_run(fixture, open_without_memory, &attempt);
        if (attempt.result == RM_OK) {
            successes++;
            fixture_close(fixture);
        } else {
            failures++;
            successes = 0;
        }
    }
    assert_true(failures > 20);
}

static void opening_can_be_repeated(void **state)
{
    struct fixture *fixture = fixture_new();
    (void)state;
    assert_each_failing_open_can_be_repeated(fixture); // creating it
    fixture_open(fixture);
    assert_int_equal(fixture_put(fixture, "a", "1"), RM_OK);
    fixture_close(fixture);
    assert_each_failing_open_can_be_repeated(fixture);
    fixture_open(fixture);
    assert_value(fixture, "a", "1");
    fixture_free(fixture);
}

// --- Batches. ------------------------------------------------------------------------------------

struct world {
    char folder[64];           // the test's own
    char path[96];             // of the database
    struct database *database; // open
};

static int setup(void **state)
{
    static struct world world;
    make_folder(world.folder, sizeof(world.folder));
    snprintf(world.path, sizeof(world.path), "%s/store.db", world.folder);
    assert_int_equal(database_open(world.path, &world.database, NULL), RM_OK);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    database_close(world->database);
    remove_folder(world->folder);
    return 0;
}

static struct store_request *new_commit(const char *key, const char *condition, uint64_t revision,
                                        size_t value_length)
{
    static const uint8_t value[100000];
    struct store_request *request = NULL;
    struct store_condition conditions = {condition, revision};
    struct store_operation operations[] = {{STORE_PUT, key, value, value_length},
                                           {STORE_PUT, "twin", key, strlen(key)},
                                           {STORE_DELETE_PREFIX, "bulk/", NULL, 0}};
    assert_int_equal(store_request_new_commit(&conditions, 1, operations, 3, &request), RM_OK);
    return request;
}

static struct store_request *new_read(const char *prefix)
{
    struct store_request *request = NULL;
    assert_int_equal(store_request_new_read_prefix(prefix, NULL, 0, &request), RM_OK);
    return request;
}

static enum rm_err run_one(struct database *database, struct store_request *request)
{
    database_run_batch(database, request);
    enum rm_err result = request->result;
    store_request_free(request);
    return result;
}

static void fill(struct database *database)
{
    struct store_operation puts[30];
    char keys[30][16];
    struct store_request *request = NULL;
    for (int i = 0; i < 30; i++) {
        snprintf(keys[i], sizeof(keys[i]), "bulk/%02d", i);
        puts[i] = (struct store_operation){STORE_PUT, keys[i], keys[i], strlen(keys[i])};
    }
    assert_int_equal(store_request_new_commit(NULL, 0, puts, 30, &request), RM_OK);
    assert_int_equal(run_one(database, request), RM_OK);
}

// A good transaction, one in conflict, a large one, and a read of it all, in one batch.
static struct store_request *new_batch(void)
{
    struct store_request *first = new_commit("small", "nobody", 0, 10);
    first->next = new_commit("never", "small", 77, 10);
    first->next->next = new_commit("large", "nobody", 0, 100000);
    first->next->next->next = new_read("");
    return first;
}

static void free_batch(struct store_request *first)
{
    while (first != NULL) {
        struct store_request *next = first->next;
        store_request_free(first);
        first = next;
    }
}

static size_t count_keys(struct database *database, const char *prefix)
{
    struct store_request *read = new_read(prefix);
    database_run_batch(database, read);
    assert_int_equal(read->result, RM_OK);
    size_t count = read->read.count;
    store_request_free(read);
    return count;
}

// Whatever was answered with RM_OK is there whole, whatever was not is not there at all.
static void assert_true_to_answers(struct database *database, const struct store_request *first)
{
    const struct store_request *large = first->next->next;
    assert_int_equal(count_keys(database, "small"), first->result == RM_OK);
    assert_int_equal(count_keys(database, "large"), large->result == RM_OK);
    assert_int_equal(count_keys(database, "never"), 0);
    assert_int_not_equal(first->next->result, RM_OK);
    bool any = first->result == RM_OK || large->result == RM_OK;
    assert_int_equal(count_keys(database, "twin"), any);
    assert_int_equal(count_keys(database, "bulk/"), any ? 0 : 30);
    uint64_t revision = 0;
    assert_int_equal(database_read_revision(database, &revision), RM_OK);
    assert_int_equal(revision, database->revision);
}

static bool all_went_well(const struct store_request *first)
{
    return first->result == RM_OK && first->next->result == RM_ERR_CONFLICT &&
           first->next->next->result == RM_OK && first->next->next->next->result == RM_OK;
}

static void clear(struct database *database)
{
    struct store_request *request = NULL;
    struct store_operation delete = {STORE_DELETE_PREFIX, "", NULL, 0};
    assert_int_equal(store_request_new_commit(NULL, 0, &delete, 1, &request), RM_OK);
    assert_int_equal(run_one(database, request), RM_OK);
}

static void batch_is_true_to_its_answers(void **state)
{
    struct world *world = *state;
    int successes = 0;
    int failures = 0;
    for (uint64_t nth = 1; successes < 30; nth++) {
        fill(world->database);
        struct store_request *first = new_batch();
        rm_alloc_fail_at(nth);
        database_run_batch(world->database, first);
        rm_alloc_fail_at(0);
        assert_true_to_answers(world->database, first);
        if (all_went_well(first)) {
            successes++;
        } else {
            failures++;
            successes = 0;
        }
        free_batch(first);
        clear(world->database);
    }
    assert_true(failures > 5);
}

// --- Backup and restore. -------------------------------------------------------------------------

static enum rm_err back_up(struct database *database, const char *path)
{
    struct store_request *request = NULL;
    RM_TRY(store_request_new_backup(path, &request));
    enum rm_err result = database_backup_start(database, request, &request->backup.error);
    if (result == RM_OK) {
        struct store_request *ended = NULL;
        while (ended == NULL) {
            ended = database_backup_step(database);
        }
        assert_ptr_equal(ended, request);
        result = request->result;
    }
    assert_true(result == RM_OK || request->backup.error.message[0] != '\0');
    store_request_free(request);
    return result;
}

static void backup_and_restore_can_be_repeated(void **state)
{
    struct world *world = *state;
    char backup[96];
    char folder[96];
    int successes = 0;
    snprintf(backup, sizeof(backup), "%s/backup", world->folder);
    snprintf(folder, sizeof(folder), "%s/data", world->folder);
    fill(world->database);
    for (uint64_t nth = 1; successes < 30; nth++) {
        rm_alloc_fail_at(nth);
        enum rm_err result = back_up(world->database, backup);
        rm_alloc_fail_at(0);
        successes = result == RM_OK ? successes + 1 : 0;
        assert_int_equal(unlink(backup), result == RM_OK ? 0 : -1);
    }
    assert_int_equal(back_up(world->database, backup), RM_OK);
    successes = 0;
    for (uint64_t nth = 1; successes < 30; nth++) {
        rm_alloc_fail_at(nth);
        enum rm_err result = store_restore(folder, backup, NULL);
        rm_alloc_fail_at(0);
        successes = result == RM_OK ? successes + 1 : 0;
        assert_int_equal(access(folder, F_OK), result == RM_OK ? 0 : -1);
        remove_folder(folder);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_request_calls_nobody),
        cmocka_unit_test(opening_can_be_repeated),
        TEST(batch_is_true_to_its_answers),
        TEST(backup_and_restore_can_be_repeated),
    };
    log_redirect(drop_line, NULL);
    disk_fault_skip_syncs();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
