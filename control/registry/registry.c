// SPDX-License-Identifier: GPL-3.0-or-later
#include "registry/registry.h"

#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "identity/spiffe.h"
#include "mesh/view.h"
#include "registry/registry_internal.h"

static const char *const watched[] = {RECORD_SERVICE_PREFIX, RECORD_ENDPOINT_PREFIX,
                                      RECORD_WITHDRAWAL_PREFIX};
#define WATCHED_COUNT (sizeof watched / sizeof watched[0])

// --- The next view.
// -----------------------------------------------------------------------------------

static struct registry_pending *new_pending(struct registry *registry, const uint8_t *index_key,
                                            size_t index_length)
{
    if (registry->pending_count == registry->pending_room) {
        size_t room = registry->pending_room == 0 ? 64 : registry->pending_room * 2;
        struct registry_pending *grown =
            rm_realloc(registry->pending, room * sizeof *registry->pending);
        if (grown == NULL) {
            return NULL;
        }
        registry->pending = grown;
        registry->pending_room = room;
    }
    struct registry_pending *pending = &registry->pending[registry->pending_count];
    *pending = (struct registry_pending){0};
    if (map_put(registry->pending_index, index_key, index_length,
                (void *)(registry->pending_count + 1), NULL) != RM_OK) {
        return NULL;
    }
    registry->pending_count++;
    return pending;
}

// The one pending change of this key, made on first use; NULL when memory is exhausted.
static struct registry_pending *pending_of(struct registry *registry, enum mesh_kind kind,
                                           const char *key)
{
    uint8_t index_key[1 + STORE_MAX_KEY_BYTES + SPIFFE_ID_MAX_BYTES];
    size_t length = strlen(key);
    if (length >= sizeof index_key) {
        return NULL;
    }
    index_key[0] = (uint8_t)kind;
    memcpy(index_key + 1, key, length);
    size_t index = (size_t)map_get(registry->pending_index, index_key, length + 1);
    if (index > 0) {
        return &registry->pending[index - 1];
    }
    char *copy = rm_strdup(key);
    struct registry_pending *pending =
        copy != NULL ? new_pending(registry, index_key, length + 1) : NULL;
    if (pending == NULL) {
        rm_free(copy);
        return NULL;
    }
    pending->kind = kind;
    pending->key = copy;
    return pending;
}

static void note_pending(struct registry *registry, uint64_t revision)
{
    if (revision > registry->pending_number) {
        registry->pending_number = revision;
    }
    deferred_schedule(registry->loop, &registry->apply);
}

void registry_queue_put(struct registry *registry, struct mesh_resource *resource,
                        uint64_t revision)
{
    struct rm_error error = {0};
    struct registry_pending *pending = NULL;
    if (mesh_resource_check(resource, &error) == RM_OK) {
        pending = pending_of(registry, resource->kind, resource->key);
    }
    if (pending == NULL) {
        log_error(LOG_REGISTRY, "record_left_out", LOG_STR("key", resource->key),
                  LOG_STR("error", rm_error_message(&error)));
        mesh_resource_unref(resource);
        return;
    }
    mesh_resource_unref(pending->resource);
    pending->resource = resource;
    note_pending(registry, revision);
}

void registry_queue_removal(struct registry *registry, enum mesh_kind kind, const char *key,
                            uint64_t revision)
{
    struct registry_pending *pending = pending_of(registry, kind, key);
    if (pending == NULL) {
        log_error(LOG_REGISTRY, "removal_lost", LOG_STR("key", key), LOG_ERR(RM_ERR_NO_MEMORY));
        return;
    }
    mesh_resource_unref(pending->resource);
    pending->resource = NULL;
    note_pending(registry, revision);
}

static void log_change(struct registry *registry, enum mesh_kind kind, const char *key,
                       uint64_t number)
{
    char *copy = rm_strdup(key);
    if (copy == NULL) {
        // A gap: whoever asks for what lies before it must resync.
        registry->log_floor = number;
        return;
    }
    if (registry->log_count == REGISTRY_CHANGE_LOG) {
        struct registry_change *oldest = &registry->log[registry->log_start];
        registry->log_floor = oldest->number;
        rm_free(oldest->key);
        registry->log_start = (registry->log_start + 1) % REGISTRY_CHANGE_LOG;
        registry->log_count--;
    }
    size_t at = (registry->log_start + registry->log_count++) % REGISTRY_CHANGE_LOG;
    registry->log[at] = (struct registry_change){number, kind, copy};
}

