// SPDX-License-Identifier: GPL-3.0-or-later
//
// Mesh.Sync, the control plane's side: each sidecar gets what it subscribed to, plus bundles and
// withdrawals; full once, then deltas, one in flight, each acknowledged with the canonical hash of
// the view, which must be ours too. Resources are encoded once for everybody. Belongs to the
// control loop.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/access.h"
#include "base/error.h"
#include "identity/peer.h"
#include "loop/loop.h"
#include "mesh/mesh_wire.h"
#include "registry/registry.h"
#include "rpc/rpc.h"
#include "store/store.h"

#define PUSH_HEARTBEAT_MS 30000     // an empty delta: "I am here, and nothing changed"
#define PUSH_PACE_MS 100            // between two deltas to one sidecar; changes gather meanwhile
#define PUSH_ACK_TIMEOUT_MS 30000   // a sidecar that does not acknowledge is cut off
#define PUSH_HELLO_TIMEOUT_MS 5000  // from the open stream to a whole Hello
#define PUSH_RESTART_GRACE_MS 60000 // for sidecars to come back after our own restart
#define PUSH_MAX_SESSIONS 65536
#define PUSH_MAX_SESSIONS_PER_LINEAGE 16 // a workload needs one, and a second one while it renews

struct push;

RM_NODISCARD enum rm_err push_new(struct loop *loop, struct store *store, struct registry *registry,
                                  struct access *access, struct push **out);
// Ends every stream; their endpoints stay in the store, for the next start.
void push_shutdown(struct push *push);
// After the last stream closed (rpc_server_drain's done).
void push_free(struct push *push);
// Registers Mesh/Sync.
RM_NODISCARD enum rm_err push_add_to(struct push *push, struct rpc_server *server);

size_t push_session_count(const struct push *push);

// What is known of one connected instance. Borrowed until the next turn of the loop.
struct push_instance {
    const char *instance_id;
    const char *identity;
    const char *software;
    struct mesh_version acked; // version it acknowledged last
    const uint8_t *acked_hash; // MESH_WIRE_HASH_BYTES
    bool has_acked;
    const struct mesh_status *status; // NULL: none reported yet
};
typedef void (*push_visit_fn)(void *context, const struct push_instance *instance);
void push_visit(const struct push *push, push_visit_fn visit, void *context);
