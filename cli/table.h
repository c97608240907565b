// SPDX-License-Identifier: GPL-3.0-or-later
//
// Aligned tables for people. Cells are copied; control characters and what is no UTF-8 are shown
// as '?', so that nothing a peer said can move the terminal's cursor.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/error.h"

#define TABLE_MAX_COLUMNS 12

struct table {
    size_t column_count;               // of each row
    bool is_number[TABLE_MAX_COLUMNS]; // aligned to the right
    char **cells;                      // owned, row by row, the heading first
    size_t cell_count;                 // of cells
    size_t room;                       // of cells
    bool is_failed;                    // memory ran out; nothing is printed
};

// `heading` holds column_count texts; one that begins with '>' is a column of numbers.
void table_init(struct table *table, const char *const *heading, size_t column_count);
void table_deinit(struct table *table);
// The next cell; NULL or "" becomes "-".
void table_add(struct table *table, const char *text);
void table_printf(struct table *table, const char *format, ...) RM_PRINTF(2, 3);
// Joined by commas, or "-".
void table_add_list(struct table *table, char *const *items, size_t count);
// Rows without the heading.
size_t table_row_count(const struct table *table);
// Columns as wide as their widest cell, two spaces apart, none after the last. Errors:
// RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err table_print(const struct table *table, FILE *out);

// A copy that is safe on a terminal. NULL when memory is exhausted.
char *printable_dup(const char *text);
// Characters, not bytes.
size_t text_width(const char *text);
