// SPDX-License-Identifier: GPL-3.0-or-later
//
// A relay is two flows: a flow's bytes are read from its source and written to its sink, which is
// the other flow's source.
//
// Small reads are copied; once they are large, and both streams are sockets, bytes pass through a
// pipe instead and are never seen (relay_splice.c).
//
//   READING --bytes that the sink does not take--> BLOCKED --sink takes all--> READING
//   READING --no memory--> WAITING --memory--> READING
//   READING --end of the source, told to the sink--> ENDED
//   any --error of the source or the sink--> FAILED
#pragma once

#include "base/machine.h"
#include "stream/relay.h"

enum flow_state { FLOW_READING, FLOW_BLOCKED, FLOW_WAITING, FLOW_ENDED, FLOW_FAILED };

struct flow {
    struct relay *relay;        // it belongs to
    struct stream *source;      // owned by the relay
    uint8_t *bytes;             // a chunk or a lean block; NULL while nothing is in flight
    uint32_t start;             // of what the sink has not taken
    uint32_t end;               // of what was read
    uint32_t capacity;          // of `bytes`
    uint8_t state;              // enum flow_state
    bool is_chunk;              // `bytes` is the loop's, otherwise of our own allocation
    bool can_splice;            // both streams are the kernel's
    bool is_bulk;               // the last read brought RELAY_SPLICE_WORTH_BYTES
    bool is_source_at_fault;    // FAILED: the source's call gave the error, not the sink's
    enum rm_err error;          // FAILED: which
    struct pipe *pipe;          // the loop's; NULL while nothing passes through it
    uint32_t piped_bytes;       // in `pipe`, behind those in `bytes`
    uint64_t moved_bytes;       // taken by the sink
    struct chunk_waiter waiter; // WAITING
};

enum relay_state { RELAY_OPEN, RELAY_CLOSING };

struct relay {
    struct sm sm;              // enum relay_state
    struct loop *loop;         // the streams'
    struct flow flows[2];      // by source: RELAY_A, RELAY_B
    struct timer silence;      // looks whether a time-out passed
    uint64_t last_active_ms;   // loop time of the last byte moved
    uint32_t idle_ms;          // 0: never
    uint32_t half_close_ms;    // 0: never
    relay_done_fn on_done;     // the user's
    void *context;             // for on_done
    enum rm_err error;         // the first
    enum relay_side failed;    // whose it was
    uint8_t open_stream_count; // not yet closed
};

static inline struct flow *flow_opposite(struct flow *flow)
{
    struct flow *flows = flow->relay->flows;
    return flow == &flows[RELAY_A] ? &flows[RELAY_B] : &flows[RELAY_A];
}

static inline struct stream *flow_sink(struct flow *flow)
{
    return flow_opposite(flow)->source;
}

static inline bool flow_is_over(const struct flow *flow)
{
    return flow->state == FLOW_ENDED || flow->state == FLOW_FAILED;
}

void flow_init(struct flow *flow, struct relay *relay, struct stream *source);
// Copies bytes that go first. Errors: RM_ERR_NO_MEMORY, RM_ERR_TOO_LARGE.
RM_NODISCARD enum rm_err flow_preload(struct flow *flow, const struct relay_pending *pending);
// Moves what can be moved, up to RELAY_BURST_BYTES.
void flow_pump(struct flow *flow);
// Gives up what it holds.
void flow_deinit(struct flow *flow);

// Reads at most `capacity` bytes into a pipe. RM_ERR_UNSUPPORTED: no pipe, not now or not ever.
RM_NODISCARD enum rm_err flow_splice_read(struct flow *flow, size_t capacity, size_t *length);
// Writes from the pipe. RM_ERR_UNSUPPORTED: there is nothing in it, or it must be copied.
RM_NODISCARD enum rm_err flow_splice_write(struct flow *flow, size_t *written);
// Moves bytes from the pipe to `bytes`, which is empty, as far as they fit.
RM_NODISCARD enum rm_err flow_splice_copy_out(struct flow *flow);
// Gives the pipe back; what is in it is lost.
void flow_splice_return(struct flow *flow);

// A waiting flow may have memory now.
void relay_on_memory(struct flow *flow);
