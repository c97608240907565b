// SPDX-License-Identifier: GPL-3.0-or-later
#include "store_fixture.h"

static void read_id(struct fixture *fixture, void *context)
{
    memcpy(context, store_id(fixture->store), STORE_ID_BYTES);
}

static void id_revision_and_entries_survive(void **state)
{
    uint8_t before[STORE_ID_BYTES];
    uint8_t after[STORE_ID_BYTES];
    struct answer answer = {0};
    fixture_run(*state, read_id, before);
    assert_int_equal(fixture_put(*state, "a", "1"), RM_OK);
    assert_int_equal(fixture_put(*state, "b", "2"), RM_OK);
    assert_int_equal(fixture_delete(*state, "a"), RM_OK);
    fixture_reopen(*state);
    fixture_run(*state, read_id, after);
    assert_memory_equal(before, after, STORE_ID_BYTES);
    assert_int_equal(fixture_revision(*state), 3);
    assert_absent(*state, "a");
    fixture_read(*state, "b", &answer);
    assert_int_equal(answer.entries[0].revision, 2);
    assert_int_equal(answer.revision, 3);
    answer_free(&answer);
    assert_int_equal(fixture_put(*state, "c", "3"), RM_OK);
    assert_int_equal(fixture_revision(*state), 4);
}

static void each_new_store_has_its_own_id(void **state)
{
    static const uint8_t zero[STORE_ID_BYTES];
    uint8_t one[STORE_ID_BYTES];
    uint8_t two[STORE_ID_BYTES];
    struct fixture *other = fixture_new();
    fixture_open(other);
    fixture_run(*state, read_id, one);
    fixture_run(other, read_id, two);
    fixture_free(other);
    assert_memory_not_equal(one, two, STORE_ID_BYTES);
    assert_memory_not_equal(one, zero, STORE_ID_BYTES);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(id_revision_and_entries_survive),
        TEST(each_new_store_has_its_own_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
