// SPDX-License-Identifier: GPL-3.0-or-later
//
// From what a sidecar has to what it should have: everything, or the changes since; in parts when
// one message does not take it.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "push/push_internal.h"

#define PART_OVERHEAD_BYTES 128   // version, flags and time of a response
#define REMOVAL_OVERHEAD_BYTES 24 // tags and lengths of a removal
#define PART_MAX_BYTES (MESH_WIRE_MAX_RESPONSE_BYTES - PART_OVERHEAD_BYTES)

void delta_deinit(struct delta *delta)
{
    for (size_t i = 0; i < delta->count; i++) {
        encoded_unref(delta->items[i].put);
        rm_free(delta->items[i].removed);
    }
    rm_free(delta->items);
    *delta = (struct delta){0};
}

bool delta_is_sent(const struct delta *delta)
{
    return delta->next == delta->count;
}

bool delta_is_short(const struct delta *delta)
{
    size_t bytes = 0;
    for (size_t i = 0; i < delta->count && bytes <= PART_MAX_BYTES; i++) {
        bytes += delta->items[i].length;
    }
    return bytes <= PART_MAX_BYTES;
}

// --- Drafting.
// ------------------------------------------------------------------------------------------

static struct delta_item *new_item(struct delta *delta)
{
    if (delta->count == delta->room) {
        size_t room = delta->room == 0 ? 16 : delta->room * 2;
        struct delta_item *grown = rm_realloc(delta->items, room * sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        delta->items = grown;
        delta->room = room;
    }
    struct delta_item *item = &delta->items[delta->count++];
    *item = (struct delta_item){0};
    return item;
}

static enum rm_err add_put(const struct session *session, struct delta *delta,
                           const struct mesh_resource *resource)
{
    struct delta_item *item = new_item(delta);
    if (item == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    RM_TRY(scope_encoded(session, resource, &item->put));
    item->length = item->put->bytes.length + MESH_WIRE_PUT_OVERHEAD_BYTES;
    return RM_OK;
}

static enum rm_err add_removal(struct delta *delta, enum mesh_kind kind, const char *key)
{
    struct delta_item *item = new_item(delta);
    if (item == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    item->kind = kind;
    item->removed = rm_strdup(key);
    item->length = strlen(key) + REMOVAL_OVERHEAD_BYTES;
    return item->removed != NULL ? RM_OK : RM_ERR_NO_MEMORY;
}

enum rm_err delta_of_everything(const struct session *session, struct delta *out)
{
    // What the rest depends on comes first: trust, then services, then the many endpoints.
    static const enum mesh_kind order[] = {MESH_BUNDLE, MESH_WITHDRAWAL, MESH_SERVICE,
                                           MESH_ENDPOINT};
    const struct mesh_view *view = registry_view(session->push->registry);
    *out = (struct delta){.is_full = true, .version = mesh_view_version(view)};
    enum rm_err result = RM_OK;
    for (size_t kind = 0; kind < MESH_KIND_COUNT; kind++) {
        size_t count = mesh_view_count(view, order[kind]);
        for (size_t i = 0; i < count && result == RM_OK; i++) {
            const struct mesh_resource *resource = mesh_view_at(view, order[kind], i);
            if (scope_contains(session, order[kind], resource->key)) {
                result = add_put(session, out, resource);
            }
        }
    }
    if (result != RM_OK) {
        delta_deinit(out);
    }
    return result;
}

struct changed_key {
    enum mesh_kind kind;
    const char *key; // borrowed from the registry's log
};

struct changed_keys {
    const struct session *session;
    struct changed_key *items; // owned
    size_t count;
    size_t room;
    enum rm_err result; // first error
};

static void visit_change(void *context, uint64_t number, enum mesh_kind kind, const char *key)
{
    struct changed_keys *keys = context;
    (void)number;
    if (keys->result != RM_OK || !scope_contains(keys->session, kind, key)) {
        return;
    }
    if (keys->count == keys->room) {
        size_t room = keys->room == 0 ? 64 : keys->room * 2;
        struct changed_key *grown = rm_realloc(keys->items, room * sizeof *grown);
        if (grown == NULL) {
            keys->result = RM_ERR_NO_MEMORY;
            return;
        }
        keys->items = grown;
        keys->room = room;
    }
    keys->items[keys->count++] = (struct changed_key){kind, key};
}

static int key_order(const void *left, const void *right)
{
    const struct changed_key *a = left;
    const struct changed_key *b = right;
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    return strcmp(a->key, b->key);
}

// The same key may have changed several times: what counts is what is there now, once.
static enum rm_err add_changes(const struct session *session, const struct changed_keys *keys,
                               struct delta *out)
{
    const struct mesh_view *view = registry_view(session->push->registry);
    for (size_t i = 0; i < keys->count; i++) {
        const struct changed_key *key = &keys->items[i];
        if (i > 0 && key_order(key - 1, key) == 0) {
            continue;
        }
        const struct mesh_resource *resource = mesh_view_find(view, key->kind, key->key);
        if (resource != NULL) {
            RM_TRY(add_put(session, out, resource));
        } else {
            RM_TRY(add_removal(out, key->kind, key->key));
        }
    }
    return RM_OK;
}

enum rm_err delta_of_changes(const struct session *session, uint64_t number, struct delta *out)
{
    struct registry *registry = session->push->registry;
    struct changed_keys keys = {.session = session};
    *out = (struct delta){.version = registry_version(registry)};
    enum rm_err result = RM_ERR_NOT_FOUND;
    if (registry_changes_since(registry, number, visit_change, &keys)) {
        result = keys.result;
    }
    if (result == RM_OK && keys.count > 0) {
        qsort(keys.items, keys.count, sizeof *keys.items, key_order);
        result = add_changes(session, &keys, out);
    }
    rm_free(keys.items);
    if (result != RM_OK) {
        delta_deinit(out);
    }
    return result;
}

// --- Sending.
// -------------------------------------------------------------------------------------------

// One message of a delta, and what it does to the view.
struct part {
    struct mesh_bytes *bytes;      // borrowed pieces, one per put
    struct mesh_resource **puts;   // borrowed, one per put
    struct mesh_removal *removals; // borrowed keys
    size_t put_count;              // of bytes and puts
    size_t removal_count;          // of removals
    size_t end;                    // first item that is not in it
};

static void part_deinit(struct part *part)
{
    rm_free(part->bytes);
    rm_free(part->puts);
    rm_free(part->removals);
}

static size_t end_of_part(const struct delta *delta)
{
    size_t bytes = 0;
    size_t end = delta->next;
    while (end < delta->count && bytes + delta->items[end].length <= PART_MAX_BYTES) {
        bytes += delta->items[end++].length;
    }
    return end;
}

static enum rm_err part_make(const struct delta *delta, size_t end, struct part *out)
{
    size_t count = end - delta->next + 1; // never none
    *out = (struct part){.end = end};
    out->bytes = rm_calloc(count, sizeof *out->bytes);
    out->puts = rm_calloc(count, sizeof(struct mesh_resource *));
    out->removals = rm_calloc(count, sizeof *out->removals);
    if (out->bytes == NULL || out->puts == NULL || out->removals == NULL) {
        part_deinit(out);
        return RM_ERR_NO_MEMORY;
    }
    for (size_t i = delta->next; i < end; i++) {
        const struct delta_item *item = &delta->items[i];
        if (item->put != NULL) {
            out->bytes[out->put_count] = item->put->bytes;
            out->puts[out->put_count++] = item->put->seen;
        } else {
            out->removals[out->removal_count++] = (struct mesh_removal){item->kind, item->removed};
        }
    }
    return RM_OK;
}

static enum rm_err part_apply(const struct delta *delta, const struct part *part,
                              const struct mesh_view *base, struct mesh_view **out)
{
    struct rm_error error = {0};
    struct mesh_delta change = {
        .version = delta->version,
        .is_full = delta->is_full && !delta->is_begun,
        .puts = part->puts,
        .put_count = part->put_count,
        .removals = part->removals,
        .removal_count = part->removal_count,
    };
    enum rm_err result = mesh_view_apply(base, &change, out, &error);
    if (result != RM_OK) {
        log_error(LOG_PUSH, "delta_not_made", LOG_STR("error", rm_error_message(&error)));
    }
    return result;
}

static enum rm_err part_send(const struct delta *delta, const struct part *part,
                             struct rpc_call *call)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    struct mesh_response_parts response = {
        .version = delta->version,
        .is_full = delta->is_full && !delta->is_begun,
        .resources = part->bytes,
        .resource_count = part->put_count,
        .removals = part->removals,
        .removal_count = part->removal_count,
        .server_time_ms = clock_wall_ms(),
    };
    RM_TRY(mesh_wire_encode_response(&response, &bytes, &length));
    enum rm_err result = rpc_call_send(call, bytes, length);
    rm_free(bytes);
    return result;
}

enum rm_err delta_send_part(struct delta *delta, struct rpc_call *call, struct mesh_view **view)
{
    struct part part;
    struct mesh_view *after = NULL;
    RM_TRY(part_make(delta, end_of_part(delta), &part));
    enum rm_err result = part_apply(delta, &part, *view, &after);
    if (result == RM_OK) {
        result = part_send(delta, &part, call);
    }
    if (result == RM_OK) {
        mesh_view_unref(*view);
        *view = after;
        delta->next = part.end;
        delta->is_begun = true;
    } else {
        mesh_view_unref(after);
    }
    part_deinit(&part);
    return result;
}

enum rm_err delta_view(const struct delta *delta, struct mesh_view **out)
{
    struct part part;
    struct mesh_view *empty = mesh_view_empty();
    if (empty == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    enum rm_err result = part_make(delta, delta->count, &part);
    if (result == RM_OK) {
        result = part_apply(delta, &part, empty, out);
        part_deinit(&part);
    }
    mesh_view_unref(empty);
    return result;
}
