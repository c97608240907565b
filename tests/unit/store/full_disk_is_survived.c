// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/alloc.h"
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

static void write_that_finds_no_space_is_refused_and_nothing_else(void **state)
{
    assert_int_equal(fixture_put(*state, "a", "before"), RM_OK);
    disk_fault_fail(DISK_WRITE, 1, 0, ENOSPC);
    assert_int_equal(fixture_put(*state, "a", "lost"), RM_ERR_NO_SPACE);
    assert_int_equal(fixture_put(*state, "b", "lost"), RM_ERR_NO_SPACE);
    assert_value(*state, "a", "before");
    disk_fault_clear();
    assert_int_equal(fixture_put(*state, "b", "after"), RM_OK);
    fixture_reopen(*state);
    assert_value(*state, "a", "before");
    assert_value(*state, "b", "after");
    assert_int_equal(fixture_revision(*state), 2);
}

// Every write of a transaction in turn: frame header, page, commit frame.
static void any_write_may_fail(void **state)
{
    enum rm_err result = RM_ERR_NO_SPACE;
    uint64_t revision = 0;
    for (size_t nth = 1; result != RM_OK; nth++) {
        disk_fault_fail(DISK_WRITE, nth, 1, ENOSPC);
        result = fixture_put(*state, "a", "x");
        disk_fault_clear();
        if (result != RM_OK) {
            assert_int_equal(result, RM_ERR_NO_SPACE);
            assert_absent(*state, "a");
            assert_int_equal(fixture_put(*state, "b", "y"), RM_OK);
            revision++;
            assert_int_equal(fixture_revision(*state), revision);
        }
    }
    assert_true(revision >= 3);
    fixture_reopen(*state);
    assert_value(*state, "a", "x");
    assert_int_equal(fixture_revision(*state), revision + 1);
}

// --- A real one, where we may mount. -------------------------------------------------------------

static int setup_tiny_disk(void **state)
{
    char folder[64];
    make_folder(folder, sizeof(folder));
    if (mount("tmpfs", folder, "tmpfs", 0, "size=1m,mode=0700") != 0) {
        remove_folder(folder);
        *state = NULL;
        return 0;
    }
    *state = fixture_new_in(folder);
    fixture_open(*state);
    return 0;
}

static int teardown_tiny_disk(void **state)
{
    struct fixture *fixture = *state;
    if (fixture != NULL) {
        fixture_close(fixture);
        umount(fixture->folder);
        fixture_free(fixture);
    }
    return 0;
}

static enum rm_err put_large(struct fixture *fixture, const char *key, size_t length)
{
    uint8_t *value = rm_calloc(1, length);
    struct store_operation put = {STORE_PUT, key, value, length};
    enum rm_err result = fixture_commit(fixture, NULL, 0, &put, 1, NULL);
    rm_free(value);
    return result;
}

static void write_ballast(const char *path)
{
    static const uint8_t bytes[512 * 1024];
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, sizeof(bytes), file), sizeof(bytes));
    fclose(file);
}

static void tiny_disk_fills_and_goes_on_when_there_is_room(void **state)
{
    struct fixture *fixture = *state;
    if (fixture == NULL) {
        skip();
    }
    char key[] = "fill/a";
    enum rm_err result = RM_OK;
    write_ballast(fixture_path(fixture, "ballast"));
    while (result == RM_OK) {
        result = put_large(fixture, key, 60000);
        key[5]++;
    }
    key[5]--;
    assert_int_equal(result, RM_ERR_NO_SPACE);
    assert_true(key[5] > 'a');
    assert_absent(fixture, key);
    // Reads go on, and a restart works, although its log has no room to be copied.
    fixture_reopen(fixture);
    assert_absent(fixture, key);
    assert_int_equal(unlink(fixture_path(fixture, "ballast")), 0);
    assert_int_equal(put_large(fixture, key, 60000), RM_OK);
    assert_int_equal(fixture_put(fixture, "small", "x"), RM_OK);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(write_that_finds_no_space_is_refused_and_nothing_else),
        TEST(any_write_may_fail),
        cmocka_unit_test_setup_teardown(tiny_disk_fills_and_goes_on_when_there_is_room,
                                        setup_tiny_disk, teardown_tiny_disk),
    };
    log_redirect(drop_line, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
