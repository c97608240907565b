// SPDX-License-Identifier: GPL-3.0-or-later
//
// JSON by jansson, at one place: building documents for people and scripts, and reading small ones.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct json; // one value; a tree owned by its root

struct json *json_object_new(void); // NULL when memory is exhausted, as for all constructors
struct json *json_array_new(void);
// Setters return false when memory is exhausted; they take `value` in any case. What is not UTF-8
// in a text becomes U+FFFD; keys are literals.
bool json_set(struct json *object, const char *key, struct json *value);
bool json_set_string(struct json *object, const char *key, const char *text); // NULL: null
bool json_set_integer(struct json *object, const char *key, int64_t number);
bool json_set_bool(struct json *object, const char *key, bool value);
bool json_append(struct json *array, struct json *value);
bool json_append_string(struct json *array, const char *text);
// Text with a final newline, indented or compact, keys in insertion order; free with rm_free().
char *json_text(const struct json *value, bool is_indented);
void json_free(struct json *value);

// The root is an object or an array. Errors: RM_ERR_MALFORMED with line and column (and never with
// the text itself, which may be secret), RM_ERR_TOO_LARGE (over 16 MiB), RM_ERR_NO_MEMORY.
// Duplicate keys are refused.
RM_NODISCARD enum rm_err json_parse(const char *text, size_t length, struct json **out,
                                    struct rm_error *error);
// Borrowed members; NULL or `fallback` when absent or of another type.
const struct json *json_get(const struct json *object, const char *key);
const char *json_get_string(const struct json *object, const char *key);
int64_t json_get_integer(const struct json *object, const char *key, int64_t fallback);
bool json_get_bool(const struct json *object, const char *key, bool fallback);
size_t json_count(const struct json *array);
const struct json *json_at(const struct json *array, size_t index);
const char *json_as_string(const struct json *value); // NULL unless it is a string

// "jansson 2.14", for --version. Static; one thread.
const char *json_describe(void);
