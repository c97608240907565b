// SPDX-License-Identifier: GPL-3.0-or-later
//
// A sidecar sees the services that it calls with their endpoints, and rules only of what it hosts.
#include "push_fixture.h"

#include "crypto/crypto.h"

#define PROMISE(name)                                                                              \
    cmocka_unit_test_setup_teardown(name, push_fixture_setup, push_fixture_teardown)

static struct push_fixture *with_services(void **state)
{
    struct push_fixture *fixture = *state;
    set_service(fixture->mesh, "web", LIST(WEB_ID), LIST("spiffe://td/ns/shop/**"));
    set_service(fixture->mesh, "web2", LIST(WEB_ID), NULL);
    set_service(fixture->mesh, "cache", LIST(CACHE_ID), LIST(WEB_ID));
    put_lineage(fixture->mesh, lineage(1), WEB_ID, NULL, LIST(ANY_RANGE));
    put_lineage(fixture->mesh, lineage(2), CACHE_ID, NULL, LIST(ANY_RANGE));
    struct registry_endpoint web = endpoint_of(9, "web2", SECOND_PROCESS, "10.9.9.9:1");
    assert_int_equal(register_one(fixture->mesh, &web), RM_OK);
    return fixture;
}

static void caller_sees_no_rules(void **state)
{
    struct push_fixture *fixture = with_services(state);
    struct sidecar *host =
        sidecar_start(fixture, 1, WEB_ID, &(struct hello){.exposes = LIST("web")});
    struct sidecar *caller =
        sidecar_start(fixture, 2, CACHE_ID, &(struct hello){.calls = LIST("web")});
    const struct mesh_resource *service = seen(caller, MESH_SERVICE, "web");
    assert_non_null(service);
    assert_int_equal(service->of.service.allow_count, 0);
    assert_false(service->of.service.is_guarded);
    assert_int_equal(service->of.service.identity_count, 1);
    assert_int_equal(seen_count(caller, MESH_SERVICE), 1);
    wait_has(caller, MESH_ENDPOINT, "web/" FIRST_PROCESS);
    assert_int_equal(seen_count(caller, MESH_ENDPOINT), 1); // not of web2, though it begins alike
    service = seen(host, MESH_SERVICE, "web");
    assert_int_equal(service->of.service.allow_count, 1);
    assert_true(service->of.service.is_guarded);
    assert_int_equal(seen_count(host, MESH_SERVICE), 1);
    assert_int_equal(seen_count(host, MESH_ENDPOINT), 0); // it does not call
    wait_in_step(host);
    sidecar_free(host);
    sidecar_free(caller);
}

static void name_that_begins_alike_is_another(void **state)
{
    struct push_fixture *fixture = with_services(state);
    struct sidecar *caller =
        sidecar_start(fixture, 2, CACHE_ID, &(struct hello){.calls = LIST("a", "web2", "x")});
    assert_non_null(seen(caller, MESH_SERVICE, "web2"));
    assert_non_null(seen(caller, MESH_ENDPOINT, "web2/" SECOND_PROCESS));
    assert_int_equal(seen_count(caller, MESH_SERVICE), 1); // not web
    sidecar_free(caller);
}

static void star_means_every_service_but_no_rules(void **state)
{
    struct push_fixture *fixture = with_services(state);
    struct sidecar *caller = sidecar_start(
        fixture, 2, CACHE_ID, &(struct hello){.calls = LIST("*"), .exposes = LIST("cache")});
    assert_int_equal(seen_count(caller, MESH_SERVICE), 3);
    assert_int_equal(seen(caller, MESH_SERVICE, "web")->of.service.allow_count, 0);
    assert_int_equal(seen(caller, MESH_SERVICE, "cache")->of.service.allow_count, 1);
    sidecar_free(caller);
}

static void everybody_sees_bundles_and_withdrawals(void **state)
{
    struct push_fixture *fixture = with_services(state);
    withdraw(fixture->mesh, TRUST_REVOKED_LINEAGE, lineage(77));
    struct sidecar *caller = sidecar_start(fixture, 2, CACHE_ID, &(struct hello){0});
    assert_int_equal(seen_count(caller, MESH_BUNDLE), 1);
    assert_int_equal(seen_count(caller, MESH_WITHDRAWAL), 1);
    assert_int_equal(seen_count(caller, MESH_SERVICE), 0);
    withdraw(fixture->mesh, TRUST_REVOKED_LINEAGE, lineage(78));
    wait_responses(caller, 2);
    assert_int_equal(seen_count(caller, MESH_WITHDRAWAL), 2);
    assert_int_equal(caller->full_count, 1);
    sidecar_free(caller);
}

static void later_subscription_brings_what_is_older(void **state)
{
    struct push_fixture *fixture = with_services(state);
    struct sidecar *caller =
        sidecar_start(fixture, 2, CACHE_ID, &(struct hello){.calls = LIST("web")});
    sidecar_subscribe(caller, "web"); // nothing new
    sidecar_subscribe(caller, "web2");
    wait_has(caller, MESH_ENDPOINT, "web2/" SECOND_PROCESS);
    assert_int_equal(seen_count(caller, MESH_SERVICE), 2);
    wait_in_step(caller);
    assert_int_equal(caller->full_count, 2);
    sidecar_free(caller);
}

static void rules_follow_who_owns_the_service(void **state)
{
    struct push_fixture *fixture = with_services(state);
    struct sidecar *host =
        sidecar_start(fixture, 1, WEB_ID, &(struct hello){.exposes = LIST("web")});
    set_service(fixture->mesh, "web", LIST(WEB_ID), LIST(CACHE_ID, WEB_ID));
    wait_responses(host, 2);
    assert_int_equal(seen(host, MESH_SERVICE, "web")->of.service.allow_count, 2);
    assert_int_equal(host->full_count, 1);
    assert_int_equal(host->put_count, 1);
    sidecar_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROMISE(caller_sees_no_rules),
        PROMISE(name_that_begins_alike_is_another),
        PROMISE(star_means_every_service_but_no_rules),
        PROMISE(everybody_sees_bundles_and_withdrawals),
        PROMISE(later_subscription_brings_what_is_older),
        PROMISE(rules_follow_who_owns_the_service),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
