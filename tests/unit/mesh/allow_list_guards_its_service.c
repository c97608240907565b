// SPDX-License-Identifier: GPL-3.0-or-later
#include "cases.h"

static const char *reason_for(struct mesh_resource *resource, const char *id)
{
    struct policy *policy = NULL;
    assert_int_equal(mesh_service_policy(&resource->of.service, "td", &policy, NULL), RM_OK);
    const char *reason = policy_reason_name(policy_decide(policy, id, strlen(id)).reason);
    policy_unref(policy);
    mesh_resource_unref(resource);
    return reason;
}

static void a_list_lets_in_whom_it_names(void **state)
{
    (void)state;
    const char *const *allow = LIST("spiffe://td/ns/shop/**", "spiffe://other/a");
    assert_string_equal(reason_for(make_service("web", 1, LIST(WEB_ID), allow), CACHE_ID),
                        "allow_rule");
    assert_string_equal(reason_for(make_service("web", 1, LIST(WEB_ID), allow), "spiffe://other/a"),
                        "allow_rule");
    assert_string_equal(reason_for(make_service("web", 1, LIST(WEB_ID), allow), "spiffe://td/x"),
                        "guarded");
}

static void without_a_list_the_own_domain_comes_in(void **state)
{
    (void)state;
    assert_string_equal(reason_for(make_service("web", 1, LIST(WEB_ID), LIST()), CACHE_ID),
                        "default_allow");
    assert_string_equal(
        reason_for(make_service("web", 1, LIST(WEB_ID), LIST()), "spiffe://other/a"),
        "default_deny");
}

static void guarded_without_a_list_lets_in_nobody(void **state)
{
    (void)state;
    struct mesh_resource *resource = make_service("web", 1, LIST(WEB_ID), LIST());
    resource->of.service.is_guarded = true;
    assert_string_equal(reason_for(resource, CACHE_ID), "guarded");
}

static void no_memory_gives_no_policy(void **state)
{
    (void)state;
    struct mesh_resource *resource = make_service("web", 1, LIST(WEB_ID), LIST("spiffe://td/**"));
    struct policy *policy = NULL;
    uint64_t n = 1;
    for (;; n++) {
        rm_alloc_fail_at(n);
        enum rm_err err = mesh_service_policy(&resource->of.service, "td", &policy, NULL);
        rm_alloc_fail_at(0);
        if (err == RM_OK) {
            break;
        }
        assert_int_equal(err, RM_ERR_NO_MEMORY);
        assert_null(policy);
    }
    assert_true(n > 4);
    policy_unref(policy);
    mesh_resource_unref(resource);
}

static void owners_are_exact(void **state)
{
    (void)state;
    struct mesh_resource *resource = make_service("web", 1, LIST(CACHE_ID, WEB_ID), LIST());
    assert_true(mesh_service_has_identity(&resource->of.service, WEB_ID, strlen(WEB_ID)));
    assert_false(mesh_service_has_identity(&resource->of.service, WEB_ID, strlen(WEB_ID) - 1));
    assert_false(mesh_service_has_identity(&resource->of.service, WEB_ID "2", strlen(WEB_ID) + 1));
    mesh_resource_unref(resource);
}

static void lists_are_brought_into_order(void **state)
{
    (void)state;
    size_t count = 0;
    char **strings = strings_of(LIST("b", "a", "b", "c", "a"), &count);
    mesh_sort_strings(strings, &count);
    assert_int_equal(count, 3);
    assert_string_equal(strings[0], "a");
    assert_string_equal(strings[1], "b");
    assert_string_equal(strings[2], "c");
    for (size_t i = 0; i < count; i++) {
        rm_free(strings[i]);
    }
    rm_free(strings);
    count = 0;
    mesh_sort_strings(NULL, &count);
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_lets_in_whom_it_names),
        cmocka_unit_test(without_a_list_the_own_domain_comes_in),
        cmocka_unit_test(guarded_without_a_list_lets_in_nobody),
        cmocka_unit_test(no_memory_gives_no_policy),
        cmocka_unit_test(owners_are_exact),
        cmocka_unit_test(lists_are_brought_into_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
