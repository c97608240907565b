// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "json/json.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

// Leaks show as the sanitizer's verdict at the end of the program.

static bool build(void)
{
    struct json *root = json_object_new();
    if (root == NULL) {
        return false;
    }
    bool is_built = json_set_string(root, "name", "web") &&
                    json_set_string(root, "odd", "\xff\xff") &&
                    json_set_integer(root, "port", 80) && json_set_bool(root, "is_up", true) &&
                    json_set(root, "list", json_array_new());
    char *text = is_built ? json_text(root, true) : NULL;
    rm_free(text);
    json_free(root);
    return text != NULL;
}

static void each_failure_while_building_is_said(void **state)
{
    (void)state;
    uint64_t n = 0;
    bool is_built = false;
    while (!is_built) {
        rm_alloc_fail_at(++n);
        is_built = build();
        // Only a run that made fewer allocations than n can have gone well.
        assert_true(!is_built || rm_alloc_count() < n);
        assert_true(n < 1000);
    }
    rm_alloc_fail_at(0);
    assert_true(n > 10);
}

static void assert_each_failure_is_said(const char *text)
{
    enum rm_err result = RM_ERR_NO_MEMORY;
    uint64_t n = 0;
    while (result != RM_OK) {
        struct json *root = NULL;
        rm_alloc_fail_at(++n);
        result = json_parse(text, strlen(text), &root, NULL);
        assert_true(result != RM_OK || rm_alloc_count() < n);
        assert_true(result == RM_OK || (result == RM_ERR_NO_MEMORY && root == NULL));
        assert_true(n < 1000);
        json_free(root);
    }
    rm_alloc_fail_at(0);
    assert_true(n > 3);
}

static void each_failure_while_reading_is_said(void **state)
{
    (void)state;
    assert_each_failure_is_said("{\"name\": \"web\", \"ports\": [1, 2, 3], \"a\": {\"b\": true}}");
}

// jansson's token buffer has 16 bytes and doubles: each token ends where it has to grow.
static void failures_inside_long_tokens_corrupt_nothing(void **state)
{
    (void)state;
    for (size_t length = 12; length < 70; length++) {
        char token[80];
        char text[256];
        memset(token, '7', sizeof(token));
        token[length] = '\0';
        snprintf(text, sizeof(text), "[\"%s\", \"\\u20ac%s\"]", token, token);
        assert_each_failure_is_said(text);
        snprintf(text, sizeof(text), "[7.%s]", token);
        assert_each_failure_is_said(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failure_while_building_is_said),
        cmocka_unit_test(each_failure_while_reading_is_said),
        cmocka_unit_test(failures_inside_long_tokens_corrupt_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
