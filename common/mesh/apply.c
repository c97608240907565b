// SPDX-License-Identifier: GPL-3.0-or-later
//
// How a delta makes a new view: its puts and removals are sorted, then merged with each set. A set
// that did not change is shared as it is.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "mesh/view_internal.h"

// One line of a delta.
struct change {
    enum mesh_kind kind;            // of what changes
    const char *key;                // borrowed from the delta
    struct mesh_resource *resource; // borrowed from the delta; NULL: removed
};

struct changes {
    struct change *items; // sorted by kind and key; owned
    size_t count;         // of items
};

static int change_order(const void *left, const void *right)
{
    const struct change *a = left;
    const struct change *b = right;
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    return strcmp(a->key, b->key);
}

static enum rm_err check_version(const struct mesh_view *base, const struct mesh_delta *delta,
                                 struct rm_error *error)
{
    bool is_same_store =
        base->is_complete &&
        memcmp(base->version.store_id, delta->version.store_id, MESH_STORE_ID_BYTES) == 0;
    if (!delta->is_full && !base->is_complete) {
        return rm_error_set(error, RM_ERR_CONFLICT, "a partial delta came before a full one");
    }
    if (!delta->is_full && !is_same_store) {
        return rm_error_set(error, RM_ERR_CONFLICT, "a partial delta came from another store");
    }
    if (is_same_store && delta->version.number < base->version.number) {
        return rm_error_set(error, RM_ERR_CONFLICT,
                            "the version goes back from %" PRIu64 " to %" PRIu64,
                            base->version.number, delta->version.number);
    }
    return RM_OK;
}

static enum rm_err check_content(const struct mesh_delta *delta, struct rm_error *error)
{
    if (delta->put_count > MESH_MAX_RESOURCES || delta->removal_count > MESH_MAX_RESOURCES) {
        return rm_error_set(error, RM_ERR_LIMIT, "a delta of more than %d resources",
                            MESH_MAX_RESOURCES);
    }
    if (delta->is_full && delta->removal_count > 0) {
        return rm_error_set(error, RM_ERR_MALFORMED, "a full delta has removals");
    }
    for (size_t i = 0; i < delta->removal_count; i++) {
        if ((unsigned)delta->removals[i].kind >= MESH_KIND_COUNT) {
            return rm_error_set(error, RM_ERR_MALFORMED, "a removal of unknown kind %d",
                                (int)delta->removals[i].kind);
        }
    }
    for (size_t i = 0; i < delta->put_count; i++) {
        RM_TRY(mesh_resource_check(delta->puts[i], error));
    }
    return RM_OK;
}

// Only after check_content(): keys of puts are fit for messages.
static enum rm_err check_unique(const struct changes *changes, struct rm_error *error)
{
    for (size_t i = 1; i < changes->count; i++) {
        const struct change *a = &changes->items[i - 1];
        const struct change *b = &changes->items[i];
        if (change_order(a, b) == 0) {
            const struct mesh_resource *put = a->resource != NULL ? a->resource : b->resource;
            return rm_error_set(error, RM_ERR_MALFORMED, "\"%.300s\" is in one delta twice",
                                put == NULL ? "a removed key" : put->key);
        }
    }
    return RM_OK;
}

static enum rm_err changes_of(const struct mesh_delta *delta, struct changes *out,
                              struct rm_error *error)
{
    *out = (struct changes){.count = delta->put_count + delta->removal_count};
    out->items = rm_calloc(out->count, sizeof(*out->items));
    if (out->items == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "no memory for a delta");
    }
    struct change *next = out->items;
    for (size_t i = 0; i < delta->put_count; i++) {
        struct mesh_resource *put = delta->puts[i];
        *next++ = (struct change){put->kind, put->key, put};
    }
    for (size_t i = 0; i < delta->removal_count; i++) {
        *next++ = (struct change){delta->removals[i].kind, delta->removals[i].key, NULL};
    }
    if (out->count > 0) {
        qsort(out->items, out->count, sizeof(*out->items), change_order);
    }
    return check_unique(out, error);
}

// The state of merging one set with its changes.
struct merge {
    const struct mesh_set *old;   // before
    const struct change *changes; // of this kind only
    size_t change_count;          // of changes
    bool is_full;                 // what no change names goes
    bool is_changed;              // next differs from old
    struct mesh_set *next;        // after
};

