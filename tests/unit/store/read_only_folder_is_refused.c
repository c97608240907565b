// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_fixture.h"

// Root may write everywhere, so it is the mount that must say no.
static int setup_read_only(void **state)
{
    char folder[64];
    make_folder(folder, sizeof(folder));
    if (geteuid() == 0) {
        if (mount("tmpfs", folder, "tmpfs", MS_RDONLY, "size=64k,mode=0700") != 0) {
            remove_folder(folder);
            *state = NULL;
            return 0;
        }
    } else {
        assert_int_equal(chmod(folder, 0500), 0);
    }
    *state = fixture_new_in(folder);
    return 0;
}

static int teardown_read_only(void **state)
{
    struct fixture *fixture = *state;
    if (fixture != NULL) {
        if (geteuid() == 0) {
            umount(fixture->folder);
        }
        fixture_free(fixture);
    }
    return 0;
}

static void opening_says_permission_and_which_file(void **state)
{
    struct fixture *fixture = *state;
    struct rm_error error = {0};
    if (fixture == NULL) {
        skip();
    }
    assert_int_equal(fixture_try_open(fixture, &error), RM_ERR_PERMISSION);
    assert_non_null(strstr(error.message, fixture->folder));
}

static void folder_that_others_may_write_to_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct rm_error error = {0};
    assert_int_equal(chmod(fixture->folder, 0777), 0);
    assert_int_equal(fixture_try_open(fixture, &error), RM_ERR_PERMISSION);
}

static void folder_that_cannot_be_made_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct rm_error error = {0};
    size_t length = strlen(fixture->folder);
    snprintf(fixture->folder + length, sizeof(fixture->folder) - length, "/no/such");
    assert_int_not_equal(fixture_try_open(fixture, &error), RM_OK);
    assert_non_null(strstr(error.message, "/no/such"));
    fixture->folder[length] = '\0';
}

static mode_t mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 07777;
}

// Whatever the process's umask is.
static void files_are_only_for_us(void **state)
{
    struct fixture *fixture = *state;
    mode_t before = umask(0);
    size_t length = strlen(fixture->folder);
    snprintf(fixture->folder + length, sizeof(fixture->folder) - length, "/data");
    fixture_open(fixture);
    assert_int_equal(fixture_put(fixture, "a", "1"), RM_OK);
    assert_int_equal(mode_of(fixture->folder), 0700);
    assert_int_equal(mode_of(fixture_path(fixture, "store.db")), 0600);
    assert_int_equal(mode_of(fixture_path(fixture, "store.db-wal")), 0600);
    assert_int_equal(mode_of(fixture_path(fixture, "lock")), 0600);
    fixture_close(fixture);
    umask(before);
    fixture->folder[length] = '\0';
}

static int setup_closed(void **state)
{
    *state = fixture_new();
    return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup_closed, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(opening_says_permission_and_which_file, setup_read_only,
                                        teardown_read_only),
        TEST(folder_that_others_may_write_to_is_refused),
        TEST(folder_that_cannot_be_made_is_refused),
        TEST(files_are_only_for_us),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
