// SPDX-License-Identifier: GPL-3.0-or-later
#include "store_fixture.h"

#define REQUESTS 100

struct ending {
    struct fixture *fixture;   // borrowed
    size_t committed;          // good answers
    size_t read;               // answers to reads
    size_t closed;             // 1 once the store is gone
    size_t answered_at_closed; // answers that came before
};

static void on_commit(void *context, enum rm_err result, uint64_t revision)
{
    struct ending *ending = context;
    (void)revision;
    assert_int_equal(result, RM_OK);
    ending->committed++;
}

static void on_read(void *context, enum rm_err result, const struct store_entry *entries,
                    size_t count, uint64_t revision)
{
    struct ending *ending = context;
    (void)entries;
    (void)revision;
    assert_int_equal(result, RM_OK);
    assert_int_equal(count, 1);
    ending->read++;
}

static void on_change(void *context, const struct store_entry *entry, bool is_deleted)
{
    (void)context;
    (void)entry;
    (void)is_deleted;
}

static void on_closed(void *context)
{
    struct ending *ending = context;
    ending->answered_at_closed = ending->committed + ending->read;
    fixture_count(ending->fixture, &ending->closed);
}

static void assert_refuses_all(struct store *store)
{
    struct store_operation put = {STORE_PUT, "late", "x", 1};
    struct store_watch *watch = NULL;
    assert_int_equal(store_commit(store, NULL, 0, &put, 1, on_commit, NULL), RM_ERR_CLOSED);
    assert_int_equal(store_read(store, "a", on_read, NULL), RM_ERR_CLOSED);
    assert_int_equal(store_read_prefix(store, "a", NULL, 0, on_read, NULL), RM_ERR_CLOSED);
    assert_int_equal(store_watch(store, "a", on_change, NULL, &watch), RM_ERR_CLOSED);
}

static void submit_and_close(struct fixture *fixture, void *context)
{
    struct ending *ending = context;
    struct store_operation put = {STORE_PUT, "a", "x", 1};
    struct store_watch *watch = NULL;
    assert_int_equal(store_watch(fixture->store, "", on_change, NULL, &watch), RM_OK);
    for (size_t i = 0; i < REQUESTS; i++) {
        assert_int_equal(store_commit(fixture->store, NULL, 0, &put, 1, on_commit, ending), RM_OK);
        assert_int_equal(store_read(fixture->store, "a", on_read, ending), RM_OK);
    }
    store_close(fixture->store, on_closed, ending);
    store_close(fixture->store, on_closed, ending); // once is enough
    assert_refuses_all(fixture->store);
    fixture->store = NULL;
}

static void pending_requests_are_answered_before_the_end(void **state)
{
    struct ending ending = {.fixture = *state};
    fixture_run(*state, submit_and_close, &ending);
    fixture_wait(*state, &ending.closed, 1);
    assert_int_equal(ending.answered_at_closed, 2 * REQUESTS);
    assert_int_equal(ending.closed, 1);
    fixture_open(*state);
    assert_int_equal(fixture_revision(*state), REQUESTS);
}

// --- Closing from a callback. --------------------------------------------------------------------

static void on_commit_close(void *context, enum rm_err result, uint64_t revision)
{
    struct ending *ending = context;
    struct store *store = ending->fixture->store;
    on_commit(context, result, revision);
    if (store != NULL) {
        ending->fixture->store = NULL;
        store_close(store, on_closed, ending);
        assert_refuses_all(store);
    }
}

static void submit_two(struct fixture *fixture, void *context)
{
    struct store_operation put = {STORE_PUT, "a", "x", 1};
    assert_int_equal(store_commit(fixture->store, NULL, 0, &put, 1, on_commit_close, context),
                     RM_OK);
    assert_int_equal(store_commit(fixture->store, NULL, 0, &put, 1, on_commit_close, context),
                     RM_OK);
}

static void callback_may_close_the_store(void **state)
{
    struct ending ending = {.fixture = *state};
    fixture_run(*state, submit_two, &ending);
    fixture_wait(*state, &ending.closed, 1);
    assert_int_equal(ending.answered_at_closed, 2);
}

static void close_silently(struct fixture *fixture, void *context)
{
    (void)context;
    store_close(fixture->store, NULL, NULL);
    fixture->store = NULL;
}

// The loop's open count keeps it running until the store is gone: teardown would hang or abort.
static void done_callback_may_be_left_out(void **state)
{
    fixture_run(*state, close_silently, NULL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pending_requests_are_answered_before_the_end),
        TEST(callback_may_close_the_store),
        TEST(done_callback_may_be_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
