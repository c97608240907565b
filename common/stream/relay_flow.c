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

// A chunk, or else a small block: enough to go on, too little to do harm.
static bool flow_borrow_memory(struct flow *flow)
{
    return flow->bytes != NULL || flow_take_chunk(flow) || flow_allocate(flow, RELAY_LEAN_BYTES);
}

// A stalled flow gives its chunk back when what is left fits a small block.
static void flow_shrink(struct flow *flow)
{
    const uint32_t length = flow->end - flow->start;
    uint8_t *lean =
        flow->is_chunk && length <= RELAY_LEAN_BYTES ? rm_malloc(RELAY_LEAN_BYTES) : NULL;
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

// Reads into empty memory. True when there is something to write.
static bool flow_read(struct flow *flow, size_t *read_bytes)
{
    if (!flow_borrow_memory(flow)) {
        flow->state = FLOW_WAITING;
        chunk_wait(flow->relay->loop, &flow->waiter);
        return false;
    }
    size_t length = 0;
    enum rm_err result = stream_read(flow->source, flow->bytes, flow->capacity, &length);
    switch ((int)result) {
    case RM_OK:
        flow->start = 0;
        flow->end = (uint32_t)length;
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

// True when the sink took everything.
static bool flow_write(struct flow *flow)
{
    while (flow->start < flow->end) {
        size_t written = 0;
        enum rm_err result = stream_write_bytes(flow_sink(flow), flow->bytes + flow->start,
                                                flow->end - flow->start, &written);
        if (result == RM_ERR_WOULD_BLOCK) {
            flow->state = FLOW_BLOCKED;
            flow_shrink(flow);
            return false;
        }
        if (result != RM_OK) {
            flow_fail(flow, result, false);
            return false;
        }
        flow->start += (uint32_t)written;
        flow->moved_bytes += written;
        flow->relay->last_active_ms = loop_now_ms(flow->relay->loop);
    }
    return true;
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
    if (flow->state != FLOW_BLOCKED) {
        flow_return_memory(flow);
    }
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
}
