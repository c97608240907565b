// SPDX-License-Identifier: GPL-3.0-or-later
//
// How changes of the store become the next view: gathered, then applied once per loop turn.
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "identity/spiffe.h"
#include "registry/registry_internal.h"

// The longest key is that of a withdrawn SPIFFE ID.
#define INDEX_KEY_BYTES (1 + SPIFFE_ID_MAX_BYTES + 64)

// --- Gathering.
// -----------------------------------------------------------------------------------------

static size_t index_key(enum mesh_kind kind, const char *key, uint8_t out[INDEX_KEY_BYTES])
{
    size_t length = strnlen(key, INDEX_KEY_BYTES - 1);
    out[0] = (uint8_t)kind;
    memcpy(out + 1, key, length);
    return length + 1;
}

static bool make_room(struct registry *registry)
{
    if (registry->pending_count < registry->pending_room) {
        return true;
    }
    size_t room = registry->pending_room == 0 ? 64 : registry->pending_room * 2;
    struct registry_pending *grown =
        rm_realloc(registry->pending, room * sizeof *registry->pending);
    if (grown == NULL) {
        return false;
    }
    registry->pending = grown;
    registry->pending_room = room;
    return true;
}

// The one pending change of this key, made on first use; NULL when memory is exhausted.
static struct registry_pending *pending_of(struct registry *registry, enum mesh_kind kind,
                                           const char *key)
{
    uint8_t bytes[INDEX_KEY_BYTES];
    size_t length = index_key(kind, key, bytes);
    size_t index = (size_t)map_get(registry->pending_index, bytes, length);
    if (index > 0) {
        return &registry->pending[index - 1];
    }
    char *copy = make_room(registry) ? rm_strdup(key) : NULL;
    if (copy == NULL || map_put(registry->pending_index, bytes, length,
                                (void *)(registry->pending_count + 1), NULL) != RM_OK) {
        rm_free(copy);
        return NULL;
    }
    struct registry_pending *pending = &registry->pending[registry->pending_count++];
    *pending = (struct registry_pending){.kind = kind, .key = copy};
    return pending;
}

// `resource` NULL: removed. Takes the reference.
static enum rm_err queue(struct registry *registry, enum mesh_kind kind, const char *key,
                         struct mesh_resource *resource, uint64_t revision)
{
    struct registry_pending *pending = pending_of(registry, kind, key);
    if (pending == NULL) {
        mesh_resource_unref(resource);
        return RM_ERR_NO_MEMORY;
    }
    mesh_resource_unref(pending->resource);
    pending->resource = resource;
    if (revision > registry->pending_number) {
        registry->pending_number = revision;
    }
    deferred_schedule(registry->loop, &registry->apply);
    return RM_OK;
}

enum rm_err registry_queue_put(struct registry *registry, struct mesh_resource *resource,
                               uint64_t revision)
{
    return queue(registry, resource->kind, resource->key, resource, revision);
}

enum rm_err registry_queue_removal(struct registry *registry, enum mesh_kind kind, const char *key,
                                   uint64_t revision)
{
    return queue(registry, kind, key, NULL, revision);
}

void registry_clear_pending(struct registry *registry)
{
    for (size_t i = 0; i < registry->pending_count; i++) {
        const struct registry_pending *pending = &registry->pending[i];
        uint8_t bytes[INDEX_KEY_BYTES];
        size_t length = index_key(pending->kind, pending->key, bytes);
        (void)map_remove(registry->pending_index, bytes, length);
        mesh_resource_unref(pending->resource);
        rm_free(pending->key);
    }
    registry->pending_count = 0;
    if (registry->pending_room > REGISTRY_KEEP_PENDING) {
        rm_free(registry->pending);
        registry->pending = NULL;
        registry->pending_room = 0;
    }
}

// --- Applying.
// ------------------------------------------------------------------------------------------

static void tell_listeners(struct registry *registry)
{
    for (size_t i = 0; i < registry->listener_count; i++) {
        registry->listeners[i].on_change(registry->listeners[i].context);
    }
}

static void finish_loading(struct registry *registry, enum rm_err result)
{
    registry_ready_fn on_ready = registry->on_ready;
    registry->on_ready = NULL;
    if (on_ready != NULL) {
        on_ready(registry->ready_context, result);
    }
}

