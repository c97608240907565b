// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "base/alloc.h"
#include "stream/relay_internal.h"

static void flow_return_memory(struct flow *flow)
{
    if (flow->bytes == NULL) {
        return;
    }
    if (flow->is_chunk) {
        chunk_put(flow->relay->loop, flow->bytes);
    } else {
        rm_free(flow->bytes);
    }
    flow->bytes = NULL;
    flow->start = 0;
    flow->end = 0;
}

static bool flow_take_chunk(struct flow *flow)
{
    flow->bytes = chunk_get(flow->relay->loop);
    flow->capacity = CHUNK_BYTES;
    flow->is_chunk = true;
    return flow->bytes != NULL;
}

static bool flow_allocate(struct flow *flow, size_t capacity)
{
    flow->bytes = rm_malloc(capacity);
    flow->capacity = (uint32_t)capacity;
    flow->is_chunk = false;
    return flow->bytes != NULL;
}

// Empty memory to read into: a chunk, or else a small block, enough to go on, too little to do
// harm. A block that held pending bytes or a rest makes way for a chunk.
static bool flow_borrow_memory(struct flow *flow)
{
    if (flow->bytes != NULL && flow->is_chunk) {
        return true;
    }
    flow_return_memory(flow);
    return flow_take_chunk(flow) || flow_allocate(flow, RELAY_LEAN_BYTES);
}

static void flow_shrink_chunk(struct flow *flow)
{
    const uint32_t length = flow->end - flow->start;
    uint8_t *lean = flow->is_chunk ? rm_malloc(RELAY_LEAN_BYTES) : NULL;
    if (lean == NULL) {
        return;
    }
    memcpy(lean, flow->bytes + flow->start, length);
    flow_return_memory(flow);
    flow->bytes = lean;
    flow->end = length;
    flow->capacity = RELAY_LEAN_BYTES;
    flow->is_chunk = false;
}

static void flow_shrink_pipe(struct flow *flow)
{
    flow_return_memory(flow);
    if (flow_allocate(flow, RELAY_LEAN_BYTES) && flow_splice_copy_out(flow) != RM_OK) {
        flow_return_memory(flow);
    }
}

// A stalled flow gives its chunk or its pipe back when what is left fits a small block.
static void flow_shrink(struct flow *flow)
{
    const uint32_t length = flow->end - flow->start;
    if (length + flow->piped_bytes > RELAY_LEAN_BYTES) {
        return;
    }
    if (length > 0) {
        flow_shrink_chunk(flow);
    } else {
        flow_shrink_pipe(flow);
    }
}

static void flow_fail(struct flow *flow, enum rm_err error, bool is_source_at_fault)
{
    flow->state = FLOW_FAILED;
    flow->error = error;
    flow->is_source_at_fault = is_source_at_fault;
}

static void flow_end(struct flow *flow)
{
    enum rm_err result = stream_finish(flow_sink(flow));
    if (result == RM_OK) {
        flow->state = FLOW_ENDED;
    } else {
        flow_fail(flow, result, false);
    }
}

// Reads into an empty pipe or empty memory. True when there is something to write.
static bool flow_read(struct flow *flow, size_t *read_bytes)
{
    size_t length = 0;
    enum rm_err result = flow_splice_read(flow, RELAY_BURST_BYTES - *read_bytes, &length);
    if (result == RM_ERR_UNSUPPORTED) {
        if (!flow_borrow_memory(flow)) {
            flow->state = FLOW_WAITING;
            chunk_wait(flow->relay->loop, &flow->waiter);
            return false;
        }
        result = stream_read(flow->source, flow->bytes, flow->capacity, &length);
        flow->start = 0;
        flow->end = result == RM_OK ? (uint32_t)length : 0;
    }
    switch ((int)result) {
    case RM_OK:
        flow->is_bulk = length >= RELAY_SPLICE_WORTH_BYTES;
        *read_bytes += length;
        return true;
    case RM_ERR_WOULD_BLOCK:
        flow->state = FLOW_READING;
        return false;
    case RM_ERR_EOF:
        flow_end(flow);
        return false;
    default:
        flow_fail(flow, result, true);
        return false;
    }
}

// Writes from memory, which comes first, or from the pipe.
static enum rm_err flow_write_some(struct flow *flow, size_t *written)
{
    enum rm_err result = flow_splice_write(flow, written);
    if (result != RM_ERR_UNSUPPORTED) {
        return result;
    }
    if (flow->start == flow->end) {
        if (!flow_borrow_memory(flow)) {
            return RM_ERR_NO_MEMORY;
        }
        RM_TRY(flow_splice_copy_out(flow));
    }
    result = stream_write_bytes(flow_sink(flow), flow->bytes + flow->start, flow->end - flow->start,
                                written);
    flow->start += result == RM_OK ? (uint32_t)*written : 0;
    return result;
}

// True when the sink took everything.
static bool flow_write(struct flow *flow)
{
    while (flow->start < flow->end || flow->piped_bytes > 0) {
        size_t written = 0;
        enum rm_err result = flow_write_some(flow, &written);
        if (result == RM_ERR_WOULD_BLOCK) {
            flow->state = FLOW_BLOCKED;
            flow_shrink(flow);
            return false;
        }
        if (result != RM_OK) {
            flow_fail(flow, result, false);
            return false;
        }
        flow->moved_bytes += written;
        flow->relay->last_active_ms = loop_now_ms(flow->relay->loop);
    }
    return true;
}

// What a blocked flow still has to write stays; all else goes back.
static void flow_return_unused(struct flow *flow)
{
    bool is_blocked = flow->state == FLOW_BLOCKED;
    if (!is_blocked || flow->start == flow->end) {
        flow_return_memory(flow);
    }
    if (!is_blocked || flow->piped_bytes == 0) {
        flow_splice_return(flow);
    }
}

void flow_pump(struct flow *flow)
{
    size_t read_bytes = 0;
    if (flow_is_over(flow)) {
        return;
    }
    while (flow_write(flow)) {
        flow->state = FLOW_READING;
        // The rest is there in the next turn, when others had theirs.
        if (read_bytes >= RELAY_BURST_BYTES || !flow_read(flow, &read_bytes)) {
            break;
        }
    }
    flow_return_unused(flow);
}

static void flow_on_chunk(void *context)
{
    struct flow *flow = context;
    flow->state = FLOW_READING;
    relay_on_memory(flow);
}

void flow_init(struct flow *flow, struct relay *relay, struct stream *source)
{
    flow->relay = relay;
    flow->source = source;
    flow->state = FLOW_READING;
    chunk_waiter_init(&flow->waiter, flow_on_chunk, flow);
}

enum rm_err flow_preload(struct flow *flow, const struct relay_pending *pending)
{
    if (pending->length == 0) {
        return RM_OK;
    }
    if (pending->length > CHUNK_BYTES) {
        return RM_ERR_TOO_LARGE;
    }
    bool has_memory = pending->length > RELAY_LEAN_BYTES && flow_take_chunk(flow);
    if (!has_memory && !flow_allocate(flow, pending->length)) {
        return RM_ERR_NO_MEMORY;
    }
    memcpy(flow->bytes, pending->bytes, pending->length);
    flow->end = (uint32_t)pending->length;
    // Not that the sink refused anything: its next event shall carry them.
    flow->state = FLOW_BLOCKED;
    return RM_OK;
}

void flow_deinit(struct flow *flow)
{
    chunk_wait_cancel(&flow->waiter);
    flow_return_memory(flow);
    flow_splice_return(flow);
}
