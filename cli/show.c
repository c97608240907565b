// SPDX-License-Identifier: GPL-3.0-or-later
#include "show.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

enum cli_exit show_failure(enum rm_err result)
{
    if (result == RM_ERR_MALFORMED) {
        fputs("remora: the answer cannot be read: are both ends of one version?\n", stderr);
    } else {
        fprintf(stderr, "remora: %s\n", rm_err_text(result));
    }
    return CLI_REFUSED;
}

enum cli_exit show_unsendable(enum rm_err result)
{
    if (result == RM_ERR_TOO_LARGE) {
        fputs("remora: the request is larger than 4 MiB\n", stderr);
        return CLI_USAGE;
    }
    return show_failure(result);
}

enum cli_exit show_json(struct json *json, bool is_whole)
{
    char *text = json != NULL && is_whole ? json_text(json, true) : NULL;
    json_free(json);
    if (text == NULL) {
        return show_failure(RM_ERR_NO_MEMORY);
    }
    fputs(text, stdout);
    rm_free_wiped_string(text);
    return CLI_OK;
}

enum cli_exit show_table(struct table *table, const char *hint)
{
    enum rm_err result = RM_OK;
    if (table_row_count(table) == 0 && !table->is_failed) {
        fprintf(stderr, "%s\n", hint);
    } else {
        result = table_print(table, stdout);
    }
    table_deinit(table);
    return result == RM_OK ? CLI_OK : show_failure(result);
}

static enum cli_exit list_json(const struct list_view *view, const struct wire_bytes *answer)
{
    struct json *object = json_object_new();
    struct json *array = json_array_new();
    enum rm_err result = array != NULL ? view->read(answer, true, array) : RM_ERR_NO_MEMORY;
    bool is_set = json_set(object, view->key, array);
    if (result != RM_OK) {
        json_free(object);
        return show_failure(result);
    }
    return show_json(object, is_set);
}

static enum cli_exit list_table(const struct list_view *view, const struct wire_bytes *answer)
{
    struct table table;
    table_init(&table, view->heading, view->column_count);
    enum rm_err result = view->read(answer, false, &table);
    if (result != RM_OK) {
        table_deinit(&table);
        return show_failure(result);
    }
    return show_table(&table, view->hint);
}

enum cli_exit show_list(const struct args *args, const struct list_view *view,
                        struct wire_bytes *request)
{
    struct wire_bytes answer = {0};
    enum cli_exit status = view->peer == EXCHANGE_SIDECAR
                               ? exchange_sidecar(args, view->method, request, &answer)
                               : exchange(args, view->method, request, &answer);
    if (status == CLI_OK) {
        status = args->is_json ? list_json(view, &answer) : list_table(view, &answer);
        wire_bytes_deinit(&answer);
    }
    return status;
}

enum cli_exit show_deleted(const struct args *args, const char *noun)
{
    if (args->is_json) {
        struct json *object = json_object_new();
        return show_json(object, json_set_string(object, "deleted", args->argument));
    }
    printf("%s %s deleted\n", noun, args->argument);
    return CLI_OK;
}

void show_add_callers(struct table *table, const struct wire_texts *allow, bool is_guarded)
{
    if (allow->count > 0) {
        table_add_list(table, allow->items, allow->count);
    } else {
        table_add(table, is_guarded ? "nobody (guarded)" : "own trust domain");
    }
}

void show_line(const char *name, const char *text)
{
    char *safe = printable_dup(text);
    printf("%-19s %s\n", name, safe != NULL ? safe : "?");
    rm_free(safe);
}

void show_linef(const char *name, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    show_line(name, text);
}

void show_time(int64_t seconds, char out[CLOCK_RFC3339_BYTES])
{
    if (seconds == 0) {
        memcpy(out, "-", 2);
    } else {
        clock_format_rfc3339(seconds * 1000, 0, out);
    }
}

void show_left(int64_t until_s, char out[CLOCK_DURATION_BYTES])
{
    if (until_s == 0) {
        memcpy(out, "-", 2);
    } else {
        clock_format_duration(until_s - clock_wall_s(), out);
    }
}

void show_hex(const uint8_t *bytes, size_t length, char out[HEX_BYTES(SHOW_MAX_HEX_BYTES)])
{
    hex_encode(bytes, length < SHOW_MAX_HEX_BYTES ? length : SHOW_MAX_HEX_BYTES, out);
}

bool show_set_time(struct json *object, const char *key, const char *key_s, int64_t seconds)
{
    if (seconds == 0) {
        return json_set_string(object, key, NULL) && json_set_string(object, key_s, NULL);
    }
    char text[CLOCK_RFC3339_BYTES];
    clock_format_rfc3339(seconds * 1000, 0, text);
    return json_set_string(object, key, text) && json_set_integer(object, key_s, seconds);
}

bool show_set_seconds_left(struct json *object, int64_t until_s)
{
    return until_s == 0 ? json_set_string(object, "seconds_left", NULL)
                        : json_set_integer(object, "seconds_left", until_s - clock_wall_s());
}

bool show_set_texts(struct json *object, const char *key, const struct wire_texts *texts)
{
    struct json *array = json_array_new();
    if (array == NULL) {
        return false;
    }
    bool is_whole = true;
    for (size_t i = 0; i < texts->count; i++) {
        is_whole = json_append_string(array, texts->items[i]) && is_whole;
    }
    return json_set(object, key, array) && is_whole;
}

bool show_set_text(struct json *object, const char *key, const char *text)
{
    return json_set_string(object, key, text[0] != '\0' ? text : NULL);
}

bool show_set_hex(struct json *object, const char *key, const uint8_t *bytes, size_t length)
{
    char text[HEX_BYTES(SHOW_MAX_HEX_BYTES)];
    show_hex(bytes, length, text);
    return show_set_text(object, key, text);
}