// The pending changes; whole: with the bundles, which do not come from the store. `puts` and
// `removals` have room for all of them.
static struct mesh_delta make_delta(const struct registry *registry, bool is_full,
                                    struct mesh_resource **puts, struct mesh_removal *removals)
{
    struct mesh_delta delta = {.version = registry_version(registry),
                               .is_full = is_full,
                               .puts = puts,
                               .removals = removals};
    if (registry->pending_number > delta.version.number) {
        delta.version.number = registry->pending_number;
    }
    for (size_t i = 0; is_full && i < mesh_view_count(registry->view, MESH_BUNDLE); i++) {
        const struct mesh_resource *bundle = mesh_view_at(registry->view, MESH_BUNDLE, i);
        puts[delta.put_count++] = (struct mesh_resource *)(uintptr_t)bundle;
    }
    for (size_t i = 0; i < registry->pending_count; i++) {
        const struct registry_pending *pending = &registry->pending[i];
        if (pending->resource != NULL) {
            puts[delta.put_count++] = pending->resource;
        } else if (!is_full) {
            removals[delta.removal_count++] = (struct mesh_removal){pending->kind, pending->key};
        }
    }
    return delta;
}

// In proportion to the view: where more changed than that, everything anew is the shorter answer.
static size_t log_limit(const struct mesh_view *view)
{
    size_t limit = 0;
    for (enum mesh_kind kind = MESH_BUNDLE; kind < MESH_KIND_COUNT; kind++) {
        limit += 2 * mesh_view_count(view, kind);
    }
    limit = limit < REGISTRY_LOG_MIN ? REGISTRY_LOG_MIN : limit;
    return limit > REGISTRY_CHANGE_LOG ? REGISTRY_CHANGE_LOG : limit;
}

static void note_changes(struct registry *registry, bool is_full)
{
    uint64_t number = registry_version(registry).number;
    bool needs_sweep = is_full;
    if (is_full) {
        change_log_reset(&registry->log, number);
    }
    for (size_t i = 0; !is_full && i < registry->pending_count; i++) {
        const struct registry_pending *pending = &registry->pending[i];
        change_log_add(&registry->log,
                       (struct registry_change){number, pending->kind, pending->key},
                       log_limit(registry->view));
        needs_sweep = needs_sweep || pending->kind != MESH_ENDPOINT;
    }
    for (size_t i = 0; !needs_sweep && i < registry->pending_count; i++) {
        registry_sweep(registry, registry->pending[i].key);
    }
    if (needs_sweep) {
        registry_sweep(registry, NULL);
    }
}

static enum rm_err apply_pending(struct registry *registry, bool is_full, struct rm_error *error)
{
    size_t room = registry->pending_count + mesh_view_count(registry->view, MESH_BUNDLE) + 1;
    struct mesh_resource **puts = rm_calloc(room, sizeof(struct mesh_resource *));
    struct mesh_removal *removals = rm_calloc(room, sizeof *removals);
    struct mesh_view *view = NULL;
    enum rm_err result = rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    if (puts != NULL && removals != NULL) {
        struct mesh_delta delta = make_delta(registry, is_full, puts, removals);
        result = mesh_view_apply(registry->view, &delta, &view, error);
    }
    rm_free(puts);
    rm_free(removals);
    if (result == RM_OK) {
        mesh_view_unref(registry->view);
        registry->view = view;
        note_changes(registry, is_full);
        registry_clear_pending(registry);
    }
    return result;
}

void registry_on_apply(void *context)
{
    struct registry *registry = context;
    struct rm_error error = {0};
    bool is_full = sm_is(&registry->sm, REGISTRY_LOADING);
    if (registry->loading > 0) {
        return;
    }
    if (sm_is(&registry->sm, REGISTRY_BEHIND)) {
        if (!timer_is_active(&registry->retry)) {
            registry_on_retry(registry);
        }
        return;
    }
    enum rm_err result = registry->load_result;
    if (is_full && result == RM_OK) {
        registry_drop_stale(registry);
    }
    result = result == RM_OK ? apply_pending(registry, is_full, &error) : result;
    if (result == RM_OK && is_full) {
        sm_move(&registry->sm, REGISTRY_FOLLOWING);
    } else if (result != RM_OK) {
        log_error(LOG_REGISTRY, "view_not_made", LOG_ERR(result),
                  LOG_STR("text", rm_error_message(&error)));
        registry_fall_behind(registry, result);
    }
    finish_loading(registry, result);
    if (result == RM_OK) {
        tell_listeners(registry);
    }
}
