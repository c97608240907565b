// SPDX-License-Identifier: GPL-3.0-or-later
//
// A child commits, acknowledges, and dies at the nth call to the disk; then everything that was not
// synced is taken away. Whatever was acknowledged is there, whole.
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "disk_fault.h"
#include "store/database_internal.h"
#include "store_fixture.h"

#define COMMITS 12
#define VALUE_BYTES 60000

// Shared with the child.
struct promises {
    uint64_t acknowledged; // number of the last commit that was answered with RM_OK
};

static struct promises *promises;

static void drop_line(void *context, const char *line)
{
    (void)context;
    (void)line;
}

static enum rm_err put(struct database *database, uint64_t number)
{
    static uint8_t value[VALUE_BYTES];
    char key[16];
    struct store_request *request = NULL;
    memset(value, (int)number, sizeof(value));
    snprintf(key, sizeof(key), "n/%02u", (unsigned)number);
    struct store_operation puts[] = {{STORE_PUT, key, &number, sizeof(number)},
                                     {STORE_PUT, "large", value, sizeof(value)}};
    assert_int_equal(store_request_new_commit(NULL, 0, puts, 2, &request), RM_OK);
    database_run_batch(database, request);
    enum rm_err result = request->result;
    store_request_free(request);
    return result;
}

static void live(const char *path, enum disk_call call, size_t nth)
{
    struct database *database = NULL;
    disk_fault_keep_synced();
    disk_fault_kill(call, nth);
    if (database_open(path, &database, NULL) != RM_OK) {
        _exit(1);
    }
    for (uint64_t number = 1; number <= COMMITS; number++) {
        if (put(database, number) != RM_OK) {
            _exit(1);
        }
        promises->acknowledged = number;
        if (number == COMMITS / 2 && database_log_copy(database) != RM_OK) {
            _exit(1);
        }
    }
    database_close(database);
    _exit(0);
}

// Gives false when the child came to its end.
static bool live_and_die(const char *path, enum disk_call call, size_t nth)
{
    int status = 0;
    *promises = (struct promises){0};
    pid_t child = fork();
    if (child == 0) {
        live(path, call, nth);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status)) {
        assert_int_equal(status, 0);
        return false;
    }
    assert_int_equal(WTERMSIG(status), SIGKILL);
    return true;
}

static struct store_request *read_all(struct database *database, const char *prefix)
{
    struct store_request *read = NULL;
    assert_int_equal(store_request_new_read_prefix(prefix, NULL, 0, &read), RM_OK);
    database_run_batch(database, read);
    assert_int_equal(read->result, RM_OK);
    return read;
}

static void assert_promises_kept(const char *path)
{
    struct database *database = NULL;
    struct rm_error error = {0};
    if (database_open(path, &database, &error) != RM_OK) {
        fail_msg("%s", error.message);
    }
    uint64_t revision = database->revision;
    // The one that was on its way may have made it.
    assert_in_range(revision, promises->acknowledged, promises->acknowledged + 1);
    struct store_request *numbers = read_all(database, "n/");
    struct store_request *large = read_all(database, "large");
    assert_int_equal(numbers->read.count, revision);
    assert_int_equal(large->read.count, revision > 0);
    if (revision > 0) {
        assert_int_equal(large->read.entries[0].value_length, VALUE_BYTES);
        assert_int_equal(large->read.entries[0].value[VALUE_BYTES - 1], revision);
    }
    store_request_free(numbers);
    store_request_free(large);
    database_close(database);
}

static void try_each_call(enum disk_call call, size_t stride, bool cuts_power)
{
    char folder[64];
    char path[96];
    char log[112];
    size_t deaths = 0;
    bool died = true;
    for (size_t nth = 1; died; nth += stride) {
        make_folder(folder, sizeof(folder));
        snprintf(path, sizeof(path), "%s/store.db", folder);
        snprintf(log, sizeof(log), "%s-wal", path);
        died = live_and_die(path, call, nth);
        if (died && cuts_power) {
            disk_fault_cut_power(path);
            disk_fault_cut_power(log);
        }
        assert_promises_kept(path);
        remove_folder(folder);
        deaths += died;
    }
    assert_true(deaths > 0);
}

static void death_at_any_call_keeps_every_promise(void **state)
{
    (void)state;
    try_each_call(DISK_SYNC, 1, false);
    try_each_call(DISK_TRUNCATE, 1, false);
    try_each_call(DISK_WRITE, 31, false);
}

static void power_cut_at_any_call_keeps_every_promise(void **state)
{
    (void)state;
    try_each_call(DISK_SYNC, 1, true);
    try_each_call(DISK_TRUNCATE, 1, true);
    try_each_call(DISK_WRITE, 31, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(death_at_any_call_keeps_every_promise),
        cmocka_unit_test(power_cut_at_any_call_keeps_every_promise),
    };
    log_redirect(drop_line, NULL);
    disk_fault_skip_syncs();
    promises =
        mmap(NULL, sizeof(*promises), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
