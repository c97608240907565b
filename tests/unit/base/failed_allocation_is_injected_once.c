// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"

#include <string.h>

static void the_nth_allocation_fails_and_only_it(void **state)
{
    (void)state;
    rm_alloc_fail_at(2);
    void *first = rm_malloc(8);
    void *second = rm_calloc(1, 8);
    void *third = rm_malloc(8);
    assert_non_null(first);
    assert_null(second);
    assert_non_null(third);
    assert_int_equal(rm_alloc_count(), 3);
    rm_alloc_fail_at(0);
    rm_free(first);
    rm_free(third);
}

static void a_failed_realloc_keeps_the_block(void **state)
{
    (void)state;
    char *block = rm_strdup("kept");
    rm_alloc_fail_at(1);
    assert_null(rm_realloc(block, 4096));
    rm_alloc_fail_at(0);
    assert_string_equal(block, "kept");
    rm_free(block);
}

static void a_size_of_zero_gives_unique_blocks(void **state)
{
    (void)state;
    void *a = rm_malloc(0);
    void *b = rm_calloc(0, 8);
    void *c = rm_realloc(NULL, 0);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    assert_ptr_not_equal(a, b);
    c = rm_realloc(c, 0);
    assert_non_null(c);
    rm_free(a);
    rm_free(b);
    rm_free(c);
}

static void copies_are_exact(void **state)
{
    (void)state;
    char *part = rm_strndup("abcdef", 3);
    char *short_text = rm_strndup("ab", 10);
    uint8_t *bytes = rm_memdup("\0\1\2", 3);
    assert_string_equal(part, "abc");
    assert_string_equal(short_text, "ab");
    assert_memory_equal(bytes, "\0\1\2", 3);
    rm_free(part);
    rm_free(short_text);
    rm_free(bytes);
}

static void wiping_leaves_zeros(void **state)
{
    (void)state;
    char text[] = "secret";
    rm_wipe(text, sizeof(text));
    assert_memory_equal(text, "\0\0\0\0\0\0\0", sizeof(text));
    rm_free_wiped(NULL, 5);
    rm_free_wiped_string(NULL);
    rm_free_wiped_string(rm_strdup("x"));
}

static void secrets_compare_by_every_byte(void **state)
{
    (void)state;
    assert_true(rm_equal_secret("abcd", "abcd", 4));
    assert_false(rm_equal_secret("abcd", "abce", 4));
    assert_false(rm_equal_secret("abcd", "bbcd", 4));
    assert_true(rm_equal_secret("", "x", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_allocation_fails_and_only_it),
        cmocka_unit_test(a_failed_realloc_keeps_the_block),
        cmocka_unit_test(a_size_of_zero_gives_unique_blocks),
        cmocka_unit_test(copies_are_exact),
        cmocka_unit_test(wiping_leaves_zeros),
        cmocka_unit_test(secrets_compare_by_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
