// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "json/json.h"

#include <string.h>

#include "base/alloc.h"

static void assert_refused(const char *text, const char *expected)
{
    struct json *root = NULL;
    struct rm_error error = {0};
    assert_int_equal(json_parse(text, strlen(text), &root, &error), RM_ERR_MALFORMED);
    assert_null(root);
    assert_memory_equal(error.message, "not valid JSON at ", 18);
    assert_memory_equal(error.message + 18, expected, strlen(expected));
}

static void mistakes_are_placed(void **state)
{
    (void)state;
    assert_refused("", "1:");
    assert_refused("{\n  \"a\": 1,\n}", "3:1: ");
    assert_refused("{\"a\": 1} x", "1:10: ");
    assert_refused("{\"a\": \"unfinished", "1:");
    assert_refused("{\"a\": \"\xff\"}", "1:");
    assert_refused("{\"a\": \"\\u0000\"}", "1:");
    assert_refused("7", "1:1: ");
    assert_refused("{\"a\": 99999999999999999999}", "1:");
}

static void repeated_keys_are_refused(void **state)
{
    (void)state;
    assert_refused("{\"a\": 1, \"a\": 2}", "1:12: duplicate object key");
}

static void the_text_itself_is_not_repeated(void **state)
{
    (void)state;
    struct json *root = NULL;
    struct rm_error error = {0};
    static const char text[] = "{\"token\": s3cret}";
    assert_int_equal(json_parse(text, strlen(text), &root, &error), RM_ERR_MALFORMED);
    assert_null(strstr(error.message, "s3cret"));
    static const char repeated[] = "{\"s3cret\": 1, \"s3cret\": 2}";
    assert_int_equal(json_parse(repeated, strlen(repeated), &root, &error), RM_ERR_MALFORMED);
    assert_null(strstr(error.message, "s3cret"));
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    enum { DEPTH = 100000 };
    char *text = rm_malloc(DEPTH);
    memset(text, '[', DEPTH);
    struct json *root = NULL;
    assert_int_equal(json_parse(text, DEPTH, &root, NULL), RM_ERR_MALFORMED);
    rm_free(text);
}

static void size_is_bounded(void **state)
{
    (void)state;
    struct json *root = NULL;
    assert_int_equal(json_parse("[]", (16U << 20) + 1, &root, NULL), RM_ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_placed),
        cmocka_unit_test(repeated_keys_are_refused),
        cmocka_unit_test(the_text_itself_is_not_repeated),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(size_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
