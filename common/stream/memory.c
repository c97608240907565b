// SPDX-License-Identifier: GPL-3.0-or-later
//
// Two ends that hold, each, the bytes on their way to it. An end lives until its own close was
// answered; what was sent to it stays readable after the other end is gone.
#include "stream/memory.h"

#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"

// In rising order: a later one replaces an earlier one.
enum memory_end { MEMORY_OPEN, MEMORY_ENDED, MEMORY_RESET };

struct memory_stream {
    struct stream head;          // first
    struct memory_stream *other; // NULL once it closed
    struct buffer incoming;      // sent by the other end, not yet read
    struct peer *peer;           // owned reference; may be NULL
    struct deferred event;       // tells of what is wanted and holds
    struct deferred closed;      // calls on_closed and frees
    unsigned wanted;             // STREAM_*
    enum memory_end end;         // what the other end said last
    bool is_finished;            // our end was sent
    bool is_closed;              // stream_close() was called
};

static struct memory_stream *memory_of(struct stream *stream)
{
    return (struct memory_stream *)(void *)stream;
}

// Where there is nobody to read any more, bytes vanish, as with a socket that lingers.
static size_t memory_room(const struct memory_stream *memory)
{
    return memory->other == NULL
               ? SIZE_MAX
               : memory->other->incoming.max_bytes - buffer_length(&memory->other->incoming);
}

static unsigned memory_ready(const struct memory_stream *memory)
{
    bool is_readable = buffer_length(&memory->incoming) > 0 || memory->end != MEMORY_OPEN;
    bool is_writable = memory_room(memory) > 0 || memory->end == MEMORY_RESET;
    return memory->wanted & ((is_readable ? (unsigned)STREAM_READ : 0U) |
                             (is_writable ? (unsigned)STREAM_WRITE : 0U));
}

static void memory_look(struct memory_stream *memory)
{
    if (memory != NULL && !memory->is_closed && memory_ready(memory) != 0) {
        deferred_schedule(memory->head.loop, &memory->event);
    }
}

// The user may close the stream in its callback; its memory stays until the next turn.
static void memory_on_event(void *context)
{
    struct memory_stream *memory = context;
    unsigned ready = memory_ready(memory);
    if (ready != 0) {
        memory->head.on_event(memory->head.context, ready);
        memory_look(memory);
    }
}

static enum rm_err memory_read(struct stream *stream, uint8_t *bytes, size_t capacity,
                               size_t *length)
{
    struct memory_stream *memory = memory_of(stream);
    size_t available = buffer_length(&memory->incoming);
    if (capacity == 0) {
        return RM_ERR_INTERNAL;
    }
    if (available == 0) {
        switch (memory->end) {
        case MEMORY_OPEN:
            return RM_ERR_WOULD_BLOCK;
        case MEMORY_ENDED:
            return RM_ERR_EOF;
        case MEMORY_RESET:
            return RM_ERR_RESET;
        }
    }
    *length = available < capacity ? available : capacity;
    memcpy(bytes, buffer_data(&memory->incoming), *length);
    buffer_consume(&memory->incoming, *length);
    memory_look(memory->other);
    return RM_OK;
}

static enum rm_err memory_write(struct stream *stream, const struct iovec *parts, int count,
                                size_t *written)
{
    struct memory_stream *memory = memory_of(stream);
    if (memory->end == MEMORY_RESET || memory->is_finished) {
        return memory->end == MEMORY_RESET ? RM_ERR_RESET : RM_ERR_CLOSED;
    }
    size_t room = memory_room(memory);
    if (room == 0) {
        return RM_ERR_WOULD_BLOCK;
    }
    size_t taken = 0;
    for (int i = 0; i < count && room > taken; i++) {
        size_t length = parts[i].iov_len < room - taken ? parts[i].iov_len : room - taken;
        if (memory->other != NULL) {
            enum rm_err result = buffer_append(&memory->other->incoming, parts[i].iov_base, length);
            if (result != RM_OK && taken == 0) {
                return result;
            }
            if (result != RM_OK) {
                break;
            }
        }
        taken += length;
    }
    *written = taken;
    memory_look(memory->other);
    return RM_OK;
}

