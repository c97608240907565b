// SPDX-License-Identifier: GPL-3.0-or-later
#include "store_fixture.h"

#include <stdio.h>

#define ROUNDS 200

// Each round puts a number and reads it, without waiting for anything.
struct rounds {
    struct fixture *fixture; // borrowed
    size_t answered;         // answers so far: put, read, put, read ...
};

static void on_put(void *context, enum rm_err result, uint64_t revision)
{
    struct rounds *rounds = context;
    assert_int_equal(result, RM_OK);
    assert_int_equal(rounds->answered % 2, 0);
    assert_int_equal(revision, rounds->answered / 2 + 1);
    fixture_count(rounds->fixture, &rounds->answered);
}

static void on_read_back(void *context, enum rm_err result, const struct store_entry *entries,
                         size_t count, uint64_t revision)
{
    struct rounds *rounds = context;
    char expected[16];
    int length = snprintf(expected, sizeof(expected), "%zu", rounds->answered / 2);
    assert_int_equal(rounds->answered % 2, 1);
    assert_int_equal(result, RM_OK);
    assert_int_equal(count, 1);
    assert_int_equal(entries[0].value_length, length);
    assert_memory_equal(entries[0].value, expected, (size_t)length);
    assert_int_equal(revision, rounds->answered / 2 + 1);
    fixture_count(rounds->fixture, &rounds->answered);
}

static void start_rounds(struct fixture *fixture, void *context)
{
    for (size_t i = 0; i < ROUNDS; i++) {
        char text[16];
        int length = snprintf(text, sizeof(text), "%zu", i);
        struct store_operation put = {STORE_PUT, "counter", text, (size_t)length};
        assert_int_equal(store_commit(fixture->store, NULL, 0, &put, 1, on_put, context), RM_OK);
        assert_int_equal(store_read(fixture->store, "counter", on_read_back, context), RM_OK);
    }
}

static void read_sees_every_earlier_write(void **state)
{
    struct rounds rounds = {.fixture = *state};
    fixture_run(*state, start_rounds, &rounds);
    fixture_wait(*state, &rounds.answered, 2 * ROUNDS);
}

// --- A callback may ask again. -------------------------------------------------------------------

struct chain {
    struct fixture *fixture; // borrowed
    size_t left;             // commits still to make
    size_t done;             // 1 at the end
};

static void on_link(void *context, enum rm_err result, uint64_t revision)
{
    struct chain *chain = context;
    (void)revision;
    assert_int_equal(result, RM_OK);
    if (chain->left == 0) {
        fixture_count(chain->fixture, &chain->done);
        return;
    }
    chain->left--;
    struct store_operation put = {STORE_PUT, "chain", "x", 1};
    assert_int_equal(store_commit(chain->fixture->store, NULL, 0, &put, 1, on_link, chain), RM_OK);
}

static void start_chain(struct fixture *fixture, void *context)
{
    (void)fixture;
    on_link(context, RM_OK, 0);
}

static void callback_may_commit_again(void **state)
{
    struct chain chain = {.fixture = *state, .left = 20};
    fixture_run(*state, start_chain, &chain);
    fixture_wait(*state, &chain.done, 1);
    assert_int_equal(fixture_revision(*state), 20);
}

static void commit_without_callback(struct fixture *fixture, void *context)
{
    (void)context;
    struct store_operation put = {STORE_PUT, "silent", "x", 1};
    assert_int_equal(store_commit(fixture->store, NULL, 0, &put, 1, NULL, NULL), RM_OK);
}

static void callback_may_be_left_out(void **state)
{
    fixture_run(*state, commit_without_callback, NULL);
    assert_value(*state, "silent", "x");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(read_sees_every_earlier_write),
        TEST(callback_may_commit_again),
        TEST(callback_may_be_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
