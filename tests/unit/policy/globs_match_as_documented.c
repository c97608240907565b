// SPDX-License-Identifier: GPL-3.0-or-later
#include "cases.h"
#include "policy/glob.h"

static const struct {
    const char *pattern;
    const char *id;
    bool is_match;
} cases[] = {
    {"spiffe://td/a", "spiffe://td/a", true},
    {"spiffe://td/a", "spiffe://td/A", false},
    {"spiffe://td/a", "spiffe://td/ab", false},
    {"spiffe://td/ab", "spiffe://td/a", false},
    {"spiffe://td/a", "spiffe://td/a/b", false},
    {"spiffe://td/a/b", "spiffe://td/a", false},
    {"spiffe://td/a", "spiffe://td2/a", false},
    {"spiffe://td/a", "spiffe://t/a", false},
    {"spiffe://td/a", "spiffe://evil.td/a", false},
    {"spiffe://td/a.c", "spiffe://td/abc", false},
    {"spiffe://td/*", "spiffe://td/a", true},
    {"spiffe://td/*", "spiffe://td/a/b", false},
    {"spiffe://td/*", "spiffe://td", false},
    {"spiffe://td/*/b", "spiffe://td/a/b", true},
    {"spiffe://td/*/b", "spiffe://td/a/a/b", false},
    {"spiffe://td/ns/*/sa/web", "spiffe://td/ns/shop/sa/web", true},
    {"spiffe://td/ns/*/sa/web", "spiffe://td/ns/shop/x/sa/web", false},
    {"spiffe://td/ns/*/sa/web", "spiffe://td/ns/shop/sa/web2", false},
    {"spiffe://td/web-*", "spiffe://td/web-", true},
    {"spiffe://td/web-*", "spiffe://td/web-1", true},
    {"spiffe://td/web-*", "spiffe://td/web", false},
    {"spiffe://td/*-web", "spiffe://td/a-web", true},
    {"spiffe://td/*-web", "spiffe://td/a-web-b", false},
    {"spiffe://td/a*a", "spiffe://td/a", false},
    {"spiffe://td/a*a", "spiffe://td/aa", true},
    {"spiffe://td/a*b*c", "spiffe://td/a-b-b-c", true},
    {"spiffe://td/a*b*c", "spiffe://td/a-c-b", false},
    {"spiffe://td/**", "spiffe://td/a", true},
    {"spiffe://td/**", "spiffe://td/a/b/c", true},
    {"spiffe://td/**", "spiffe://td", true},
    {"spiffe://td/**", "spiffe://td2/a", false},
    {"spiffe://td/**", "spiffe://td.evil/a", false},
    {"spiffe://td/**", "spiffe://t/d/a", false},
    {"spiffe://td/ns/shop/**", "spiffe://td/ns/shop/sa/web", true},
    {"spiffe://td/ns/shop/**", "spiffe://td/ns/shop", true},
    {"spiffe://td/ns/shop/**", "spiffe://td/ns/shop2/sa/web", false},
    {"spiffe://td/**/sa/web", "spiffe://td/sa/web", true},
    {"spiffe://td/**/sa/web", "spiffe://td/a/b/sa/web", true},
    {"spiffe://td/**/sa/web", "spiffe://td/a/b/sa/web/c", false},
    {"spiffe://td/a/**/a", "spiffe://td/a", false},
    {"spiffe://td/a/**/a", "spiffe://td/a/a", true},
    {"spiffe://td/**", "http://td/a", false},
    {"spiffe://td/**", "", false},
    {"spiffe://td/**", "spiffe://", false},
};

static void each_case(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(glob_check(cases[i].pattern, NULL), RM_OK);
        if (glob_match(cases[i].pattern, cases[i].id, strlen(cases[i].id)) != cases[i].is_match) {
            fail_msg("%s against %s", cases[i].pattern, cases[i].id);
        }
    }
}

static void the_id_ends_at_its_length(void **state)
{
    (void)state;
    assert_true(glob_match("spiffe://td/a", "spiffe://td/ab", 13));
    assert_false(glob_match("spiffe://td/ab", "spiffe://td/ab", 13));
    assert_true(glob_match("spiffe://td/*", "spiffe://td/a/b", 13));
    assert_false(glob_match("spiffe://td/a", "spiffe://td/a\0", 14));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_case),
        cmocka_unit_test(the_id_ends_at_its_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
