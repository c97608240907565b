// SPDX-License-Identifier: GPL-3.0-or-later
//
// A newer schema, damage, another program's file, an interrupted restore: each is refused with what
// to do, and the file stays as it was.
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "store_fixture.h"

#define MAX_FILE_BYTES (8U << 20)

struct bytes {
    uint8_t *bytes; // owned
    size_t length;  // of bytes
};

static int setup(void **state)
{
    struct fixture *fixture = fixture_new();
    char value[3000];
    fixture_open(fixture);
    memset(value, 'v', sizeof(value));
    for (int i = 0; i < 40; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%02d", i);
        struct store_operation put = {STORE_PUT, key, value, sizeof(value)};
        assert_int_equal(fixture_commit(fixture, NULL, 0, &put, 1, NULL), RM_OK);
    }
    fixture_close(fixture);
    *state = fixture;
    return 0;
}

static void change_with_sql(struct fixture *fixture, const char *sql)
{
    sqlite3 *handle = NULL;
    assert_int_equal(sqlite3_open(fixture_path(fixture, "store.db"), &handle), SQLITE_OK);
    assert_int_equal(sqlite3_exec(handle, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(handle), SQLITE_OK);
}

static struct bytes read_database(struct fixture *fixture)
{
    struct bytes content = {0};
    assert_int_equal(file_read(fixture_path(fixture, "store.db"), MAX_FILE_BYTES, &content.bytes,
                               &content.length, NULL),
                     RM_OK);
    return content;
}

// Opening fails with `code`, says both texts, and leaves the file alone.
static void assert_refused(struct fixture *fixture, enum rm_err code, const char *says,
                           const char *says_too)
{
    struct rm_error error = {0};
    struct bytes before = read_database(fixture);
    assert_int_equal(fixture_try_open(fixture, &error), code);
    if (strstr(error.message, says) == NULL || strstr(error.message, says_too) == NULL) {
        fail_msg("the message is: %s", error.message);
    }
    struct bytes after = read_database(fixture);
    assert_int_equal(before.length, after.length);
    assert_memory_equal(before.bytes, after.bytes, before.length);
    rm_free(before.bytes);
    rm_free(after.bytes);
}

static void newer_schema_is_refused_with_both_versions(void **state)
{
    change_with_sql(*state, "UPDATE meta SET value = 7 WHERE name = 'schema'");
    assert_refused(*state, RM_ERR_UNSUPPORTED, "schema version 7", "up to 1");
    change_with_sql(*state, "UPDATE meta SET value = 1 WHERE name = 'schema'");
    fixture_open(*state);
    assert_int_equal(fixture_revision(*state), 40);
}

static void newer_schema_with_other_tables_is_refused_as_newer(void **state)
{
    change_with_sql(*state, "UPDATE meta SET value = 2 WHERE name = 'schema'; DROP TABLE kv;"
                            "CREATE TABLE entries (key, value, revision, lease)");
    assert_refused(*state, RM_ERR_UNSUPPORTED, "schema version 2", "newer program");
}

static void overwrite(struct fixture *fixture, off_t offset, size_t length)
{
    uint8_t noise[8192];
    int descriptor = open(fixture_path(fixture, "store.db"), O_WRONLY);
    memset(noise, 0x5a, sizeof(noise));
    assert_true(descriptor >= 0);
    assert_int_equal(pwrite(descriptor, noise, length, offset), length);
    close(descriptor);
}

static void damaged_page_is_refused_with_what_to_do(void **state)
{
    overwrite(*state, 3 * 4096L, 8192);
    assert_refused(*state, RM_ERR_IO, "is damaged", "remora-control restore");
}

static void damaged_header_is_refused_with_what_to_do(void **state)
{
    overwrite(*state, 0, 100);
    assert_refused(*state, RM_ERR_IO, "is damaged", "remora-control restore");
}

static void cut_off_file_is_refused_with_what_to_do(void **state)
{
    assert_int_equal(truncate(fixture_path(*state, "store.db"), 5 * 4096L), 0);
    assert_refused(*state, RM_ERR_IO, "is damaged", "remora-control restore");
}

static void missing_id_is_refused(void **state)
{
    change_with_sql(*state, "DELETE FROM meta WHERE name = 'id'");
    assert_refused(*state, RM_ERR_IO, "is damaged", "store id");
}

static void missing_revision_is_refused(void **state)
{
    change_with_sql(*state, "DELETE FROM meta WHERE name = 'revision'");
    assert_refused(*state, RM_ERR_IO, "is damaged", "revision");
}

static void missing_version_is_refused(void **state)
{
    change_with_sql(*state, "DELETE FROM meta WHERE name = 'schema'");
    assert_refused(*state, RM_ERR_IO, "is damaged", "schema version");
}

static void file_of_another_program_is_refused(void **state)
{
    change_with_sql(*state, "PRAGMA application_id = 4711");
    assert_refused(*state, RM_ERR_IO, "store.db", "another program");
}

static void symbolic_link_is_refused(void **state)
{
    struct rm_error error = {0};
    assert_int_equal(rename(fixture_path(*state, "store.db"), fixture_path(*state, "elsewhere.db")),
                     0);
    assert_int_equal(symlink("elsewhere.db", fixture_path(*state, "store.db")), 0);
    assert_int_not_equal(fixture_try_open(*state, &error), RM_OK);
    assert_non_null(strstr(error.message, "store.db"));
}

static void interrupted_restore_is_refused(void **state)
{
    struct rm_error error = {0};
    assert_int_equal(rename(fixture_path(*state, "store.db"), fixture_path(*state, "restoring.db")),
                     0);
    assert_int_equal(fixture_try_open(*state, &error), RM_ERR_CONFIG);
    assert_non_null(strstr(error.message, "interrupted"));
    assert_int_equal(access(fixture_path(*state, "store.db"), F_OK), -1);
}

// A crash in the middle of the first start: no store yet, so one is made.
static void empty_file_becomes_a_store(void **state)
{
    assert_int_equal(truncate(fixture_path(*state, "store.db"), 0), 0);
    fixture_open(*state);
    assert_int_equal(fixture_revision(*state), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(newer_schema_is_refused_with_both_versions),
        TEST(newer_schema_with_other_tables_is_refused_as_newer),
        TEST(damaged_page_is_refused_with_what_to_do),
        TEST(damaged_header_is_refused_with_what_to_do),
        TEST(cut_off_file_is_refused_with_what_to_do),
        TEST(missing_id_is_refused),
        TEST(missing_revision_is_refused),
        TEST(missing_version_is_refused),
        TEST(file_of_another_program_is_refused),
        TEST(symbolic_link_is_refused),
        TEST(interrupted_restore_is_refused),
        TEST(empty_file_becomes_a_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
