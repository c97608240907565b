// SPDX-License-Identifier: GPL-3.0-or-later
//
// The mesh view: the immutable, versioned picture a sidecar works from. A view is a set of
// resources, each with a kind and a key; a delta puts and removes resources and moves the version.
// Applying a delta makes a new view that shares what did not change. Views are counted and shared
// between threads. Pure: no input, output or clock.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "identity/trust.h"
#include "mesh/resource.h"

#define MESH_STORE_ID_BYTES 16
#define MESH_MAX_RESOURCES 262144 // 10,000 pods with room; more is a wrong control plane

struct mesh_version {
    uint8_t store_id[MESH_STORE_ID_BYTES]; // a new one means: forget and resync
    uint64_t number;                       // grows with each change of the store
};

struct mesh_removal {
    enum mesh_kind kind; // of what goes
    const char *key;     // of what goes; it may be absent already
};

struct mesh_delta {
    struct mesh_version version;   // the view's version after it
    bool is_full;                  // replaces everything; has no removals: they are implied
    struct mesh_resource **puts;   // borrowed references
    size_t put_count;              // of puts
    struct mesh_removal *removals; // of keys that are not put as well
    size_t removal_count;          // of removals
};

struct mesh_view;

// The view before any delta: complete is false. NULL when memory is exhausted.
struct mesh_view *mesh_view_empty(void);
struct mesh_view *mesh_view_ref(struct mesh_view *view);
void mesh_view_unref(struct mesh_view *view);

// Makes *out from `base` and `delta`; `base` stays. Every resource is checked (names, SPIFFE IDs,
// addresses, patterns, limits): one bad resource refuses the whole delta.
// Revocations of a store that is replaced by another stay in force in the trust snapshot (only
// there). A put that equals what is there keeps the old resource: unchanged means same pointer.
// Errors: RM_ERR_MALFORMED, RM_ERR_LIMIT, RM_ERR_CONFLICT (partial delta of another store id or
// before the first full one, or a version that goes back), RM_ERR_NO_MEMORY.
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
// The bundles and withdrawals as a trust snapshot; made when the view is, and shared with the view
// before it while neither changed. Borrowed.
struct trust_snapshot *mesh_view_trust(const struct mesh_view *view);

// Canonical bytes of the view (kind, key and content of each resource in order, lengths before
// strings, integers big-endian; the version is not part): both ends hash them with SHA-256 and must
// agree. Pieces go to `sink` in order.
typedef void (*mesh_sink_fn)(void *context, const void *bytes, size_t length);
void mesh_view_canonical(const struct mesh_view *view, mesh_sink_fn sink, void *context);
