// SPDX-License-Identifier: GPL-3.0-or-later
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "disk_fault.h"
#include "store_fixture.h"

struct world {
    char folder[64];            // of everything
    char data[96];              // to restore into; not there
    char backup[96];            // of a store with two entries at revision 3
    uint8_t id[STORE_ID_BYTES]; // of that store
};

static void drop_line(void *context, const char *line)
{
    (void)context;
    (void)line;
}

static void read_id(struct fixture *fixture, void *context)
{
    memcpy(context, store_id(fixture->store), STORE_ID_BYTES);
}

struct backup {
    struct fixture *fixture; // borrowed
    const char *path;        // to write
    size_t done;             // 1 once answered
};

static void on_backup(void *context, enum rm_err result, const struct rm_error *error)
{
    struct backup *backup = context;
    (void)error;
    assert_int_equal(result, RM_OK);
    fixture_count(backup->fixture, &backup->done);
}

static void start_backup(struct fixture *fixture, void *context)
{
    struct backup *backup = context;
    assert_int_equal(store_backup(fixture->store, backup->path, on_backup, backup), RM_OK);
}

static void make_backup(struct world *world)
{
    struct fixture *fixture = fixture_new();
    struct backup backup = {.fixture = fixture, .path = world->backup};
    fixture_open(fixture);
    assert_int_equal(fixture_put(fixture, "a", "1"), RM_OK);
    assert_int_equal(fixture_put(fixture, "gone", "1"), RM_OK);
    struct store_operation operations[] = {{STORE_PUT, "b", "2", 1},
                                           {STORE_DELETE, "gone", NULL, 0}};
    assert_int_equal(fixture_commit(fixture, NULL, 0, operations, 2, NULL), RM_OK);
    fixture_run(fixture, start_backup, &backup);
    fixture_wait(fixture, &backup.done, 1);
    fixture_run(fixture, read_id, world->id);
    fixture_free(fixture);
}

static int setup(void **state)
{
    static struct world world;
    memset(&world, 0, sizeof(world));
    make_folder(world.folder, sizeof(world.folder));
    snprintf(world.data, sizeof(world.data), "%s/data", world.folder);
    snprintf(world.backup, sizeof(world.backup), "%s/backup", world.folder);
    make_backup(&world);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    disk_fault_clear();
    remove_folder(world->folder);
    return 0;
}

// The names in a folder, sorted, each with a space; "(none)" when it is not there.
static const char *list(const char *folder)
{
    static char text[512];
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, NULL, alphasort);
    size_t length = 0;
    text[0] = '\0';
    if (count < 0) {
        return "(none)";
    }
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            length +=
                (size_t)snprintf(text + length, sizeof(text) - length, "%s ", entries[i]->d_name);
        }
        free(entries[i]);
    }
    free(entries);
    return text;
}

static void assert_restored(const struct world *world)
{
    uint8_t id[STORE_ID_BYTES];
    struct answer answer = {0};
    assert_string_equal(list(world->data), "lock store.db ");
    struct fixture *fixture = fixture_new_in(world->data);
    fixture_open(fixture);
    fixture_run(fixture, read_id, id);
    assert_memory_not_equal(id, world->id, STORE_ID_BYTES);
    assert_int_equal(fixture_revision(fixture), 3);
    assert_value(fixture, "a", "1");
    assert_absent(fixture, "gone");
    fixture_read(fixture, "b", &answer);
    assert_int_equal(answer.entries[0].revision, 3);
    answer_free(&answer);
    assert_int_equal(fixture_put(fixture, "c", "3"), RM_OK);
    assert_int_equal(fixture_revision(fixture), 4);
    fixture_free(fixture);
}

static void everything_comes_back_under_a_new_id(void **state)
{
    struct world *world = *state;
    struct rm_error error = {0};
    assert_int_equal(store_restore(world->data, world->backup, &error), RM_OK);
    assert_restored(world);
}

static void empty_folder_is_filled(void **state)
{
    struct world *world = *state;
    char lost[128];
    assert_int_equal(mkdir(world->data, 0700), 0);
    snprintf(lost, sizeof(lost), "%s/lost+found", world->data);
    assert_int_equal(mkdir(lost, 0700), 0);
    assert_int_equal(store_restore(world->data, world->backup, NULL), RM_OK);
    assert_int_equal(rmdir(lost), 0);
    assert_restored(world);
}

static void mount_point_is_filled(void **state)
{
    struct world *world = *state;
    assert_int_equal(mkdir(world->data, 0700), 0);
    if (mount("tmpfs", world->data, "tmpfs", 0, "size=1m,mode=0700") != 0) {
        skip();
    }
    assert_int_equal(store_restore(world->data, world->backup, NULL), RM_OK);
    assert_string_equal(list(world->data), "lock store.db ");
    assert_int_equal(umount(world->data), 0);
}

static void each_restore_has_its_own_id(void **state)
{
    struct world *world = *state;
    uint8_t first[STORE_ID_BYTES];
    uint8_t second[STORE_ID_BYTES];
    uint8_t *ids[] = {first, second};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(store_restore(world->data, world->backup, NULL), RM_OK);
        struct fixture *fixture = fixture_new_in(world->data);
        fixture_open(fixture);
        fixture_run(fixture, read_id, ids[i]);
        fixture_free(fixture);
    }
    assert_memory_not_equal(first, second, STORE_ID_BYTES);
}

// --- Refusals: the folder stays as it was. -------------------------------------------------------

