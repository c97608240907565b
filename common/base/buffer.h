// SPDX-License-Identifier: GPL-3.0-or-later
//
// A growable block of bytes with a maximum that is set at init. Owns its memory; one thread.
// Life: buffer_init -> append, consume ... -> buffer_deinit.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct buffer {
    uint8_t *bytes;   // NULL while nothing was ever appended
    size_t start;     // offset of the first unread byte
    size_t end;       // offset after the last byte
    size_t capacity;  // allocated bytes
    size_t max_bytes; // most unread bytes it may hold
};

void buffer_init(struct buffer *buffer, size_t max_bytes);
// Frees the memory (wiped first with buffer_deinit_wiped). Safe to repeat.
void buffer_deinit(struct buffer *buffer);
void buffer_deinit_wiped(struct buffer *buffer);

size_t buffer_length(const struct buffer *buffer);
// The unread bytes. Borrowed until the next call that changes the buffer.
const uint8_t *buffer_data(const struct buffer *buffer);
// Errors: RM_ERR_TOO_LARGE (nothing appended), RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err buffer_append(struct buffer *buffer, const void *bytes, size_t length);
RM_NODISCARD enum rm_err buffer_append_text(struct buffer *buffer, const char *text);
RM_NODISCARD enum rm_err buffer_printf(struct buffer *buffer, const char *format, ...)
    RM_PRINTF(2, 3);
// Room for `length` more bytes at the end; *space is borrowed until the next call. Follow with
// buffer_commit(). Errors as buffer_append.
RM_NODISCARD enum rm_err buffer_reserve(struct buffer *buffer, size_t length, uint8_t **space);
void buffer_commit(struct buffer *buffer, size_t length);
// Drops `length` bytes from the front (at most what is there).
void buffer_consume(struct buffer *buffer, size_t length);
void buffer_clear(struct buffer *buffer);
// Appends a NUL that is not counted and gives the text. NULL when memory is exhausted.
const char *buffer_text(struct buffer *buffer);
// Takes the memory away from the buffer: *bytes is the caller's, to free with rm_free().
void buffer_take(struct buffer *buffer, uint8_t **bytes, size_t *length);
