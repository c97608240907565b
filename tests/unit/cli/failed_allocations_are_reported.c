// SPDX-License-Identifier: GPL-3.0-or-later
//
// Whichever allocation fails: a table is whole or not printed, JSON is whole or not printed, a
// request is whole or not sent; nothing leaks (the sanitizer watches).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "cli_wire.h"
#include "commands.h"
#include "show.h"

static bool try_table(void)
{
    static const char *const heading[] = {"A", "B"};
    char *items[] = {(char *)"x", (char *)"y"};
    struct table table;
    table_init(&table, heading, 2);
    for (size_t i = 0; i < 80; i++) {
        table_printf(&table, "%zu", i);
        table_add_list(&table, items, 2);
    }
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    enum rm_err result = table_print(&table, out);
    fclose(out);
    assert_true(result == RM_OK ? strstr(text, "79  x,y\n") != NULL : length == 0);
    free(text);
    table_deinit(&table);
    return result == RM_OK;
}

static bool try_json(void)
{
    char *items[] = {(char *)"x", (char *)"y"};
    struct wire_texts texts = {items, 2};
    struct json *object = json_object_new();
    bool is_whole = show_set_texts(object, "texts", &texts) &&
                    show_set_time(object, "at", "at_s", 1) && show_set_text(object, "none", "") &&
                    show_set_hex(object, "hex", (const uint8_t *)"ab", 2);
    char *text = is_whole ? json_text(object, false) : NULL;
    json_free(object);
    if (text != NULL) {
        assert_string_equal(text, "{\"texts\":[\"x\",\"y\"],\"at\":\"1970-01-01T00:00:01Z\","
                                  "\"at_s\":1,\"none\":null,\"hex\":\"6162\"}\n");
    }
    rm_free(text);
    return text != NULL;
}

static bool try_request(void)
{
    static char *const words[] = {(char *)"remora",     (char *)"service",  (char *)"create",
                                  (char *)"web",        (char *)"--port",   (char *)"80",
                                  (char *)"--identity", (char *)"ns/a/sa/b"};
    struct args args;
    struct rm_error error = {0};
    struct wire_bytes request = {0};
    struct wire_create_service service = {.name = "web", .port = 80};
    enum rm_err result = args_parse(&cli_commands, 8, (char **)(uintptr_t)words, &args, &error);
    if (result == RM_OK) {
        result =
            args_values(&args, "identity", &service.identities.items, &service.identities.count);
    }
    if (result == RM_OK) {
        result = wire_create_service(&service, &request);
    }
    rm_free(service.identities.items);
    wire_bytes_deinit(&request);
    args_deinit(&args);
    assert_true(result == RM_OK || result == RM_ERR_NO_MEMORY);
    return result == RM_OK;
}

static void fail_each(bool (*attempt)(void))
{
    size_t failures = 0;
    for (uint64_t n = 1;; n++) {
        rm_alloc_fail_at(n);
        bool is_whole = attempt();
        bool was_reached = rm_alloc_count() >= n;
        rm_alloc_fail_at(0);
        if (!was_reached) {
            assert_true(is_whole);
            break;
        }
        failures += is_whole ? 0 : 1;
    }
    assert_true(failures > 0);
}

static void table_is_whole_or_not_printed(void **state)
{
    (void)state;
    fail_each(try_table);
}

static void json_is_whole_or_not_printed(void **state)
{
    (void)state;
    fail_each(try_json);
}

static void request_is_whole_or_not_made(void **state)
{
    (void)state;
    fail_each(try_request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_whole_or_not_printed),
        cmocka_unit_test(json_is_whole_or_not_printed),
        cmocka_unit_test(request_is_whole_or_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
