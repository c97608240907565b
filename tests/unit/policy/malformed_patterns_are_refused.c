// SPDX-License-Identifier: GPL-3.0-or-later
#include "cases.h"
#include "identity/spiffe.h"
#include "policy/glob.h"

#define LITERAL_DOMAIN "the trust domain of a pattern must be literal"
#define SCHEME_FAULT "a SPIFFE ID begins with \"spiffe://\" in lower case (offset 0)"

static const struct {
    const char *pattern;
    const char *message;
} cases[] = {
    {"", SCHEME_FAULT},
    {"*", SCHEME_FAULT},
    {"**", SCHEME_FAULT},
    {"spiffe:*", SCHEME_FAULT},
    {"*://td/a", SCHEME_FAULT},
    {"SPIFFE://td/a", SCHEME_FAULT},
    {"spiffe://*", LITERAL_DOMAIN},
    {"spiffe://*/a", LITERAL_DOMAIN},
    {"spiffe://**/a", LITERAL_DOMAIN},
    {"spiffe://td*/a", LITERAL_DOMAIN},
    {"spiffe://*.td/a", LITERAL_DOMAIN},
    {"spiffe://", "the trust domain is empty (offset 9)"},
    {"spiffe:///**", "the trust domain is empty (offset 9)"},
    {"spiffe://Td/a", "'T' is not allowed in a trust domain (offset 9)"},
    {"spiffe://td:1/**", "':' is not allowed in a trust domain (offset 11)"},
    {"spiffe://td/", "empty path segment (offset 12)"},
    {"spiffe://td/*/", "empty path segment (offset 14)"},
    {"spiffe://td//**", "empty path segment (offset 12)"},
    {"spiffe://td/a/../*", "path segment '..' (offset 14)"},
    {"spiffe://td/a?", "'?' is not allowed in a path (offset 13)"},
    {"spiffe://td/[ab]", "'[' is not allowed in a path (offset 12)"},
    {"spiffe://td/%2a", "'%' is not allowed in a path (offset 12)"},
    {"spiffe://td/a b", "byte 0x20 is not allowed in a path (offset 13)"},
    {"spiffe://td/a**", "\"**\" must be a whole segment (offset 12)"},
    {"spiffe://td/**a", "\"**\" must be a whole segment (offset 12)"},
    {"spiffe://td/x/***", "\"**\" must be a whole segment (offset 14)"},
    {"spiffe://td/**/**", "only one \"**\" may stand in a pattern (offset 15)"},
    {"spiffe://td/**/a/**", "only one \"**\" may stand in a pattern (offset 17)"},
    {"spiffe://td", "the pattern has no path: no workload has such an ID (append \"/**\" for the "
                    "whole trust domain)"},
};

static void each_fault_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rm_error error = {0};
        assert_int_equal(glob_check(cases[i].pattern, &error), RM_ERR_MALFORMED);
        assert_int_equal(error.code, RM_ERR_MALFORMED);
        assert_string_equal(rm_error_message(&error), cases[i].message);
        assert_int_equal(glob_check(cases[i].pattern, NULL), RM_ERR_MALFORMED);
    }
}

static void the_length_is_bounded(void **state)
{
    (void)state;
    char pattern[SPIFFE_ID_MAX_BYTES + 2] = "spiffe://td/";
    memset(pattern + 12, 'a', SPIFFE_ID_MAX_BYTES - 12);
    assert_int_equal(glob_check(pattern, NULL), RM_OK);
    pattern[SPIFFE_ID_MAX_BYTES] = 'a';
    struct rm_error error = {0};
    assert_int_equal(glob_check(pattern, &error), RM_ERR_MALFORMED);
    assert_string_equal(rm_error_message(&error), "the pattern is longer than 2048 bytes");
    memset(pattern + 12, 0, sizeof(pattern) - 12);
    memset(pattern + 9, 'd', SPIFFE_TRUST_DOMAIN_MAX_BYTES + 1);
    assert_int_equal(glob_check(pattern, &error), RM_ERR_MALFORMED);
    assert_int_equal(error.code, RM_ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_is_named),
        cmocka_unit_test(the_length_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
