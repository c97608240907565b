// SPDX-License-Identifier: GPL-3.0-or-later
#include "store_fixture.h"

#include "base/alloc.h"

static void what_was_put_is_read(void **state)
{
    assert_int_equal(fixture_put(*state, "service/web", "one"), RM_OK);
    assert_value(*state, "service/web", "one");
    assert_int_equal(fixture_put(*state, "service/web", "two"), RM_OK);
    assert_value(*state, "service/web", "two");
    assert_absent(*state, "service/we");
    assert_absent(*state, "service/web/");
}

static void what_was_deleted_is_absent(void **state)
{
    assert_int_equal(fixture_put(*state, "a", "1"), RM_OK);
    assert_int_equal(fixture_delete(*state, "a"), RM_OK);
    assert_absent(*state, "a");
    assert_int_equal(fixture_delete(*state, "a"), RM_OK); // absent already: no error
}

static void revision_grows_by_one_with_each_transaction(void **state)
{
    struct answer answer = {0};
    struct store_operation puts[2] = {{STORE_PUT, "x", "1", 1}, {STORE_PUT, "y", "2", 1}};
    uint64_t revision = 0;
    assert_int_equal(fixture_revision(*state), 0);
    assert_int_equal(fixture_put(*state, "a", "1"), RM_OK);
    assert_int_equal(fixture_commit(*state, NULL, 0, puts, 2, &revision), RM_OK);
    assert_int_equal(revision, 2);
    assert_int_equal(fixture_revision(*state), 2);
    fixture_read(*state, "y", &answer);
    assert_int_equal(answer.entries[0].revision, 2);
    assert_int_equal(answer.revision, 2);
    answer_free(&answer);
    fixture_read(*state, "a", &answer);
    assert_int_equal(answer.entries[0].revision, 1);
    answer_free(&answer);
}

static void later_operation_of_a_transaction_wins(void **state)
{
    struct store_operation operations[] = {
        {STORE_PUT, "a/1", "x", 1},   {STORE_DELETE_PREFIX, "a/", NULL, 0},
        {STORE_PUT, "a/2", "y", 1},   {STORE_PUT, "b", "z", 1},
        {STORE_DELETE, "b", NULL, 0},
    };
    assert_int_equal(fixture_commit(*state, NULL, 0, operations, 5, NULL), RM_OK);
    assert_absent(*state, "a/1");
    assert_value(*state, "a/2", "y");
    assert_absent(*state, "b");
}

static void deleted_prefix_takes_exactly_its_keys(void **state)
{
    const char *keys[] = {"a", "a/", "a/1", "a/~", "a0", "b/1"};
    struct store_operation delete = {STORE_DELETE_PREFIX, "a/", NULL, 0};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(fixture_put(*state, keys[i], keys[i]), RM_OK);
    }
    assert_int_equal(fixture_commit(*state, NULL, 0, &delete, 1, NULL), RM_OK);
    assert_value(*state, "a", "a");
    assert_absent(*state, "a/");
    assert_absent(*state, "a/1");
    assert_absent(*state, "a/~");
    assert_value(*state, "a0", "a0");
    assert_value(*state, "b/1", "b/1");
}

static void empty_prefix_deletes_everything(void **state)
{
    struct store_operation delete = {STORE_DELETE_PREFIX, "", NULL, 0};
    assert_int_equal(fixture_put(*state, " first", "1"), RM_OK);
    assert_int_equal(fixture_put(*state, "~last", "2"), RM_OK);
    assert_int_equal(fixture_commit(*state, NULL, 0, &delete, 1, NULL), RM_OK);
    assert_absent(*state, " first");
    assert_absent(*state, "~last");
}

static void any_bytes_are_a_value(void **state)
{
    static const uint8_t bytes[] = {0, 0xff, 'a', 0, 0x80};
    struct store_operation puts[] = {{STORE_PUT, "binary", bytes, sizeof(bytes)},
                                     {STORE_PUT, "empty", NULL, 0}};
    struct answer answer = {0};
    assert_int_equal(fixture_commit(*state, NULL, 0, puts, 2, NULL), RM_OK);
    fixture_read(*state, "binary", &answer);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.entries[0].value_length, sizeof(bytes));
    assert_memory_equal(answer.entries[0].value, bytes, sizeof(bytes));
    answer_free(&answer);
    assert_value(*state, "empty", "");
}

static void largest_key_and_value_fit(void **state)
{
    char key[STORE_MAX_KEY_BYTES + 1];
    uint8_t *value = rm_malloc(STORE_MAX_VALUE_BYTES);
    struct store_operation put = {STORE_PUT, key, value, STORE_MAX_VALUE_BYTES};
    struct answer answer = {0};
    memset(key, '~', STORE_MAX_KEY_BYTES);
    key[STORE_MAX_KEY_BYTES] = '\0';
    memset(value, 0xa5, STORE_MAX_VALUE_BYTES);
    assert_int_equal(fixture_commit(*state, NULL, 0, &put, 1, NULL), RM_OK);
    fixture_read_prefix(*state, key, NULL, 0, &answer);
    assert_int_equal(answer.count, 1);
    assert_string_equal(answer.entries[0].key, key);
    assert_int_equal(answer.entries[0].value_length, STORE_MAX_VALUE_BYTES);
    assert_memory_equal(answer.entries[0].value, value, STORE_MAX_VALUE_BYTES);
    answer_free(&answer);
    rm_free(value);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_put_is_read),
        TEST(what_was_deleted_is_absent),
        TEST(revision_grows_by_one_with_each_transaction),
        TEST(later_operation_of_a_transaction_wins),
        TEST(deleted_prefix_takes_exactly_its_keys),
        TEST(empty_prefix_deletes_everything),
        TEST(any_bytes_are_a_value),
        TEST(largest_key_and_value_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
