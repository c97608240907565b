// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"

#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

static char folder[] = "/tmp/remora-unit-XXXXXX";
static char path[PATH_MAX];
static char inner[PATH_MAX];

static int make_folder(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/file", folder);
    snprintf(inner, sizeof(inner), "%s/inner", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    rmdir(inner);
    return rmdir(folder);
}

static void assert_content(const char *expected)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    struct rm_error error = {0};
    assert_int_equal(file_read(path, 1000, &bytes, &length, &error), RM_OK);
    assert_int_equal(length, strlen(expected));
    assert_string_equal((char *)bytes, expected);
    rm_free(bytes);
}

static int count_entries(void)
{
    DIR *listing = opendir(folder);
    int count = 0;
    while (readdir(listing) != NULL) {
        count++;
    }
    closedir(listing);
    return count - 2; // "." and ".."
}

static void the_new_content_replaces_the_old(void **state)
{
    (void)state;
    struct rm_error error = {0};
    assert_int_equal(file_write_atomic(path, "old", 3, 0600, &error), RM_OK);
    assert_content("old");
    assert_int_equal(file_write_atomic(path, "newer", 5, 0640, &error), RM_OK);
    assert_content("newer");
    struct stat facts;
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0640);
    assert_int_equal(count_entries(), 1);
}

static void a_failed_write_keeps_the_old_content(void **state)
{
    (void)state;
    struct rm_error error = {0};
    assert_int_equal(file_write_atomic(path, "old", 3, 0600, &error), RM_OK);
    // A limit on file sizes fails the write as a full disk does: in its middle.
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    struct rlimit tight = {.rlim_cur = 10, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    enum rm_err result = file_write_atomic(path, "much longer than ten", 20, 0600, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(result, RM_ERR_TOO_LARGE);
    assert_content("old");
    assert_int_equal(count_entries(), 1);
}

static void a_name_that_cannot_be_replaced_leaves_no_rest(void **state)
{
    (void)state;
    struct rm_error error = {0};
    assert_int_equal(mkdir(inner, 0700), 0);
    int before = count_entries();
    assert_int_not_equal(file_write_atomic(inner, "x", 1, 0600, &error), RM_OK);
    assert_non_null(strstr(error.message, inner));
    assert_int_equal(count_entries(), before);
    assert_int_equal(file_write_atomic("/nowhere/at/all", "x", 1, 0600, &error), RM_ERR_NOT_FOUND);
}

static void reading_names_its_troubles(void **state)
{
    (void)state;
    uint8_t *bytes = NULL;
    size_t length = 0;
    struct rm_error error = {0};
    assert_int_equal(file_write_atomic(path, "12345", 5, 0600, &error), RM_OK);
    assert_int_equal(file_read(path, 4, &bytes, &length, &error), RM_ERR_TOO_LARGE);
    assert_int_equal(file_read(folder, 100, &bytes, &length, &error), RM_ERR_IO);
    assert_int_equal(file_read("/nowhere", 100, &bytes, &length, &error), RM_ERR_NOT_FOUND);
    assert_string_equal(error.message, "cannot open /nowhere: No such file or directory");
    rm_alloc_fail_at(1);
    assert_int_equal(file_read(path, 100, &bytes, &length, &error), RM_ERR_NO_MEMORY);
    rm_alloc_fail_at(0);
    assert_null(bytes);
}

static void files_of_proc_are_read_though_they_tell_no_size(void **state)
{
    (void)state;
    uint8_t *bytes = NULL;
    size_t length = 0;
    struct rm_error error = {0};
    assert_int_equal(file_read("/proc/self/smaps", 100, &bytes, &length, &error), RM_ERR_TOO_LARGE);
    assert_int_equal(file_read("/proc/self/smaps", 1 << 24, &bytes, &length, &error), RM_OK);
    assert_true(length > 1000);
    assert_int_equal(bytes[length], 0);
    rm_free(bytes);
}

static void a_private_folder_is_ours_alone(void **state)
{
    (void)state;
    struct rm_error error = {0};
    rmdir(inner);
    assert_int_equal(file_make_private_folder(inner, 0700, &error), RM_OK);
    assert_int_equal(file_make_private_folder(inner, 0700, &error), RM_OK);
    struct stat facts;
    assert_int_equal(stat(inner, &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0700);
    assert_int_equal(chmod(inner, 0770), 0);
    assert_int_equal(file_make_private_folder(inner, 0700, &error), RM_ERR_PERMISSION);
    assert_non_null(strstr(error.message, "chmod go-w"));
    assert_int_equal(chmod(inner, 0755), 0);
    assert_int_equal(file_make_private_folder(inner, 0700, &error), RM_OK);
    if (geteuid() == 0) {
        assert_int_equal(chown(inner, 12345, 12345), 0);
        assert_int_equal(file_make_private_folder(inner, 0700, &error), RM_ERR_PERMISSION);
    }
    assert_int_equal(file_make_private_folder(path, 0700, &error), RM_ERR_NOT_FOUND);
    assert_int_equal(file_make_private_folder("/nowhere/x", 0700, &error), RM_ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_new_content_replaces_the_old),
        cmocka_unit_test(a_failed_write_keeps_the_old_content),
        cmocka_unit_test(a_name_that_cannot_be_replaced_leaves_no_rest),
        cmocka_unit_test(reading_names_its_troubles),
        cmocka_unit_test(files_of_proc_are_read_though_they_tell_no_size),
        cmocka_unit_test(a_private_folder_is_ours_alone),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