static void keep(struct merge *merge, const struct mesh_resource *resource)
{
    merge->next->items[merge->next->count++] = mesh_resource_ref(resource);
}

// `old` or `change` may be NULL, not both; where both are there, they have the same key.
static void merge_one(struct merge *merge, const struct mesh_resource *old,
                      const struct change *change)
{
    const struct mesh_resource *put = change == NULL ? NULL : change->resource;
    if (change == NULL && !merge->is_full) {
        keep(merge, old);
    } else if (put == NULL) {
        merge->is_changed = merge->is_changed || old != NULL;
    } else if (old != NULL && mesh_resource_equal(old, put)) {
        keep(merge, old);
    } else {
        keep(merge, put);
        merge->is_changed = true;
    }
}

static void merge_all(struct merge *merge)
{
    size_t i = 0;
    size_t j = 0;
    while (i < merge->old->count || j < merge->change_count) {
        const struct mesh_resource *old = i < merge->old->count ? merge->old->items[i] : NULL;
        const struct change *change = j < merge->change_count ? &merge->changes[j] : NULL;
        int order = old == NULL ? 1 : change == NULL ? -1 : strcmp(old->key, change->key);
        merge_one(merge, order <= 0 ? old : NULL, order >= 0 ? change : NULL);
        i += order <= 0;
        j += order >= 0;
    }
}

// *next is a reference: a new set, or `old` itself when nothing in it changed.
static enum rm_err merge_set(struct mesh_set *old, const struct change *changes,
                             size_t change_count, bool is_full, struct mesh_set **next)
{
    if (change_count == 0 && (!is_full || old->count == 0)) {
        *next = mesh_set_ref(old);
        return RM_OK;
    }
    struct merge merge = {
        .old = old, .changes = changes, .change_count = change_count, .is_full = is_full};
    merge.next = mesh_set_new((is_full ? 0 : old->count) + change_count);
    if (merge.next == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    merge_all(&merge);
    if (!merge.is_changed) {
        mesh_set_unref(merge.next);
        merge.next = mesh_set_ref(old);
    }
    *next = merge.next;
    return RM_OK;
}

static enum rm_err merge_sets(const struct mesh_view *base, const struct changes *changes,
                              bool is_full, struct mesh_view *view, struct rm_error *error)
{
    size_t first = 0;
    size_t total = 0;
    for (size_t kind = 0; kind < MESH_KIND_COUNT; kind++) {
        size_t end = first;
        while (end < changes->count && changes->items[end].kind == (enum mesh_kind)kind) {
            end++;
        }
        if (merge_set(base->sets[kind], changes->items + first, end - first, is_full,
                      &view->sets[kind]) != RM_OK) {
            return rm_error_set(error, RM_ERR_NO_MEMORY, "no memory for a view");
        }
        first = end;
        total += view->sets[kind]->count;
    }
    if (total > MESH_MAX_RESOURCES) {
        return rm_error_set(error, RM_ERR_LIMIT, "a view of %zu resources is over the limit of %d",
                            total, MESH_MAX_RESOURCES);
    }
    return RM_OK;
}

static enum rm_err make_view(const struct mesh_view *base, const struct mesh_delta *delta,
                             const struct changes *changes, struct mesh_view **out,
                             struct rm_error *error)
{
    struct mesh_view *view = rm_calloc(1, sizeof(*view));
    if (view == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "no memory for a view");
    }
    atomic_init(&view->ref_count, 1);
    view->version = delta->version;
    view->is_complete = true; // no partial delta comes before a full one
    enum rm_err err = merge_sets(base, changes, delta->is_full, view, error);
    if (err == RM_OK) {
        err = mesh_view_set_trust(base, view, error);
    }
    if (err != RM_OK) {
        mesh_view_unref(view);
        return err;
    }
    *out = view;
    return RM_OK;
}

enum rm_err mesh_view_apply(const struct mesh_view *base, const struct mesh_delta *delta,
                            struct mesh_view **out, struct rm_error *error)
{
    *out = NULL;
    RM_TRY(check_version(base, delta, error));
    RM_TRY(check_content(delta, error));
    struct changes changes;
    enum rm_err err = changes_of(delta, &changes, error);
    if (err == RM_OK) {
        err = make_view(base, delta, &changes, out, error);
    }
    rm_free(changes.items);
    return err;
}
