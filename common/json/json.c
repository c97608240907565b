// SPDX-License-Identifier: GPL-3.0-or-later
//
// Building and writing.
#include "json/json.h"

#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "json/json_internal.h"

struct json *json_object_new(void)
{
    json_use_our_memory();
    return json_wrap(json_object());
}

struct json *json_array_new(void)
{
    json_use_our_memory();
    return json_wrap(json_array());
}

// A copy in which every byte that is not UTF-8 became U+FFFD, three bytes long.
static char *json_clean_text(const char *text)
{
    size_t length = strlen(text);
    char *clean = length < SIZE_MAX / 3 ? rm_malloc(length * 3 + 1) : NULL;
    if (clean == NULL) {
        return NULL;
    }
    char *end = clean;
    while (*text != '\0') {
        uint32_t code = 0;
        size_t taken = utf8_read(text, &code);
        if (code == UTF8_REPLACEMENT) {
            memcpy(end, "\xef\xbf\xbd", 3);
            end += 3;
        } else {
            memcpy(end, text, taken);
            end += taken;
        }
        text += taken;
    }
    *end = '\0';
    return clean;
}

static bool json_is_clean(const char *text)
{
    uint32_t code = 0;
    for (; *text != '\0'; text += utf8_read(text, &code)) {
        if (utf8_read(text, &code) == 1 && code == UTF8_REPLACEMENT) {
            return false;
        }
    }
    return true;
}

// NULL when memory is exhausted.
static json_t *json_make_string(const char *text)
{
    json_use_our_memory();
    if (text == NULL) {
        return json_null();
    }
    if (json_is_clean(text)) {
        return json_string(text);
    }
    char *clean = json_clean_text(text);
    json_t *value = clean != NULL ? json_string(clean) : NULL;
    rm_free(clean);
    return value;
}

bool json_set(struct json *object, const char *key, struct json *value)
{
    return json_object_set_new(json_unwrap(object), key, json_unwrap(value)) == 0;
}

bool json_set_string(struct json *object, const char *key, const char *text)
{
    return json_set(object, key, json_wrap(json_make_string(text)));
}

bool json_set_integer(struct json *object, const char *key, int64_t number)
{
    return json_set(object, key, json_wrap(json_integer(number)));
}

bool json_set_bool(struct json *object, const char *key, bool value)
{
    return json_set(object, key, json_wrap(value ? json_true() : json_false()));
}

bool json_append(struct json *array, struct json *value)
{
    return json_array_append_new(json_unwrap(array), json_unwrap(value)) == 0;
}

bool json_append_string(struct json *array, const char *text)
{
    return json_append(array, json_wrap(json_make_string(text)));
}

char *json_text(const struct json *value, bool is_indented)
{
    const json_t *root = json_unwrap_const(value);
    size_t flags = JSON_ENCODE_ANY | (is_indented ? JSON_INDENT(2) : JSON_COMPACT);
    size_t length = json_dumpb(root, NULL, 0, flags);
    char *text = length > 0 ? rm_malloc(length + 2) : NULL;
    if (text == NULL) {
        return NULL;
    }
    if (json_dumpb(root, text, length, flags) != length) {
        rm_free(text);
        return NULL;
    }
    memcpy(text + length, "\n", 2);
    return text;
}

void json_free(struct json *value)
{
    json_decref(json_unwrap(value));
}
