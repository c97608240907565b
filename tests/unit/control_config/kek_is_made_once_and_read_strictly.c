// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/control_config.h"
#include "crypto/crypto.h"

static char folder[] = "/tmp/control-kek-XXXXXX";
static char path[64];

static int setup(void **state)
{
    (void)state;
    assert_int_equal(crypto_init(NULL), RM_OK);
    snprintf(folder, sizeof folder, "/tmp/control-kek-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/kek", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    rmdir(folder);
    crypto_deinit();
    return 0;
}

static struct control_config config_of(bool is_in_data_dir)
{
    return (struct control_config){.kek_path = path, .is_kek_in_data_dir = is_in_data_dir};
}

static void write_file(const char *bytes, size_t length, mode_t mode)
{
    unlink(path);
    FILE *file = fopen(path, "w");
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

static void made_one_is_private_and_stays(void **state)
{
    (void)state;
    const struct control_config config = config_of(true);
    struct rm_error error = {0};
    struct secret first = {0};
    struct secret second = {0};
    struct stat facts;
    bool was_made = false;
    assert_int_equal(kek_read(&config, &first, &error), RM_ERR_NOT_FOUND);
    assert_non_null(strstr(error.message, "remora-control init"));
    assert_int_equal(kek_make(&config, &was_made, &error), RM_OK);
    assert_true(was_made);
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
    assert_int_equal(kek_read(&config, &first, &error), RM_OK);
    assert_int_equal(first.length, CONTROL_KEK_BYTES);
    assert_int_equal(kek_make(&config, &was_made, &error), RM_OK);
    assert_false(was_made);
    assert_int_equal(kek_read(&config, &second, &error), RM_OK);
    assert_memory_equal(first.bytes, second.bytes, CONTROL_KEK_BYTES);
    secret_free(&first);
    secret_free(&second);
}

static void both_forms_are_read(void **state)
{
    (void)state;
    const struct control_config config = config_of(false);
    static const char hex[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
    char raw[CONTROL_KEK_BYTES];
    struct secret kek = {0};
    for (int i = 0; i < CONTROL_KEK_BYTES; i++) {
        raw[i] = (char)i;
    }
    const struct {
        const char *bytes;
        size_t length;
    } forms[] = {{hex, 65}, {hex, 64}, {raw, 32}};
    for (size_t i = 0; i < 3; i++) {
        write_file(forms[i].bytes, forms[i].length, 0600);
        assert_int_equal(kek_read(&config, &kek, NULL), RM_OK);
        assert_memory_equal(kek.bytes, raw, sizeof raw);
        secret_free(&kek);
    }
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    const struct control_config config = config_of(false);
    static const char hex[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    struct secret kek = {0};
    struct rm_error error = {0};
    assert_int_equal(kek_read(&config, &kek, &error), RM_ERR_NOT_FOUND);
    write_file("", 0, 0600);
    assert_int_equal(kek_read(&config, &kek, &error), RM_ERR_CONFIG);
    write_file(hex, 63, 0600);
    assert_int_equal(kek_read(&config, &kek, &error), RM_ERR_CONFIG);
    write_file("x00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 64, 0600);
    assert_int_equal(kek_read(&config, &kek, &error), RM_ERR_CONFIG);
    char long_text[200];
    memset(long_text, 'a', sizeof long_text);
    write_file(long_text, sizeof long_text, 0600);
    assert_int_not_equal(kek_read(&config, &kek, &error), RM_OK);
    write_file(hex, 64, 0640);
    assert_int_equal(kek_read(&config, &kek, &error), RM_ERR_PERMISSION);
    assert_null(kek.bytes);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(made_one_is_private_and_stays),
        TEST(both_forms_are_read),
        TEST(anything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
