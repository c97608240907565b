// SPDX-License-Identifier: GPL-3.0-or-later
//
// Sessions and the encoding cache.
#pragma once

#include "base/list.h"
#include "base/machine.h"
#include "base/map.h"
#include "push/push.h"

#define PUSH_MAX_MISMATCHES 3 // views that differ although everything was sent
#define PUSH_KEPT_HASHES 8    // views whose hash is remembered: sessions of one scope share them

enum session_state {
    SESSION_HELLO,    // waits for the first message
    SESSION_REGISTER, // checks and registers what it exposes
    SESSION_LIVE,     // gets deltas
    SESSION_ENDED,    // rpc_call_end was called; waits for its close
};

// The streams of one lineage: of one workload.
struct workload {
    uint8_t lineage[LINEAGE_BYTES];
    struct list sessions; // struct session, of_workload
    size_t session_count; // of sessions
};

// The hash of a view that some session was sent.
struct kept_hash {
    struct mesh_view *view; // reference; NULL: unused
    uint8_t hash[MESH_WIRE_HASH_BYTES];
};

struct push {
    struct loop *loop;
    struct store *store;
    struct registry *registry;
    struct access *access;
    struct list sessions; // struct session
    size_t session_count;
    struct map *workloads;         // lineage -> struct workload *
    struct map *encoded;           // kind, variant and key -> struct encoded *
    uint64_t number;               // of the view that the cache has followed
    struct trust_snapshot *judged; // by which every session was judged; a reference
    struct kept_hash hashes[PUSH_KEPT_HASHES];
    size_t next_hash; // of hashes: the next to be replaced
    bool is_shutting_down;
};

// One resource as a sidecar sees it, and its bytes; shared by every session that wants it.
struct encoded {
    size_t ref_count;                   // the cache, and parts that wait to be sent
    const struct mesh_resource *source; // reference: what it was made from
    struct mesh_resource *seen;         // reference: what is sent (stripped, or the source itself)
    struct mesh_bytes bytes;            // owned
};

// What goes into a delta: a put or a removal.
struct delta_item {
    struct encoded *put; // reference; NULL: a removal
    enum mesh_kind kind; // of the removal
    char *removed;       // its key; owned
    size_t length;       // bytes in a response, at most
};

// A delta that is being sent, in as many messages as it takes.
struct delta {
    struct delta_item *items; // owned
    size_t count;             // of items
    size_t room;              // of items
    size_t next;              // first that was not sent
    bool is_full;             // replaces everything, with its first part
    bool is_begun;            // the first part was sent
    struct mesh_version version;
};

struct session {
    struct list node;        // of push->sessions
    struct list of_workload; // of workload->sessions
    struct push *push;
    struct workload *workload;
    struct rpc_call *call;
    struct sm sm;                            // enum session_state
    struct peer *peer;                       // shares
    struct mesh_request hello;               // owned: what it subscribed to and exposes
    bool wants_all;                          // subscribed to "*"
    bool has_left;                           // said Goodbye: nothing more is registered
    char address[STREAM_ADDRESS_TEXT_BYTES]; // tunnel address of its endpoints
    size_t registering;                      // index of the exposed service being registered
    bool waits_for_store;   // a registration is on its way: the session must not be freed
    bool is_closed;         // the call is gone; freed when the store has answered
    struct mesh_view *sent; // what the sidecar has once the delta in flight is applied
    struct delta delta;     // under way; empty: none
    uint64_t drafted;       // number of the view up to which changes were looked at
    bool is_synced;         // `sent` is a base for deltas
    bool is_in_flight;      // waits for an acknowledgement
    size_t mismatches;      // acknowledgements of another view than ours, in a row
    uint8_t acked_hash[MESH_WIRE_HASH_BYTES];
    struct mesh_version acked;
    bool has_acked;
    uint64_t sent_ms;           // loop time of the last delta
    struct mesh_request status; // owned: last status message
    bool has_status;
    struct timer timer;  // Hello, pace, acknowledgement or heartbeat
    struct timer expiry; // end of the caller's certificate
};

// What `session` sees of `resource`, which its scope contains. A reference.
// Errors: RM_ERR_NO_MEMORY ...
RM_NODISCARD enum rm_err scope_encoded(const struct session *session,
                                       const struct mesh_resource *resource, struct encoded **out);
// Whether it may see what has this key, gone or not.
bool scope_contains(const struct session *session, enum mesh_kind kind, const char *key);
void encoded_unref(struct encoded *encoded);
void encoded_cache_free(struct map *cache);
// Forgets what is kept of one key, or of everything.
void encoded_cache_drop(struct push *push, enum mesh_kind kind, const char *key);
void encoded_cache_clear(struct push *push);

// Everything that the session may see, or what changed after `number`. On an error the delta is
// empty. Errors: RM_ERR_NOT_FOUND (the change log does not reach back so far), RM_ERR_NO_MEMORY ...
RM_NODISCARD enum rm_err delta_of_everything(const struct session *session, struct delta *out);
RM_NODISCARD enum rm_err delta_of_changes(const struct session *session, uint64_t number,
                                          struct delta *out);
void delta_deinit(struct delta *delta);
bool delta_is_sent(const struct delta *delta);
// Whether all of it fits one message.
bool delta_is_short(const struct delta *delta);
// Sends as much as one message takes and moves on. `view` is what the sidecar has before, and
// becomes what it has after it. Errors: as rpc_call_send(), mesh_view_apply().
RM_NODISCARD enum rm_err delta_send_part(struct delta *delta, struct rpc_call *call,
                                         struct mesh_view **view);
// The view after all of it, from nothing.
RM_NODISCARD enum rm_err delta_view(const struct delta *delta, struct mesh_view **out);

// Whether this is the canonical hash of what the session was sent.
bool hash_agrees(struct session *session, const uint8_t hash[MESH_WIRE_HASH_BYTES]);
void hashes_free(struct push *push);

// Checks where it is and registers what it exposes, then makes it live.
void session_register(struct session *session);
// Ends it when it no longer owns a service that it exposes.
void session_check_services(struct session *session);
// Sends what changed, if it may send now.
void session_flush(struct session *session);
void session_end(struct session *session, enum rpc_status status, const char *text);
void session_free(struct session *session);
// A session joins its workload, and leaves it. Refusals have a text.
RM_NODISCARD enum rpc_status push_add(struct push *push, struct session *session,
                                      const char **text);
void push_remove(struct push *push, struct session *session);
extern const struct rpc_method push_methods[1];
