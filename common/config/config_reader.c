// SPDX-License-Identifier: GPL-3.0-or-later
//
// libyaml has no hook for an allocator: its own memory is bounded by CONFIG_MAX_FILE_BYTES instead.
#include <string.h>

#include "config/config_internal.h"

enum rm_err config_reader_init(struct config_reader *reader, const char *name, const char *text,
                               size_t length, struct rm_error *error)
{
    *reader = (struct config_reader){
        .name = name, .text = text, .length = length, .error = error, .place = {1, 1}};
    if (yaml_parser_initialize(&reader->parser) != 1) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "%s: no memory to read it", name);
    }
    // Fixed: a byte-order mark must not switch to an encoding that editors and reviewers do not
    // see.
    yaml_parser_set_encoding(&reader->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader->parser, (const unsigned char *)text, length);
    return RM_OK;
}

void config_reader_deinit(struct config_reader *reader)
{
    yaml_event_delete(&reader->event);
    yaml_parser_delete(&reader->parser);
}

enum rm_err config_reader_fail(struct config_reader *reader, const char *format, ...)
{
    char message[RM_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return config_fail(reader->error, reader->name, reader->place, "%s", message);
}

// libyaml counts lines and columns from 0.
static struct config_place reader_place_of(yaml_mark_t mark)
{
    return (struct config_place){.line = (int)mark.line + 1, .column = (int)mark.column + 1};
}

static struct config_place reader_place_of_byte(const struct config_reader *reader, size_t offset)
{
    struct config_place place = {.line = 1, .column = 1};
    for (size_t i = 0; i < offset && i < reader->length; i++) {
        place.column++;
        if (reader->text[i] == '\n') {
            place.line++;
            place.column = 1;
        }
    }
    return place;
}

// Column of the first tab in the indentation of a line; 0 when there is none.
static int reader_tab_column(const struct config_reader *reader, int line)
{
    size_t i = 0;
    for (int current = 1; current < line && i < reader->length; i++) {
        current += reader->text[i] == '\n' ? 1 : 0;
    }
    for (int column = 1; i < reader->length; i++, column++) {
        if (reader->text[i] == '\t') {
            return column;
        }
        if (reader->text[i] != ' ') {
            return 0;
        }
    }
    return 0;
}

// What libyaml says, and what it means to the one who wrote the file.
static const struct {
    const char *problem; // libyaml's words
    const char *advice;  // ours
} reader_advices[] = {
    {"mapping values are not allowed in this context",
     "a ':' is not expected here; check the indentation, or put the value in quotes"},
    {"did not find expected key", "this line does not fit the ones above; check the indentation"},
    {"could not find expected ':'", "a key must be followed by ':' on the same line"},
    {"did not find expected '-' indicator",
     "this line does not fit the list above; check the indentation"},
    {"found unexpected end of stream", "a quote is opened and never closed"},
    {"found character that cannot start any token",
     "a value cannot begin with this character; put it in quotes"},
    {"did not find expected ',' or ']'", "a '[' is opened and never closed"},
    {"did not find expected ',' or '}'", "a '{' is opened and never closed"},
};

static const char *reader_advice(const char *problem)
{
    for (size_t i = 0; i < sizeof(reader_advices) / sizeof(reader_advices[0]); i++) {
        if (strcmp(reader_advices[i].problem, problem) == 0) {
            return reader_advices[i].advice;
        }
    }
    return problem;
}

static enum rm_err reader_syntax_failure(struct config_reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    if (parser->error == YAML_MEMORY_ERROR) {
        return rm_error_set(reader->error, RM_ERR_NO_MEMORY, "%s: no memory to read it",
                            reader->name);
    }
    const char *problem = parser->problem != NULL ? parser->problem : "unknown mistake";
    if (parser->error == YAML_READER_ERROR) {
        reader->place = reader_place_of_byte(reader, parser->problem_offset);
        return config_reader_fail(reader, "the file must be UTF-8 text without control characters");
    }
    reader->place = reader_place_of(parser->problem_mark);
    int tab = reader_tab_column(reader, reader->place.line);
    if (tab != 0) {
        reader->place.column = tab;
        return config_reader_fail(reader, "indented with a tab; use spaces");
    }
    return config_reader_fail(reader, "%s", reader_advice(problem));
}

// What YAML could do beyond keys, values and lists is refused: an alias makes one line mean
// another, and a tag overrides the schema's type.
static enum rm_err reader_check_plain(struct config_reader *reader)
{
    const yaml_event_t *event = &reader->event;
    const yaml_char_t *anchor = NULL;
    const yaml_char_t *tag = NULL;
    if (event->type == YAML_ALIAS_EVENT) {
        return config_reader_fail(reader, "aliases (*name) are not supported; write the value out");
    }
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    if (anchor != NULL) {
        return config_reader_fail(reader, "anchors (&name) are not supported; write the value out");
    }
    if (tag != NULL) {
        return config_reader_fail(reader, "tags (!name) are not supported; remove it");
    }
    if (event->type == YAML_SCALAR_EVENT &&
        strlen((const char *)event->data.scalar.value) != event->data.scalar.length) {
        return config_reader_fail(reader, "a value cannot hold a NUL character");
    }
    return RM_OK;
}

enum rm_err config_reader_next(struct config_reader *reader)
{
    yaml_event_delete(&reader->event);
    if (yaml_parser_parse(&reader->parser, &reader->event) != 1) {
        return reader_syntax_failure(reader);
    }
    reader->place = reader_place_of(reader->event.start_mark);
    return reader_check_plain(reader);
}

enum rm_err config_reader_open_document(struct config_reader *reader)
{
    RM_TRY(config_reader_next(reader)); // the stream's start
    RM_TRY(config_reader_next(reader)); // the document's start, or the stream's end
    if (reader->event.type == YAML_DOCUMENT_START_EVENT) {
        return config_reader_next(reader);
    }
    reader->place = (struct config_place){.line = 1, .column = 1};
    return RM_OK;
}

enum rm_err config_reader_close_document(struct config_reader *reader)
{
    if (reader->event.type == YAML_STREAM_END_EVENT) {
        return RM_OK;
    }
    RM_TRY(config_reader_next(reader)); // the document's end
    RM_TRY(config_reader_next(reader)); // the stream's end, or another document
    if (reader->event.type != YAML_STREAM_END_EVENT) {
        return config_reader_fail(reader,
                                  "a second document begins here; write one document per file");
    }
    return RM_OK;
}

bool config_reader_at_null(const struct config_reader *reader)
{
    if (reader->event.type != YAML_SCALAR_EVENT ||
        reader->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
        return false;
    }
    const char *text = config_reader_text(reader);
    return text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

const char *config_reader_text(const struct config_reader *reader)
{
    return (const char *)reader->event.data.scalar.value;
}
