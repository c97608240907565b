// SPDX-License-Identifier: GPL-3.0-or-later
#include "cases.h"

static void an_empty_view_or_none(void **state)
{
    (void)state;
    struct mesh_view *view = NULL;
    uint64_t failures = 0;
    for (; view == NULL; failures++) {
        rm_alloc_fail_at(failures + 1);
        view = mesh_view_empty();
        rm_alloc_fail_at(0);
    }
    assert_true(failures > MESH_KIND_COUNT);
    mesh_view_unref(view);
}

// A change of store as well, so that carrying is among what fails.
static void the_new_view_or_the_old_one(void **state)
{
    (void)state;
    struct mesh_view *base =
        full_view(PUTS(make_bundle("td", LIST("a")), make_service("web", 1, LIST(WEB_ID), LIST()),
                       make_withdrawal(TRUST_REVOKED_LINEAGE, "11111111", 8, 0)));
    struct mesh_resource *puts[] = {make_bundle("td", LIST("b")),
                                    make_endpoint("web/a", "10.0.0.1:1", WEB_ID, ""),
                                    make_withdrawal(TRUST_REVOKED_LINEAGE, "22222222", 8, 0)};
    struct mesh_delta delta = {
        .version = version_of(2, 1), .is_full = true, .puts = puts, .put_count = 3};
    struct mesh_view *view = NULL;
    uint64_t failures = 0;
    for (;; failures++) {
        rm_alloc_fail_at(failures + 1);
        enum rm_err err = mesh_view_apply(base, &delta, &view, NULL);
        rm_alloc_fail_at(0);
        if (err == RM_OK) {
            break;
        }
        assert_int_equal(err, RM_ERR_NO_MEMORY);
        assert_null(view);
        assert_int_equal(mesh_view_count(base, MESH_SERVICE), 1);
    }
    assert_true(failures > 10);
    assert_int_equal(mesh_view_count(view, MESH_SERVICE), 0);
    for (size_t i = 0; i < 3; i++) {
        mesh_resource_unref(puts[i]);
    }
    mesh_view_unref(base);
    mesh_view_unref(view);
}

static void a_resource_or_none(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        rm_alloc_fail_at(n);
        assert_null(mesh_resource_new(MESH_SERVICE, "web"));
        rm_alloc_fail_at(0);
    }
    rm_alloc_fail_at(1);
    assert_null(mesh_withdrawal_key(TRUST_REVOKED_LINEAGE, "12345678", 8));
    rm_alloc_fail_at(0);
    mesh_resource_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_view_or_none),
        cmocka_unit_test(the_new_view_or_the_old_one),
        cmocka_unit_test(a_resource_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
