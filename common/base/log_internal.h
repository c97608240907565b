// SPDX-License-Identifier: GPL-3.0-or-later
//
// How one log line is spelled, apart from where it goes. Whatever a value holds, it stays inside
// its quotes and on its line: control characters, invalid UTF-8 and characters that reorder text
// are escaped.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"

// With its newline. What POSIX guarantees to write to a pipe in one piece (PIPE_BUF), so that lines
// of several processes never mix.
#define LOG_LINE_BYTES 4096
// Longest escaped value; what is longer is cut and marked with "...".
#define LOG_VALUE_BYTES 1024

struct log_line {
    char text[LOG_LINE_BYTES]; // not NUL-terminated
    size_t length;             // used bytes of `text`
    bool is_json;              // spelling
    bool is_cut;               // a pair was left out since it did not fit
};

// Starts a line with its time.
void log_line_begin(struct log_line *line, bool is_json);
// Text lines show `text` alone, JSON lines as "key":"text".
void log_line_head(struct log_line *line, const char *key, const char *text);
void log_line_pair(struct log_line *line, const struct log_pair *pair);
// Closes the line and appends its newline.
void log_line_end(struct log_line *line);
