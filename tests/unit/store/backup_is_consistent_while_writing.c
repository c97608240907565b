// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "disk_fault.h"
#include "store_fixture.h"

#define LARGE_KEYS 60
#define LARGE_BYTES 60000 // together about 900 pages: several steps

static void drop_line(void *context, const char *line)
{
    (void)context;
    (void)line;
}

static void put_large(struct fixture *fixture, int number, char filling)
{
    char key[16];
    char *value = rm_malloc(LARGE_BYTES);
    struct store_operation put = {STORE_PUT, key, value, LARGE_BYTES};
    snprintf(key, sizeof(key), "large/%02d", number);
    memset(value, filling, LARGE_BYTES);
    assert_int_equal(fixture_commit(fixture, NULL, 0, &put, 1, NULL), RM_OK);
    rm_free(value);
}

static int setup(void **state)
{
    struct fixture *fixture = fixture_new();
    size_t length = strlen(fixture->folder);
    snprintf(fixture->folder + length, sizeof(fixture->folder) - length, "/data");
    fixture_open(fixture);
    for (int i = 0; i < LARGE_KEYS; i++) {
        put_large(fixture, i, 'a');
    }
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    disk_fault_clear();
    if (fixture->store != NULL) {
        fixture_close(fixture);
    }
    fixture->folder[strlen(fixture->folder) - strlen("/data")] = '\0';
    fixture_free(fixture);
    return 0;
}

struct backup {
    struct fixture *fixture; // borrowed
    const char *path;        // to write
    enum rm_err result;      // of the backup
    char message[128];       // beginning of the error's
    size_t done;             // 1 once answered
};

static void on_backup(void *context, enum rm_err result, const struct rm_error *error)
{
    struct backup *backup = context;
    backup->result = result;
    snprintf(backup->message, sizeof(backup->message), "%.100s", error->message);
    fixture_count(backup->fixture, &backup->done);
}

static void start_backup(struct fixture *fixture, void *context)
{
    struct backup *backup = context;
    assert_int_equal(store_backup(fixture->store, backup->path, on_backup, backup), RM_OK);
}

static enum rm_err make_backup(struct fixture *fixture, const char *path)
{
    struct backup backup = {.fixture = fixture, .path = path};
    fixture_run(fixture, start_backup, &backup);
    fixture_wait(fixture, &backup.done, 1);
    return backup.result;
}

// A fixture on what the backup holds.
static struct fixture *restore(const char *backup)
{
    struct rm_error error = {0};
    struct fixture *fixture = fixture_new();
    if (store_restore(fixture->folder, backup, &error) != RM_OK) {
        fail_msg("%s", error.message);
    }
    fixture_open(fixture);
    return fixture;
}

static bool exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

// --- While writing. ------------------------------------------------------------------------------

struct writer {
    struct fixture *fixture; // borrowed
    uint32_t number;         // of the next pair
    bool should_stop;        // on the loop's thread
    size_t stopped;          // 1 at the end
};

static void write_pair(struct writer *writer);

static void on_pair(void *context, enum rm_err result, uint64_t revision)
{
    struct writer *writer = context;
    (void)revision;
    assert_int_equal(result, RM_OK);
    if (writer->should_stop) {
        fixture_count(writer->fixture, &writer->stopped);
        return;
    }
    write_pair(writer);
}

// Both ends of the key space in one transaction: a torn copy would hold two different numbers.
static void write_pair(struct writer *writer)
{
    uint32_t number = writer->number++;
    struct store_operation puts[] = {{STORE_PUT, "a/left", &number, sizeof(number)},
                                     {STORE_PUT, "z/right", &number, sizeof(number)}};
    assert_int_equal(store_commit(writer->fixture->store, NULL, 0, puts, 2, on_pair, writer),
                     RM_OK);
}

static void start_writer(struct fixture *fixture, void *context)
{
    (void)fixture;
    write_pair(context);
}

static void stop_writer(struct fixture *fixture, void *context)
{
    (void)fixture;
    ((struct writer *)context)->should_stop = true;
}

static void copy_is_whole_and_holds_what_was_durable(void **state)
{
    struct fixture *fixture = *state;
    struct writer writer = {.fixture = fixture};
    fixture_run(fixture, start_writer, &writer);
    for (int round = 0; round < 5; round++) {
        char name[64];
        struct answer left = {0};
        struct answer right = {0};
        snprintf(name, sizeof(name), "../backup-%d", round);
        const char *path = fixture_path(fixture, name);
        uint64_t before = fixture_revision(fixture);
        assert_int_equal(make_backup(fixture, path), RM_OK);
        struct fixture *copy = restore(path);
        assert_true(fixture_revision(copy) >= before);
        fixture_read(copy, "a/left", &left);
        fixture_read(copy, "z/right", &right);
        assert_int_equal(left.count, 1);
        assert_int_equal(right.count, 1);
        assert_memory_equal(left.entries[0].value, right.entries[0].value, sizeof(uint32_t));
        answer_free(&left);
        answer_free(&right);
        fixture_free(copy);
    }
    fixture_run(fixture, stop_writer, &writer);
    fixture_wait(fixture, &writer.stopped, 1);
}

