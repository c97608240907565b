// SPDX-License-Identifier: GPL-3.0-or-later
//
// One worker: what inbound and outbound find around them. Everything here belongs to the worker's
// thread. The snapshot and the TLS contexts made from it are swapped between two events, never
// while a connection's callback runs.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "faults/faults.h"
#include "loop/loop.h"
#include "loop/resolver.h"
#include "metrics/metrics.h"
#include "tls/tls.h"
#include "worker/gate.h"
#include "worker/snapshot.h"

#define WORKER_SWEEP_MS 1000 // how often live connections are looked at
#define WORKER_CROWD 256     // memory of so many gone connections is worth giving back

struct worker {
    size_t index;                        // 0..count-1
    struct loop *loop;                   // its own
    struct resolver *resolver;           // its own
    struct metric_set *metrics;          // its own
    struct snapshot *snapshot;           // in force; never NULL
    struct tls_ticket_keys *ticket_keys; // the process's; shares; NULL: no resumption
    struct tls_context *tunnel_tls; // both roles, ALPN remora/1; NULL before the first identity
    struct tls_context *edge_tls;   // server without preface; NULL without identity or edges
    struct tls_context *more_tunnel_tls[SIDECAR_MORE_IDENTITIES_MAX]; // of snapshot->more
    struct tls_context *more_edge_tls[SIDECAR_MORE_IDENTITIES_MAX];   // of snapshot->more
    struct tls_pace *pace;                                            // of its handshakes; owned
    struct gate gate;                                                 // of strangers' handshakes
    size_t worker_count;            // that share the sidecar's limits; 1 unless told
    struct list connections;        // struct connection, oldest first
    size_t connection_count;        // of connections
    size_t swept_count;             // connection_count at the last sweep
    size_t peak_count;              // the most of them since memory was given back
    uint64_t last_number;           // of a connection
    struct list waiting;            // struct outbound: until the first view
    struct map *endpoints;          // address text -> struct endpoint_state *
    struct timer sweep;             // runs while there are connections
    bool is_draining;               // new tunnels are answered with DRAINING
    void (*on_idle)(void *context); // the last connection ended while draining; may be NULL
    void *idle_context;             // for on_idle
};

// Errors: RM_ERR_NO_MEMORY, RM_ERR_IO (resolver), RM_ERR_CRYPTO (TLS contexts).
RM_NODISCARD enum rm_err worker_init(struct worker *worker, size_t index, struct loop *loop,
                                     struct metric_set *metrics, struct snapshot *snapshot,
                                     struct tls_ticket_keys *ticket_keys, struct rm_error *error);
// All connections must have ended.
void worker_deinit(struct worker *worker);
// Makes new TLS contexts where identity or trust changed, swaps the snapshot, judges live
// connections anew and lets waiting ones go on. When contexts cannot be made the old ones are
// dropped: no context means that handshakes are refused (fail closed).
void worker_adopt(struct worker *worker, struct snapshot *snapshot);
// Room for the handshake of a stranger from `remote`, by the worker's share of the configured
// limits; counts who is refused or put out for it.
bool worker_admits(struct worker *worker, const struct stream_address *remote);
// Ends every connection now.
void worker_cut_all(struct worker *worker, enum fault reason);
