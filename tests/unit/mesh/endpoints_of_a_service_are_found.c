// SPDX-License-Identifier: GPL-3.0-or-later
#include "cases.h"

static struct mesh_resource *endpoint(const char *key)
{
    return make_endpoint(key, "10.0.0.1:1", WEB_ID, "");
}

// Names that begin alike and sort around '/': '-' and '.' come before it, digits and letters after.
static void only_its_own_and_all_of_them(void **state)
{
    (void)state;
    struct mesh_view *view =
        full_view(PUTS(endpoint("web/b"), endpoint("web-1/a"), endpoint("web.shop/a"),
                       endpoint("web0/a"), endpoint("webs/a"), endpoint("web/a"), endpoint("we/a"),
                       endpoint("web/zz"), endpoint("a/a")));
    static const struct {
        const char *service;
        size_t count;
        const char *first;
    } cases[] = {
        {"web", 3, "web/a"},   {"web-1", 1, "web-1/a"}, {"web.shop", 1, "web.shop/a"},
        {"web0", 1, "web0/a"}, {"we", 1, "we/a"},       {"a", 1, "a/a"},
        {"w", 0, NULL},        {"webs", 1, "webs/a"},   {"", 0, NULL},
        {"zzz", 0, NULL},      {"web/a", 0, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t first = 99;
        size_t count = 99;
        mesh_view_endpoints(view, cases[i].service, &first, &count);
        assert_int_equal(count, cases[i].count);
        if (count > 0) {
            assert_string_equal(mesh_view_at(view, MESH_ENDPOINT, first)->key, cases[i].first);
        }
    }
    static char large[4096];
    memset(large, 'a', sizeof(large) - 1);
    size_t first = 0;
    size_t count = 99;
    mesh_view_endpoints(view, large, &first, &count);
    assert_int_equal(count, 0);
    mesh_view_unref(view);
}

static void lookups_are_exact(void **state)
{
    (void)state;
    struct mesh_view *view = full_view(PUTS(endpoint("web/b"), endpoint("web/bb")));
    assert_string_equal(mesh_view_find(view, MESH_ENDPOINT, "web/b")->key, "web/b");
    assert_null(mesh_view_find(view, MESH_ENDPOINT, "web/a"));
    assert_null(mesh_view_find(view, MESH_ENDPOINT, "web/c"));
    assert_null(mesh_view_find(view, MESH_SERVICE, "web/b"));
    assert_null(mesh_view_at(view, MESH_ENDPOINT, 2));
    mesh_view_unref(view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_its_own_and_all_of_them),
        cmocka_unit_test(lookups_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