static void assert_refused(struct world *world, enum rm_err code, const char *says)
{
    struct rm_error error = {0};
    assert_int_equal(store_restore(world->data, world->backup, &error), code);
    if (strstr(error.message, says) == NULL) {
        fail_msg("the message is: %s", error.message);
    }
}

static void folder_with_a_store_is_refused(void **state)
{
    struct world *world = *state;
    struct fixture *fixture = fixture_new();
    fixture_open(fixture);
    assert_int_equal(fixture_put(fixture, "mine", "1"), RM_OK);
    fixture_close(fixture);
    snprintf(world->data, sizeof(world->data), "%s", fixture->folder);
    assert_refused(world, RM_ERR_EXISTS, "store.db");
    fixture_open(fixture);
    assert_value(fixture, "mine", "1");
    fixture_free(fixture);
}

static void folder_with_anything_else_is_refused(void **state)
{
    struct world *world = *state;
    snprintf(world->data, sizeof(world->data), "%s", world->folder);
    assert_refused(world, RM_ERR_EXISTS, "backup");
}

static void missing_backup_is_refused(void **state)
{
    struct world *world = *state;
    assert_int_equal(unlink(world->backup), 0);
    assert_refused(world, RM_ERR_NOT_FOUND, world->backup);
    assert_string_equal(list(world->data), "(none)");
}

static void damaged_backup_is_refused(void **state)
{
    struct world *world = *state;
    assert_int_equal(truncate(world->backup, 6000), 0);
    assert_refused(world, RM_ERR_IO, "damaged");
    assert_string_equal(list(world->data), "(none)");
    assert_int_equal(truncate(world->backup, 0), 0);
    assert_refused(world, RM_ERR_IO, "empty");
    assert_string_equal(list(world->data), "(none)");
}

static void some_other_file_is_refused(void **state)
{
    struct world *world = *state;
    FILE *file = fopen(world->backup, "w");
    for (int i = 0; i < 1000; i++) {
        fputs("this is a text and no database\n", file);
    }
    fclose(file);
    assert_refused(world, RM_ERR_IO, "damaged");
    snprintf(world->backup, sizeof(world->backup), "%s", world->folder);
    assert_refused(world, RM_ERR_IO, "not a backup");
    assert_string_equal(list(world->data), "(none)");
}

static void live_database_is_refused(void **state)
{
    struct world *world = *state;
    struct fixture *fixture = fixture_new();
    fixture_open(fixture);
    assert_int_equal(fixture_put(fixture, "a", "1"), RM_OK);
    snprintf(world->backup, sizeof(world->backup), "%s/store.db", fixture->folder);
    assert_refused(world, RM_ERR_CONFIG, "live database");
    fixture_free(fixture);
}

static void failing_disk_leaves_nothing(void **state)
{
    static const enum disk_call calls[] = {DISK_WRITE, DISK_SYNC, DISK_RENAME};
    struct world *world = *state;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        enum rm_err result = RM_ERR_IO;
        size_t nth = 1;
        for (; nth < 100 && result != RM_OK; nth++) {
            disk_fault_fail(calls[i], nth, 1, ENOSPC);
            result = store_restore(world->data, world->backup, NULL);
            disk_fault_clear();
            if (result != RM_OK && strcmp(list(world->data), "(none)") != 0) {
                // Only the very last sync comes after the store got its name.
                assert_int_equal(calls[i], DISK_SYNC);
                assert_string_equal(list(world->data), "lock store.db ");
                remove_folder(world->data);
            }
        }
        assert_true(nth > 2);
        assert_restored(world);
    }
}

// --- Interrupted. --------------------------------------------------------------------------------

// Gives false when the restore came to its end before the call at which it was to die.
static bool restore_and_die(const struct world *world, enum disk_call call, size_t nth)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        disk_fault_kill(call, nth);
        _exit(store_restore(world->data, world->backup, NULL) == RM_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return true;
    }
    assert_int_equal(status, 0);
    return false;
}

// Wherever it dies: there is no store, or it is whole, and it can be restored again. (Each opening
// is a child's, so that no thread is there at the next fork.)
static void assert_whole_or_absent(struct world *world)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        if (strstr(list(world->data), "store.db") == NULL) {
            assert_int_equal(store_restore(world->data, world->backup, NULL), RM_OK);
        }
        assert_restored(world);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    remove_folder(world->data);
}

static void interrupted_restore_can_be_repeated(void **state)
{
    static const enum disk_call calls[] = {DISK_WRITE, DISK_SYNC, DISK_TRUNCATE, DISK_RENAME};
    struct world *world = *state;
    size_t deaths = 0;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        for (size_t nth = 1; restore_and_die(world, calls[i], nth); nth++) {
            assert_whole_or_absent(world);
            deaths++;
        }
        remove_folder(world->data);
    }
    assert_true(deaths > 8);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(interrupted_restore_can_be_repeated),
        TEST(everything_comes_back_under_a_new_id),
        TEST(empty_folder_is_filled),
        TEST(mount_point_is_filled),
        TEST(each_restore_has_its_own_id),
        TEST(folder_with_a_store_is_refused),
        TEST(folder_with_anything_else_is_refused),
        TEST(missing_backup_is_refused),
        TEST(damaged_backup_is_refused),
        TEST(some_other_file_is_refused),
        TEST(live_database_is_refused),
        TEST(failing_disk_leaves_nothing),
    };
    log_redirect(drop_line, NULL);
    disk_fault_skip_syncs();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
