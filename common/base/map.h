// SPDX-License-Identifier: GPL-3.0-or-later
//
// Hash map from byte-string keys to pointers (keyed SipHash-2-4: peers cannot choose collisions).
// Copies keys, borrows values. One thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct map;

// Errors: NULL when memory is exhausted. The hash key is drawn from the system once per process.
struct map *map_new(void);
// Values are not touched. `map` may be NULL.
void map_free(struct map *map);
size_t map_count(const struct map *map);
// Value or NULL.
void *map_get(const struct map *map, const void *key, size_t key_length);
// Sets or replaces; *previous (may be NULL) gets the replaced value or NULL.
// Errors: RM_ERR_NO_MEMORY (nothing changed).
RM_NODISCARD enum rm_err map_put(struct map *map, const void *key, size_t key_length, void *value,
                                 void **previous);
// Removes and gives the value, or NULL when absent.
void *map_remove(struct map *map, const void *key, size_t key_length);
// Visits every entry in no order. The map must not change meanwhile.
typedef void (*map_visit_fn)(void *context, const void *key, size_t key_length, void *value);
void map_visit(const struct map *map, map_visit_fn visit, void *context);
