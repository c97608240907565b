// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "json/json.h"

#include <string.h>

#include "base/alloc.h"

static struct json *make_document(void)
{
    struct json *root = json_object_new();
    struct json *list = json_array_new();
    assert_true(json_set_string(root, "zone", "b\"\n\x01"));
    assert_true(json_set_integer(root, "count", INT64_MIN));
    assert_true(json_set_bool(root, "is_up", true));
    assert_true(json_set_string(root, "absent", NULL));
    assert_true(json_append_string(list, "one"));
    assert_true(json_append(list, json_object_new()));
    assert_true(json_set(root, "list", list));
    return root;
}

static void keys_keep_the_order_they_were_set_in(void **state)
{
    (void)state;
    struct json *root = make_document();
    char *text = json_text(root, false);
    assert_string_equal(text, "{\"zone\":\"b\\\"\\n\\u0001\",\"count\":-9223372036854775808,"
                              "\"is_up\":true,\"absent\":null,\"list\":[\"one\",{}]}\n");
    rm_free(text);
    json_free(root);
}

static void indented_text_is_for_people(void **state)
{
    (void)state;
    struct json *root = json_object_new();
    assert_true(json_set_integer(root, "a", 1));
    char *text = json_text(root, true);
    assert_string_equal(text, "{\n  \"a\": 1\n}\n");
    rm_free(text);
    json_free(root);
}

static void what_was_written_reads_back(void **state)
{
    (void)state;
    struct json *root = make_document();
    char *text = json_text(root, true);
    struct json *copy = NULL;
    assert_int_equal(json_parse(text, strlen(text), &copy, NULL), RM_OK);
    assert_string_equal(json_get_string(copy, "zone"), "b\"\n\x01");
    assert_true(json_get_integer(copy, "count", 0) == INT64_MIN);
    assert_true(json_get_bool(copy, "is_up", false));
    assert_null(json_get_string(copy, "absent"));
    assert_non_null(json_get(copy, "absent"));
    const struct json *list = json_get(copy, "list");
    assert_int_equal(json_count(list), 2);
    assert_string_equal(json_as_string(json_at(list, 0)), "one");
    assert_null(json_as_string(json_at(list, 1)));
    assert_null(json_at(list, 2));
    json_free(copy);
    json_free(root);
    rm_free(text);
}

static void members_of_another_type_count_as_absent(void **state)
{
    (void)state;
    static const char text[] = "{\"s\":\"1\",\"r\":1.5,\"n\":1,\"z\":null}";
    struct json *root = NULL;
    assert_int_equal(json_parse(text, strlen(text), &root, NULL), RM_OK);
    assert_int_equal(json_get_integer(root, "s", 7), 7);
    assert_int_equal(json_get_integer(root, "r", 7), 7);
    assert_int_equal(json_get_integer(root, "gone", 7), 7);
    assert_true(json_get_bool(root, "n", true));
    assert_false(json_get_bool(root, "z", false));
    assert_null(json_get_string(root, "n"));
    assert_int_equal(json_count(root), 0);
    assert_null(json_get(json_get(root, "s"), "x"));
    assert_null(json_get(NULL, "x"));
    json_free(root);
}

static void foreign_bytes_become_text(void **state)
{
    (void)state;
    struct json *root = json_array_new();
    assert_true(json_append_string(root, "a\xff\xc3\xa9\xe2\x82z"));
    char *text = json_text(root, false);
    assert_string_equal(text, "[\"a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbdz\"]\n");
    rm_free(text);
    json_free(root);
}

static void a_missing_value_is_said(void **state)
{
    (void)state;
    struct json *root = json_object_new();
    assert_false(json_set(root, "a", NULL));
    assert_false(json_set(NULL, "a", json_array_new()));
    assert_false(json_append(root, json_array_new()));
    json_free(root);
    json_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_keep_the_order_they_were_set_in),
        cmocka_unit_test(indented_text_is_for_people),
        cmocka_unit_test(what_was_written_reads_back),
        cmocka_unit_test(members_of_another_type_count_as_absent),
        cmocka_unit_test(foreign_bytes_become_text),
        cmocka_unit_test(a_missing_value_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
