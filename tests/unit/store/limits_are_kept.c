// SPDX-License-Identifier: GPL-3.0-or-later
#include "store_fixture.h"

#include "base/alloc.h"

static void bad_keys_are_refused(void **state)
{
    char longest[STORE_MAX_KEY_BYTES + 2];
    memset(longest, 'k', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(fixture_put(*state, longest, "v"), RM_ERR_LIMIT);
    assert_int_equal(fixture_put(*state, "", "v"), RM_ERR_MALFORMED);
    assert_int_equal(fixture_put(*state, "tab\there", "v"), RM_ERR_MALFORMED);
    assert_int_equal(fixture_put(*state, "\x7f", "v"), RM_ERR_MALFORMED);
    assert_int_equal(fixture_put(*state, "gr\xc3\xbc\xc3\x9f", "v"), RM_ERR_MALFORMED);
    assert_int_equal(fixture_delete(*state, ""), RM_ERR_MALFORMED);
    struct answer answer = {0};
    fixture_read(*state, "", &answer);
    assert_int_equal(answer.result, RM_ERR_MALFORMED);
    fixture_read_prefix(*state, "a\n", NULL, 0, &answer);
    assert_int_equal(answer.result, RM_ERR_MALFORMED);
    fixture_read_prefix(*state, "a", "a\n", 0, &answer);
    assert_int_equal(answer.result, RM_ERR_MALFORMED);
    assert_int_equal(fixture_revision(*state), 0);
}

static void bad_condition_key_is_refused(void **state)
{
    struct store_condition condition = {"", 0};
    struct store_operation put = {STORE_PUT, "a", "1", 1};
    assert_int_equal(fixture_commit(*state, &condition, 1, &put, 1, NULL), RM_ERR_MALFORMED);
    assert_absent(*state, "a");
}

static void too_large_value_is_refused(void **state)
{
    uint8_t *value = rm_calloc(1, STORE_MAX_VALUE_BYTES + 1);
    struct store_operation put = {STORE_PUT, "a", value, STORE_MAX_VALUE_BYTES + 1};
    assert_int_equal(fixture_commit(*state, NULL, 0, &put, 1, NULL), RM_ERR_LIMIT);
    rm_free(value);
}

static void too_many_operations_are_refused(void **state)
{
    struct store_operation puts[STORE_MAX_OPERATIONS + 1];
    struct store_condition conditions[STORE_MAX_OPERATIONS + 1];
    for (size_t i = 0; i <= STORE_MAX_OPERATIONS; i++) {
        puts[i] = (struct store_operation){STORE_PUT, "a", "1", 1};
        conditions[i] = (struct store_condition){"b", 0};
    }
    assert_int_equal(fixture_commit(*state, NULL, 0, puts, STORE_MAX_OPERATIONS + 1, NULL),
                     RM_ERR_LIMIT);
    assert_int_equal(fixture_commit(*state, conditions, STORE_MAX_OPERATIONS + 1, puts, 1, NULL),
                     RM_ERR_LIMIT);
    assert_int_equal(
        fixture_commit(*state, conditions, STORE_MAX_OPERATIONS, puts, STORE_MAX_OPERATIONS, NULL),
        RM_OK);
}

static void too_long_page_is_refused(void **state)
{
    struct answer answer = {0};
    fixture_read_prefix(*state, "a", NULL, STORE_MAX_READ_ENTRIES + 1, &answer);
    assert_int_equal(answer.result, RM_ERR_LIMIT);
    fixture_read_prefix(*state, "a", NULL, STORE_MAX_READ_ENTRIES, &answer);
    assert_int_equal(answer.result, RM_OK);
}

// An answer that would be too large says so instead of being cut.
static void too_large_answer_is_refused_whole(void **state)
{
    uint8_t *value = rm_calloc(1, STORE_MAX_VALUE_BYTES);
    struct answer answer = {0};
    for (char i = 0; i < 65; i++) {
        const char key[] = {'a', (char)('0' + i), '\0'};
        struct store_operation put = {STORE_PUT, key, value, STORE_MAX_VALUE_BYTES};
        assert_int_equal(fixture_commit(*state, NULL, 0, &put, 1, NULL), RM_OK);
    }
    rm_free(value);
    fixture_read_prefix(*state, "a", NULL, 0, &answer);
    assert_int_equal(answer.result, RM_ERR_TOO_LARGE);
    assert_int_equal(answer.count, 0);
    fixture_read_prefix(*state, "a", NULL, 8, &answer);
    assert_int_equal(answer.result, RM_OK);
    assert_int_equal(answer.count, 8);
    answer_free(&answer);
}

// --- Too much at once. ---------------------------------------------------------------------------

struct flood {
    struct fixture *fixture; // borrowed
    size_t value_length;     // of each put
    size_t accepted;         // requests that were taken
    size_t answered;         // of them
    enum rm_err refused;     // what the first refusal said
};

static void on_flood(void *context, enum rm_err result, uint64_t revision)
{
    struct flood *flood = context;
    (void)revision;
    assert_int_equal(result, RM_OK);
    fixture_count(flood->fixture, &flood->answered);
}

// Everything in one turn of the loop, so that no answer makes room meanwhile.
static void start_flood(struct fixture *fixture, void *context)
{
    struct flood *flood = context;
    uint8_t *value = rm_calloc(1, flood->value_length);
    struct store_operation put = {STORE_PUT, "a", value, flood->value_length};
    while (flood->refused == RM_OK) {
        flood->refused = store_commit(fixture->store, NULL, 0, &put, 1, on_flood, flood);
        flood->accepted += flood->refused == RM_OK;
    }
    rm_free(value);
}

static void too_many_pending_requests_are_refused(void **state)
{
    struct flood flood = {.fixture = *state, .value_length = 1};
    fixture_run(*state, start_flood, &flood);
    assert_int_equal(flood.refused, RM_ERR_BUSY);
    assert_int_equal(flood.accepted, STORE_MAX_PENDING);
    fixture_wait(*state, &flood.answered, flood.accepted);
    assert_int_equal(fixture_put(*state, "after", "1"), RM_OK);
}

static void too_many_pending_bytes_are_refused(void **state)
{
    struct flood flood = {.fixture = *state, .value_length = STORE_MAX_VALUE_BYTES};
    fixture_run(*state, start_flood, &flood);
    assert_int_equal(flood.refused, RM_ERR_BUSY);
    assert_true(flood.accepted <= STORE_MAX_PENDING_BYTES / STORE_MAX_VALUE_BYTES);
    fixture_wait(*state, &flood.answered, flood.accepted);
    assert_int_equal(fixture_put(*state, "after", "1"), RM_OK);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bad_keys_are_refused),
        TEST(bad_condition_key_is_refused),
        TEST(too_large_value_is_refused),
        TEST(too_many_operations_are_refused),
        TEST(too_long_page_is_refused),
        TEST(too_large_answer_is_refused_whole),
        TEST(too_many_pending_requests_are_refused),
        TEST(too_many_pending_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
