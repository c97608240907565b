// SPDX-License-Identifier: GPL-3.0-or-later
#include "store_fixture.h"

static uint64_t revision_of(struct fixture *fixture, const char *key)
{
    struct answer answer = {0};
    fixture_read(fixture, key, &answer);
    uint64_t revision = answer.count > 0 ? answer.entries[0].revision : 0;
    answer_free(&answer);
    return revision;
}

static void key_must_be_absent(void **state)
{
    struct store_condition absent = {"a", 0};
    struct store_operation put = {STORE_PUT, "a", "1", 1};
    struct store_operation other = {STORE_PUT, "a", "2", 1};
    assert_int_equal(fixture_commit(*state, &absent, 1, &put, 1, NULL), RM_OK);
    assert_int_equal(fixture_commit(*state, &absent, 1, &other, 1, NULL), RM_ERR_CONFLICT);
    assert_value(*state, "a", "1");
}

static void key_must_have_its_revision(void **state)
{
    assert_int_equal(fixture_put(*state, "a", "1"), RM_OK);
    struct store_condition seen = {"a", revision_of(*state, "a")};
    struct store_operation put = {STORE_PUT, "a", "2", 1};
    assert_int_equal(fixture_commit(*state, &seen, 1, &put, 1, NULL), RM_OK);
    assert_int_equal(fixture_commit(*state, &seen, 1, &put, 1, NULL), RM_ERR_CONFLICT);
    seen.revision = 0;
    assert_int_equal(fixture_commit(*state, &seen, 1, &put, 1, NULL), RM_ERR_CONFLICT);
}

static void one_of_many_conditions_is_enough_to_refuse(void **state)
{
    assert_int_equal(fixture_put(*state, "a", "1"), RM_OK);
    assert_int_equal(fixture_put(*state, "b", "1"), RM_OK);
    struct store_condition conditions[] = {{"a", 1}, {"c", 0}, {"b", 1}};
    struct store_operation operations[] = {{STORE_PUT, "c", "new", 3},
                                           {STORE_DELETE, "a", NULL, 0}};
    assert_int_equal(fixture_commit(*state, conditions, 3, operations, 2, NULL), RM_ERR_CONFLICT);
    assert_absent(*state, "c");
    assert_value(*state, "a", "1");
    conditions[2].revision = 2;
    assert_int_equal(fixture_commit(*state, conditions, 3, operations, 2, NULL), RM_OK);
    assert_value(*state, "c", "new");
    assert_absent(*state, "a");
}

static void refused_transaction_takes_no_revision(void **state)
{
    assert_int_equal(fixture_put(*state, "a", "1"), RM_OK);
    struct store_condition wrong = {"a", 7};
    struct store_operation put = {STORE_PUT, "a", "2", 1};
    uint64_t revision = 0;
    assert_int_equal(fixture_commit(*state, &wrong, 1, &put, 1, NULL), RM_ERR_CONFLICT);
    assert_int_equal(fixture_commit(*state, NULL, 0, &put, 1, &revision), RM_OK);
    assert_int_equal(revision, 2);
}

static void conditions_alone_ask_and_change_nothing(void **state)
{
    assert_int_equal(fixture_put(*state, "a", "1"), RM_OK);
    struct store_condition condition = {"a", 1};
    uint64_t revision = 0;
    assert_int_equal(fixture_commit(*state, &condition, 1, NULL, 0, &revision), RM_OK);
    assert_int_equal(revision, 1);
    condition.revision = 2;
    assert_int_equal(fixture_commit(*state, &condition, 1, NULL, 0, NULL), RM_ERR_CONFLICT);
    assert_int_equal(fixture_revision(*state), 1);
}

// Many at once share a batch: a counter that each raises only from the value it expects.
#define RACERS 32
struct race {
    struct fixture *fixture;     // borrowed
    enum rm_err results[RACERS]; // in order of the answers
    size_t answered;             // entries of results
};

static void on_race(void *context, enum rm_err result, uint64_t revision)
{
    struct race *race = context;
    (void)revision;
    race->results[race->answered] = result;
    fixture_count(race->fixture, &race->answered);
}

static void start_race(struct fixture *fixture, void *context)
{
    struct store_condition absent = {"prize", 0};
    struct store_operation put = {STORE_PUT, "prize", "won", 3};
    for (size_t i = 0; i < RACERS; i++) {
        assert_int_equal(store_commit(fixture->store, &absent, 1, &put, 1, on_race, context),
                         RM_OK);
    }
}

static void earlier_transactions_of_the_batch_count(void **state)
{
    struct race race = {.fixture = *state};
    fixture_run(*state, start_race, &race);
    fixture_wait(*state, &race.answered, RACERS);
    assert_int_equal(race.results[0], RM_OK);
    for (size_t i = 1; i < RACERS; i++) {
        assert_int_equal(race.results[i], RM_ERR_CONFLICT);
    }
    assert_value(*state, "prize", "won");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(key_must_be_absent),
        TEST(key_must_have_its_revision),
        TEST(one_of_many_conditions_is_enough_to_refuse),
        TEST(refused_transaction_takes_no_revision),
        TEST(conditions_alone_ask_and_change_nothing),
        TEST(earlier_transactions_of_the_batch_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
