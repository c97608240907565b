// SPDX-License-Identifier: GPL-3.0-or-later
//
// A matcher that backtracks needs longer than the universe for these; this test's own limit is the
// test runner's.
#include "cases.h"
#include "identity/spiffe.h"
#include "policy/glob.h"

// "spiffe://td/" and then `unit` as often as it fits in `bytes`, and `end`.
static void fill(char *out, size_t bytes, const char *unit, const char *end)
{
    strcpy(out, "spiffe://td/");
    size_t length = strlen(out);
    while (length + strlen(unit) + strlen(end) <= bytes) {
        strcpy(out + length, unit);
        length += strlen(unit);
    }
    strcpy(out + length, end);
}

static const struct {
    const char *pattern_unit;
    const char *pattern_end;
    const char *id_unit;
    const char *id_end;
} cases[] = {
    {"*a", "b", "a", "a"},          {"a*", "b", "a", "a"},      {"*aa", "*b", "a", "a"},
    {"*/", "b", "a/", "a"},         {"*a/", "b", "a/", "a"},    {"a/", "**", "a/", "b"},
    {"*a*a/", "**/b", "aa/", "aa"}, {"*ab", "*", "aaab", "aa"}, {"*.", "*a*b", "..a", "..a"},
};

static void nothing_explodes(void **state)
{
    (void)state;
    char pattern[SPIFFE_ID_MAX_BYTES + 1];
    char id[SPIFFE_ID_MAX_BYTES + 1];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t bytes = 32; bytes <= SPIFFE_ID_MAX_BYTES; bytes += 288) {
            fill(pattern, bytes, cases[i].pattern_unit, cases[i].pattern_end);
            fill(id, SPIFFE_ID_MAX_BYTES, cases[i].id_unit, cases[i].id_end);
            assert_int_equal(glob_check(pattern, NULL), RM_OK);
            for (int round = 0; round < 100; round++) {
                (void)glob_match(pattern, id, strlen(id));
            }
        }
    }
}

static void the_longest_still_match(void **state)
{
    (void)state;
    char pattern[SPIFFE_ID_MAX_BYTES + 1];
    char id[SPIFFE_ID_MAX_BYTES + 1];
    fill(pattern, SPIFFE_ID_MAX_BYTES / 2, "*a", "*");
    fill(id, SPIFFE_ID_MAX_BYTES, "a", "b");
    assert_true(glob_match(pattern, id, strlen(id)));
    fill(pattern, SPIFFE_ID_MAX_BYTES, "*/", "**");
    fill(id, SPIFFE_ID_MAX_BYTES, "a/", "b");
    assert_true(glob_match(pattern, id, strlen(id)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_explodes),
        cmocka_unit_test(the_longest_still_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