static void copy_is_private_and_complete(void **state)
{
    struct stat status;
    struct answer answer = {0};
    const char *path = fixture_path(*state, "../backup");
    assert_int_equal(make_backup(*state, path), RM_OK);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_false(exists(fixture_path(*state, "../backup.partial")));
    struct fixture *copy = restore(path);
    fixture_read_prefix(copy, "large/", NULL, 0, &answer);
    assert_int_equal(answer.count, LARGE_KEYS);
    answer_free(&answer);
    fixture_free(copy);
}

// --- Refusals. -----------------------------------------------------------------------------------

static void existing_file_is_not_overwritten(void **state)
{
    const char *path = fixture_path(*state, "../backup");
    FILE *file = fopen(path, "w");
    fputs("precious", file);
    fclose(file);
    assert_int_equal(make_backup(*state, path), RM_ERR_EXISTS);
    char content[16] = {0};
    file = fopen(path, "r");
    assert_non_null(fgets(content, sizeof(content), file));
    fclose(file);
    assert_string_equal(content, "precious");
}

static void impossible_place_is_refused(void **state)
{
    struct backup backup = {.fixture = *state, .path = "/nonexistent/folder/backup"};
    fixture_run(*state, start_backup, &backup);
    fixture_wait(*state, &backup.done, 1);
    assert_int_equal(backup.result, RM_ERR_NOT_FOUND);
    assert_non_null(strstr(backup.message, "/nonexistent/folder/backup"));
}

static void failed_copy_leaves_no_file(void **state)
{
    static const enum disk_call calls[] = {DISK_WRITE, DISK_SYNC};
    const char *path = fixture_path(*state, "../backup");
    for (size_t i = 0; i < 2; i++) {
        disk_fault_fail(calls[i], 1, 0, ENOSPC);
        assert_int_equal(make_backup(*state, path), RM_ERR_NO_SPACE);
        disk_fault_clear();
        assert_false(exists(path));
        assert_false(exists(fixture_path(*state, "../backup.partial")));
    }
    assert_int_equal(fixture_put(*state, "a", "1"), RM_OK);
    assert_int_equal(make_backup(*state, path), RM_OK);
}

// --- Held in a sync, so that what follows happens in a known order. ------------------------------

struct pair {
    struct backup first;
    struct backup second;
    size_t put;    // 1 once answered
    size_t closed; // 1 once closed
};

static void on_put(void *context, enum rm_err result, uint64_t revision)
{
    struct pair *pair = context;
    (void)revision;
    assert_int_equal(result, RM_OK);
    fixture_count(pair->first.fixture, &pair->put);
}

static void start_put(struct fixture *fixture, void *context)
{
    struct store_operation put = {STORE_PUT, "a", "1", 1};
    assert_int_equal(store_commit(fixture->store, NULL, 0, &put, 1, on_put, context), RM_OK);
}

static void start_both(struct fixture *fixture, void *context)
{
    struct pair *pair = context;
    start_backup(fixture, &pair->first);
    start_backup(fixture, &pair->second);
}

static void second_backup_at_a_time_is_refused(void **state)
{
    struct pair pair = {
        .first = {.fixture = *state, .path = fixture_path(*state, "../first")},
        .second = {.fixture = *state, .path = fixture_path(*state, "../second")},
    };
    disk_fault_hold_sync();
    fixture_run(*state, start_put, &pair);
    disk_fault_wait_held();
    fixture_run(*state, start_both, &pair);
    disk_fault_release();
    fixture_wait(*state, &pair.first.done, 1);
    fixture_wait(*state, &pair.second.done, 1);
    assert_int_equal(pair.first.result, RM_OK);
    assert_int_equal(pair.second.result, RM_ERR_BUSY);
    assert_false(exists(pair.second.path));
}

static void on_closed(void *context)
{
    struct pair *pair = context;
    assert_int_equal(pair->first.done, 1);
    fixture_count(pair->first.fixture, &pair->closed);
}

static void start_backup_and_close(struct fixture *fixture, void *context)
{
    struct pair *pair = context;
    start_backup(fixture, &pair->first);
    store_close(fixture->store, on_closed, pair);
    fixture->store = NULL;
}

static void closing_cancels_a_running_backup(void **state)
{
    struct pair pair = {.first = {.fixture = *state, .path = fixture_path(*state, "../first")}};
    disk_fault_hold_sync();
    fixture_run(*state, start_put, &pair);
    disk_fault_wait_held();
    fixture_run(*state, start_backup_and_close, &pair);
    disk_fault_release();
    fixture_wait(*state, &pair.closed, 1);
    assert_int_equal(pair.first.result, RM_ERR_CANCELLED);
    assert_false(exists(pair.first.path));
    assert_false(exists(fixture_path(*state, "../first.partial")));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(copy_is_whole_and_holds_what_was_durable),
        TEST(copy_is_private_and_complete),
        TEST(existing_file_is_not_overwritten),
        TEST(impossible_place_is_refused),
        TEST(failed_copy_leaves_no_file),
        TEST(second_backup_at_a_time_is_refused),
        TEST(closing_cancels_a_running_backup),
    };
    log_redirect(drop_line, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
