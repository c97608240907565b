// SPDX-License-Identifier: GPL-3.0-or-later
//
// Each fault has one name, its enumerator's in lower case, that is a metric label as it stands, and
// words for each column of the page.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <string.h>

#include "faults/faults.h"

static const char *const upper[] = {
#define FAULT(id, name, group, what, cause, remedy) #id,
#include "faults/catalogue.def"
#undef FAULT
};

static void names_are_the_enumerators_in_lower_case(void **state)
{
    (void)state;
    for (int i = 0; i < FAULT_COUNT; i++) {
        const char *name = fault_name((enum fault)i);
        assert_int_equal(strlen(name), strlen(upper[i]));
        for (size_t j = 0; name[j] != '\0'; j++) {
            assert_int_equal(name[j], tolower((unsigned char)upper[i][j]));
        }
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
    }
}

static void each_name_is_found_again(void **state)
{
    enum fault found;
    (void)state;
    for (int i = 0; i < FAULT_COUNT; i++) {
        assert_true(fault_find(fault_name((enum fault)i), &found));
        assert_int_equal(found, i);
    }
    assert_false(fault_find("", &found));
    assert_false(fault_find("guarde", &found));
    assert_false(fault_find("guarded_", &found));
}

static void assert_words(const char *words)
{
    size_t length = strlen(words);
    assert_true(length > 5);
    assert_null(strpbrk(words, ";|\n")); // joins and table cells
    assert_false(isspace((unsigned char)words[length - 1]) || words[length - 1] == '.');
}

static void each_has_words_for_every_column(void **state)
{
    (void)state;
    for (int i = 0; i < FAULT_COUNT; i++) {
        const struct fault_entry *entry = fault_entry((enum fault)i);
        assert_words(entry->what);
        assert_words(entry->cause);
        assert_words(entry->remedy);
        assert_true(entry->group < FAULT_GROUP_COUNT);
        assert_non_null(strstr(entry->sentence, entry->what));
        assert_non_null(strstr(entry->sentence, entry->cause));
        assert_non_null(strstr(entry->sentence, entry->remedy));
        for (int other = 0; other < i; other++) {
            assert_string_not_equal(entry->what, fault_entry((enum fault)other)->what);
        }
    }
}

static void values_that_are_no_fault_are_ours(void **state)
{
    (void)state;
    assert_string_equal(fault_name(FAULT_COUNT), "internal");
    assert_string_equal(fault_name((enum fault)(-1)), "internal");
    assert_non_null(fault_group_title(FAULT_GROUP_COUNT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_the_enumerators_in_lower_case),
        cmocka_unit_test(each_name_is_found_again),
        cmocka_unit_test(each_has_words_for_every_column),
        cmocka_unit_test(values_that_are_no_fault_are_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
