// SPDX-License-Identifier: GPL-3.0-or-later
//
// An endpoint counts only while its identity owns its service and its lineage is alive.
#include "registry_fixture.h"

#include <stdio.h>

#include "audit/alarms.h"
#include "records/record_keys.h"

#define A "10.0.0.1:15008"

static void service_that_does_not_exist_takes_nobody(void **state)
{
    struct registry_fixture *fixture = *state;
    struct registry_endpoint endpoint = endpoint_of(1, "web", FIRST_PROCESS, A);
    assert_int_equal(register_one(fixture, &endpoint), RM_ERR_NOT_FOUND);
    assert_non_null(strstr(last_sentence(), "remora service create"));
    assert_int_equal(alarms_count(), 0); // a matter of order, not of attack
    assert_int_equal(count_stored(fixture, RECORD_AUDIT_PREFIX), 0);
}

static void stranger_is_refused_and_alarmed(void **state)
{
    struct registry_fixture *fixture = *state;
    set_service(fixture, "web", LIST(CACHE_ID), NULL);
    struct registry_endpoint endpoint = endpoint_of(1, "web", FIRST_PROCESS, A);
    assert_int_equal(register_one(fixture, &endpoint), RM_ERR_DENIED);
    assert_non_null(strstr(last_sentence(), "does not own the service 'web'"));
    assert_int_equal(alarms_count(), 1);
    assert_int_equal(alarms_at(0)->kind, ALARM_ENDPOINT_REFUSED);
    assert_int_equal(endpoint_count(fixture, "web"), 0);
    assert_int_equal(count_stored(fixture, RECORD_AUDIT_PREFIX), 2); // creation and refusal
}

static void refusals_do_not_fill_the_disk(void **state)
{
    struct registry_fixture *fixture = *state;
    set_service(fixture, "web", LIST(CACHE_ID), NULL);
    struct registry_endpoint endpoint = endpoint_of(1, "web", FIRST_PROCESS, A);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(register_one(fixture, &endpoint), RM_ERR_DENIED);
    }
    assert_true(count_stored(fixture, RECORD_AUDIT_PREFIX) < 60);
}

static void owner_is_registered(void **state)
{
    struct registry_fixture *fixture = *state;
    set_service(fixture, "web", LIST(CACHE_ID, WEB_ID), NULL);
    struct registry_endpoint endpoint = endpoint_of(1, "web", FIRST_PROCESS, A);
    assert_int_equal(register_one(fixture, &endpoint), RM_OK);
    wait_endpoints(fixture, "web", 1);
    assert_string_equal(address_in_view(fixture, "web/" FIRST_PROCESS), A);
    size_t audits = count_stored(fixture, RECORD_AUDIT_PREFIX);
    assert_int_equal(register_one(fixture, &endpoint), RM_OK); // a new stream: nothing to write
    assert_int_equal(count_stored(fixture, RECORD_AUDIT_PREFIX), audits);
}

static void register_two_services(struct registry_fixture *fixture)
{
    set_service(fixture, "web", LIST(WEB_ID), NULL);
    set_service(fixture, "api", LIST(WEB_ID), NULL);
    struct registry_endpoint web = endpoint_of(1, "web", FIRST_PROCESS, A);
    struct registry_endpoint api = endpoint_of(1, "api", FIRST_PROCESS, A);
    assert_int_equal(register_one(fixture, &web), RM_OK);
    assert_int_equal(register_one(fixture, &api), RM_OK);
    wait_endpoints(fixture, "api", 1);
}

static void owner_that_is_removed_loses_its_endpoints(void **state)
{
    struct registry_fixture *fixture = *state;
    register_two_services(fixture);
    set_service(fixture, "web", LIST(CACHE_ID), NULL);
    wait_endpoints(fixture, "web", 0);
    assert_int_equal(endpoint_count(fixture, "api"), 1);
    assert_int_equal(count_stored(fixture, RECORD_ENDPOINT_PREFIX), 1);
}

static void deleted_service_takes_its_endpoints_along(void **state)
{
    struct registry_fixture *fixture = *state;
    register_two_services(fixture);
    assert_int_equal(delete_service(fixture, "web"), RM_OK);
    assert_int_equal(delete_service(fixture, "web"), RM_ERR_NOT_FOUND);
    wait_endpoints(fixture, "web", 0);
    assert_int_equal(endpoint_count(fixture, "api"), 1);
    assert_int_equal(count_stored(fixture, RECORD_ENDPOINT_PREFIX), 1);
}

static void withdrawn_lineage_has_no_endpoints(void **state)
{
    static const enum trust_withdrawal_kind kinds[] = {TRUST_REVOKED_LINEAGE, TRUST_LAPSED_LINEAGE};
    struct registry_fixture *fixture = *state;
    set_service(fixture, "web", LIST(WEB_ID), NULL);
    for (unsigned i = 0; i < 2; i++) {
        struct registry_endpoint endpoint = endpoint_of(i, "web", FIRST_PROCESS, A);
        assert_int_equal(register_one(fixture, &endpoint), RM_OK);
        wait_endpoints(fixture, "web", 1);
        withdraw(fixture, kinds[i], lineage(i));
        wait_endpoints(fixture, "web", 0);
        assert_int_equal(count_stored(fixture, RECORD_ENDPOINT_PREFIX), 0);
        // Also when it comes after its withdrawal.
        assert_int_equal(register_one(fixture, &endpoint), RM_OK);
        (void)count_stored(fixture, "none"); // the view was made, and asked for the removal
        (void)count_stored(fixture, "none");
        assert_int_equal(count_stored(fixture, RECORD_ENDPOINT_PREFIX), 0);
        wait_endpoints(fixture, "web", 0);
    }
}