static void memory_say(struct memory_stream *memory, enum memory_end end)
{
    if (memory->other == NULL || memory->other->end >= end) {
        return;
    }
    memory->other->end = end;
    if (end == MEMORY_RESET) {
        buffer_clear(&memory->other->incoming);
    }
    memory_look(memory->other);
}

static enum rm_err memory_finish(struct stream *stream)
{
    struct memory_stream *memory = memory_of(stream);
    if (memory->end == MEMORY_RESET) {
        return RM_ERR_RESET;
    }
    if (!memory->is_finished) {
        memory->is_finished = true;
        memory_say(memory, MEMORY_ENDED);
    }
    return RM_OK;
}

static void memory_want(struct stream *stream, unsigned events)
{
    struct memory_stream *memory = memory_of(stream);
    memory->wanted = events;
    memory_look(memory);
}

static void memory_on_closed(void *context)
{
    struct memory_stream *memory = context;
    struct loop *loop = memory->head.loop;
    if (memory->head.on_closed != NULL) {
        memory->head.on_closed(memory->head.closed_context);
    }
    buffer_deinit(&memory->incoming);
    peer_unref(memory->peer);
    rm_free(memory);
    loop_close(loop);
}

static void memory_close(struct stream *stream, enum stream_close_mode mode)
{
    struct memory_stream *memory = memory_of(stream);
    memory_say(memory, mode == STREAM_CLOSE_ABORT ? MEMORY_RESET : MEMORY_ENDED);
    if (memory->other != NULL) {
        memory->other->other = NULL;
        memory_look(memory->other);
        memory->other = NULL;
    }
    memory->is_closed = true;
    memory->wanted = 0;
    deferred_cancel(&memory->event);
    deferred_schedule(memory->head.loop, &memory->closed);
}

static const struct peer *memory_peer(const struct stream *stream)
{
    return ((const struct memory_stream *)(const void *)stream)->peer;
}

static struct stream_address memory_address(const struct stream *stream)
{
    (void)stream;
    return (struct stream_address){0};
}

static int memory_descriptor(const struct stream *stream)
{
    (void)stream;
    return -1;
}

static const struct stream_ops memory_ops = {
    .read = memory_read,
    .write = memory_write,
    .finish = memory_finish,
    .want = memory_want,
    .close = memory_close,
    .peer = memory_peer,
    .remote = memory_address,
    .local = memory_address,
    .descriptor = memory_descriptor,
};

static struct memory_stream *memory_new(struct loop *loop, size_t capacity_bytes)
{
    struct memory_stream *memory = rm_calloc(1, sizeof(*memory));
    if (memory != NULL) {
        memory->head.ops = &memory_ops;
        memory->head.loop = loop;
        buffer_init(&memory->incoming, capacity_bytes);
        deferred_init(&memory->event, memory_on_event, memory);
        deferred_init(&memory->closed, memory_on_closed, memory);
    }
    return memory;
}

enum rm_err memory_stream_pair(struct loop *loop, size_t capacity_bytes, struct stream **a,
                               struct stream **b)
{
    struct memory_stream *first = memory_new(loop, capacity_bytes);
    struct memory_stream *second = memory_new(loop, capacity_bytes);
    if (first == NULL || second == NULL) {
        rm_free(first);
        rm_free(second);
        return RM_ERR_NO_MEMORY;
    }
    first->other = second;
    second->other = first;
    loop_open(loop);
    loop_open(loop);
    *a = &first->head;
    *b = &second->head;
    return RM_OK;
}

void memory_stream_set_peer(struct stream *stream, struct peer *peer)
{
    struct memory_stream *memory = memory_of(stream);
    peer_unref(memory->peer);
    memory->peer = peer != NULL ? peer_ref(peer) : NULL;
}