static void clear_pending(struct registry *registry)
{
    for (size_t i = 0; i < registry->pending_count; i++) {
        const struct registry_pending *pending = &registry->pending[i];
        uint8_t index_key[1 + STORE_MAX_KEY_BYTES + SPIFFE_ID_MAX_BYTES];
        size_t length = strlen(pending->key);
        index_key[0] = (uint8_t)pending->kind;
        memcpy(index_key + 1, pending->key, length);
        (void)map_remove(registry->pending_index, index_key, length + 1);
        mesh_resource_unref(pending->resource);
        rm_free(pending->key);
    }
    registry->pending_count = 0;
}

static void tell_listeners(struct registry *registry)
{
    for (size_t i = 0; i < registry->listener_count; i++) {
        registry->listeners[i].on_change(registry->listeners[i].context);
    }
}

static void finish_loading(struct registry *registry)
{
    registry_ready_fn on_ready = registry->on_ready;
    registry->on_ready = NULL;
    if (on_ready != NULL) {
        on_ready(registry->ready_context, registry->load_result);
    }
}

// The pending changes as a delta; `puts` and `removals` have room for all of them.
static struct mesh_delta make_delta(const struct registry *registry, struct mesh_resource **puts,
                                    struct mesh_removal *removals)
{
    struct mesh_delta delta = {
        .version = registry_version(registry), .puts = puts, .removals = removals};
    if (registry->pending_number > delta.version.number) {
        delta.version.number = registry->pending_number;
    }
    for (size_t i = 0; i < registry->pending_count; i++) {
        const struct registry_pending *pending = &registry->pending[i];
        if (pending->resource != NULL) {
            puts[delta.put_count++] = pending->resource;
        } else {
            removals[delta.removal_count++] = (struct mesh_removal){pending->kind, pending->key};
        }
    }
    return delta;
}

static enum rm_err apply_pending(struct registry *registry, struct rm_error *error)
{
    struct mesh_resource **puts =
        rm_calloc(registry->pending_count + 1, sizeof(struct mesh_resource *));
    struct mesh_removal *removals = rm_calloc(registry->pending_count + 1, sizeof *removals);
    struct mesh_view *view = NULL;
    enum rm_err result = RM_ERR_NO_MEMORY;
    if (puts != NULL && removals != NULL) {
        struct mesh_delta delta = make_delta(registry, puts, removals);
        result = mesh_view_apply(registry->view, &delta, &view, error);
        for (size_t i = 0; i < registry->pending_count && result == RM_OK; i++) {
            log_change(registry, registry->pending[i].kind, registry->pending[i].key,
                       delta.version.number);
        }
    }
    rm_free(puts);
    rm_free(removals);
    if (result == RM_OK) {
        mesh_view_unref(registry->view);
        registry->view = view;
        clear_pending(registry);
    }
    return result;
}

static void registry_on_apply(void *context)
{
    struct registry *registry = context;
    struct rm_error error = {0};
    if (registry->loading > 0) {
        return;
    }
    // On an error the changes stay pending: the next one tries again.
    enum rm_err result = apply_pending(registry, &error);
    if (result != RM_OK) {
        log_error(LOG_REGISTRY, "view_not_made", LOG_ERR(result),
                  LOG_STR("text", rm_error_message(&error)));
        registry->load_result = registry->load_result != RM_OK ? registry->load_result : result;
    }
    finish_loading(registry);
    if (result == RM_OK) {
        tell_listeners(registry);
    }
}

// --- The store.
// -----------------------------------------------------------------------------------------

static void registry_on_store_change(void *context, const struct store_entry *entry,
                                     bool is_deleted)
{
    registry_take_entry(context, entry, is_deleted);
}

struct page {
    struct registry *registry;
    const char *prefix;
    char next[STORE_MAX_KEY_BYTES + 2];
};

static void read_next_page(struct page *page);

