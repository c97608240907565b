// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/log_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"

// Kept free for the mark of a cut line, the closing brace and the newline.
#define LOG_TAIL_BYTES 24
#define LOG_CUT_MARK "..."
// Longest escaped form of one character: a \uXXXX.
#define LOG_ESCAPE_BYTES 6

static bool log_line_put(struct log_line *line, const char *text, size_t length)
{
    if (length > LOG_LINE_BYTES - LOG_TAIL_BYTES - line->length) {
        return false;
    }
    memcpy(line->text + line->length, text, length);
    line->length += length;
    return true;
}

static bool log_line_put_text(struct log_line *line, const char *text)
{
    return log_line_put(line, text, strlen(text));
}

// Characters that end a line, drive a terminal (C0, DEL, C1) or reorder what is shown (the line and
// paragraph separators and the bidirectional controls).
static bool log_must_escape(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || (code >= 0x200e && code <= 0x200f) ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
           code == 0xfeff || code == UTF8_REPLACEMENT;
}

// Writes the character at *text as it may stand between quotes; moves *text past it.
static size_t log_escape(const char **text, char out[LOG_ESCAPE_BYTES + 1])
{
    const char *start = *text;
    uint32_t code = 0;
    size_t length = utf8_read(start, &code);
    *text += length;
    switch (code) {
    case '"':
    case '\\':
        out[0] = '\\';
        out[1] = (char)code;
        return 2;
    case '\n':
        memcpy(out, "\\n", 2);
        return 2;
    case '\r':
        memcpy(out, "\\r", 2);
        return 2;
    case '\t':
        memcpy(out, "\\t", 2);
        return 2;
    default:
        break;
    }
    if (log_must_escape(code)) {
        snprintf(out, LOG_ESCAPE_BYTES + 1, "\\u%04" PRIx16, (uint16_t)code);
        return LOG_ESCAPE_BYTES;
    }
    memcpy(out, start, length);
    return length;
}

// Bytes at the start of `text`, at most `most`, that stand between quotes as they are.
static size_t log_plain_length(const char *text, size_t most)
{
    size_t length = 0;
    while (length < most && text[length] >= 0x20 && text[length] < 0x7f && text[length] != '"' &&
           text[length] != '\\') {
        length++;
    }
    return length;
}

static bool log_line_put_quoted(struct log_line *line, const char *text)
{
    if (!log_line_put_text(line, "\"")) {
        return false;
    }
    size_t written = 0;
    while (*text != '\0') {
        size_t plain = log_plain_length(text, LOG_VALUE_BYTES - written);
        if (!log_line_put(line, text, plain)) {
            return false;
        }
        text += plain;
        written += plain;
        if (*text == '\0') {
            break;
        }
        char escaped[LOG_ESCAPE_BYTES + 1];
        size_t length = log_escape(&text, escaped);
        if (written + length > LOG_VALUE_BYTES) {
            return log_line_put_text(line, LOG_CUT_MARK "\"");
        }
        if (!log_line_put(line, escaped, length)) {
            return false;
        }
        written += length;
    }
    return log_line_put_text(line, "\"");
}

// Text that needs no quotes in a text line: nothing that could be taken for a second pair.
static bool log_is_plain(const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "._-:/@+,*[]";
    size_t length = strspn(text, plain);
    return length > 0 && length <= LOG_VALUE_BYTES && text[length] == '\0';
}

static bool log_line_put_string(struct log_line *line, const char *text)
{
    const char *shown = text != NULL ? text : "";
    if (!line->is_json && log_is_plain(shown)) {
        return log_line_put_text(line, shown);
    }
    return log_line_put_quoted(line, shown);
}

static bool log_line_put_value(struct log_line *line, const struct log_pair *pair)
{
    char number[24];
    switch (pair->kind) {
    case LOG_VALUE_STR:
        return log_line_put_string(line, pair->text);
    case LOG_VALUE_U64:
        snprintf(number, sizeof(number), "%" PRIu64, pair->number);
        return log_line_put_text(line, number);
    case LOG_VALUE_I64:
        snprintf(number, sizeof(number), "%" PRId64, (int64_t)pair->number);
        return log_line_put_text(line, number);
    case LOG_VALUE_BOOL:
        return log_line_put_text(line, pair->number != 0 ? "true" : "false");
    case LOG_VALUE_NONE:
        break;
    }
    return log_line_put_text(line, line->is_json ? "null" : "-");
}

static bool log_line_put_key(struct log_line *line, const char *key)
{
    if (line->is_json) {
        return log_line_put_text(line, ",") && log_line_put_quoted(line, key) &&
               log_line_put_text(line, ":");
    }
    return log_line_put_text(line, " ") && log_line_put_text(line, key) &&
           log_line_put_text(line, "=");
}

void log_line_pair(struct log_line *line, const struct log_pair *pair)
{
    size_t before = line->length;
    if (line->is_cut) {
        return;
    }
    if (!log_line_put_key(line, pair->key) || !log_line_put_value(line, pair)) {
        line->length = before;
        line->is_cut = true;
    }
}

void log_line_begin(struct log_line *line, bool is_json)
{
    char now[CLOCK_RFC3339_BYTES];
    clock_format_rfc3339(clock_wall_ms(), 1, now);
    line->length = 0;
    line->is_json = is_json;
    line->is_cut = false;
    int length = snprintf(line->text, LOG_LINE_BYTES, is_json ? "{\"time\":\"%s\"" : "%s", now);
    line->length = (size_t)length;
}

void log_line_head(struct log_line *line, const char *key, const char *text)
{
    if (line->is_json) {
        log_line_pair(line, &LOG_STR(key, text));
        return;
    }
    size_t before = line->length;
    if (!log_line_put_text(line, " ") || !log_line_put_string(line, text)) {
        line->length = before;
    }
}

void log_line_end(struct log_line *line)
{
    // LOG_TAIL_BYTES were kept free for exactly this.
    int length = snprintf(line->text + line->length, LOG_LINE_BYTES - line->length, "%s%s\n",
                          line->is_cut ? (line->is_json ? ",\"cut\":true" : " cut=true") : "",
                          line->is_json ? "}" : "");
    line->length += (size_t)length;
}
