// SPDX-License-Identifier: GPL-3.0-or-later
//
// A pair of connected streams in memory, for tests of everything above.
#pragma once

#include "stream/stream.h"

// Each direction holds at most `capacity_bytes`. Errors: RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err memory_stream_pair(struct loop *loop, size_t capacity_bytes,
                                            struct stream **a, struct stream **b);
// The peer that stream_peer() gives for this end. Takes a reference.
void memory_stream_set_peer(struct stream *stream, struct peer *peer);