static void end_of_prefix(struct page *page, enum rm_err result)
{
    struct registry *registry = page->registry;
    if (registry->load_result == RM_OK) {
        registry->load_result = result;
    }
    rm_free(page);
    if (--registry->loading == 0) {
        registry->pending_number = store_revision(registry->store) > registry->pending_number
                                       ? store_revision(registry->store)
                                       : registry->pending_number;
        registry->log_floor = registry->pending_number;
        deferred_schedule(registry->loop, &registry->apply);
    }
}

static void registry_on_page(void *context, enum rm_err result, const struct store_entry *entries,
                             size_t count, uint64_t revision)
{
    struct page *page = context;
    (void)revision;
    if (result != RM_OK) {
        end_of_prefix(page, result);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        registry_take_entry(page->registry, &entries[i], false);
    }
    if (count < REGISTRY_READ_PAGE) {
        end_of_prefix(page, RM_OK);
        return;
    }
    size_t length = strlen(entries[count - 1].key);
    memcpy(page->next, entries[count - 1].key, length);
    memcpy(page->next + length, " ", 2);
    read_next_page(page);
}

static void read_next_page(struct page *page)
{
    enum rm_err result = store_read_prefix(page->registry->store, page->prefix,
                                           page->next[0] != '\0' ? page->next : NULL,
                                           REGISTRY_READ_PAGE, registry_on_page, page);
    if (result != RM_OK) {
        end_of_prefix(page, result);
    }
}

static enum rm_err start_loading(struct registry *registry)
{
    // The watches first: what changes while a prefix is read then comes too, in order.
    for (size_t i = 0; i < WATCHED_COUNT; i++) {
        RM_TRY(store_watch(registry->store, watched[i], registry_on_store_change, registry,
                           &registry->watches[i]));
        registry->watch_count++;
    }
    struct page *pages[WATCHED_COUNT] = {0};
    for (size_t i = 0; i < WATCHED_COUNT; i++) {
        pages[i] = rm_calloc(1, sizeof *pages[i]);
        if (pages[i] == NULL) {
            for (size_t j = 0; j < i; j++) {
                rm_free(pages[j]);
            }
            return RM_ERR_NO_MEMORY;
        }
    }
    registry->loading = WATCHED_COUNT;
    for (size_t i = 0; i < WATCHED_COUNT; i++) {
        pages[i]->registry = registry;
        pages[i]->prefix = watched[i];
        read_next_page(pages[i]);
    }
    return RM_OK;
}

static enum rm_err fill_bundle(struct mesh_bundle *bundle, const struct trust_domain *domain)
{
    bundle->roots = rm_calloc(domain->root_count, sizeof *bundle->roots);
    bundle->key_ids = rm_calloc(domain->root_count, sizeof *bundle->key_ids);
    if (bundle->roots == NULL || bundle->key_ids == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < domain->root_count; i++) {
        bundle->roots[i].bytes = rm_memdup(domain->roots[i].der, domain->roots[i].der_length);
        if (bundle->roots[i].bytes == NULL) {
            return RM_ERR_NO_MEMORY;
        }
        bundle->roots[i].length = domain->roots[i].der_length;
        memcpy(bundle->key_ids[i], domain->roots[i].key_id, KEY_ID_BYTES);
        bundle->root_count++;
    }
    return RM_OK;
}

// The first view: only the own bundle, under the store's id.
static enum rm_err make_first_view(struct registry *registry, const struct trust_snapshot *trust)
{
    const struct trust_domain *domain =
        trust_domain_find(trust, registry->trust_domain, strlen(registry->trust_domain));
    struct mesh_resource *bundle = mesh_resource_new(MESH_BUNDLE, registry->trust_domain);
    struct mesh_view *empty = mesh_view_empty();
    enum rm_err result = RM_ERR_NO_MEMORY;
    struct rm_error error = {0};
    if (domain != NULL && bundle != NULL && empty != NULL) {
        result = fill_bundle(&bundle->of.bundle, domain);
    }
    if (result == RM_OK) {
        struct mesh_delta delta = {.is_full = true, .puts = &bundle, .put_count = 1};
        memcpy(delta.version.store_id, store_id(registry->store), MESH_STORE_ID_BYTES);
        result = mesh_view_apply(empty, &delta, &registry->view, &error);
    }
    mesh_resource_unref(bundle);
    mesh_view_unref(empty);
    return result;
}