static void what_lost_its_ground_while_we_were_away_goes_at_the_start(void **state)
{
    struct registry_fixture *fixture = *state;
    register_two_services(fixture);
    registry_stop(fixture);
    assert_int_equal(fixture_delete(fixture->base, "service/web"), RM_OK);
    registry_start(fixture);
    wait_endpoints(fixture, "web", 0);
    assert_int_equal(endpoint_count(fixture, "api"), 1);
}

// Both in one turn: when the registration becomes durable, its owner is none any more.
struct race {
    struct registry_fixture *fixture;
    const struct registry_service *service;
    uint64_t revision;
    const struct registry_endpoint *endpoint;
    enum rm_err registered;
    size_t done;
};

static void on_put(void *context, enum rm_err result, const struct rm_error *error)
{
    struct race *race = context;
    (void)error;
    assert_int_equal(result, RM_OK);
    fixture_count(race->fixture->base, &race->done);
}

static void on_registered(void *context, enum rm_err result, const struct rm_error *error)
{
    struct race *race = context;
    (void)error;
    race->registered = result;
    fixture_count(race->fixture->base, &race->done);
}

static void do_race(struct fixture *base, void *context)
{
    struct race *race = context;
    struct registry *registry = race->fixture->registry;
    const struct service_record *record = NULL;
    struct rm_error error = {0};
    (void)base;
    assert_true(registry_service(registry, "web", &record, &race->revision));
    assert_int_equal(registry_put_service(registry, race->service, race->revision, "uid 0", on_put,
                                          race, &error),
                     RM_OK);
    assert_int_equal(registry_register(registry, race->endpoint, on_registered, race), RM_OK);
}

static void registration_depends_on_the_service_it_was_judged_by(void **state)
{
    struct registry_fixture *fixture = *state;
    set_service(fixture, "web", LIST(WEB_ID), NULL);
    const struct registry_service other = {
        .name = "web", .port = 80, .identities = LIST(CACHE_ID), .identity_count = 1};
    struct registry_endpoint endpoint = endpoint_of(1, "web", FIRST_PROCESS, A);
    struct race race = {.fixture = fixture, .service = &other, .endpoint = &endpoint};
    fixture_run(fixture->base, do_race, &race);
    fixture_wait(fixture->base, &race.done, 2);
    assert_int_equal(race.registered, RM_ERR_CONFLICT);
    assert_int_equal(count_stored(fixture, RECORD_ENDPOINT_PREFIX), 0);
}

static void services_that_break_a_rule_are_refused(void **state)
{
    struct registry_fixture *fixture = *state;
    static char patterns[POLICY_MAX_RULES + 1][32];
    const char *allow[POLICY_MAX_RULES + 2] = {0};
    for (size_t i = 0; i <= POLICY_MAX_RULES; i++) {
        snprintf(patterns[i], sizeof patterns[i], "spiffe://td/%zu", i);
        allow[i] = patterns[i];
    }
    const struct {
        const char *name;
        const char *const *identities;
        const char *const *allow;
    } cases[] = {
        {"Web", LIST(WEB_ID), NULL},
        {"web", LIST(), NULL},
        {"web", LIST("web"), NULL},
        {"web", LIST("spiffe://other/web"), NULL},
        {"web", LIST("spiffe://td/remora/control"), NULL},
        {"web", LIST(WEB_ID), LIST("spiffe://td/[")},
        {"web", LIST(WEB_ID), allow},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum rm_err result =
            put_service(fixture, cases[i].name, cases[i].identities, cases[i].allow, 0);
        assert_true(result == RM_ERR_MALFORMED || result == RM_ERR_LIMIT);
    }
    assert_int_equal(count_stored(fixture, RECORD_SERVICE_PREFIX), 0);
    assert_int_equal(put_service(fixture, "web", LIST(WEB_ID), NULL, 0), RM_OK);
    assert_int_equal(put_service(fixture, "web", LIST(WEB_ID), NULL, 0), RM_ERR_CONFLICT);
}

#define PROMISE(name)                                                                              \
    cmocka_unit_test_setup_teardown(name, registry_fixture_setup, registry_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROMISE(service_that_does_not_exist_takes_nobody),
        PROMISE(stranger_is_refused_and_alarmed),
        PROMISE(refusals_do_not_fill_the_disk),
        PROMISE(owner_is_registered),
        PROMISE(owner_that_is_removed_loses_its_endpoints),
        PROMISE(deleted_service_takes_its_endpoints_along),
        PROMISE(withdrawn_lineage_has_no_endpoints),
        PROMISE(what_lost_its_ground_while_we_were_away_goes_at_the_start),
        PROMISE(registration_depends_on_the_service_it_was_judged_by),
        PROMISE(services_that_break_a_rule_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
