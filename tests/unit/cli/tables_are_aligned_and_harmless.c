// SPDX-License-Identifier: GPL-3.0-or-later
//
// Columns stand under one another, and no cell can move the cursor or feign another line.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "table.h"

static void assert_prints(const struct table *table, const char *wanted)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    assert_int_equal(table_print(table, out), RM_OK);
    fclose(out);
    assert_string_equal(text, wanted);
    free(text);
}

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
    static const char *const heading[] = {"NAME", ">PORT", "WHO"};
    struct table table;
    (void)state;
    table_init(&table, heading, 3);
    assert_int_equal(table_row_count(&table), 0);
    table_add(&table, "w");
    table_printf(&table, "%d", 65535);
    table_add(&table, "a");
    table_add(&table, "longer-name");
    table_add(&table, "7");
    table_add(&table, "somebody");
    assert_int_equal(table_row_count(&table), 2);
    assert_prints(&table, "NAME          PORT  WHO\n"
                          "w            65535  a\n"
                          "longer-name      7  somebody\n");
    table_deinit(&table);
}

static void empty_cells_are_dashes(void **state)
{
    static const char *const heading[] = {"A", "B", "C"};
    char *items[] = {(char *)"x", (char *)"y"};
    struct table table;
    (void)state;
    table_init(&table, heading, 3);
    table_add(&table, NULL);
    table_add(&table, "");
    table_add_list(&table, NULL, 0);
    table_add_list(&table, items, 2);
    table_add_list(&table, items, 1);
    table_add(&table, "z");
    assert_prints(&table, "A    B  C\n"
                          "-    -  -\n"
                          "x,y  x  z\n");
    table_deinit(&table);
}

static void width_counts_characters(void **state)
{
    static const char *const heading[] = {"A", "B"};
    struct table table;
    (void)state;
    table_init(&table, heading, 2);
    table_add(&table, "gr\xc3\xbc\xc3\x9f"
                      "e");
    table_add(&table, "x");
    assert_prints(&table, "A      B\n"
                          "gr\xc3\xbc\xc3\x9f"
                          "e  x\n");
    table_deinit(&table);
}

static void dangerous_characters_are_shown_as_question_marks(void **state)
{
    static const struct {
        const char *text;  // of a cell
        const char *shown; // as
    } rows[] = {
        {"a\nb", "a?b"},
        {"a\tb\r", "a?b?"},
        {"\x1b[31mred", "?[31mred"},
        {"\x7f", "?"},
        {"\xc2\x9b"
         "31m",
         "?31m"},
        {"\xff\xfe", "??"},
        {"\xc3", "?"},
        {"\xe2\x80\xae"
         "gpj.exe",
         "?gpj.exe"},
        {"\xef\xbf\xbd", "\xef\xbf\xbd"},
        {"plain \xe2\x82\xac", "plain \xe2\x82\xac"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *shown = printable_dup(rows[i].text);
        assert_non_null(shown);
        assert_string_equal(shown, rows[i].shown);
        rm_free(shown);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
        cmocka_unit_test(empty_cells_are_dashes),
        cmocka_unit_test(width_counts_characters),
        cmocka_unit_test(dangerous_characters_are_shown_as_question_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
