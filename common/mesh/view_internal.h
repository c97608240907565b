// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a mesh view is inside: one sorted set of resources per kind. Sets are immutable and counted
// like the views that share them.
#pragma once

#include <stdatomic.h>

#include "mesh/view.h"

struct mesh_set {
    atomic_uint_fast32_t ref_count; // views that hold it
    size_t count;                   // of items
    struct mesh_resource *items[];  // references, in order of key
};

struct mesh_view {
    atomic_uint_fast32_t ref_count;         // holders
    bool is_complete;                       // a full delta was applied
    struct mesh_version version;            // of the last delta
    struct mesh_set *sets[MESH_KIND_COUNT]; // references, never NULL in a finished view
    struct mesh_set *carried;               // revocations of stores before this one; a reference
    struct trust_snapshot *trust;           // of the bundles, withdrawals and carried revocations
};

// Room for `capacity` items, holding none. NULL when memory is exhausted.
struct mesh_set *mesh_set_new(size_t capacity);
struct mesh_set *mesh_set_ref(struct mesh_set *set);
// `set` may be NULL.
void mesh_set_unref(struct mesh_set *set);
// First index whose key is not before `key`.
size_t mesh_set_lower_bound(const struct mesh_set *set, const char *key);

// Fills carried and trust of `view`, whose sets and version are made. Errors: RM_ERR_LIMIT,
// RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err mesh_view_set_trust(const struct mesh_view *base, struct mesh_view *view,
                                             struct rm_error *error);
