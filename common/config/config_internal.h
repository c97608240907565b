// SPDX-License-Identifier: GPL-3.0-or-later
//
// The parts of reading a configuration: a cursor over YAML events that lets only the plain subset
// through (config_reader.c), values from scalars (config_value.c), the target's memory
// (config_target.c), hints for typing mistakes (config_suggest.c). config.c walks the schema.
// Nesting is bounded by the schema: whatever it does not expect ends the reading.
#pragma once

#include <yaml.h>

#include "config/config.h"

struct config_reader {
    const char *name;          // of the file, for messages; borrowed
    const char *text;          // the whole file; borrowed
    size_t length;             // of `text`
    struct rm_error *error;    // borrowed; may be NULL
    yaml_parser_t parser;      // owned
    yaml_event_t event;        // current event; owned
    struct config_place place; // where the current event begins
};

// Errors: RM_ERR_NO_MEMORY. Follow with config_reader_deinit() in the good case.
RM_NODISCARD enum rm_err config_reader_init(struct config_reader *reader, const char *name,
                                            const char *text, size_t length,
                                            struct rm_error *error);
void config_reader_deinit(struct config_reader *reader);
// Moves to the next event. Errors: RM_ERR_CONFIG for what is not YAML or not of the plain subset.
RM_NODISCARD enum rm_err config_reader_next(struct config_reader *reader);
// Moves into the document: to its first event, or to the end of an empty file.
RM_NODISCARD enum rm_err config_reader_open_document(struct config_reader *reader);
// Checks that nothing follows the document whose last event is the current one.
RM_NODISCARD enum rm_err config_reader_close_document(struct config_reader *reader);
// True when the current event is a scalar that YAML reads as null: nothing, "~", "null".
bool config_reader_at_null(const struct config_reader *reader);
// The current scalar's text, known to hold no NUL.
const char *config_reader_text(const struct config_reader *reader);
// Fails at the current event.
RM_NODISCARD enum rm_err config_reader_fail(struct config_reader *reader, const char *format, ...)
    RM_PRINTF(2, 3);

// What stands in the file, or as a default in the schema.
struct config_scalar {
    const char *text; // borrowed
    bool is_plain;    // without quotes
};

// Sets the value of a scalar type. Errors: RM_ERR_CONFIG with a sentence without file and place.
RM_NODISCARD enum rm_err config_value_set(const struct config_field *field, void *target,
                                          const struct config_scalar *scalar,
                                          struct rm_error *error);
// The type's check of a string, if there is one; the message names the key.
RM_NODISCARD enum rm_err config_value_check(const struct config_field *field, const char *text,
                                            struct rm_error *error);

// Sets the defaults of one field that is not in the file; of a section, those inside.
RM_NODISCARD enum rm_err config_target_set_default(const struct config_field *field, void *target,
                                                   struct rm_error *error);
// Appends a zeroed struct to the list and gives it; borrowed until the next append.
RM_NODISCARD enum rm_err config_target_add_item(const struct config_field *field, void *target,
                                                size_t *capacity, void **item);
RM_NODISCARD enum rm_err config_target_add_string(const struct config_field *field, void *target,
                                                  size_t *capacity, const char *text);
void config_target_set_place(const struct config_field *field, void *target,
                             struct config_place place);
// The value of `field` inside `target`.
void *config_target_at(const struct config_field *field, void *target);

// Foreign text for a message: short, and without characters that drive a terminal.
#define CONFIG_SHOWN_BYTES 64
void config_show(const char *text, char out[CONFIG_SHOWN_BYTES]);
#define CONFIG_HINT_BYTES 320
// "; did you mean 'x'?" or "; known here: a, b, c".
void config_suggest_key(const struct config_field *fields, const char *key,
                        char out[CONFIG_HINT_BYTES]);
// "; did you mean 'x'?" or "; use a, b or c".
void config_suggest_choice(const char *const *choices, const char *text,
                           char out[CONFIG_HINT_BYTES]);
