// SPDX-License-Identifier: GPL-3.0-or-later
//
// The relay: copies bytes between two streams both ways until both directions ended, with half-close
// and back-pressure. Holds a chunk of memory per direction only while bytes are in flight. Takes both
// streams; an error on one side aborts the other (a reset is carried as a reset, never as an end).
// Life: relay_start -> on_done (exactly once, last; both streams are closed by then).
#pragma once

#include "stream/stream.h"

enum relay_side { RELAY_A, RELAY_B };

struct relay_result {
    uint64_t a_to_b_bytes;   // read from a and taken by b
    uint64_t b_to_a_bytes;   // the reverse
    enum rm_err error;       // RM_OK: both directions ended in order
    enum relay_side failed;  // whose call gave `error`, when there is one
};

typedef void (*relay_done_fn)(void *context, const struct relay_result *result);

struct relay;
struct relay_options {
    uint32_t idle_timeout_ms;      // no byte either way for so long ends it (RM_ERR_TIMEOUT); 0: never
    uint32_t half_close_timeout_ms; // one direction ended and the other is silent; 0: never
};
// On an error nothing was taken. Errors: RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err relay_start(struct stream *a, struct stream *b,
                                     const struct relay_options *options, relay_done_fn on_done,
                                     void *context, struct relay **out);
// Ends it: `reason` becomes the result's error; both streams are aborted. on_done still comes, later.
void relay_abort(struct relay *relay, enum rm_err reason);
// Counters so far, for listings.
void relay_progress(const struct relay *relay, uint64_t *a_to_b_bytes, uint64_t *b_to_a_bytes);
