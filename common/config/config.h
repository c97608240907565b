// SPDX-License-Identifier: GPL-3.0-or-later
//
// YAML configuration read against a schema: every key is known, every value has a type and a range,
// and every error names file, line, column, the cause and the fix. Unknown and repeated keys are
// refused, as are anchors, aliases, tags and several documents. Slow path; not for hostile input
// from the network, yet bounded: in bytes and items here, in depth by the schema.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define CONFIG_MAX_FILE_BYTES (1U << 20)
#define CONFIG_MAX_ITEMS 10000 // of one list

enum config_type {
    CONFIG_STRING,   // char *; owned by the target, NULL when absent and not required
    CONFIG_BOOL,     // bool; only true and false
    CONFIG_INTEGER,  // int64_t, within minimum..maximum
    CONFIG_DURATION, // int64_t milliseconds from "500ms", "20s", "5m", "1h", "30d";
                     // minimum..maximum ms
    CONFIG_CHOICE,   // int: index into `choices`
    CONFIG_STRINGS,  // struct config_strings: list of strings
    CONFIG_SECTION,  // nested mapping: `fields`, whose offsets count from this field's offset;
                     // leave that 0 to count them from the parent struct. An absent section gets
                     // the defaults inside; what is required inside is required if it is there
    CONFIG_LIST, // struct config_list: list of mappings, each an `item_bytes` struct of `fields`
};

struct config_strings {
    char **items; // owned, as each of them
    size_t count; // of `items`
};

struct config_list {
    void *items;  // owned array of structs
    size_t count; // of `items`
};

// Where a value stood, so that later checks can point at it.
struct config_place {
    int line;   // from 1; 0: not in the file
    int column; // from 1, in characters
};

// Says what is wrong with a value in a sentence without file and place.
typedef enum rm_err (*config_check_fn)(const char *text, struct rm_error *error);

struct config_field {
    const char *key;                   // lower_snake_case; NULL ends the table
    enum config_type type;             // of the value
    size_t offset;                     // of the value in the target struct
    bool is_required;                  // an error when it is absent
    const char *initial;               // default of a scalar in YAML spelling; NULL: zero value
    int64_t minimum;                   // INTEGER, DURATION; both 0: any
    int64_t maximum;                   // INTEGER, DURATION
    const char *const *choices;        // CHOICE; NULL-terminated
    const struct config_field *fields; // SECTION, LIST
    size_t item_bytes;                 // LIST: sizeof the item struct
    config_check_fn check;             // STRING, each of STRINGS: format check; may be NULL
    size_t place_offset;               // of a struct config_place in the target; 0: none
};

// Reads `path` into `target` (zeroed first). On an error `target` is freed and zeroed.
// Message: "/etc/x.yaml:12:5: unknown key 'prot'; did you mean 'port'?".
RM_NODISCARD enum rm_err config_read(const char *path, const struct config_field *fields,
                                     void *target, size_t target_bytes, struct rm_error *error);
// The same from memory; `name` stands for the path.
RM_NODISCARD enum rm_err config_parse(const char *name, const char *text, size_t length,
                                      const struct config_field *fields, void *target,
                                      size_t target_bytes, struct rm_error *error);
// Frees everything the fields own inside `target`.
void config_free(const struct config_field *fields, void *target);
// An error at a place: "<path>:<line>:<column>: <message>"; code RM_ERR_CONFIG.
enum rm_err config_fail(struct rm_error *error, const char *path, struct config_place place,
                        const char *format, ...) RM_PRINTF(4, 5);

// "libyaml 0.2.5", for --version. Static; one thread.
const char *config_describe(void);
