// SPDX-License-Identifier: GPL-3.0-or-later
#include "store_fixture.h"

#include <stdio.h>

#include "base/alloc.h"

// What a watch saw, as text: "+key=value@revision" or "-key@revision", each with a space.
struct log {
    struct fixture *fixture;   // borrowed
    struct store_watch *watch; // while it lives
    char text[4096];           // what it saw
    size_t length;             // of text
};

static void on_change(void *context, const struct store_entry *entry, bool is_deleted)
{
    struct log *log = context;
    char *at = log->text + log->length;
    size_t room = sizeof(log->text) - log->length;
    int written = 0;
    if (is_deleted) {
        assert_null(entry->value);
        written = snprintf(at, room, "-%s@%llu ", entry->key, (unsigned long long)entry->revision);
    } else {
        assert_non_null(entry->value);
        written = snprintf(at, room, "+%s=%.*s@%llu ", entry->key, (int)entry->value_length,
                           (const char *)entry->value, (unsigned long long)entry->revision);
    }
    log->length += (size_t)written;
}

struct watch_call {
    const char *prefix;        // to watch
    store_change_fn on_change; // for the watch
    void *context;             // for on_change
    struct store_watch *watch; // the result
};

static void do_watch(struct fixture *fixture, void *context)
{
    struct watch_call *call = context;
    assert_int_equal(
        store_watch(fixture->store, call->prefix, call->on_change, call->context, &call->watch),
        RM_OK);
}

static struct store_watch *start_watch(struct fixture *fixture, const char *prefix,
                                       store_change_fn function, void *context)
{
    struct watch_call call = {.prefix = prefix, .on_change = function, .context = context};
    fixture_run(fixture, do_watch, &call);
    return call.watch;
}

static void do_cancel(struct fixture *fixture, void *context)
{
    (void)fixture;
    store_watch_cancel(context);
}

static void each_change_is_seen_once_in_order(void **state)
{
    struct log log = {0};
    start_watch(*state, "a/", on_change, &log);
    struct store_operation both[] = {{STORE_PUT, "a/2", "y", 1}, {STORE_PUT, "b/1", "n", 1}};
    assert_int_equal(fixture_put(*state, "a/1", "x"), RM_OK);
    assert_int_equal(fixture_commit(*state, NULL, 0, both, 2, NULL), RM_OK);
    assert_int_equal(fixture_put(*state, "a/1", ""), RM_OK);
    assert_int_equal(fixture_delete(*state, "a/2"), RM_OK);
    assert_string_equal(log.text, "+a/1=x@1 +a/2=y@2 +a/1=@3 -a/2@4 ");
}

static void deleted_prefix_names_each_key(void **state)
{
    struct log log = {0};
    struct store_operation delete = {STORE_DELETE_PREFIX, "a/", NULL, 0};
    assert_int_equal(fixture_put(*state, "a/1", "x"), RM_OK);
    assert_int_equal(fixture_put(*state, "a/2", "y"), RM_OK);
    assert_int_equal(fixture_put(*state, "a", "z"), RM_OK);
    start_watch(*state, "a", on_change, &log);
    assert_int_equal(fixture_commit(*state, NULL, 0, &delete, 1, NULL), RM_OK);
    assert_string_equal(log.text, "-a/1@4 -a/2@4 ");
}

static void what_changed_nothing_is_not_seen(void **state)
{
    struct log log = {0};
    struct store_condition wrong = {"a", 9};
    struct store_operation put = {STORE_PUT, "a", "x", 1};
    struct store_operation delete = {STORE_DELETE_PREFIX, "zz", NULL, 0};
    start_watch(*state, "", on_change, &log);
    assert_int_equal(fixture_commit(*state, &wrong, 1, &put, 1, NULL), RM_ERR_CONFLICT);
    assert_int_equal(fixture_delete(*state, "a"), RM_OK);
    assert_int_equal(fixture_commit(*state, NULL, 0, &delete, 1, NULL), RM_OK);
    assert_string_equal(log.text, "");
}

static void earlier_changes_are_not_seen(void **state)
{
    struct log log = {0};
    assert_int_equal(fixture_put(*state, "a", "before"), RM_OK);
    start_watch(*state, "", on_change, &log);
    assert_int_equal(fixture_put(*state, "a", "after"), RM_OK);
    assert_string_equal(log.text, "+a=after@2 ");
}

static void cancelled_watch_sees_no_more(void **state)
{
    struct log log = {0};
    struct store_watch *watch = start_watch(*state, "", on_change, &log);
    assert_int_equal(fixture_put(*state, "a", "1"), RM_OK);
    fixture_run(*state, do_cancel, watch);
    assert_int_equal(fixture_put(*state, "a", "2"), RM_OK);
    assert_string_equal(log.text, "+a=1@1 ");
}

