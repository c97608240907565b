// SPDX-License-Identifier: GPL-3.0-or-later
//
// Sessions and the encoding cache.
#pragma once

#include "base/list.h"
#include "base/machine.h"
#include "base/map.h"
#include "push/push.h"

enum session_state {
    SESSION_HELLO,    // waits for the first message
    SESSION_REGISTER, // checks and registers what it exposes
    SESSION_LIVE,     // gets deltas
    SESSION_ENDED,    // rpc_call_end was called; waits for its close
};

struct push {
    struct loop *loop;
    struct store *store;
    struct registry *registry;
    struct access *access;
    struct list sessions; // struct session
    size_t session_count;
    struct map *encoded; // kind, variant and key -> struct encoded *
    bool is_shutting_down;
};

// One resource as a sidecar sees it, and its bytes; shared by every session that wants it.
struct encoded {
    const struct mesh_resource *source; // reference: what it was made from
    struct mesh_resource *seen;         // reference: what is sent (stripped, or the source itself)
    struct mesh_bytes bytes;            // owned
};

struct session {
    struct list node; // of push->sessions
    struct push *push;
    struct rpc_call *call;
    struct sm sm;                            // enum session_state
    struct peer *peer;                       // shares
    struct mesh_request hello;               // owned: what it subscribed to and exposes
    bool wants_all;                          // subscribed to "*"
    char address[STREAM_ADDRESS_TEXT_BYTES]; // tunnel address of its endpoints
    size_t registering;                      // index of the exposed service being registered
    bool waits_for_store;   // a registration is on its way: the session must not be freed
    bool is_closed;         // the call is gone; freed when the store has answered
    struct mesh_view *sent; // what the sidecar has once the delta in flight is applied
    bool is_synced;         // `sent` is a base for deltas
    bool is_in_flight;      // waits for an acknowledgement
    uint8_t acked_hash[MESH_WIRE_HASH_BYTES];
    struct mesh_version acked;
    bool has_acked;
    uint64_t sent_ms;           // loop time of the last delta
    struct mesh_request status; // owned: last status message
    bool has_status;
    struct timer timer;  // Hello, pace, acknowledgement or heartbeat
    struct timer expiry; // end of the caller's certificate
};

// What `session` sees of `resource`: NULL when it is out of its scope.
// Errors: *result RM_ERR_NO_MEMORY ...
const struct encoded *scope_encoded(struct session *session, const struct mesh_resource *resource,
                                    enum rm_err *result);
bool scope_contains(const struct session *session, const struct mesh_resource *resource);
// The same for a key of something that may be gone.
bool scope_contains_key(const struct session *session, enum mesh_kind kind, const char *key);
void encoded_cache_free(struct map *cache);
// Frees what the cache holds of resources that the view no longer has.
void encoded_cache_drop(struct push *push, enum mesh_kind kind, const char *key);

// Sends what changed, if it may send now.
void session_flush(struct session *session);
void session_end(struct session *session, enum rpc_status status, const char *text);
extern const struct rpc_method push_methods[1];
