// SPDX-License-Identifier: GPL-3.0-or-later
#include "store_fixture.h"

#include "base/alloc.h"
#include "records/transaction.h"

struct attempt {
    uint64_t fail_at;        // allocation that fails; 0: none
    unsigned steps;          // puts, and conditions
    size_t long_name;        // 1: the last step names a service too long for a key
    enum rm_err result;      // of transaction_commit(), or of the store
    size_t done;             // 1 once answered
    struct fixture *fixture; // borrowed
};

static void on_commit(void *context, enum rm_err result, uint64_t revision)
{
    struct attempt *attempt = context;
    (void)revision;
    attempt->result = result;
    fixture_count(attempt->fixture, &attempt->done);
}

static void build(struct transaction *transaction, const struct attempt *attempt)
{
    static char long_name[1024];
    struct service_record service = {.port = 80};
    memset(long_name, 'x', sizeof long_name - 1);
    for (unsigned i = 0; i < attempt->steps; i++) {
        char name[] = {(char)('a' + i), '\0'};
        char key[RECORD_KEY_BYTES];
        assert_int_equal(record_key_service(name, key), RM_OK);
        transaction_require(transaction, key, 0);
        transaction_put_service(transaction, name, &service);
    }
    if (attempt->long_name != 0) {
        transaction_put_service(transaction, long_name, &service);
    }
}

static void run(struct fixture *fixture, void *context)
{
    struct attempt *attempt = context;
    struct transaction transaction;
    transaction_init(&transaction);
    rm_alloc_fail_at(attempt->fail_at);
    build(&transaction, attempt);
    attempt->result = transaction_commit(&transaction, fixture->store, on_commit, attempt);
    rm_alloc_fail_at(0);
    assert_int_equal(transaction.operation_count, 0);
    if (attempt->result != RM_OK) {
        fixture_count(fixture, &attempt->done);
    }
}

static enum rm_err attempt_with(struct fixture *fixture, struct attempt attempt)
{
    attempt.fixture = fixture;
    fixture_run(fixture, run, &attempt);
    fixture_wait(fixture, &attempt.done, 1);
    return attempt.result;
}

static void all_or_nothing(void **state)
{
    assert_int_equal(attempt_with(*state, (struct attempt){.steps = 3, .long_name = 1}),
                     RM_ERR_TOO_LARGE);
    assert_absent(*state, "service/a");
    assert_int_equal(attempt_with(*state, (struct attempt){.steps = TRANSACTION_MAX_STEPS + 1}),
                     RM_ERR_LIMIT);
    assert_absent(*state, "service/a");
    assert_int_equal(attempt_with(*state, (struct attempt){.steps = TRANSACTION_MAX_STEPS}), RM_OK);
    assert_int_equal(attempt_with(*state, (struct attempt){.steps = 1}), RM_ERR_CONFLICT);
}

static void each_allocation_may_fail(void **state)
{
    enum rm_err result = RM_ERR_NO_MEMORY;
    uint64_t n = 1;
    for (; result != RM_OK; n++) {
        result = attempt_with(*state, (struct attempt){.steps = 2, .fail_at = n});
        assert_true(result == RM_OK || result == RM_ERR_NO_MEMORY);
    }
    assert_true(n > 6);
}

static void init_leaves_nothing(void **state)
{
    (void)state;
    struct transaction transaction;
    transaction_init(&transaction);
    transaction_delete(&transaction, "a");
    transaction_require(&transaction, "b", 7);
    assert_int_equal(transaction.operation_count, 1);
    assert_int_equal(transaction.conditions[0].revision, 7);
    transaction_deinit(&transaction);
    transaction_deinit(&transaction);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_or_nothing),
        TEST(each_allocation_may_fail),
        cmocka_unit_test(init_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
