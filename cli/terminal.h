// SPDX-License-Identifier: GPL-3.0-or-later
//
// The terminal as a screen to draw on: its alternate screen, keys without Enter. However the
// process ends (return, exit(), a signal, a crash), the terminal is as before; only SIGKILL leaves
// it. One per process. Life: terminal_open -> (terminal_size, terminal_draw, terminal_key)... ->
// terminal_close.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum terminal_key {
    TERMINAL_NOTHING = 0, // the time is over, or the size changed
    TERMINAL_ENTER = '\n',
    TERMINAL_ESCAPE = 27,
    TERMINAL_BACKSPACE = 127,
    // Below, one code for a sequence of bytes; other values are the character.
    TERMINAL_UP = 256,
    TERMINAL_DOWN,
    TERMINAL_PAGE_UP,
    TERMINAL_PAGE_DOWN,
    TERMINAL_HOME,
    TERMINAL_END,
    TERMINAL_GONE, // nobody types any more
};

// True when standard input and output are terminals.
bool terminal_is_there(void);
// Errors: RM_ERR_IO.
RM_NODISCARD enum rm_err terminal_open(void);
// Idempotent.
void terminal_close(void);
void terminal_size(size_t *columns, size_t *rows);
// Replaces the whole screen by `length` bytes of text.
void terminal_draw(const char *text, size_t length);
// The next key, waiting up to `timeout_ms`.
int terminal_key(int timeout_ms);
