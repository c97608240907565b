// SPDX-License-Identifier: GPL-3.0-or-later
//
// Who holds which endpoint, and how endpoints leave: with their instance, or because they no longer
// count.
#include <stdio.h>
#include <string.h>

#include "audit/audit.h"
#include "base/alloc.h"
#include "base/log.h"
#include "registry/registry_internal.h"

#define INSTANCE_KEY_BYTES (LINEAGE_BYTES + STORE_MAX_KEY_BYTES)

// --- Instances.
// ----------------------------------------------------------------------------------------

static size_t instance_key(const uint8_t *lineage, const char *instance_id,
                           uint8_t out[INSTANCE_KEY_BYTES])
{
    size_t length = strnlen(instance_id, INSTANCE_KEY_BYTES - LINEAGE_BYTES);
    memcpy(out, lineage, LINEAGE_BYTES);
    memcpy(out + LINEAGE_BYTES, instance_id, length);
    return LINEAGE_BYTES + length;
}

static struct instance *find_instance(const struct registry *registry, const uint8_t *lineage,
                                      const char *instance_id)
{
    uint8_t key[INSTANCE_KEY_BYTES];
    return map_get(registry->instances, key, instance_key(lineage, instance_id, key));
}

static void instance_on_timer(void *context)
{
    registry_take_out(context);
}

struct instance *registry_instance(struct registry *registry, const uint8_t *lineage,
                                   const char *instance_id)
{
    uint8_t key[INSTANCE_KEY_BYTES];
    size_t length = instance_key(lineage, instance_id, key);
    struct instance *instance = map_get(registry->instances, key, length);
    if (instance != NULL) {
        return instance;
    }
    instance = rm_calloc(1, sizeof *instance);
    char *copy = instance != NULL ? rm_strdup(instance_id) : NULL;
    if (copy == NULL || map_put(registry->instances, key, length, instance, NULL) != RM_OK) {
        rm_free(copy);
        rm_free(instance);
        return NULL;
    }
    instance->registry = registry;
    instance->is_leaving = true; // until it registers
    instance->instance_id = copy;
    memcpy(instance->lineage, lineage, LINEAGE_BYTES);
    list_init(&instance->endpoints);
    timer_init(&instance->timer, registry->loop, instance_on_timer, instance);
    return instance;
}

static void free_instance(struct instance *instance)
{
    timer_stop(&instance->timer);
    rm_free(instance->instance_id);
    rm_free(instance);
}

void registry_release_instance(struct instance *instance)
{
    uint8_t key[INSTANCE_KEY_BYTES];
    if (!instance->is_leaving || instance->registering > 0 ||
        !list_is_empty(&instance->endpoints)) {
        return;
    }
    size_t length = instance_key(instance->lineage, instance->instance_id, key);
    (void)map_remove(instance->registry->instances, key, length);
    free_instance(instance);
}

static void visit_instance(void *context, const void *key, size_t key_length, void *value)
{
    (void)context;
    (void)key;
    (void)key_length;
    free_instance(value);
}

void registry_free_instances(struct registry *registry)
{
    map_visit(registry->instances, visit_instance, NULL);
    map_free(registry->instances);
}

// An endpoint that nobody registered here: from our last run, or from while we were behind.
static enum rm_err expect_owner(struct instance *instance)
{
    bool is_expected = !instance->is_leaving || timer_is_active(&instance->timer);
    return is_expected ? RM_OK : timer_start(&instance->timer, REGISTRY_ENDPOINT_GRACE_MS);
}

// --- Endpoints of instances.
// ---------------------------------------------------------------------------

static struct address_entry *address_of(struct registry *registry, const char *address)
{
    struct address_entry *entry = map_get(registry->addresses, address, strlen(address));
    if (entry != NULL) {
        return entry;
    }
    entry = rm_calloc(1, sizeof *entry);
    if (entry == NULL ||
        map_put(registry->addresses, address, strlen(address), entry, NULL) != RM_OK) {
        rm_free(entry);
        return NULL;
    }
    list_init(&entry->endpoints);
    return entry;
}

static void release_address(struct registry *registry, const char *address)
{
    struct address_entry *entry = map_get(registry->addresses, address, strlen(address));
    if (entry != NULL && list_is_empty(&entry->endpoints)) {
        (void)map_remove(registry->addresses, address, strlen(address));
        rm_free(entry);
    }
}

