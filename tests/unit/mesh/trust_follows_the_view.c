// SPDX-License-Identifier: GPL-3.0-or-later
#include "cases.h"

static bool trusts(const struct mesh_view *view, const char *domain, char root)
{
    const struct trust_domain *found =
        trust_domain_find(mesh_view_trust(view), domain, strlen(domain));
    const uint8_t key_id[KEY_ID_BYTES] = {(uint8_t)root};
    return found != NULL && trust_root_is_in_domain(found, key_id);
}

static void nothing_is_trusted_at_first(void **state)
{
    (void)state;
    struct mesh_view *view = mesh_view_empty();
    assert_int_equal(trust_domain_count(mesh_view_trust(view)), 0);
    mesh_view_unref(view);
}

static void bundles_are_roots_of_their_domain(void **state)
{
    (void)state;
    struct mesh_view *view =
        full_view(PUTS(make_bundle("td", LIST("a", "b")), make_bundle("other", LIST("c"))));
    assert_true(trusts(view, "td", 'a'));
    assert_true(trusts(view, "td", 'b'));
    assert_true(trusts(view, "other", 'c'));
    assert_false(trusts(view, "td", 'c'));
    assert_false(trusts(view, "other", 'a'));
    view = apply_all(view, false, version_of(1, 2), PUTS(make_bundle("td", LIST("b"))), NULL, 0);
    assert_false(trusts(view, "td", 'a'));
    assert_true(trusts(view, "td", 'b'));
    struct mesh_removal removal = {MESH_BUNDLE, "other"};
    view = apply_all(view, false, version_of(1, 3), PUTS(), &removal, 1);
    assert_false(trusts(view, "other", 'c'));
    mesh_view_unref(view);
}

static void withdrawals_come_and_go(void **state)
{
    (void)state;
    struct mesh_view *view = full_view(PUTS(make_bundle("td", LIST("a"))));
    struct trust_snapshot *before = trust_ref(mesh_view_trust(view));
    view = apply_all(view, false, version_of(1, 2),
                     PUTS(make_withdrawal(TRUST_LAPSED_LINEAGE, "12345678", 8, 0),
                          make_withdrawal(TRUST_REVOKED_IDENTITY, WEB_ID, strlen(WEB_ID), 77)),
                     NULL, 0);
    struct trust_snapshot *trust = mesh_view_trust(view);
    int64_t before_s = 0;
    assert_true(trust_is_withdrawn(trust, TRUST_LAPSED_LINEAGE, "12345678", 8, NULL));
    assert_true(
        trust_is_withdrawn(trust, TRUST_REVOKED_IDENTITY, WEB_ID, strlen(WEB_ID), &before_s));
    assert_int_equal(before_s, 77);
    assert_false(trust_is_withdrawn(before, TRUST_LAPSED_LINEAGE, "12345678", 8, NULL));
    assert_true(trust_same_roots(before, trust));
    struct mesh_removal removal = {MESH_WITHDRAWAL, "2:3132333435363738"};
    view = apply_all(view, false, version_of(1, 3), PUTS(), &removal, 1);
    assert_false(
        trust_is_withdrawn(mesh_view_trust(view), TRUST_LAPSED_LINEAGE, "12345678", 8, NULL));
    trust_unref(before);
    mesh_view_unref(view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_trusted_at_first),
        cmocka_unit_test(bundles_are_roots_of_their_domain),
        cmocka_unit_test(withdrawals_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
