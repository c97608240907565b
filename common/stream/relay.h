// SPDX-License-Identifier: GPL-3.0-or-later
//
// The relay: carries bytes between two streams both ways until both directions ended, with
// half-close and back-pressure. Holds memory for a direction only while its bytes are in flight: a
// chunk, or, when the loop has none left, a small block, so that stalled connections cannot starve
// the others. Between two sockets the bytes of a large transfer stay in the kernel: a pipe carries
// them while the loop has one. Takes both streams; an error on one side aborts the other (a reset
// is carried as a reset, never as an end). Life: relay_start -> on_done (exactly once, last; both
// streams are closed by then).
#pragma once

#include "stream/stream.h"

enum relay_side { RELAY_A, RELAY_B };

struct relay_result {
    uint64_t a_to_b_bytes;  // read from a and taken by b
    uint64_t b_to_a_bytes;  // the reverse
    enum rm_err error;      // RM_OK: both directions ended in order
    enum relay_side failed; // whose stream gave `error`; meaningless for RM_OK and RM_ERR_TIMEOUT
};

typedef void (*relay_done_fn)(void *context, const struct relay_result *result);

#define RELAY_BURST_BYTES 262144 // moved per direction and event, so that others get their turn
#define RELAY_SPLICE_WORTH_BYTES 16384 // a read of so much is followed by one through a pipe
#define RELAY_LEAN_BYTES 4096          // memory of a direction that is stalled, or gets no chunk

// Bytes that were read from one side before the relay began (a preface's leftovers).
struct relay_pending {
    const uint8_t *bytes; // borrowed for the call; NULL when there are none
    size_t length;        // at most CHUNK_BYTES
};

struct relay;
struct relay_options {
    uint32_t idle_timeout_ms;       // no byte either way for so long: RM_ERR_TIMEOUT; 0: never
    uint32_t half_close_timeout_ms; // the same once one direction ended; 0: never
    struct relay_pending from_a;    // goes to b first
    struct relay_pending from_b;    // goes to a first
};
// On an error nothing was taken. Errors: RM_ERR_NO_MEMORY, RM_ERR_TOO_LARGE (pending bytes).
RM_NODISCARD enum rm_err relay_start(struct stream *a, struct stream *b,
                                     const struct relay_options *options, relay_done_fn on_done,
                                     void *context, struct relay **out);
// Ends it: `reason` (not RM_OK) becomes the result's error unless there is one; both streams are
// aborted. on_done still comes, later. No effect on a relay that is closing.
void relay_abort(struct relay *relay, enum rm_err reason);
// Looks whether a side that is not being read, since the other one takes nothing, has been reset or
// has vanished meanwhile: no event tells of it. Such a relay ends.
void relay_look(struct relay *relay);
// True once it has begun to end: its streams may be gone already and must not be touched.
bool relay_is_closing(const struct relay *relay);
// Counters so far, for listings.
void relay_progress(const struct relay *relay, uint64_t *a_to_b_bytes, uint64_t *b_to_a_bytes);
