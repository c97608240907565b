// SPDX-License-Identifier: GPL-3.0-or-later
//
// Addresses and instance ids are seen by others: neither lets a workload end or replace one of
// another lineage that lives.
#include "registry_fixture.h"

#include "audit/alarms.h"
#include "records/record_keys.h"

#define A "10.0.0.1:15008"
#define B "10.0.0.2:15008"

static struct registry_fixture *with_victim(void **state)
{
    struct registry_fixture *fixture = *state;
    set_service(fixture, "web", LIST(WEB_ID, CACHE_ID), NULL);
    set_service(fixture, "api", LIST(WEB_ID), NULL);
    struct registry_endpoint victim = endpoint_of(1, "web", FIRST_PROCESS, A);
    assert_int_equal(register_one(fixture, &victim), RM_OK);
    wait_endpoints(fixture, "web", 1);
    return fixture;
}

static void held_address_is_refused_and_alarmed(void **state)
{
    struct registry_fixture *fixture = with_victim(state);
    struct registry_endpoint thief = endpoint_of(2, "api", SECOND_PROCESS, A);
    assert_int_equal(register_one(fixture, &thief), RM_ERR_EXISTS);
    assert_non_null(strstr(last_sentence(), "held by a live instance of another workload (web)"));
    assert_int_equal(alarms_count(), 1);
    assert_int_equal(endpoint_count(fixture, "api"), 0);
}

static void one_workload_may_offer_two_services_at_one_address(void **state)
{
    struct registry_fixture *fixture = with_victim(state);
    struct registry_endpoint same = endpoint_of(1, "api", FIRST_PROCESS, A);
    assert_int_equal(register_one(fixture, &same), RM_OK);
    wait_endpoints(fixture, "api", 1);
    assert_int_equal(endpoint_count(fixture, "web"), 1);
}

struct two {
    struct registry_fixture *fixture;
    struct registry_endpoint endpoints[2];
    enum rm_err results[2];
    size_t done;
};

static void on_two(void *context, enum rm_err result, const struct rm_error *error)
{
    struct two *two = context;
    (void)error;
    two->results[result != RM_OK] = result; // the refusal comes at once, the other when durable
    fixture_count(two->fixture->base, &two->done);
}

static void do_two(struct fixture *base, void *context)
{
    struct two *two = context;
    (void)base;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(registry_register(two->fixture->registry, &two->endpoints[i], on_two, two),
                         RM_OK);
    }
}

static void of_two_at_once_one_gets_the_address(void **state)
{
    struct registry_fixture *fixture = with_victim(state);
    struct two two = {.fixture = fixture,
                      .endpoints = {endpoint_of(2, "api", SECOND_PROCESS, B),
                                    endpoint_of(3, "api", FIRST_PROCESS, B)}};
    fixture_run(fixture->base, do_two, &two);
    fixture_wait(fixture->base, &two.done, 2);
    assert_int_equal(two.results[0], RM_OK);
    assert_int_equal(two.results[1], RM_ERR_EXISTS);
    wait_endpoints(fixture, "api", 1);
}

static void instance_id_of_another_is_refused(void **state)
{
    struct registry_fixture *fixture = with_victim(state);
    struct registry_endpoint thief = endpoint_of(2, "web", FIRST_PROCESS, B);
    assert_int_equal(register_one(fixture, &thief), RM_ERR_EXISTS);
    thief.identity = CACHE_ID;
    assert_int_equal(register_one(fixture, &thief), RM_ERR_EXISTS);
    assert_int_equal(alarms_count(), 2);
    // Nor while the victim is away for a moment.
    unregister(fixture, 1, FIRST_PROCESS, REGISTRY_ENDPOINT_GRACE_MS);
    assert_int_equal(register_one(fixture, &thief), RM_ERR_EXISTS);
    thief.identity = WEB_ID;
    assert_int_equal(register_one(fixture, &thief), RM_ERR_EXISTS);
    assert_string_equal(address_in_view(fixture, "web/" FIRST_PROCESS), A);
}

static void goodbye_with_the_id_of_another_ends_nothing(void **state)
{
    struct registry_fixture *fixture = with_victim(state);
    unregister(fixture, 2, FIRST_PROCESS, 0);
    struct registry_endpoint own = endpoint_of(2, "api", FIRST_PROCESS, B);
    assert_int_equal(register_one(fixture, &own), RM_OK);
    wait_endpoints(fixture, "api", 1);
    unregister(fixture, 2, FIRST_PROCESS, 0);
    wait_endpoints(fixture, "api", 0);
    assert_int_equal(endpoint_count(fixture, "web"), 1);
    assert_int_equal(count_stored(fixture, RECORD_ENDPOINT_PREFIX), 1);
}

static void restarted_workload_gets_its_address_back(void **state)
{
    struct registry_fixture *fixture = with_victim(state);
    struct registry_endpoint next = endpoint_of(2, "web", SECOND_PROCESS, A);
    assert_int_equal(register_one(fixture, &next), RM_ERR_EXISTS);
    unregister(fixture, 1, FIRST_PROCESS, REGISTRY_ENDPOINT_GRACE_MS); // its stream ended
    assert_int_equal(register_one(fixture, &next), RM_OK);
    wait_endpoints(fixture, "web", 1);
    assert_string_equal(address_in_view(fixture, "web/" SECOND_PROCESS), A);
    assert_string_equal(address_in_view(fixture, "web/" FIRST_PROCESS), "");
    jump(fixture, REGISTRY_ENDPOINT_GRACE_MS + 1); // the first one's end takes nothing along
    assert_int_equal(count_stored(fixture, RECORD_ENDPOINT_PREFIX), 1);
}

static void process_attested_anew_keeps_its_endpoint(void **state)
{
    struct registry_fixture *fixture = with_victim(state);
    struct registry_endpoint again = endpoint_of(2, "web", FIRST_PROCESS, A);
    assert_int_equal(register_one(fixture, &again), RM_ERR_EXISTS);
    unregister(fixture, 1, FIRST_PROCESS, REGISTRY_ENDPOINT_GRACE_MS);
    assert_int_equal(register_one(fixture, &again), RM_OK);
    jump(fixture, REGISTRY_ENDPOINT_GRACE_MS + 1);
    assert_int_equal(count_stored(fixture, RECORD_ENDPOINT_PREFIX), 1);
    assert_string_equal(address_in_view(fixture, "web/" FIRST_PROCESS), A);
    unregister(fixture, 1, FIRST_PROCESS, 0); // the lineage before holds nothing
    assert_int_equal(count_stored(fixture, RECORD_ENDPOINT_PREFIX), 1);
}

#define PROMISE(name)                                                                              \
    cmocka_unit_test_setup_teardown(name, registry_fixture_setup, registry_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROMISE(held_address_is_refused_and_alarmed),
        PROMISE(one_workload_may_offer_two_services_at_one_address),
        PROMISE(of_two_at_once_one_gets_the_address),
        PROMISE(instance_id_of_another_is_refused),
        PROMISE(goodbye_with_the_id_of_another_ends_nothing),
        PROMISE(restarted_workload_gets_its_address_back),
        PROMISE(process_attested_anew_keeps_its_endpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
