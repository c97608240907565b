// SPDX-License-Identifier: GPL-3.0-or-later
//
// Walks the file and the schema together.
#include "config/config.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "config/config_internal.h"

// More keys in one mapping than any of our schemas has.
#define CONFIG_MAX_FIELDS 64

enum rm_err config_fail(struct rm_error *error, const char *path, struct config_place place,
                        const char *format, ...)
{
    char message[RM_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    if (place.line == 0) {
        return rm_error_set(error, RM_ERR_CONFIG, "%s: %s", path, message);
    }
    return rm_error_set(error, RM_ERR_CONFIG, "%s:%d:%d: %s", path, place.line, place.column,
                        message);
}

// A mapping that is being read.
struct config_mapping {
    const struct config_field *fields; // what it may hold
    void *target;                      // what `fields` count their offsets from
    const char *owner;                 // key it belongs to; NULL at the top
    struct config_place place;         // where it begins
    int seen_line[CONFIG_MAX_FIELDS];  // line of each field's key; 0: not there
};

static enum rm_err config_read_mapping(struct config_reader *reader,
                                       const struct config_field *fields, const char *owner,
                                       void *target);

// Finds the field of the key that is the current event, and notes that it was there.
static enum rm_err config_take_key(struct config_reader *reader, struct config_mapping *mapping,
                                   const struct config_field **out)
{
    if (reader->event.type != YAML_SCALAR_EVENT) {
        return config_reader_fail(reader, "a key must be plain text");
    }
    const char *key = config_reader_text(reader);
    const struct config_field *field = mapping->fields;
    while (field->key != NULL && strcmp(field->key, key) != 0) {
        field++;
    }
    if (field->key == NULL) {
        char shown[CONFIG_SHOWN_BYTES];
        char hint[CONFIG_HINT_BYTES];
        config_show(key, shown);
        config_suggest_key(mapping->fields, key, hint);
        return config_reader_fail(reader, "unknown key '%s'%s", shown, hint);
    }
    int *seen_line = &mapping->seen_line[field - mapping->fields];
    if (*seen_line != 0) {
        return config_reader_fail(reader, "'%s' is given twice; the first is on line %d",
                                  field->key, *seen_line);
    }
    *seen_line = reader->place.line;
    *out = field;
    return RM_OK;
}

// Puts file and place before a message that has none.
static enum rm_err config_fail_here(struct config_reader *reader, enum rm_err code,
                                    const struct rm_error *reason)
{
    enum rm_err ignored = config_reader_fail(reader, "%s", rm_error_message(reason));
    (void)ignored;
    if (reader->error != NULL) {
        reader->error->code = code;
    }
    return code;
}

static enum rm_err config_read_scalar(struct config_reader *reader,
                                      const struct config_field *field, void *target)
{
    if (reader->event.type != YAML_SCALAR_EVENT) {
        return config_reader_fail(reader, "'%s' takes one value, not a %s", field->key,
                                  reader->event.type == YAML_SEQUENCE_START_EVENT ? "list"
                                                                                  : "mapping");
    }
    const struct config_scalar scalar = {
        .text = config_reader_text(reader),
        .is_plain = reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE,
    };
    struct rm_error reason = {0};
    enum rm_err result = config_value_set(field, target, &scalar, &reason);
    return result == RM_OK ? RM_OK : config_fail_here(reader, result, &reason);
}

static enum rm_err config_read_string_item(struct config_reader *reader,
                                           const struct config_field *field, void *target,
                                           size_t *capacity)
{
    if (reader->event.type != YAML_SCALAR_EVENT || config_reader_at_null(reader)) {
        return config_reader_fail(reader, "each item of '%s' must be text", field->key);
    }
    const char *text = config_reader_text(reader);
    struct rm_error reason = {0};
    enum rm_err result = config_value_check(field, text, &reason);
    if (result == RM_OK) {
        result = config_target_add_string(field, target, capacity, text);
    }
    if (result == RM_ERR_TOO_LARGE) {
        return config_reader_fail(reader, "'%s' has more than %d items", field->key,
                                  CONFIG_MAX_ITEMS);
    }
    reason.code = result;
    return result == RM_OK ? RM_OK : config_fail_here(reader, result, &reason);
}

static enum rm_err config_read_list_item(struct config_reader *reader,
                                         const struct config_field *field, void *target,
                                         size_t *capacity)
{
    if (reader->event.type != YAML_MAPPING_START_EVENT) {
        return config_reader_fail(reader, "each item of '%s' must be a mapping (- %s: ...)",
                                  field->key, field->fields[0].key);
    }
    void *item = NULL;
    enum rm_err result = config_target_add_item(field, target, capacity, &item);
    if (result == RM_ERR_TOO_LARGE) {
        return config_reader_fail(reader, "'%s' has more than %d items", field->key,
                                  CONFIG_MAX_ITEMS);
    }
    if (result != RM_OK) {
        return config_fail_here(reader, result, &(struct rm_error){.code = result});
    }
    return config_read_mapping(reader, field->fields, field->key, item);
}

static enum rm_err config_read_items(struct config_reader *reader, const struct config_field *field,
                                     void *target)
{
    if (reader->event.type != YAML_SEQUENCE_START_EVENT) {
        return config_reader_fail(reader, "'%s' must be a list: one '- ...' line per item",
                                  field->key);
    }
    size_t capacity = 0;
    for (;;) {
        RM_TRY(config_reader_next(reader));
        if (reader->event.type == YAML_SEQUENCE_END_EVENT) {
            return RM_OK;
        }
        RM_TRY(field->type == CONFIG_LIST
                   ? config_read_list_item(reader, field, target, &capacity)
                   : config_read_string_item(reader, field, target, &capacity));
    }
}

static enum rm_err config_read_value(struct config_reader *reader, const struct config_field *field,
                                     void *target)
{
    if (config_reader_at_null(reader)) {
        return config_reader_fail(reader, "'%s' has no value; write one or remove the key",
                                  field->key);
    }
    config_target_set_place(field, target, reader->place);
    if (field->type == CONFIG_STRINGS || field->type == CONFIG_LIST) {
        return config_read_items(reader, field, target);
    }
    if (field->type != CONFIG_SECTION) {
        return config_read_scalar(reader, field, target);
    }
    if (reader->event.type != YAML_MAPPING_START_EVENT) {
        return config_reader_fail(reader, "'%s' must be a mapping: keys indented below it",
                                  field->key);
    }
    return config_read_mapping(reader, field->fields, field->key, config_target_at(field, target));
}

// Defaults for what was not there; fails for what had to be.
static enum rm_err config_finish_mapping(struct config_reader *reader,
                                         const struct config_mapping *mapping)
{
    for (size_t i = 0; mapping->fields[i].key != NULL; i++) {
        const struct config_field *field = &mapping->fields[i];
        if (mapping->seen_line[i] != 0) {
            continue;
        }
        if (field->is_required) {
            return config_fail(reader->error, reader->name, mapping->place,
                               "'%s' is missing%s%s%s; it is required", field->key,
                               mapping->owner != NULL ? " in '" : "",
                               mapping->owner != NULL ? mapping->owner : "",
                               mapping->owner != NULL ? "'" : "");
        }
        struct rm_error reason = {0};
        enum rm_err result = config_target_set_default(field, mapping->target, &reason);
        if (result != RM_OK) {
            reader->place = mapping->place;
            return config_fail_here(reader, result, &reason);
        }
    }
    return RM_OK;
}

// The current event is the mapping's start; afterwards it is its end.
static enum rm_err config_read_mapping(struct config_reader *reader,
                                       const struct config_field *fields, const char *owner,
                                       void *target)
{
    struct config_mapping mapping = {
        .fields = fields, .target = target, .owner = owner, .place = reader->place};
    for (size_t i = 0; fields[i].key != NULL; i++) {
        assert(i < CONFIG_MAX_FIELDS);
    }
    for (;;) {
        RM_TRY(config_reader_next(reader));
        if (reader->event.type == YAML_MAPPING_END_EVENT) {
            break;
        }
        const struct config_field *field = NULL;
        RM_TRY(config_take_key(reader, &mapping, &field));
        RM_TRY(config_reader_next(reader));
        RM_TRY(config_read_value(reader, field, target));
    }
    return config_finish_mapping(reader, &mapping);
}

static enum rm_err config_read_document(struct config_reader *reader,
                                        const struct config_field *fields, void *target)
{
    RM_TRY(config_reader_open_document(reader));
    // A file without a single key is the mapping without keys: what is required tells its name.
    bool is_empty = reader->event.type == YAML_STREAM_END_EVENT || config_reader_at_null(reader);
    if (!is_empty && reader->event.type != YAML_MAPPING_START_EVENT) {
        return config_reader_fail(reader, "the file must be a mapping: 'key: value' lines");
    }
    if (is_empty) {
        struct config_mapping nothing = {
            .fields = fields, .target = target, .place = reader->place};
        RM_TRY(config_finish_mapping(reader, &nothing));
    } else {
        RM_TRY(config_read_mapping(reader, fields, NULL, target));
    }
    return config_reader_close_document(reader);
}

enum rm_err config_parse(const char *name, const char *text, size_t length,
                         const struct config_field *fields, void *target, size_t target_bytes,
                         struct rm_error *error)
{
    memset(target, 0, target_bytes);
    if (length > CONFIG_MAX_FILE_BYTES) {
        return rm_error_set(error, RM_ERR_CONFIG, "%s: larger than %u bytes", name,
                            CONFIG_MAX_FILE_BYTES);
    }
    struct config_reader reader;
    RM_TRY(config_reader_init(&reader, name, text, length, error));
    enum rm_err result = config_read_document(&reader, fields, target);
    config_reader_deinit(&reader);
    if (result != RM_OK) {
        config_free(fields, target);
        memset(target, 0, target_bytes);
    }
    return result;
}

enum rm_err config_read(const char *path, const struct config_field *fields, void *target,
                        size_t target_bytes, struct rm_error *error)
{
    memset(target, 0, target_bytes);
    uint8_t *text = NULL;
    size_t length = 0;
    RM_TRY(file_read(path, CONFIG_MAX_FILE_BYTES, &text, &length, error));
    enum rm_err result =
        config_parse(path, (const char *)text, length, fields, target, target_bytes, error);
    rm_free(text);
    return result;
}
