// SPDX-License-Identifier: GPL-3.0-or-later
#include "mesh/view.h"

#include <string.h>

#include "base/alloc.h"
#include "mesh/view_internal.h"

struct mesh_set *mesh_set_new(size_t capacity)
{
    struct mesh_set *set = rm_malloc(sizeof(*set) + capacity * sizeof(set->items[0]));
    if (set != NULL) {
        atomic_init(&set->ref_count, 1);
        set->count = 0;
    }
    return set;
}

struct mesh_set *mesh_set_ref(struct mesh_set *set)
{
    atomic_fetch_add_explicit(&set->ref_count, 1, memory_order_relaxed);
    return set;
}

void mesh_set_unref(struct mesh_set *set)
{
    if (set == NULL || atomic_fetch_sub_explicit(&set->ref_count, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < set->count; i++) {
        mesh_resource_unref(set->items[i]);
    }
    rm_free(set);
}

size_t mesh_set_lower_bound(const struct mesh_set *set, const char *key)
{
    size_t low = 0;
    size_t high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(set->items[middle]->key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct mesh_view *mesh_view_empty(void)
{
    struct mesh_view *view = rm_calloc(1, sizeof(*view));
    if (view == NULL) {
        return NULL;
    }
    atomic_init(&view->ref_count, 1);
    view->carried = mesh_set_new(0);
    bool is_whole = view->carried != NULL;
    for (size_t kind = 0; kind < MESH_KIND_COUNT; kind++) {
        view->sets[kind] = mesh_set_new(0);
        is_whole = is_whole && view->sets[kind] != NULL;
    }
    struct trust_builder *builder = is_whole ? trust_builder_new() : NULL;
    view->trust = builder == NULL ? NULL : trust_builder_finish(builder);
    if (view->trust == NULL) {
        mesh_view_unref(view);
        return NULL;
    }
    return view;
}

struct mesh_view *mesh_view_ref(struct mesh_view *view)
{
    atomic_fetch_add_explicit(&view->ref_count, 1, memory_order_relaxed);
    return view;
}

void mesh_view_unref(struct mesh_view *view)
{
    if (view == NULL || atomic_fetch_sub_explicit(&view->ref_count, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t kind = 0; kind < MESH_KIND_COUNT; kind++) {
        mesh_set_unref(view->sets[kind]);
    }
    mesh_set_unref(view->carried);
    trust_unref(view->trust);
    rm_free(view);
}

bool mesh_view_is_complete(const struct mesh_view *view)
{
    return view->is_complete;
}

struct mesh_version mesh_view_version(const struct mesh_view *view)
{
    return view->version;
}

size_t mesh_view_count(const struct mesh_view *view, enum mesh_kind kind)
{
    return view->sets[kind]->count;
}

const struct mesh_resource *mesh_view_at(const struct mesh_view *view, enum mesh_kind kind,
                                         size_t index)
{
    const struct mesh_set *set = view->sets[kind];
    return index < set->count ? set->items[index] : NULL;
}

const struct mesh_resource *mesh_view_find(const struct mesh_view *view, enum mesh_kind kind,
                                           const char *key)
{
    const struct mesh_set *set = view->sets[kind];
    size_t index = mesh_set_lower_bound(set, key);
    bool is_found = index < set->count && strcmp(set->items[index]->key, key) == 0;
    return is_found ? set->items[index] : NULL;
}

// Keys of a service's endpoints begin with its name and '/', and the byte after '/' is '0'.
void mesh_view_endpoints(const struct mesh_view *view, const char *service, size_t *first,
                         size_t *count)
{
    *first = 0;
    *count = 0;
    char bound[MESH_MAX_NAME_BYTES + 2];
    size_t length = strnlen(service, MESH_MAX_NAME_BYTES + 1);
    if (length > MESH_MAX_NAME_BYTES) {
        return;
    }
    memcpy(bound, service, length);
    bound[length] = '/';
    bound[length + 1] = '\0';
    const struct mesh_set *set = view->sets[MESH_ENDPOINT];
    *first = mesh_set_lower_bound(set, bound);
    bound[length] = '/' + 1;
    *count = mesh_set_lower_bound(set, bound) - *first;
}

struct trust_snapshot *mesh_view_trust(const struct mesh_view *view)
{
    return view->trust;
}
