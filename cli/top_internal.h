// SPDX-License-Identifier: GPL-3.0-or-later
//
// The state of `top`, and what is drawn of it.
#pragma once

#include "base/buffer.h"
#include "connections.h"

#define TOP_FILTER_BYTES 64
#define TOP_SCREEN_MAX_BYTES (1U << 22) // of one drawing

// What the heading says of the sidecar.
struct top_sidecar {
    char version[32];     // of it
    char identity[256];   // SPIFFE ID; "": none yet
    char waits_for[256];  // when not ready
    char log_level[16];   // in force
    int64_t uptime_s;     // of it
    int64_t heard_ago_ms; // since its control plane spoke; -1: never, or none
    bool is_ready;        // serves
    bool has_control;     // it has a control plane
    bool is_connected;    // to it
};

struct top {
    const struct args *args;                // borrowed
    const struct connection_order *order;   // static
    bool is_reversed;                       // the last first
    bool is_paused;                         // no refresh
    bool is_typing;                         // the filter
    bool shows_help;                        // the keys instead of connections
    char filter[TOP_FILTER_BYTES];          // in force, or being typed
    uint64_t interval_ms;                   // between refreshes
    uint64_t fetched_ms;                    // monotonic; when `list` came; 0: never
    size_t scroll;                          // rows above the screen
    struct connection_list list;            // now
    struct top_sidecar sidecar;             // now
    char sentence[EXCHANGE_SENTENCE_BYTES]; // why the last refresh failed; "": it did not
};

// Draws all of it: `rows` 0: as many as there are, for what is no screen.
RM_NODISCARD enum rm_err top_draw(const struct top *top, size_t columns, size_t rows,
                                  struct buffer *out);
// Rows of connections that a screen of `rows` has room for.
size_t top_page(size_t rows);
