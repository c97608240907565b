// SPDX-License-Identifier: GPL-3.0-or-later
//
// The mesh view: the immutable, versioned picture a sidecar works from. A view is a set of resources,
// each with a kind and a key; a delta puts and removes resources and moves the version. Applying a
// delta makes a new view that shares what did not change. Views are counted and shared between
// threads. Pure: no input, output or clock.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "identity/trust.h"
#include "policy/policy.h"

#define MESH_STORE_ID_BYTES 16
#define MESH_MAX_RESOURCES 262144     // 10,000 pods with room; more is a wrong control plane
#define MESH_MAX_NAME_BYTES 253       // a service name is a DNS name
#define MESH_MAX_IDENTITIES 64        // that may own one service
#define MESH_MAX_ADDRESS_BYTES 64     // "[v6]:port"

enum mesh_kind {
    MESH_BUNDLE,     // key: trust domain
    MESH_SERVICE,    // key: service name
    MESH_ENDPOINT,   // key: service name '/' instance id
    MESH_WITHDRAWAL, // key: kind digit ':' hex or text of what is withdrawn
    MESH_KIND_COUNT,
};

struct mesh_bytes {
    uint8_t *bytes; // owned by the resource
    size_t length;
};

struct mesh_bundle {
    struct mesh_bytes *roots; // certificate DER
    uint8_t (*key_ids)[KEY_ID_BYTES]; // SPKI SHA-256, one per root
    size_t root_count;
};

struct mesh_service {
    uint16_t port;        // that applications name
    char **identities;    // SPIFFE IDs that own it; sorted
    size_t identity_count;
    char **allow;         // patterns; sorted; guards the service when not empty
    size_t allow_count;
    bool is_guarded;      // see policy
};

struct mesh_endpoint {
    char *address;   // "10.0.0.1:15008", the instance's tunnel address
    char *identity;  // the SPIFFE ID this endpoint registered with; one of its service's
    char *zone;      // "" when unknown
    bool is_ready;   // false: only live connections go on
};

struct mesh_withdrawal {
    enum trust_withdrawal_kind kind;
    struct mesh_bytes key;  // see trust_builder_withdraw()
    int64_t before_s;       // see trust_builder_withdraw()
    int64_t expires_s;      // Unix seconds after which no certificate it covers can live
};

struct mesh_resource {
    enum mesh_kind kind;
    char *key;                // unique within its kind; printable ASCII; owned
    union {
        struct mesh_bundle bundle;
        struct mesh_service service;
        struct mesh_endpoint endpoint;
        struct mesh_withdrawal withdrawal;
    } of;                     // which one: kind
    uint32_t ref_count;       // private, atomic
};

// An empty resource of that kind; fill `of` with memory from rm_malloc. NULL when memory is gone.
struct mesh_resource *mesh_resource_new(enum mesh_kind kind, const char *key);
struct mesh_resource *mesh_resource_ref(struct mesh_resource *resource);
void mesh_resource_unref(struct mesh_resource *resource);
bool mesh_resource_equal(const struct mesh_resource *a, const struct mesh_resource *b);

struct mesh_version {
    uint8_t store_id[MESH_STORE_ID_BYTES]; // a new one means: forget and resync
    uint64_t number;                       // grows with each change of the store
};

struct mesh_delta {
    struct mesh_version version;    // the view's version after it
    bool is_full;                   // replaces everything (removals are implied)
    struct mesh_resource **puts;    // borrowed references
    size_t put_count;
    struct mesh_removal {
        enum mesh_kind kind;
        const char *key;
    } *removals;                    // of keys that may be absent
    size_t removal_count;
};

struct mesh_view;

// The view before any delta: complete is false. NULL when memory is exhausted.
struct mesh_view *mesh_view_empty(void);
struct mesh_view *mesh_view_ref(struct mesh_view *view);
void mesh_view_unref(struct mesh_view *view);

// Makes *out from `base` and `delta`; `base` stays. Every resource is checked (names, SPIFFE IDs,
// addresses, patterns, limits): one bad resource refuses the whole delta.
// Errors: RM_ERR_MALFORMED, RM_ERR_LIMIT, RM_ERR_CONFLICT (partial delta of another store id, or a
// version that goes back), RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err mesh_view_apply(const struct mesh_view *base,
                                         const struct mesh_delta *delta, struct mesh_view **out,
                                         struct rm_error *error);

// What takes `from` to `to`: resources that are new or differ, and keys that are gone.
// Callbacks in canonical order; the first error stops and is returned.
typedef enum rm_err (*mesh_put_fn)(void *context, const struct mesh_resource *resource);
typedef enum rm_err (*mesh_removal_fn)(void *context, enum mesh_kind kind, const char *key);
RM_NODISCARD enum rm_err mesh_view_diff(const struct mesh_view *from, const struct mesh_view *to,
                                        mesh_put_fn on_put, mesh_removal_fn on_removal,
                                        void *context);

bool mesh_view_is_complete(const struct mesh_view *view); // a full delta was applied
struct mesh_version mesh_view_version(const struct mesh_view *view);
size_t mesh_view_count(const struct mesh_view *view, enum mesh_kind kind);
// Resources of one kind in order of key; NULL past the end. Borrowed.
const struct mesh_resource *mesh_view_at(const struct mesh_view *view, enum mesh_kind kind,
                                         size_t index);
const struct mesh_resource *mesh_view_find(const struct mesh_view *view, enum mesh_kind kind,
                                           const char *key);
// Endpoints of one service: they are neighbours in order of key. *first is an index for
// mesh_view_at(view, MESH_ENDPOINT, ...).
void mesh_view_endpoints(const struct mesh_view *view, const char *service, size_t *first,
                         size_t *count);
// The bundles and withdrawals as a trust snapshot; made once per view. Borrowed.
struct trust_snapshot *mesh_view_trust(const struct mesh_view *view);

// Canonical bytes of the view (kind, key and content of each resource in order, lengths before
// strings, integers big-endian; the version is not part): both ends hash them with SHA-256 and must
// agree. Pieces go to `sink` in order.
typedef void (*mesh_sink_fn)(void *context, const void *bytes, size_t length);
void mesh_view_canonical(const struct mesh_view *view, mesh_sink_fn sink, void *context);
