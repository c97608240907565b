// SPDX-License-Identifier: GPL-3.0-or-later
#include "store_fixture.h"

#include <stdio.h>

#define KEY_COUNT 50

static int setup_with_keys(void **state)
{
    fixture_setup(state);
    // Put from the last to the first: the order of reading is the keys', not the writes'.
    for (int i = KEY_COUNT - 1; i >= 0; i--) {
        char key[16];
        snprintf(key, sizeof(key), "page/%02d", i);
        assert_int_equal(fixture_put(*state, key, key), RM_OK);
    }
    assert_int_equal(fixture_put(*state, "page", "outside"), RM_OK);
    assert_int_equal(fixture_put(*state, "page0", "outside"), RM_OK);
    assert_int_equal(fixture_put(*state, "paga", "outside"), RM_OK);
    return 0;
}

static void assert_keys(const struct answer *answer, size_t from)
{
    for (size_t i = 0; i < answer->count; i++) {
        char key[16];
        snprintf(key, sizeof(key), "page/%02zu", from + i);
        assert_string_equal(answer->entries[i].key, key);
        assert_memory_equal(answer->entries[i].value, key, strlen(key));
    }
}

static void all_of_a_prefix_come_in_order(void **state)
{
    struct answer answer = {0};
    fixture_read_prefix(*state, "page/", NULL, 0, &answer);
    assert_int_equal(answer.result, RM_OK);
    assert_int_equal(answer.count, KEY_COUNT);
    assert_keys(&answer, 0);
    answer_free(&answer);
}

static void pages_join_without_gap_or_repeat(void **state)
{
    char first[32] = "";
    size_t seen = 0;
    struct answer answer = {0};
    do {
        answer_free(&answer);
        fixture_read_prefix(*state, "page/", first, 7, &answer);
        assert_int_equal(answer.result, RM_OK);
        assert_true(answer.count <= 7);
        assert_keys(&answer, seen);
        seen += answer.count;
        if (answer.count > 0) {
            snprintf(first, sizeof(first), "%s ", answer.entries[answer.count - 1].key);
        }
    } while (answer.count == 7);
    assert_int_equal(seen, KEY_COUNT);
    answer_free(&answer);
}

static void first_before_the_prefix_means_its_beginning(void **state)
{
    struct answer answer = {0};
    fixture_read_prefix(*state, "page/", "a", 3, &answer);
    assert_int_equal(answer.count, 3);
    assert_keys(&answer, 0);
    answer_free(&answer);
}

static void first_is_inclusive(void **state)
{
    struct answer answer = {0};
    fixture_read_prefix(*state, "page/", "page/48", 0, &answer);
    assert_int_equal(answer.count, 2);
    assert_keys(&answer, 48);
    answer_free(&answer);
}

static void nothing_is_an_answer_too(void **state)
{
    struct answer answer = {0};
    fixture_read_prefix(*state, "nobody/", NULL, 0, &answer);
    assert_int_equal(answer.result, RM_OK);
    assert_int_equal(answer.count, 0);
    fixture_read_prefix(*state, "page/", "page/~", 0, &answer);
    assert_int_equal(answer.result, RM_OK);
    assert_int_equal(answer.count, 0);
    fixture_read_prefix(*state, "page/", "q", 0, &answer);
    assert_int_equal(answer.count, 0);
}

static void empty_prefix_reads_everything(void **state)
{
    struct answer answer = {0};
    fixture_read_prefix(*state, "", NULL, 0, &answer);
    assert_int_equal(answer.count, KEY_COUNT + 3);
    assert_string_equal(answer.entries[0].key, "paga");
    answer_free(&answer);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup_with_keys, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_of_a_prefix_come_in_order),
        TEST(pages_join_without_gap_or_repeat),
        TEST(first_before_the_prefix_means_its_beginning),
        TEST(first_is_inclusive),
        TEST(nothing_is_an_answer_too),
        TEST(empty_prefix_reads_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
