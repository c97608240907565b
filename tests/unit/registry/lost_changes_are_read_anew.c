// SPDX-License-Identifier: GPL-3.0-or-later
//
// A change that memory does not take must not be missing from the view: after every failed
// allocation the view becomes what the store says.
#include "registry_fixture.h"

#include <stdio.h>

#include "base/alloc.h"
#include "registry/registry_internal.h"

struct attempt {
    struct registry_fixture *fixture;
    uint64_t fail_at;
    unsigned step;
    bool was_met;
    size_t done;
};

static void on_committed(void *context, enum rm_err result, uint64_t revision)
{
    struct attempt *attempt = context;
    (void)result;
    (void)revision;
    fixture_count(attempt->fixture->base, &attempt->done);
}

// One transaction that touches every kind: a service, an endpoint and a withdrawal come or go.
static void do_change(struct fixture *base, void *context)
{
    struct attempt *attempt = context;
    struct transaction transaction;
    char name[32];
    char zone[32];
    snprintf(name, sizeof name, "s%u", attempt->step);
    snprintf(zone, sizeof zone, "z%u", attempt->step);
    struct service_record service = {.port = 80,
                                     .identities = {(char *[]){(char *)(uintptr_t)WEB_ID}, 1}};
    struct endpoint_record endpoint = {.identity = (char *)(uintptr_t)WEB_ID,
                                       .address = (char *)(uintptr_t) "10.0.0.1:15008",
                                       .zone = zone};
    struct withdrawal_record withdrawal = {
        .kind = TRUST_REVOKED_LINEAGE,
        .subject = {(uint8_t *)(uintptr_t)lineage(100 + attempt->step % 100), LINEAGE_BYTES},
        .expires_s = 4000000000,
        .reason = (char *)(uintptr_t) "test"};
    memcpy(endpoint.lineage, lineage(1), LINEAGE_BYTES);
    transaction_init(&transaction);
    transaction_put_service(&transaction, "web", &service);
    transaction_put_service(&transaction, name, &service);
    transaction_put_endpoint(&transaction, "web", FIRST_PROCESS, &endpoint);
    transaction_put_withdrawal(&transaction, &withdrawal);
    if (attempt->step > 0) {
        snprintf(name, sizeof name, "service/s%u", attempt->step - 1);
        transaction_delete(&transaction, name);
    }
    assert_int_equal(transaction_commit(&transaction, base->store, on_committed, attempt), RM_OK);
    rm_alloc_fail_at(attempt->fail_at); // of this thread: what the watch and the view need
}

static bool is_in_step(struct registry_fixture *fixture, const void *context)
{
    const struct attempt *attempt = context;
    const struct mesh_view *view = registry_view(fixture->registry);
    char name[32];
    char before[16];
    char zone[32];
    snprintf(name, sizeof name, "s%u", attempt->step);
    snprintf(before, sizeof before, "s%u", attempt->step - 1);
    snprintf(zone, sizeof zone, "z%u", attempt->step);
    const struct mesh_resource *endpoint =
        mesh_view_find(view, MESH_ENDPOINT, "web/" FIRST_PROCESS);
    return sm_is(&fixture->registry->sm, REGISTRY_FOLLOWING) &&
           mesh_view_count(view, MESH_SERVICE) == 2 &&
           mesh_view_find(view, MESH_SERVICE, name) != NULL &&
           mesh_view_count(view, MESH_WITHDRAWAL) ==
               (attempt->step < 99 ? attempt->step + 1 : 100) &&
           endpoint != NULL && strcmp(endpoint->of.endpoint.zone, zone) == 0;
}

static void do_disarm(struct fixture *base, void *context)
{
    struct attempt *attempt = context;
    (void)base;
    attempt->was_met = rm_alloc_count() >= attempt->fail_at;
    rm_alloc_fail_at(0);
}

static void every_allocation_may_fail(void **state)
{
    struct registry_fixture *fixture = *state;
    struct attempt attempt = {.fixture = fixture, .was_met = true};
    struct registry_endpoint endpoint = endpoint_of(1, "web", FIRST_PROCESS, "10.0.0.1:15008");
    set_service(fixture, "web", LIST(WEB_ID), NULL);
    assert_int_equal(register_one(fixture, &endpoint), RM_OK); // somebody holds it
    for (uint64_t n = 1; attempt.was_met && n < 500; n++) {
        attempt.fail_at = n;
        attempt.done = 0;
        fixture_run(fixture->base, do_change, &attempt);
        fixture_wait(fixture->base, &attempt.done, 1);
        struct answer answer = {0}; // a turn of the loop later the view was made
        fixture_read(fixture->base, "none", &answer);
        answer_free(&answer);
        fixture_run(fixture->base, do_disarm, &attempt);
        jump(fixture, REGISTRY_RETRY_MS + 1);
        wait_until(fixture, is_in_step, &attempt);
        attempt.step++;
    }
    assert_false(attempt.was_met); // it ended for want of allocations
    assert_true(attempt.step > 30);
}

struct seen {
    size_t count;
    bool reaches;
};

static void count_change(void *context, uint64_t number, enum mesh_kind kind, const char *key)
{
    (void)number;
    (void)kind;
    (void)key;
    ((struct seen *)context)->count++;
}

struct since {
    struct registry_fixture *fixture;
    uint64_t number;
    struct seen seen;
};

