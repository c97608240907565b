// SPDX-License-Identifier: GPL-3.0-or-later
#include "cases.h"

static struct mesh_resource *revoked(const char *lineage)
{
    return make_withdrawal(TRUST_REVOKED_LINEAGE, lineage, 8, 0);
}

static bool is_revoked(const struct mesh_view *view, const char *lineage)
{
    return trust_is_withdrawn(mesh_view_trust(view), TRUST_REVOKED_LINEAGE, lineage, 8, NULL);
}

static void another_store_brings_none_back_to_life(void **state)
{
    (void)state;
    struct mesh_view *view = full_view(
        PUTS(revoked("11111111"), make_withdrawal(TRUST_LAPSED_LINEAGE, "22222222", 8, 0)));
    view = apply_all(view, true, version_of(2, 1), PUTS(revoked("33333333")), NULL, 0);
    assert_true(is_revoked(view, "11111111"));
    assert_true(is_revoked(view, "33333333"));
    assert_false(
        trust_is_withdrawn(mesh_view_trust(view), TRUST_LAPSED_LINEAGE, "22222222", 8, NULL));
    assert_int_equal(mesh_view_count(view, MESH_WITHDRAWAL), 1);
    view = apply_all(view, true, version_of(3, 1), PUTS(make_bundle("td", LIST("a"))), NULL, 0);
    view = apply_all(view, false, version_of(3, 2), PUTS(make_bundle("td", LIST("b"))), NULL, 0);
    assert_true(is_revoked(view, "11111111"));
    assert_true(is_revoked(view, "33333333"));
    mesh_view_unref(view);
}

static void the_same_store_may_take_one_back(void **state)
{
    (void)state;
    struct mesh_view *view = full_view(PUTS(revoked("11111111")));
    view = apply_all(view, true, version_of(1, 2), PUTS(), NULL, 0);
    assert_false(is_revoked(view, "11111111"));
    mesh_view_unref(view);
}

static void the_new_store_s_hash_still_agrees(void **state)
{
    (void)state;
    struct mesh_view *moved = full_view(PUTS(revoked("11111111")));
    moved = apply_all(moved, true, version_of(2, 1), PUTS(make_bundle("td", LIST("a"))), NULL, 0);
    struct mesh_view *fresh = full_view(PUTS(make_bundle("td", LIST("a"))));
    assert_true(same_canonical(moved, fresh));
    mesh_view_unref(moved);
    mesh_view_unref(fresh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_store_brings_none_back_to_life),
        cmocka_unit_test(the_same_store_may_take_one_back),
        cmocka_unit_test(the_new_store_s_hash_still_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
