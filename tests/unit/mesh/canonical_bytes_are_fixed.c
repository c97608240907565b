// SPDX-License-Identifier: GPL-3.0-or-later
//
// Both ends of a mesh hash these bytes: a release that changes them cannot talk with the one
// before.
#include "cases.h"

// Written by hand from the layout that view.h tells.
static const char expected[] =
    // bundle "td": two roots
    "\x01"
    "\0\0\0\x02"
    "td"
    "\0\0\0\x02"
    "\0\0\0\x01"
    "b"
    "\0\0\0\x02"
    "aa"
    // service "web"
    "\x02"
    "\0\0\0\x03"
    "web"
    "\x1f\x90"
    "\0\0\0\x02"
    "\0\0\0\x0d"
    "spiffe://td/a"
    "\0\0\0\x0d"
    "spiffe://td/b"
    "\0\0\0\x01"
    "\0\0\0\x0d"
    "spiffe://td/*"
    "\x01"
    // endpoint "web/i"
    "\x03"
    "\0\0\0\x05"
    "web/i"
    "\0\0\0\x0a"
    "10.0.0.1:1"
    "\0\0\0\x0d"
    "spiffe://td/a"
    "\0\0\0\0"
    "\x01"
    // withdrawals "1:..." and "3:..."
    "\x04"
    "\0\0\0\x12"
    "1:6c696e6561676521"
    "\x01"
    "\0\0\0\x08"
    "lineage!"
    "\0\0\0\0\0\0\0\0"
    "\0\0\0\0\0\0\0\x63"
    "\x04"
    "\0\0\0\x0f"
    "3:spiffe://td/a"
    "\x03"
    "\0\0\0\x0d"
    "spiffe://td/a"
    "\0\0\x01\x02\x03\x04\x05\x06"
    "\0\0\0\0\0\0\0\x63";

static struct mesh_resource *example_service(void)
{
    struct mesh_resource *service =
        make_service("web", 8080, LIST("spiffe://td/a", "spiffe://td/b"), LIST("spiffe://td/*"));
    service->of.service.is_guarded = true;
    return service;
}

static void an_example_byte_by_byte(void **state)
{
    (void)state;
    struct mesh_view *view =
        full_view(PUTS(make_withdrawal(TRUST_REVOKED_IDENTITY, "spiffe://td/a", 13, 0x010203040506),
                       make_withdrawal(TRUST_REVOKED_LINEAGE, "lineage!", 8, 0),
                       make_endpoint("web/i", "10.0.0.1:1", "spiffe://td/a", ""), example_service(),
                       make_bundle("td", LIST("b", "aa"))));
    struct gathered gathered = {0};
    mesh_view_canonical(view, gather, &gathered);
    assert_int_equal(gathered.length, sizeof(expected) - 1);
    assert_memory_equal(gathered.bytes, expected, gathered.length);
    free(gathered.bytes);
    mesh_view_unref(view);
}

static void the_version_is_no_part_of_them(void **state)
{
    (void)state;
    struct mesh_view *a = full_view(PUTS(example_service()));
    struct mesh_view *b =
        apply_all(mesh_view_empty(), true, version_of(9, 9), PUTS(example_service()), NULL, 0);
    assert_true(same_canonical(a, b));
    mesh_view_unref(a);
    mesh_view_unref(b);
}

static void an_empty_view_has_none(void **state)
{
    (void)state;
    struct mesh_view *view = mesh_view_empty();
    struct gathered gathered = {0};
    mesh_view_canonical(view, gather, &gathered);
    assert_int_equal(gathered.length, 0);
    mesh_view_unref(view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_example_byte_by_byte),
        cmocka_unit_test(the_version_is_no_part_of_them),
        cmocka_unit_test(an_empty_view_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
