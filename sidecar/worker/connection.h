// SPDX-License-Identifier: GPL-3.0-or-later
//
// What inbound and outbound connections have in common: the list of the living, the verdict on a
// live connection, counters, and the one line in the access log at the end.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/machine.h"
#include "faults/faults.h"
#include "stream/relay.h"
#include "tunnel/tunnel.h"
#include "worker/worker.h"

enum connection_direction { CONNECTION_INBOUND, CONNECTION_OUTBOUND, CONNECTION_EDGE };
// "inbound", "outbound", "edge". Static.
const char *connection_direction_name(enum connection_direction direction);

struct connection_progress {
    const char *state;       // static
    uint64_t sent_bytes;     // towards the other sidecar or client, so far
    uint64_t received_bytes; // from it
};

struct connection {
    struct list node;                       // of worker->connections
    struct worker *worker;                  // it belongs to
    enum connection_direction direction;    // who began it
    uint8_t id[TUNNEL_CONNECTION_ID_BYTES]; // the same at both ends
    uint64_t number;                        // of this worker's; grows
    uint64_t started_ms;                    // loop time
    char *service;                          // owned; NULL until known
    uint16_t port;                          // the service's; 0 until known
    struct stream_address application;      // the local application's or target's side
    struct stream_address remote;           // the other sidecar's or client's side
    size_t own_index;                       // which own identity it goes by (snapshot_own)
    struct peer *peer;                      // shares; NULL until the handshake ended
    const char *suite;                      // static; NULL until the handshake ended
    const char *group;                      // static
    bool is_resumed;                        // TLS session resumed
    uint32_t handshake_ms;                  // 0 until the handshake ended
    struct relay *relay;                    // NULL before it stands
    uint64_t sent_bytes;                    // towards the other sidecar or client
    uint64_t received_bytes;                // from it
    enum fault result;                      // OK unless something failed
    char *detail;                           // owned sentence about a failure; may be NULL
    // Judges the connection by the worker's current snapshot: why to end it, or FAULT_OK. Only
    // called while the connection is established.
    enum fault (*judge)(struct connection *connection);
    // Ends it on the mesh's behalf. May free the connection.
    void (*cut)(struct connection *connection, enum fault reason);
    // Where it stands, for listings.
    struct connection_progress (*progress)(const struct connection *connection);
    bool is_pledged;     // it will need a second descriptor
    bool is_established; // both ends said yes; judged from now on
};

// Enters the list of the living; the id is drawn by whoever begins (outbound, edge).
void connection_begin(struct connection *connection, struct worker *worker,
                      enum connection_direction direction);
// It holds one descriptor and will need another one (from its begin on), or has what it needs.
void connection_pledge(struct connection *connection, bool needs_another);
// Keeps who the peer is and the facts of the handshake.
void connection_note_tls(struct connection *connection, const struct stream *tls);
// Both failed and well-ended connections: the first result stands.
void connection_fail(struct connection *connection, enum fault result, const char *detail);
// What a relay ended with; `tunnel` says which side is the tunnel.
void connection_note_relay(struct connection *connection, const struct relay_result *relay,
                           enum relay_side tunnel);
// Access log, metrics, out of the list; frees what the connection owns (not the connection).
void connection_end(struct connection *connection);

// The progress of a connection whose machine is `sm`; `relay` NULL: it has not begun; `tunnel` says
// which of its sides is the tunnel.
struct connection_progress connection_progress_of(const struct sm *sm, const struct relay *relay,
                                                  enum relay_side tunnel);

// The verdict on a live connection's peer: FAULT_OK, or why to end it. Dates count for peers
// without a lineage, or when the view is older than the grace.
enum fault connection_judge_peer(const struct connection *connection,
                                 const char *const *expected_ids, size_t expected_count);
