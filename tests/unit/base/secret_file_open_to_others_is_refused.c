// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

static char folder[] = "/tmp/remora-unit-XXXXXX";
static char key_path[PATH_MAX];
static char link_path[PATH_MAX];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(key_path, sizeof(key_path), "%s/key", folder);
    snprintf(link_path, sizeof(link_path), "%s/link", folder);
    return symlink("key", link_path);
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(key_path);
    unlink(link_path);
    return rmdir(folder);
}

static void write_key(const char *text, mode_t mode)
{
    unlink(key_path);
    assert_int_equal(file_write_atomic(key_path, text, strlen(text), mode, NULL), RM_OK);
}

static void a_private_file_is_read(void **state)
{
    (void)state;
    struct secret secret;
    struct rm_error error = {0};
    write_key("key material", 0600);
    assert_int_equal(file_read_secret(key_path, 100, &secret, &error), RM_OK);
    assert_int_equal(secret.length, 12);
    assert_memory_equal(secret.bytes, "key material", 12);
    secret_free(&secret);
    write_key("", 0400);
    assert_int_equal(file_read_secret(key_path, 100, &secret, &error), RM_OK);
    assert_int_equal(secret.length, 0);
    secret_free(&secret);
}

static void any_access_of_others_is_refused(void **state)
{
    (void)state;
    static const mode_t modes[] = {0640, 0604, 0620, 0602, 0610, 0601, 0644, 0666};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        struct secret secret;
        struct rm_error error = {0};
        write_key("key material", modes[i]);
        assert_int_equal(file_read_secret(key_path, 100, &secret, &error), RM_ERR_PERMISSION);
        assert_null(secret.bytes);
        assert_non_null(strstr(error.message, key_path));
        assert_non_null(strstr(error.message, "chmod 600"));
    }
}

static void behind_a_link_the_file_itself_counts(void **state)
{
    (void)state;
    struct secret secret;
    struct rm_error error = {0};
    write_key("key material", 0600);
    assert_int_equal(file_read_secret(link_path, 100, &secret, &error), RM_OK);
    secret_free(&secret);
    write_key("key material", 0640);
    assert_int_equal(file_read_secret(link_path, 100, &secret, &error), RM_ERR_PERMISSION);
}

static void a_file_of_somebody_else_is_refused(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    struct secret secret;
    struct rm_error error = {0};
    write_key("key material", 0600);
    assert_int_equal(chown(key_path, 12345, 12345), 0);
    assert_int_equal(file_read_secret(key_path, 100, &secret, &error), RM_ERR_PERMISSION);
    assert_non_null(strstr(error.message, "user 12345"));
}

static void other_troubles_are_named(void **state)
{
    (void)state;
    struct secret secret;
    struct rm_error error = {0};
    write_key("key material", 0600);
    assert_int_equal(file_read_secret(key_path, 11, &secret, &error), RM_ERR_TOO_LARGE);
    assert_int_equal(file_read_secret(key_path, 12, &secret, &error), RM_OK);
    secret_free(&secret);
    rm_alloc_fail_at(1);
    assert_int_equal(file_read_secret(key_path, 100, &secret, &error), RM_ERR_NO_MEMORY);
    rm_alloc_fail_at(0);
    assert_int_equal(file_read_secret(folder, 100, &secret, &error), RM_ERR_IO);
    assert_int_equal(unlink(key_path), 0);
    assert_int_equal(file_read_secret(key_path, 100, &secret, &error), RM_ERR_NOT_FOUND);
    // A pipe must not hang the reader.
    assert_int_equal(mkfifo(key_path, 0600), 0);
    assert_int_equal(file_read_secret(key_path, 100, &secret, &error), RM_ERR_IO);
    assert_int_equal(unlink(key_path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_private_file_is_read),
        cmocka_unit_test(any_access_of_others_is_refused),
        cmocka_unit_test(behind_a_link_the_file_itself_counts),
        cmocka_unit_test(a_file_of_somebody_else_is_refused),
        cmocka_unit_test(other_troubles_are_named),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