static void free_endpoint(struct registry *registry, struct endpoint_entry *entry)
{
    held_deinit(&entry->held);
    list_remove(&entry->of_instance);
    list_remove(&entry->at_address);
    if (entry->address != NULL) {
        release_address(registry, entry->address);
    }
    if (entry->instance != NULL) {
        registry_release_instance(entry->instance);
    }
    rm_free(entry->address);
    rm_free(entry);
}

void registry_forget_endpoint(struct registry *registry, const char *key)
{
    struct endpoint_entry *entry = map_remove(registry->endpoints, key, strlen(key));
    if (entry != NULL) {
        free_endpoint(registry, entry);
    }
}

// On an error the caller frees the entry, as far as it is filled.
static enum rm_err fill_endpoint(struct registry *registry, const char *key,
                                 const struct endpoint_record *record, struct endpoint_entry *entry)
{
    char store_key[RECORD_KEY_BYTES];
    const char *slash = strchr(key, '/');
    snprintf(store_key, sizeof store_key, RECORD_ENDPOINT_PREFIX "%s", key);
    RM_TRY(held_init(&entry->held, registry, store_key));
    if (slash == NULL) {
        return RM_ERR_MALFORMED;
    }
    entry->instance = registry_instance(registry, record->lineage, slash + 1);
    if (entry->instance == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    list_append(&entry->instance->endpoints, &entry->of_instance);
    RM_TRY(expect_owner(entry->instance));
    entry->address = rm_strdup(record->address);
    struct address_entry *address =
        entry->address != NULL ? address_of(registry, entry->address) : NULL;
    if (address == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    list_append(&address->endpoints, &entry->at_address);
    return map_put(registry->endpoints, key, strlen(key), entry, NULL);
}

enum rm_err registry_hold_endpoint(struct registry *registry, const char *key,
                                   const struct endpoint_record *record)
{
    struct endpoint_entry *entry = rm_calloc(1, sizeof *entry);
    if (entry == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    list_init(&entry->held.node);
    list_init(&entry->of_instance);
    list_init(&entry->at_address);
    // What stood there goes last, so that an instance with this one endpoint keeps its grace.
    struct endpoint_entry *previous = map_remove(registry->endpoints, key, strlen(key));
    enum rm_err result = fill_endpoint(registry, key, record, entry);
    if (previous != NULL) {
        free_endpoint(registry, previous);
    }
    if (result != RM_OK) {
        free_endpoint(registry, entry);
    }
    return result;
}

// --- Taking out.
// ---------------------------------------------------------------------------------------

// Removals on their way into transactions, as many to each as it takes.
struct removal {
    struct registry *registry;
    const char *action; // for the audit records
    struct transaction transaction;
    char subject[RECORD_KEY_BYTES]; // first key of the transaction
    size_t count;                   // of endpoints in all
};

static void removal_flush(struct removal *removal)
{
    char detail[32];
    size_t count = removal->transaction.operation_count;
    if (count == 0) {
        transaction_deinit(&removal->transaction);
        return;
    }
    snprintf(detail, sizeof detail, "%zu", count);
    audit_record_operation(&removal->transaction, removal->action, "remora/control",
                           removal->subject, detail);
    enum rm_err result =
        transaction_commit(&removal->transaction, removal->registry->store, NULL, NULL);
    if (result != RM_OK) {
        log_error(LOG_REGISTRY, "endpoints_not_removed", LOG_STR("first", removal->subject),
                  LOG_ERR(result));
    }
    transaction_init(&removal->transaction);
}

static void removal_add(struct removal *removal, struct endpoint_entry *entry)
{
    if (removal->transaction.operation_count == TRANSACTION_MAX_STEPS - 1) {
        removal_flush(removal);
    }
    if (removal->transaction.operation_count == 0) {
        snprintf(removal->subject, sizeof removal->subject, "%s", entry->held.key);
    }
    transaction_delete(&removal->transaction, entry->held.key);
    entry->is_removing = true;
    removal->count++;
}

static void ask_again(struct timer *timer)
{
    if (timer_start(timer, REGISTRY_TAKE_OUT_MS) != RM_OK) {
        log_error(LOG_REGISTRY, "removal_not_planned", LOG_ERR(RM_ERR_NO_MEMORY));
    }
}

void registry_take_out(struct instance *instance)
{
    struct removal removal = {.registry = instance->registry, .action = "endpoint_leave"};
    list_each (node, &instance->endpoints) {
        removal_add(&removal, list_entry(node, struct endpoint_entry, of_instance));
    }
    removal_flush(&removal);
    // When the store took them, the instance is gone before.
    ask_again(&instance->timer);
    registry_release_instance(instance);
}

void registry_unregister(struct registry *registry, const uint8_t *lineage, const char *instance_id,
                         uint32_t grace_ms)
{
    struct instance *instance = find_instance(registry, lineage, instance_id);
    if (instance == NULL) {
        return;
    }
    instance->is_leaving = true;
    instance->leaves_at_once = grace_ms == 0;
    if (grace_ms == 0 || timer_start(&instance->timer, grace_ms) != RM_OK) {
        registry_take_out(instance);
    }
}

static bool is_named(const char *const *names, size_t count, const char *key)
{
    size_t length = strcspn(key, "/");
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) == length && memcmp(names[i], key, length) == 0) {
            return true;
        }
    }
    return false;
}