static void do_since(struct fixture *base, void *context)
{
    struct since *since = context;
    (void)base;
    since->seen = (struct seen){0};
    since->seen.reaches =
        registry_changes_since(since->fixture->registry, since->number, count_change, &since->seen);
}

static void do_lose(struct fixture *base, void *context)
{
    struct registry_fixture *fixture = context;
    (void)base;
    registry_lose_change(fixture->registry, RM_ERR_NO_MEMORY);
}

static bool is_following(struct registry_fixture *fixture, const void *context)
{
    (void)context;
    return sm_is(&fixture->registry->sm, REGISTRY_FOLLOWING);
}

static void do_version(struct fixture *base, void *context)
{
    struct since *since = context;
    (void)base;
    since->number = registry_version(since->fixture->registry).number;
}

static void after_a_loss_the_log_does_not_reach_back(void **state)
{
    struct registry_fixture *fixture = *state;
    struct since since = {.fixture = fixture};
    set_service(fixture, "web", LIST(WEB_ID), NULL);
    fixture_run(fixture->base, do_version, &since);
    set_service(fixture, "api", LIST(WEB_ID), NULL);
    set_service(fixture, "web", LIST(CACHE_ID), NULL);
    fixture_run(fixture->base, do_since, &since);
    assert_true(since.seen.reaches);
    assert_int_equal(since.seen.count, 2);
    fixture_run(fixture->base, do_lose, fixture);
    set_service(fixture, "late", LIST(WEB_ID), NULL); // while it is behind
    assert_int_equal(fixture_delete(fixture->base, "service/api"), RM_OK);
    jump(fixture, REGISTRY_RETRY_MS + 1);
    wait_until(fixture, is_following, NULL);
    fixture_run(fixture->base, do_since, &since);
    assert_false(since.seen.reaches);
    fixture_run(fixture->base, do_version, &since);
    fixture_run(fixture->base, do_since, &since);
    assert_true(since.seen.reaches);
    assert_int_equal(since.seen.count, 0);
    assert_int_equal(put_service(fixture, "late", LIST(WEB_ID), NULL, 0), RM_ERR_CONFLICT);
    assert_int_equal(delete_service(fixture, "api"), RM_ERR_NOT_FOUND);
}

static void do_lose_and_reload(struct fixture *base, void *context)
{
    struct registry_fixture *fixture = context;
    (void)base;
    registry_lose_change(fixture->registry, RM_ERR_NO_MEMORY);
    registry_on_retry(fixture->registry);
    registry_free(fixture->registry); // while everything is being read
    fixture->registry = NULL;
}

static void registry_may_end_while_it_reads(void **state)
{
    struct registry_fixture *fixture = *state;
    set_service(fixture, "web", LIST(WEB_ID), NULL);
    fixture_run(fixture->base, do_lose_and_reload, fixture);
    registry_start(fixture);
    assert_int_equal(put_service(fixture, "web", LIST(WEB_ID), NULL, 0), RM_ERR_CONFLICT);
}

static void endpoint_that_nobody_holds_leaves(void **state)
{
    struct registry_fixture *fixture = *state;
    set_service(fixture, "web", LIST(WEB_ID), NULL);
    struct registry_endpoint lost = endpoint_of(1, "web", FIRST_PROCESS, "10.0.0.1:15008");
    struct registry_endpoint held = endpoint_of(2, "web", SECOND_PROCESS, "10.0.0.2:15008");
    fixture_run(fixture->base, do_lose, fixture);
    // Both become durable while the registry is behind; one of them ends meanwhile.
    assert_int_equal(register_one(fixture, &lost), RM_OK);
    assert_int_equal(register_one(fixture, &held), RM_OK);
    unregister(fixture, 1, FIRST_PROCESS, REGISTRY_ENDPOINT_GRACE_MS);
    jump(fixture, REGISTRY_RETRY_MS + 1);
    wait_endpoints(fixture, "web", 2);
    jump(fixture, REGISTRY_ENDPOINT_GRACE_MS + 1);
    wait_endpoints(fixture, "web", 1);
    assert_string_equal(address_in_view(fixture, "web/" SECOND_PROCESS), "10.0.0.2:15008");
}

static void damaged_record_does_not_count_on(void **state)
{
    struct registry_fixture *fixture = *state;
    set_service(fixture, "web", LIST(WEB_ID), NULL);
    struct registry_endpoint endpoint = endpoint_of(1, "web", FIRST_PROCESS, "10.0.0.1:15008");
    assert_int_equal(register_one(fixture, &endpoint), RM_OK);
    wait_endpoints(fixture, "web", 1);
    assert_int_equal(fixture_put(fixture->base, "service/web", "garbage"), RM_OK);
    wait_endpoints(fixture, "web", 0);
    assert_int_equal(register_one(fixture, &endpoint), RM_ERR_NOT_FOUND);
}

#define PROMISE(name)                                                                              \
    cmocka_unit_test_setup_teardown(name, registry_fixture_setup, registry_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROMISE(every_allocation_may_fail),
        PROMISE(after_a_loss_the_log_does_not_reach_back),
        PROMISE(registry_may_end_while_it_reads),
        PROMISE(endpoint_that_nobody_holds_leaves),
        PROMISE(damaged_record_does_not_count_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
