// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>

#include "cases.h"

#define MANY 12000

static struct mesh_resource *numbered_endpoint(unsigned number, unsigned port)
{
    char key[32];
    char address[32];
    (void)snprintf(key, sizeof(key), "web/%08u", number);
    (void)snprintf(address, sizeof(address), "10.0.0.1:%u", port);
    return make_endpoint(key, address, WEB_ID, "");
}

static struct mesh_view *large_view(void)
{
    static struct mesh_resource *puts[MANY + 3];
    for (unsigned i = 0; i < MANY; i++) {
        puts[i] = numbered_endpoint(MANY - 1 - i, 1);
    }
    puts[MANY] = make_bundle("td", LIST("root"));
    puts[MANY + 1] = make_service("web", 80, LIST(WEB_ID), LIST());
    puts[MANY + 2] = NULL;
    return full_view(puts);
}

static void a_small_delta_takes_little(void **state)
{
    (void)state;
    struct mesh_view *before = large_view();
    assert_int_equal(mesh_view_count(before, MESH_ENDPOINT), MANY);
    struct mesh_resource *put = numbered_endpoint(6000, 2);
    struct mesh_removal removal = {MESH_ENDPOINT, "web/00000001"};
    struct mesh_delta delta = {.version = version_of(1, 2),
                               .puts = &put,
                               .put_count = 1,
                               .removals = &removal,
                               .removal_count = 1};
    struct mesh_view *after = NULL;
    rm_alloc_fail_at(0);
    uint64_t allocations = rm_alloc_count();
    assert_int_equal(mesh_view_apply(before, &delta, &after, NULL), RM_OK);
    allocations = rm_alloc_count() - allocations;
    assert_in_range(allocations, 1, 4); // changes, view, one set
    mesh_resource_unref(put);

    assert_int_equal(mesh_view_count(after, MESH_ENDPOINT), MANY - 1);
    assert_int_equal(mesh_view_count(before, MESH_ENDPOINT), MANY);
    assert_ptr_equal(mesh_view_at(after, MESH_ENDPOINT, 0), mesh_view_at(before, MESH_ENDPOINT, 0));
    for (size_t i = 1; i < MANY - 1; i++) {
        bool is_same =
            mesh_view_at(after, MESH_ENDPOINT, i) == mesh_view_at(before, MESH_ENDPOINT, i + 1);
        assert_int_equal(is_same, i != 5999);
    }
    assert_string_equal(mesh_view_find(after, MESH_ENDPOINT, "web/00006000")->of.endpoint.address,
                        "10.0.0.1:2");
    assert_ptr_equal(mesh_view_trust(after), mesh_view_trust(before));
    mesh_view_unref(before);
    assert_null(mesh_view_find(after, MESH_ENDPOINT, "web/00000001"));
    assert_non_null(mesh_view_find(after, MESH_SERVICE, "web"));
    mesh_view_unref(after);
}

// A resync sends everything again; what is equal stays what it was.
static void an_equal_resync_changes_nothing(void **state)
{
    (void)state;
    struct mesh_view *before = full_view(PUTS(make_bundle("td", LIST("root")),
                                              make_service("web", 80, LIST(WEB_ID), LIST()),
                                              make_endpoint("web/a", "10.0.0.1:1", WEB_ID, "")));
    const struct mesh_resource *bundle = mesh_view_at(before, MESH_BUNDLE, 0);
    const struct mesh_resource *endpoint = mesh_view_at(before, MESH_ENDPOINT, 0);
    struct trust_snapshot *trust = trust_ref(mesh_view_trust(before));
    struct mesh_view *after = apply_all(before, true, version_of(1, 9),
                                        PUTS(make_endpoint("web/a", "10.0.0.1:1", WEB_ID, ""),
                                             make_service("web", 81, LIST(WEB_ID), LIST()),
                                             make_bundle("td", LIST("root"))),
                                        NULL, 0);
    assert_ptr_equal(mesh_view_at(after, MESH_BUNDLE, 0), bundle);
    assert_ptr_equal(mesh_view_at(after, MESH_ENDPOINT, 0), endpoint);
    assert_ptr_equal(mesh_view_trust(after), trust);
    assert_int_equal(mesh_view_find(after, MESH_SERVICE, "web")->of.service.port, 81);
    assert_int_equal(mesh_view_version(after).number, 9);
    trust_unref(trust);
    mesh_view_unref(after);
}

static void a_full_delta_drops_what_it_does_not_name(void **state)
{
    (void)state;
    struct mesh_view *view = full_view(PUTS(make_service("a", 1, LIST(WEB_ID), LIST()),
                                            make_service("b", 1, LIST(WEB_ID), LIST())));
    view = apply_all(view, true, version_of(1, 2), PUTS(make_service("b", 1, LIST(WEB_ID), LIST())),
                     NULL, 0);
    assert_int_equal(mesh_view_count(view, MESH_SERVICE), 1);
    assert_string_equal(mesh_view_at(view, MESH_SERVICE, 0)->key, "b");
    view = apply_all(view, true, version_of(1, 3), PUTS(), NULL, 0);
    assert_int_equal(mesh_view_count(view, MESH_SERVICE), 0);
    assert_null(mesh_view_at(view, MESH_SERVICE, 0));
    mesh_view_unref(view);
    mesh_view_unref(NULL);
}

static void removing_what_is_absent_is_no_fault(void **state)
{
    (void)state;
    struct mesh_view *view = full_view(PUTS(make_service("a", 1, LIST(WEB_ID), LIST())));
    struct mesh_removal removals[] = {{MESH_SERVICE, "0"}, {MESH_SERVICE, "z"}, {MESH_BUNDLE, "a"}};
    const struct mesh_resource *kept = mesh_view_at(view, MESH_SERVICE, 0);
    view = apply_all(view, false, version_of(1, 2), PUTS(), removals, 3);
    assert_ptr_equal(mesh_view_at(view, MESH_SERVICE, 0), kept);
    mesh_view_unref(view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_delta_takes_little),
        cmocka_unit_test(an_equal_resync_changes_nothing),
        cmocka_unit_test(a_full_delta_drops_what_it_does_not_name),
        cmocka_unit_test(removing_what_is_absent_is_no_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
