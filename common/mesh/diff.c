// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "mesh/view_internal.h"

struct diff {
    mesh_put_fn on_put;         // told what is new or differs
    mesh_removal_fn on_removal; // told what is gone
    void *context;              // of both
};

static enum rm_err diff_one(const struct diff *diff, const struct mesh_resource *from,
                            const struct mesh_resource *to)
{
    if (to == NULL) {
        return diff->on_removal(diff->context, from->kind, from->key);
    }
    if (from == NULL || !mesh_resource_equal(from, to)) {
        return diff->on_put(diff->context, to);
    }
    return RM_OK;
}

static enum rm_err diff_set(const struct diff *diff, const struct mesh_set *from,
                            const struct mesh_set *to)
{
    size_t i = 0;
    size_t j = 0;
    while (from != to && (i < from->count || j < to->count)) {
        const struct mesh_resource *a = i < from->count ? from->items[i] : NULL;
        const struct mesh_resource *b = j < to->count ? to->items[j] : NULL;
        int order = a == NULL ? 1 : b == NULL ? -1 : strcmp(a->key, b->key);
        RM_TRY(diff_one(diff, order <= 0 ? a : NULL, order >= 0 ? b : NULL));
        i += order <= 0;
        j += order >= 0;
    }
    return RM_OK;
}

enum rm_err mesh_view_diff(const struct mesh_view *from, const struct mesh_view *to,
                           mesh_put_fn on_put, mesh_removal_fn on_removal, void *context)
{
    const struct diff diff = {on_put, on_removal, context};
    for (size_t kind = 0; kind < MESH_KIND_COUNT; kind++) {
        RM_TRY(diff_set(&diff, from->sets[kind], to->sets[kind]));
    }
    return RM_OK;
}
