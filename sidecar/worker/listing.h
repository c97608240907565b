// SPDX-License-Identifier: GPL-3.0-or-later
//
// A listing of one worker's connections, page by page, so that neither its thread nor memory is
// held up by thousands of them. A page is plain records that outlive the connections; what they
// share is immutable. Filled on the worker's thread, then read anywhere.
// Life: listing_init -> (listing_fill, read)... -> listing_deinit.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "worker/connection.h"

#define LISTING_PAGE 256 // connections of one page: some 100 microseconds of a worker's time

struct listing_record {
    uint64_t number;                        // see struct connection
    enum connection_direction direction;    // who began it
    uint8_t id[TUNNEL_CONNECTION_ID_BYTES]; // the same at both ends; all zero: not known yet
    char *service;                          // owned; NULL until known
    uint16_t port;                          // the service's; 0 until known
    struct tls_identity *identity;          // our own, as it is now; shares; NULL: none yet
    struct peer *peer;                      // shares; NULL until the handshake ended
    struct stream_address application;      // the local side
    struct stream_address remote;           // the other one
    struct connection_progress progress;    // when the page was made
    uint64_t age_ms;                        // the same
    const char *suite;                      // static; NULL until the handshake ended
    const char *group;                      // static
    bool is_resumed;                        // TLS session resumed
    uint32_t handshake_ms;                  // 0 until the handshake ended
};

struct listing {
    char *service;                               // only of this one; owned; NULL: all
    char *peer_identity;                         // only with this peer; owned; NULL: all
    uint64_t after;                              // the last number looked at
    bool has_more;                               // connections behind this page
    size_t count;                                // of records
    struct listing_record records[LISTING_PAGE]; // of this page
};

// Filters are copied; "" or NULL: none. Errors: RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err listing_init(struct listing *listing, const char *service,
                                      const char *peer_identity);
void listing_deinit(struct listing *listing);
// Begins anew, with the same filters, for another worker.
void listing_rewind(struct listing *listing);
// The next page, in place of the one before. Errors: RM_ERR_NO_MEMORY: it holds less than it
// should.
RM_NODISCARD enum rm_err listing_fill(struct listing *listing, const struct worker *worker);
