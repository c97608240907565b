// SPDX-License-Identifier: GPL-3.0-or-later
//
// The log is copied into the database every DATABASE_CHECKPOINT_FRAMES frames. Straight on the
// database, without a thread: the calls to the disk can be counted.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "disk_fault.h"
#include "store/database_internal.h"
#include "store_fixture.h"

struct world {
    char folder[64];           // the test's own
    char path[96];             // of the database
    struct database *database; // open
};

static void drop_line(void *context, const char *line)
{
    (void)context;
    (void)line;
}

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
    disk_fault_clear();
    database_close(world->database);
    remove_folder(world->folder);
    return 0;
}

static enum rm_err put(struct database *database, const char *key, size_t length)
{
    static uint8_t value[300000];
    struct store_operation operation = {STORE_PUT, key, value, length};
    struct store_request *request = NULL;
    assert_int_equal(store_request_new_commit(NULL, 0, &operation, 1, &request), RM_OK);
    database_run_batch(database, request);
    enum rm_err result = request->result;
    store_request_free(request);
    return result;
}

static void fill_log(struct database *database)
{
    while (database->log_frames < DATABASE_CHECKPOINT_FRAMES) {
        assert_int_equal(put(database, "large", 300000), RM_OK);
    }
}

static size_t file_size(const struct world *world, const char *suffix)
{
    char path[128];
    snprintf(path, sizeof(path), "%s%s", world->path, suffix);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    fclose(file);
    return (size_t)size;
}

static void long_log_is_copied_and_begun_anew(void **state)
{
    struct world *world = *state;
    fill_log(world->database);
    size_t size = file_size(world, "-wal");
    assert_true(size > DATABASE_CHECKPOINT_FRAMES * 4096);
    database_log_maintain(world->database);
    assert_int_equal(world->database->log_frames, 0);
    assert_int_equal(put(world->database, "a", 1), RM_OK);
    assert_in_range(world->database->log_frames, 1, 10);
    assert_int_equal(file_size(world, "-wal"), size); // begun anew, in the same blocks
}

static void short_log_is_left_alone(void **state)
{
    struct world *world = *state;
    assert_int_equal(put(world->database, "a", 1), RM_OK);
    unsigned frames = world->database->log_frames;
    database_log_maintain(world->database);
    assert_int_equal(world->database->log_frames, frames);
    assert_true(frames > 0);
}

static void failing_copy_stops_writes_until_it_works(void **state)
{
    static const enum disk_call calls[] = {DISK_SYNC, DISK_WRITE};
    struct world *world = *state;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        uint64_t revision = 0;
        fill_log(world->database);
        revision = world->database->revision;
        disk_fault_fail(calls[i], 1, 0, EIO);
        database_log_maintain(world->database);
        assert_int_equal(world->database->log_state, DATABASE_LOG_COPY_FAILED);
        assert_int_not_equal(put(world->database, "a", 1), RM_OK);
        assert_int_equal(world->database->revision, revision);
        disk_fault_clear();
        assert_int_equal(put(world->database, "a", 1), RM_OK);
        assert_int_equal(world->database->log_state, DATABASE_LOG_SETTLED);
        assert_int_equal(world->database->revision, revision + 1);
    }
}

// A failure in the first batch of a log that begins anew leaves nothing behind either.
static void failed_batch_in_a_fresh_log_is_cut_too(void **state)
{
    struct world *world = *state;
    fill_log(world->database);
    database_log_maintain(world->database);
    uint64_t revision = world->database->revision;
    for (size_t nth = 1; nth <= 2; nth++) { // the header's sync, the frames' sync
        disk_fault_fail(DISK_SYNC, nth, 1, EIO);
        assert_int_equal(put(world->database, "a", 1), RM_ERR_IO);
        disk_fault_clear();
        assert_int_equal(file_size(world, "-wal"), 0);
        assert_int_equal(world->database->log_state, DATABASE_LOG_SETTLED);
    }
    assert_int_equal(put(world->database, "a", 1), RM_OK);
    assert_int_equal(world->database->revision, revision + 1);
}

// What an earlier life left in the log cannot be copied: the store opens, reads, and refuses
// writes.
static void full_disk_at_the_start_leaves_reads(void **state)
{
    struct world *world = *state;
    char copy[128];
    char copy_log[160];
    struct database *second = NULL;
    struct store_request *read = NULL;
    assert_int_equal(put(world->database, "a", 1), RM_OK);
    // The files of a process that was killed now.
    char command[512];
    snprintf(copy, sizeof(copy), "%s/killed.db", world->folder);
    snprintf(copy_log, sizeof(copy_log), "%s-wal", copy);
    snprintf(command, sizeof(command), "cp %s %s && cp %s-wal %s", world->path, copy, world->path,
             copy_log);
    assert_int_equal(system(command), 0);
    disk_fault_fail(DISK_WRITE, 1, 0, ENOSPC);
    assert_int_equal(database_open(copy, &second, NULL), RM_OK);
    assert_int_equal(second->revision, 1);
    assert_int_equal(put(second, "b", 1), RM_ERR_NO_SPACE);
    assert_int_equal(store_request_new_read("a", &read), RM_OK);
    database_run_batch(second, read);
    assert_int_equal(read->result, RM_OK);
    assert_int_equal(read->read.count, 1);
    store_request_free(read);
    disk_fault_clear();
    assert_int_equal(put(second, "b", 1), RM_OK);
    assert_int_equal(second->revision, 2);
    database_close(second);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(long_log_is_copied_and_begun_anew),
        TEST(short_log_is_left_alone),
        TEST(failing_copy_stops_writes_until_it_works),
        TEST(failed_batch_in_a_fresh_log_is_cut_too),
        TEST(full_disk_at_the_start_leaves_reads),
    };
    log_redirect(drop_line, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
