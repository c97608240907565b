// SPDX-License-Identifier: GPL-3.0-or-later
#include "cases.h"

static void refused(const struct mesh_view *base, const struct mesh_delta *delta, enum rm_err code,
                    const char *message)
{
    struct mesh_view *view = (struct mesh_view *)1;
    struct rm_error error = {0};
    assert_int_equal(mesh_view_apply(base, delta, &view, &error), code);
    assert_null(view);
    assert_string_equal(rm_error_message(&error), message);
    assert_int_equal(mesh_view_apply(base, delta, &view, NULL), code);
}

static void versions_only_go_forward(void **state)
{
    (void)state;
    struct mesh_view *empty = mesh_view_empty();
    assert_false(mesh_view_is_complete(empty));
    struct mesh_delta delta = {.version = version_of(0, 1)};
    refused(empty, &delta, RM_ERR_CONFLICT, "a partial delta came before a full one");
    struct mesh_view *view = apply_all(empty, true, version_of(1, 7), PUTS(), NULL, 0);
    assert_true(mesh_view_is_complete(view));
    assert_int_equal(mesh_view_version(view).number, 7);
    delta.version = version_of(2, 8);
    refused(view, &delta, RM_ERR_CONFLICT, "a partial delta came from another store");
    delta.version = version_of(1, 6);
    refused(view, &delta, RM_ERR_CONFLICT, "the version goes back from 7 to 6");
    delta.is_full = true;
    refused(view, &delta, RM_ERR_CONFLICT, "the version goes back from 7 to 6");
    view = apply_all(view, false, version_of(1, 7), PUTS(), NULL, 0);
    view = apply_all(view, false, version_of(1, 8), PUTS(), NULL, 0);
    view = apply_all(view, true, version_of(2, 1), PUTS(), NULL, 0);
    assert_int_equal(mesh_view_version(view).number, 1);
    assert_int_equal(mesh_view_version(view).store_id[0], 2);
    mesh_view_unref(view);
}

static void one_bad_resource_refuses_all(void **state)
{
    (void)state;
    struct mesh_view *base = full_view(PUTS());
    struct mesh_resource *puts[] = {make_service("web", 80, LIST(WEB_ID), LIST()),
                                    make_service("cache", 0, LIST(CACHE_ID), LIST())};
    struct mesh_delta delta = {.version = version_of(1, 2), .puts = puts, .put_count = 2};
    refused(base, &delta, RM_ERR_MALFORMED, "service \"cache\": the port is 0");
    assert_int_equal(mesh_view_count(base, MESH_SERVICE), 0);
    mesh_resource_unref(puts[0]);
    mesh_resource_unref(puts[1]);
    mesh_view_unref(base);
}

static void no_key_may_be_named_twice(void **state)
{
    (void)state;
    struct mesh_view *base = full_view(PUTS());
    struct mesh_resource *puts[] = {make_service("web", 80, LIST(WEB_ID), LIST()),
                                    make_service("web", 81, LIST(WEB_ID), LIST())};
    struct mesh_removal removals[] = {
        {MESH_SERVICE, "web"}, {MESH_SERVICE, "\n"}, {MESH_SERVICE, "\n"}};
    struct mesh_delta delta = {.version = version_of(1, 2), .puts = puts, .put_count = 2};
    refused(base, &delta, RM_ERR_MALFORMED, "\"web\" is in one delta twice");
    delta.put_count = 1;
    delta.removals = removals;
    delta.removal_count = 1;
    refused(base, &delta, RM_ERR_MALFORMED, "\"web\" is in one delta twice");
    delta.put_count = 0;
    delta.removal_count = 3;
    refused(base, &delta, RM_ERR_MALFORMED, "\"a removed key\" is in one delta twice");
    removals[0].kind = (enum mesh_kind)9;
    delta.removal_count = 1;
    refused(base, &delta, RM_ERR_MALFORMED, "a removal of unknown kind 9");
    removals[0].kind = MESH_SERVICE;
    delta.is_full = true;
    refused(base, &delta, RM_ERR_MALFORMED, "a full delta has removals");
    mesh_resource_unref(puts[0]);
    mesh_resource_unref(puts[1]);
    mesh_view_unref(base);
}

static void sizes_are_bounded_before_memory_is_taken(void **state)
{
    (void)state;
    struct mesh_view *base = full_view(PUTS());
    struct mesh_delta delta = {.version = version_of(1, 2), .put_count = MESH_MAX_RESOURCES + 1};
    refused(base, &delta, RM_ERR_LIMIT, "a delta of more than 262144 resources");
    delta.put_count = 0;
    delta.removal_count = SIZE_MAX;
    refused(base, &delta, RM_ERR_LIMIT, "a delta of more than 262144 resources");
    mesh_view_unref(base);
}

// One domain more than a trust snapshot can hold.
static void too_many_trust_domains_are_refused(void **state)
{
    (void)state;
    struct mesh_resource *puts[TRUST_MAX_DOMAINS + 1];
    for (size_t i = 0; i < TRUST_MAX_DOMAINS + 1; i++) {
        char name[] = {'t', (char)('a' + i / 26), (char)('a' + i % 26), '\0'};
        puts[i] = make_bundle(name, LIST("a"));
    }
    struct mesh_view *base = full_view(PUTS());
    struct mesh_delta delta = {
        .version = version_of(1, 2), .puts = puts, .put_count = TRUST_MAX_DOMAINS + 1};
    refused(base, &delta, RM_ERR_LIMIT, "the bundles and withdrawals make no trust: limit reached");
    for (size_t i = 0; i < TRUST_MAX_DOMAINS + 1; i++) {
        mesh_resource_unref(puts[i]);
    }
    mesh_view_unref(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_only_go_forward),
        cmocka_unit_test(one_bad_resource_refuses_all),
        cmocka_unit_test(no_key_may_be_named_twice),
        cmocka_unit_test(sizes_are_bounded_before_memory_is_taken),
        cmocka_unit_test(too_many_trust_domains_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
