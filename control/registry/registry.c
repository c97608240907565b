// SPDX-License-Identifier: GPL-3.0-or-later
#include "registry/registry.h"

#include <string.h>

#include "base/alloc.h"
#include "mesh/view.h"
#include "registry/registry_internal.h"

static const struct sm_state states[] = {
    [REGISTRY_LOADING] = {"loading", SM_BIT(REGISTRY_FOLLOWING) | SM_BIT(REGISTRY_BEHIND) |
                                         SM_BIT(REGISTRY_CLOSED)},
    [REGISTRY_FOLLOWING] = {"following", SM_BIT(REGISTRY_BEHIND) | SM_BIT(REGISTRY_CLOSED)},
    [REGISTRY_BEHIND] = {"behind", SM_BIT(REGISTRY_LOADING) | SM_BIT(REGISTRY_CLOSED)},
    [REGISTRY_CLOSED] = {"closed", 0},
};

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

static bool make_maps(struct registry *registry)
{
    registry->services = map_new();
    registry->endpoints = map_new();
    registry->addresses = map_new();
    registry->instances = map_new();
    registry->withdrawals = map_new();
    registry->pending_index = map_new();
    return registry->services != NULL && registry->endpoints != NULL &&
           registry->addresses != NULL && registry->instances != NULL &&
           registry->withdrawals != NULL && registry->pending_index != NULL;
}

static void init(struct registry *registry)
{
    sm_init(&registry->sm, "registry", 0, states, REGISTRY_LOADING);
    list_init(&registry->held);
    list_init(&registry->registrations);
    deferred_init(&registry->apply, registry_on_apply, registry);
    timer_init(&registry->retry, registry->loop, registry_on_retry, registry);
    timer_init(&registry->sweep, registry->loop, registry_on_sweep, registry);
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
    init(registry);
    registry->trust_domain = rm_strdup(trust_domain);
    enum rm_err result = RM_ERR_NO_MEMORY;
    if (make_maps(registry) && registry->trust_domain != NULL) {
        result = make_first_view(registry, trust);
    }
    if (result == RM_OK) {
        result = registry_follow(registry);
    }
    if (result != RM_OK) {
        registry_free(registry);
        return result;
    }
    registry_load(registry);
    *out = registry;
    return RM_OK;
}

static void free_maps(struct registry *registry)
{
    map_free(registry->services);
    map_free(registry->endpoints);
    map_free(registry->addresses);
    if (registry->instances != NULL) {
        registry_free_instances(registry);
    }
    map_free(registry->withdrawals);
    map_free(registry->pending_index);
}

void registry_free(struct registry *registry)
{
    sm_move(&registry->sm, REGISTRY_CLOSED);
    deferred_cancel(&registry->apply);
    timer_stop(&registry->retry);
    timer_stop(&registry->sweep);
    for (size_t i = 0; i < registry->watch_count; i++) {
        store_watch_cancel(registry->watches[i]);
    }
    registry_forget_registrations(registry);
    registry_free_held(registry);
    registry_clear_pending(registry);
    rm_free(registry->pending);
    change_log_deinit(&registry->log);
    free_maps(registry);
    mesh_view_unref(registry->view);
    rm_free(registry->trust_domain);
    if (registry->loading == 0) {
        rm_free(registry); // otherwise the last answer of the store does
    }
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
    if (number < registry->log.floor) {
        return false;
    }
    for (size_t i = change_log_after(&registry->log, number); i < registry->log.count; i++) {
        const struct registry_change *change = change_log_at(&registry->log, i);
        visit(context, change->number, change->kind, change->key);
    }
    return true;
}
