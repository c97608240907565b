// SPDX-License-Identifier: GPL-3.0-or-later
//
// Reading small documents.
#include <string.h>

#include "json/json_internal.h"

// Far above any document we read; bounds what a peer makes us hold.
#define JSON_MAX_BYTES (16U << 20)

// jansson quotes the input after "near": it may hold a token and is left out.
static enum rm_err json_parse_failure(const json_error_t *failure, struct rm_error *error)
{
    const char *quote = strstr(failure->text, " near ");
    int length = quote != NULL ? (int)(quote - failure->text) : (int)strlen(failure->text);
    return rm_error_set(error, RM_ERR_MALFORMED, "not valid JSON at %d:%d: %.*s", failure->line,
                        failure->column, length, failure->text);
}

enum rm_err json_parse(const char *text, size_t length, struct json **out, struct rm_error *error)
{
    *out = NULL;
    if (length > JSON_MAX_BYTES) {
        return rm_error_set(error, RM_ERR_TOO_LARGE, "JSON of %zu bytes: at most %u are read",
                            length, JSON_MAX_BYTES);
    }
    json_error_t failure;
    bool is_out_of_memory = false;
    json_t *root = json_load_guarded(text, length, &failure, &is_out_of_memory);
    if (is_out_of_memory) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "no memory to read JSON");
    }
    if (root == NULL) {
        return json_parse_failure(&failure, error);
    }
    *out = json_wrap(root);
    return RM_OK;
}

const struct json *json_get(const struct json *object, const char *key)
{
    return json_wrap_const(json_object_get(json_unwrap_const(object), key));
}

const char *json_get_string(const struct json *object, const char *key)
{
    return json_as_string(json_get(object, key));
}

int64_t json_get_integer(const struct json *object, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(json_unwrap_const(object), key);
    return json_is_integer(value) ? json_integer_value(value) : fallback;
}

bool json_get_bool(const struct json *object, const char *key, bool fallback)
{
    const json_t *value = json_object_get(json_unwrap_const(object), key);
    return json_is_boolean(value) ? json_is_true(value) : fallback;
}

size_t json_count(const struct json *array)
{
    return json_array_size(json_unwrap_const(array));
}

const struct json *json_at(const struct json *array, size_t index)
{
    return json_wrap_const(json_array_get(json_unwrap_const(array), index));
}

const char *json_as_string(const struct json *value)
{
    return json_string_value(json_unwrap_const(value));
}