void registry_keep(struct registry *registry, const uint8_t *lineage, const char *instance_id,
                   const char *const *services, size_t count)
{
    struct instance *instance = find_instance(registry, lineage, instance_id);
    struct removal removal = {.registry = registry, .action = "endpoint_leave"};
    if (instance == NULL) {
        return;
    }
    list_each (node, &instance->endpoints) {
        struct endpoint_entry *entry = list_entry(node, struct endpoint_entry, of_instance);
        if (!is_named(services, count, entry->held.key + strlen(RECORD_ENDPOINT_PREFIX))) {
            removal_add(&removal, entry);
        }
    }
    removal_flush(&removal);
}

void registry_expect_return(struct registry *registry, uint32_t grace_ms)
{
    list_each (node, &registry->held) {
        const struct held *held = list_entry(node, struct held, node);
        const char *key = held->key + strlen(RECORD_ENDPOINT_PREFIX);
        if (strncmp(held->key, RECORD_ENDPOINT_PREFIX, strlen(RECORD_ENDPOINT_PREFIX)) == 0) {
            const struct endpoint_entry *entry = map_get(registry->endpoints, key, strlen(key));
            registry_unregister(registry, entry->instance->lineage, entry->instance->instance_id,
                                grace_ms);
        }
    }
}

// --- What no longer counts.
// ----------------------------------------------------------------------------

static bool is_withdrawn(const struct registry *registry, const uint8_t *lineage)
{
    const struct trust_snapshot *trust = registry_trust(registry);
    int64_t before_s = 0;
    return trust_is_withdrawn(trust, TRUST_REVOKED_LINEAGE, lineage, LINEAGE_BYTES, &before_s) ||
           trust_is_withdrawn(trust, TRUST_LAPSED_LINEAGE, lineage, LINEAGE_BYTES, &before_s);
}

static void judge_endpoint(struct registry *registry, const struct mesh_resource *resource,
                           struct removal *removal)
{
    char name[MESH_MAX_NAME_BYTES + 1];
    const char *identity = resource->of.endpoint.identity;
    struct endpoint_entry *entry =
        map_get(registry->endpoints, resource->key, strlen(resource->key));
    snprintf(name, sizeof name, "%.*s", (int)strcspn(resource->key, "/"), resource->key);
    const struct mesh_resource *service = mesh_view_find(registry->view, MESH_SERVICE, name);
    bool counts = service != NULL &&
                  mesh_service_has_identity(&service->of.service, identity, strlen(identity)) &&
                  (entry == NULL || !is_withdrawn(registry, entry->instance->lineage));
    if (entry != NULL && !counts) {
        removal_add(removal, entry);
    }
}

void registry_sweep(struct registry *registry, const char *key)
{
    struct removal removal = {.registry = registry, .action = "endpoint_withdraw"};
    size_t count = key == NULL ? mesh_view_count(registry->view, MESH_ENDPOINT) : 0;
    const struct mesh_resource *one =
        key != NULL ? mesh_view_find(registry->view, MESH_ENDPOINT, key) : NULL;
    if (one != NULL) {
        judge_endpoint(registry, one, &removal);
    }
    for (size_t i = 0; i < count; i++) {
        judge_endpoint(registry, mesh_view_at(registry->view, MESH_ENDPOINT, i), &removal);
    }
    removal_flush(&removal);
    if (removal.count > 0) {
        ask_again(&registry->sweep);
    }
}

void registry_on_sweep(void *context)
{
    registry_sweep(context, NULL);
}
