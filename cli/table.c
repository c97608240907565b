// SPDX-License-Identifier: GPL-3.0-or-later
#include "table.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/utf8.h"

#define MAX_CELL_BYTES 65536

char *printable_dup(const char *text)
{
    char *copy = rm_strdup(text);
    if (copy == NULL) {
        return NULL;
    }
    char *to = copy;
    for (const char *at = text; *at != '\0';) {
        uint32_t code = 0;
        size_t length = utf8_read(at, &code);
        bool is_control = code < 0x20 || (code >= 0x7f && code < 0xa0);
        bool is_broken = code == UTF8_REPLACEMENT && length == 1;
        // Direction marks can make a line read as another one.
        bool is_mark = (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
                       (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
        if (is_control || is_broken || is_mark) {
            *to++ = '?';
        } else {
            memcpy(to, at, length);
            to += length;
        }
        at += length;
    }
    *to = '\0';
    return copy;
}

size_t text_width(const char *text)
{
    size_t width = 0;
    while (*text != '\0') {
        uint32_t code = 0;
        text += utf8_read(text, &code);
        width++;
    }
    return width;
}

void table_init(struct table *table, const char *const *heading, size_t column_count)
{
    *table = (struct table){.column_count = column_count};
    for (size_t i = 0; i < column_count; i++) {
        table->is_number[i] = heading[i][0] == '>';
        table_add(table, heading[i] + (table->is_number[i] ? 1 : 0));
    }
}

void table_deinit(struct table *table)
{
    for (size_t i = 0; i < table->cell_count; i++) {
        rm_free(table->cells[i]);
    }
    rm_free(table->cells);
    *table = (struct table){0};
}

static bool has_room(struct table *table)
{
    if (table->cell_count < table->room) {
        return true;
    }
    size_t room = table->room == 0 ? 64 : table->room * 2;
    char **grown = rm_realloc(table->cells, room * sizeof *grown);
    if (grown != NULL) {
        table->cells = grown;
        table->room = room;
    }
    return grown != NULL;
}

void table_add(struct table *table, const char *text)
{
    char *copy = printable_dup(text == NULL || text[0] == '\0' ? "-" : text);
    if (copy == NULL || !has_room(table)) {
        rm_free(copy);
        table->is_failed = true;
        return;
    }
    table->cells[table->cell_count++] = copy;
}

void table_printf(struct table *table, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    table_add(table, text);
}

void table_add_list(struct table *table, char *const *items, size_t count)
{
    struct buffer joined;
    buffer_init(&joined, MAX_CELL_BYTES);
    enum rm_err result = RM_OK;
    for (size_t i = 0; i < count && result == RM_OK; i++) {
        result = buffer_printf(&joined, "%s%s", i > 0 ? "," : "", items[i]);
    }
    const char *text = buffer_text(&joined);
    if (result == RM_ERR_NO_MEMORY || text == NULL) {
        table->is_failed = true;
    } else {
        table_add(table, text);
    }
    buffer_deinit(&joined);
}

size_t table_row_count(const struct table *table)
{
    size_t rows = table->cell_count / table->column_count;
    return rows > 0 ? rows - 1 : 0;
}

static void print_cell(const struct table *table, size_t cell, const size_t *widths, FILE *out)
{
    size_t column = cell % table->column_count;
    bool is_last = column == table->column_count - 1;
    const char *text = table->cells[cell];
    int padding = (int)(widths[column] - text_width(text));
    if (table->is_number[column]) {
        fprintf(out, "%*s%s", padding, "", text);
    } else {
        fprintf(out, "%s%*s", text, is_last ? 0 : padding, "");
    }
    fputs(is_last ? "\n" : "  ", out);
}

enum rm_err table_print(const struct table *table, FILE *out)
{
    size_t widths[TABLE_MAX_COLUMNS] = {0};
    if (table->is_failed) {
        return RM_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t width = text_width(table->cells[i]);
        size_t column = i % table->column_count;
        widths[column] = width > widths[column] ? width : widths[column];
    }
    for (size_t i = 0; i < table->cell_count; i++) {
        print_cell(table, i, widths, out);
    }
    return RM_OK;
}