// --- Watches are told before the caller. ---------------------------------------------------------

struct order {
    struct fixture *fixture; // borrowed
    struct log log;          // of the watch
    char at_answer[128];     // what the log said when the answer came
    size_t done;             // 1 once answered
};

static void on_committed(void *context, enum rm_err result, uint64_t revision)
{
    struct order *order = context;
    assert_int_equal(result, RM_OK);
    assert_int_equal(store_revision(order->fixture->store), revision);
    snprintf(order->at_answer, sizeof(order->at_answer), "%.100s", order->log.text);
    fixture_count(order->fixture, &order->done);
}

static void commit_one(struct fixture *fixture, void *context)
{
    struct store_operation put = {STORE_PUT, "a", "1", 1};
    assert_int_equal(store_commit(fixture->store, NULL, 0, &put, 1, on_committed, context), RM_OK);
}

static void watch_is_told_before_the_answer(void **state)
{
    struct order order = {.fixture = *state};
    start_watch(*state, "", on_change, &order.log);
    fixture_run(*state, commit_one, &order);
    fixture_wait(*state, &order.done, 1);
    assert_string_equal(order.at_answer, "+a=1@1 ");
}

// --- Callbacks that change the watches. ----------------------------------------------------------

static void on_change_cancel_itself(void *context, const struct store_entry *entry, bool is_deleted)
{
    struct log *log = context;
    on_change(log, entry, is_deleted);
    store_watch_cancel(log->watch);
}

static void callback_may_cancel_its_own_watch(void **state)
{
    struct log once = {0};
    struct log other = {0};
    struct store_operation puts[] = {{STORE_PUT, "a", "1", 1}, {STORE_PUT, "b", "2", 1}};
    once.watch = start_watch(*state, "", on_change_cancel_itself, &once);
    start_watch(*state, "", on_change, &other);
    assert_int_equal(fixture_commit(*state, NULL, 0, puts, 2, NULL), RM_OK);
    assert_string_equal(once.text, "+a=1@1 ");
    assert_string_equal(other.text, "+a=1@1 +b=2@1 ");
}

static void on_change_cancel_next(void *context, const struct store_entry *entry, bool is_deleted)
{
    struct log *victim = context;
    (void)entry;
    (void)is_deleted;
    if (victim->watch != NULL) {
        store_watch_cancel(victim->watch);
        victim->watch = NULL;
    }
}

static void callback_may_cancel_another_watch(void **state)
{
    struct log victim = {0};
    start_watch(*state, "", on_change_cancel_next, &victim);
    victim.watch = start_watch(*state, "", on_change, &victim);
    assert_int_equal(fixture_put(*state, "a", "1"), RM_OK);
    assert_string_equal(victim.text, "");
}

static void on_change_watch_more(void *context, const struct store_entry *entry, bool is_deleted)
{
    struct log *log = context;
    (void)is_deleted;
    if (log->watch == NULL) {
        assert_string_equal(entry->key, "a");
        assert_int_equal(store_watch(log->fixture->store, "", on_change, log, &log->watch), RM_OK);
    }
}

static void watch_made_in_a_callback_starts_with_the_next_change(void **state)
{
    struct log log = {.fixture = *state};
    struct store_operation puts[] = {{STORE_PUT, "a", "1", 1}, {STORE_PUT, "b", "2", 1}};
    start_watch(*state, "", on_change_watch_more, &log);
    assert_int_equal(fixture_commit(*state, NULL, 0, puts, 2, NULL), RM_OK);
    assert_string_equal(log.text, "+b=2@1 ");
}

// --- Failures. -----------------------------------------------------------------------------------

static void watch_without_memory(struct fixture *fixture, void *context)
{
    struct store_watch *watch = NULL;
    (void)context;
    rm_alloc_fail_at(1);
    assert_int_equal(store_watch(fixture->store, "", on_change, NULL, &watch), RM_ERR_NO_MEMORY);
    rm_alloc_fail_at(0);
    assert_int_equal(store_watch(fixture->store, "\n", on_change, NULL, &watch), RM_ERR_MALFORMED);
    assert_null(watch);
}

static void watch_that_fails_leaves_nothing(void **state)
{
    fixture_run(*state, watch_without_memory, NULL);
    assert_int_equal(fixture_put(*state, "a", "1"), RM_OK);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_change_is_seen_once_in_order),
        TEST(deleted_prefix_names_each_key),
        TEST(what_changed_nothing_is_not_seen),
        TEST(earlier_changes_are_not_seen),
        TEST(cancelled_watch_sees_no_more),
        TEST(watch_is_told_before_the_answer),
        TEST(callback_may_cancel_its_own_watch),
        TEST(callback_may_cancel_another_watch),
        TEST(watch_made_in_a_callback_starts_with_the_next_change),
        TEST(watch_that_fails_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
