// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/buffer.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

// The first allocation: enough for a frame header or a short line.
#define BUFFER_FIRST_BYTES 64

void buffer_init(struct buffer *buffer, size_t max_bytes)
{
    *buffer = (struct buffer){.max_bytes = max_bytes};
}

void buffer_deinit(struct buffer *buffer)
{
    rm_free(buffer->bytes);
    buffer_init(buffer, buffer->max_bytes);
}

void buffer_deinit_wiped(struct buffer *buffer)
{
    rm_free_wiped(buffer->bytes, buffer->capacity);
    buffer_init(buffer, buffer->max_bytes);
}

size_t buffer_length(const struct buffer *buffer)
{
    return buffer->end - buffer->start;
}

const uint8_t *buffer_data(const struct buffer *buffer)
{
    return buffer->bytes == NULL ? NULL : buffer->bytes + buffer->start;
}

static void buffer_move_to_front(struct buffer *buffer)
{
    size_t length = buffer_length(buffer);
    if (buffer->start > 0 && length > 0) {
        memmove(buffer->bytes, buffer->bytes + buffer->start, length);
    }
    buffer->start = 0;
    buffer->end = length;
}

// New memory rather than realloc(): what is outgrown may hold secrets and is wiped.
static enum rm_err buffer_grow(struct buffer *buffer, size_t needed)
{
    size_t capacity = buffer->capacity > 0 ? buffer->capacity : BUFFER_FIRST_BYTES;
    while (capacity < needed) {
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    }
    if (buffer->max_bytes < SIZE_MAX && capacity > buffer->max_bytes + 1) {
        capacity = needed > buffer->max_bytes + 1 ? needed : buffer->max_bytes + 1;
    }
    uint8_t *bytes = rm_malloc(capacity);
    if (bytes == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    size_t length = buffer_length(buffer);
    if (length > 0) {
        memcpy(bytes, buffer->bytes + buffer->start, length);
    }
    rm_free_wiped(buffer->bytes, buffer->capacity);
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    buffer->start = 0;
    buffer->end = length;
    return RM_OK;
}

// Room for `length` bytes past the end, whatever the maximum says.
static enum rm_err buffer_make_room(struct buffer *buffer, size_t length)
{
    if (length <= buffer->capacity - buffer->end) {
        return RM_OK;
    }
    size_t unread = buffer_length(buffer);
    if (length > SIZE_MAX - unread) {
        return RM_ERR_TOO_LARGE;
    }
    // Moving pays when it frees as much as it copies: otherwise a slow reader would make every
    // append a copy of the whole backlog. Where growing is over, moving is all there is.
    bool is_worth_moving = buffer->start >= unread || buffer->capacity > buffer->max_bytes;
    if (unread + length <= buffer->capacity && is_worth_moving) {
        buffer_move_to_front(buffer);
        return RM_OK;
    }
    return buffer_grow(buffer, unread + length);
}

static enum rm_err buffer_check_room(const struct buffer *buffer, size_t length)
{
    size_t unread = buffer_length(buffer);
    if (unread > buffer->max_bytes || length > buffer->max_bytes - unread) {
        return RM_ERR_TOO_LARGE;
    }
    return RM_OK;
}

enum rm_err buffer_reserve(struct buffer *buffer, size_t length, uint8_t **space)
{
    RM_TRY(buffer_check_room(buffer, length));
    // At least one byte, so that *space is never NULL.
    RM_TRY(buffer_make_room(buffer, length > 0 ? length : 1));
    *space = buffer->bytes + buffer->end;
    return RM_OK;
}

void buffer_commit(struct buffer *buffer, size_t length)
{
    size_t room = buffer->capacity - buffer->end;
    buffer->end += length < room ? length : room;
}

enum rm_err buffer_append(struct buffer *buffer, const void *bytes, size_t length)
{
    if (length == 0) {
        return RM_OK;
    }
    uint8_t *space = NULL;
    RM_TRY(buffer_reserve(buffer, length, &space));
    memcpy(space, bytes, length);
    buffer_commit(buffer, length);
    return RM_OK;
}

enum rm_err buffer_append_text(struct buffer *buffer, const char *text)
{
    return buffer_append(buffer, text, strlen(text));
}

RM_PRINTF(3, 0)
static enum rm_err buffer_vprintf(struct buffer *buffer, size_t length, const char *format,
                                  va_list args)
{
    RM_TRY(buffer_check_room(buffer, length));
    // vsnprintf writes a NUL, which is not counted against the maximum.
    RM_TRY(buffer_make_room(buffer, length + 1));
    vsnprintf((char *)buffer->bytes + buffer->end, length + 1, format, args);
    buffer_commit(buffer, length);
    return RM_OK;
}

enum rm_err buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list counted;
    va_copy(counted, args);
    int length = vsnprintf(NULL, 0, format, counted);
    va_end(counted);
    enum rm_err result =
        length < 0 ? RM_ERR_INTERNAL : buffer_vprintf(buffer, (size_t)length, format, args);
    va_end(args);
    return result;
}

void buffer_consume(struct buffer *buffer, size_t length)
{
    size_t unread = buffer_length(buffer);
    buffer->start += length < unread ? length : unread;
    if (buffer->start == buffer->end) {
        buffer_clear(buffer);
    }
}

void buffer_clear(struct buffer *buffer)
{
    buffer->start = 0;
    buffer->end = 0;
}

const char *buffer_text(struct buffer *buffer)
{
    if (buffer_make_room(buffer, 1) != RM_OK) {
        return NULL;
    }
    buffer->bytes[buffer->end] = '\0';
    return (const char *)buffer->bytes + buffer->start;
}

void buffer_take(struct buffer *buffer, uint8_t **bytes, size_t *length)
{
    buffer_move_to_front(buffer);
    *bytes = buffer->bytes;
    *length = buffer_length(buffer);
    buffer_init(buffer, buffer->max_bytes);
}