enum rm_err registry_new(struct loop *loop, struct store *store, const char *trust_domain,
                         struct trust_snapshot *trust, registry_ready_fn on_ready, void *context,
                         struct registry **out)
{
    struct registry *registry = rm_calloc(1, sizeof *registry);
    if (registry == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    registry->loop = loop;
    registry->store = store;
    registry->on_ready = on_ready;
    registry->ready_context = context;
    list_init(&registry->leaving);
    deferred_init(&registry->apply, registry_on_apply, registry);
    registry->trust_domain = rm_strdup(trust_domain);
    registry->services = map_new();
    registry->holders = map_new();
    registry->pending_index = map_new();
    registry->log = rm_calloc(REGISTRY_CHANGE_LOG, sizeof *registry->log);
    enum rm_err result = RM_ERR_NO_MEMORY;
    if (registry->trust_domain != NULL && registry->services != NULL && registry->holders != NULL &&
        registry->pending_index != NULL && registry->log != NULL) {
        result = make_first_view(registry, trust);
    }
    if (result == RM_OK) {
        result = start_loading(registry);
    }
    if (result != RM_OK) {
        registry->on_ready = NULL;
        registry_free(registry);
        return result;
    }
    *out = registry;
    return RM_OK;
}

static void free_service(void *context, const void *key, size_t key_length, void *value)
{
    struct service_entry *entry = value;
    (void)context;
    (void)key;
    (void)key_length;
    service_record_deinit(&entry->record);
    rm_free(entry);
}

static void free_holder(void *context, const void *key, size_t key_length, void *value)
{
    struct endpoint_entry *entry = value;
    (void)context;
    (void)key;
    (void)key_length;
    rm_free(entry->address);
    rm_free(entry->service);
    rm_free(entry->instance_id);
    rm_free(entry);
}

void registry_free(struct registry *registry)
{
    deferred_cancel(&registry->apply);
    for (size_t i = 0; i < registry->watch_count; i++) {
        store_watch_cancel(registry->watches[i]);
    }
    list_each_safe (node, following, &registry->leaving) {
        registry_free_leaving(list_entry(node, struct leaving, node));
    }
    if (registry->pending_index != NULL) {
        clear_pending(registry);
        map_free(registry->pending_index);
    }
    rm_free(registry->pending);
    for (size_t i = 0; i < registry->log_count; i++) {
        rm_free(registry->log[(registry->log_start + i) % REGISTRY_CHANGE_LOG].key);
    }
    rm_free(registry->log);
    if (registry->services != NULL) {
        map_visit(registry->services, free_service, NULL);
        map_free(registry->services);
    }
    if (registry->holders != NULL) {
        map_visit(registry->holders, free_holder, NULL);
        map_free(registry->holders);
    }
    mesh_view_unref(registry->view);
    rm_free(registry->trust_domain);
    rm_free(registry);
}

// --- Looking.
// -------------------------------------------------------------------------------------------

struct mesh_version registry_version(const struct registry *registry)
{
    return mesh_view_version(registry->view);
}

struct mesh_view *registry_view(const struct registry *registry)
{
    return registry->view;
}

struct trust_snapshot *registry_trust(const struct registry *registry)
{
    return mesh_view_trust(registry->view);
}

enum rm_err registry_on_change(struct registry *registry, registry_change_fn on_change,
                               void *context)
{
    if (registry->listener_count == REGISTRY_MAX_LISTENERS) {
        return RM_ERR_LIMIT;
    }
    registry->listeners[registry->listener_count].on_change = on_change;
    registry->listeners[registry->listener_count++].context = context;
    return RM_OK;
}

bool registry_changes_since(const struct registry *registry, uint64_t number,
                            registry_visit_fn visit, void *context)
{
    if (number < registry->log_floor) {
        return false;
    }
    for (size_t i = 0; i < registry->log_count; i++) {
        const struct registry_change *change =
            &registry->log[(registry->log_start + i) % REGISTRY_CHANGE_LOG];
        if (change->number > number) {
            visit(context, change->number, change->kind, change->key);
        }
    }
    return true;
}
