// SPDX-License-Identifier: GPL-3.0-or-later
//
// `struct json` is jansson's json_t under our name: the two casts stand here and nowhere else.
#pragma once

#include <jansson.h>

#include "json/json.h"

static inline json_t *json_unwrap(struct json *value)
{
    return (json_t *)(void *)value;
}

static inline const json_t *json_unwrap_const(const struct json *value)
{
    return (const json_t *)(const void *)value;
}

static inline struct json *json_wrap(json_t *value)
{
    return (struct json *)(void *)value;
}

static inline const struct json *json_wrap_const(const json_t *value)
{
    return (const struct json *)(const void *)value;
}

// Gives jansson our allocator; must run before its first allocation. Cheap to repeat.
void json_use_our_memory(void);
// json_loadb() that survives failed allocations, and says so. NULL on any failure.
json_t *json_load_guarded(const char *text, size_t length, json_error_t *failure,
                          bool *is_out_of_memory);
