// SPDX-License-Identifier: GPL-3.0-or-later
//
// Records of the store as mesh resources.
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "records/records_wire.h"
#include "registry/registry_internal.h"

static const char *after_prefix(const char *key, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(key, prefix, length) == 0 ? key + length : NULL;
}

static char **copy_strings(const struct record_strings *strings)
{
    char **copies = rm_calloc(strings->count + 1, sizeof *copies);
    for (size_t i = 0; copies != NULL && i < strings->count; i++) {
        copies[i] = rm_strdup(strings->items[i]);
        if (copies[i] == NULL) {
            for (size_t j = 0; j < i; j++) {
                rm_free(copies[j]);
            }
            rm_free(copies);
            return NULL;
        }
    }
    return copies;
}

struct mesh_resource *registry_service_resource(const char *name,
                                                const struct service_record *record)
{
    struct mesh_resource *resource = mesh_resource_new(MESH_SERVICE, name);
    if (resource == NULL) {
        return NULL;
    }
    struct mesh_service *service = &resource->of.service;
    service->port = record->port;
    service->is_guarded = record->is_guarded;
    service->identities = copy_strings(&record->identities);
    service->identity_count = service->identities != NULL ? record->identities.count : 0;
    service->allow = copy_strings(&record->allow);
    service->allow_count = service->allow != NULL ? record->allow.count : 0;
    if (service->identities == NULL || service->allow == NULL) {
        mesh_resource_unref(resource);
        return NULL;
    }
    mesh_sort_strings(service->identities, &service->identity_count);
    mesh_sort_strings(service->allow, &service->allow_count);
    return resource;
}

enum rm_err held_init(struct held *held, struct registry *registry, const char *store_key)
{
    held->key = rm_strdup(store_key);
    if (held->key == NULL) {
        list_init(&held->node);
        return RM_ERR_NO_MEMORY;
    }
    list_append(&registry->held, &held->node);
    return RM_OK;
}

void held_deinit(struct held *held)
{
    list_remove(&held->node);
    rm_free(held->key);
}

// Takes the reference. A resource that breaks a rule is an error.
static enum rm_err check_and_queue(struct registry *registry, struct mesh_resource *resource,
                                   uint64_t revision)
{
    struct rm_error error = {0};
    enum rm_err result = mesh_resource_check(resource, &error);
    if (result != RM_OK) {
        log_error(LOG_REGISTRY, "record_breaks_a_rule", LOG_STR("key", resource->key),
                  LOG_STR("error", rm_error_message(&error)));
        mesh_resource_unref(resource);
        return result;
    }
    return registry_queue_put(registry, resource, revision);
}

// --- Services.
// ---------------------------------------------------------------------------------------

static void free_service(struct service_entry *entry)
{
    if (entry != NULL) {
        held_deinit(&entry->held);
        service_record_deinit(&entry->record);
        rm_free(entry);
    }
}

static enum rm_err keep_service(struct registry *registry, const char *name,
                                const struct store_entry *stored, const struct service_entry **out)
{
    void *previous = NULL;
    struct service_entry *entry = rm_calloc(1, sizeof *entry);
    if (entry == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    entry->revision = stored->revision;
    enum rm_err result = held_init(&entry->held, registry, stored->key);
    if (result == RM_OK) {
        result = service_record_decode(stored->value, stored->value_length, &entry->record);
    }
    if (result == RM_OK) {
        result = map_put(registry->services, name, strlen(name), entry, &previous);
    }
    free_service(result == RM_OK ? previous : entry);
    *out = entry;
    return result;
}

static enum rm_err take_service(struct registry *registry, const char *name,
                                const struct store_entry *stored)
{
    const struct service_entry *entry = NULL;
    RM_TRY(keep_service(registry, name, stored, &entry));
    struct mesh_resource *resource = registry_service_resource(name, &entry->record);
    return resource != NULL ? check_and_queue(registry, resource, stored->revision)
                            : RM_ERR_NO_MEMORY;
}

// --- Endpoints.
// --------------------------------------------------------------------------------------

static struct mesh_resource *endpoint_resource(const char *key,
                                               const struct endpoint_record *record)
{
    struct mesh_resource *resource = mesh_resource_new(MESH_ENDPOINT, key);
    if (resource == NULL) {
        return NULL;
    }
    struct mesh_endpoint *endpoint = &resource->of.endpoint;
    endpoint->address = rm_strdup(record->address);
    endpoint->identity = rm_strdup(record->identity);
    endpoint->zone = rm_strdup(record->zone != NULL ? record->zone : "");
    endpoint->is_ready = true;
    if (endpoint->address == NULL || endpoint->identity == NULL || endpoint->zone == NULL) {
        mesh_resource_unref(resource);
        return NULL;
    }
    return resource;
}

static enum rm_err take_endpoint(struct registry *registry, const char *key,
                                 const struct store_entry *stored)
{
    struct endpoint_record record;
    RM_TRY(endpoint_record_decode(stored->value, stored->value_length, &record));
    struct mesh_resource *resource = endpoint_resource(key, &record);
    enum rm_err result =
        resource != NULL ? registry_hold_endpoint(registry, key, &record) : RM_ERR_NO_MEMORY;
    endpoint_record_deinit(&record);
    if (result != RM_OK) {
        mesh_resource_unref(resource);
        return result;
    }
    return check_and_queue(registry, resource, stored->revision);
}

// --- Withdrawals.
// ------------------------------------------------------------------------------------

static void free_withdrawal(struct withdrawal_entry *entry)
{
    if (entry != NULL) {
        held_deinit(&entry->held);
        rm_free(entry->mesh_key);
        rm_free(entry);
    }
}

// The store's key does not tell the mesh key, and a removal brings no record.
static enum rm_err keep_withdrawal(struct registry *registry, const char *store_key,
                                   const char *mesh_key)
{
    void *previous = NULL;
    struct withdrawal_entry *entry = rm_calloc(1, sizeof *entry);
    if (entry == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    enum rm_err result = held_init(&entry->held, registry, store_key);
    entry->mesh_key = result == RM_OK ? rm_strdup(mesh_key) : NULL;
    result = RM_ERR_NO_MEMORY;
    if (entry->mesh_key != NULL) {
        result = map_put(registry->withdrawals, store_key, strlen(store_key), entry, &previous);
    }
    free_withdrawal(result == RM_OK ? previous : entry);
    return result;
}

static enum rm_err take_withdrawal(struct registry *registry, const struct store_entry *stored)
{
    struct withdrawal_record record;
    RM_TRY(withdrawal_record_decode(stored->value, stored->value_length, &record));
    char *key = mesh_withdrawal_key(record.kind, record.subject.bytes, record.subject.length);
    struct mesh_resource *resource = key != NULL ? mesh_resource_new(MESH_WITHDRAWAL, key) : NULL;
    enum rm_err result =
        resource != NULL ? keep_withdrawal(registry, stored->key, key) : RM_ERR_NO_MEMORY;
    rm_free(key);
    if (result != RM_OK) {
        mesh_resource_unref(resource);
        withdrawal_record_deinit(&record);
        return result;
    }
    struct mesh_withdrawal *withdrawal = &resource->of.withdrawal;
    withdrawal->kind = record.kind;
    withdrawal->before_s = record.before_s;
    withdrawal->expires_s = record.expires_s;
    withdrawal->key.bytes = record.subject.bytes; // moves
    withdrawal->key.length = record.subject.length;
    record.subject = (struct record_bytes){0};
    withdrawal_record_deinit(&record);
    return check_and_queue(registry, resource, stored->revision);
}

// --- Any of them.
// ------------------------------------------------------------------------------------

static void forget_entry(struct registry *registry, const char *key)
{
    const char *service = after_prefix(key, RECORD_SERVICE_PREFIX);
    const char *endpoint = after_prefix(key, RECORD_ENDPOINT_PREFIX);
    if (service != NULL) {
        free_service(map_remove(registry->services, service, strlen(service)));
    } else if (endpoint != NULL) {
        registry_forget_endpoint(registry, endpoint);
    } else {
        free_withdrawal(map_remove(registry->withdrawals, key, strlen(key)));
    }
}

static enum rm_err drop_entry(struct registry *registry, const char *key, uint64_t revision)
{
    const char *name = after_prefix(key, RECORD_SERVICE_PREFIX);
    enum rm_err result = RM_OK;
    if (name != NULL) {
        result = registry_queue_removal(registry, MESH_SERVICE, name, revision);
    } else if ((name = after_prefix(key, RECORD_ENDPOINT_PREFIX)) != NULL) {
        result = registry_queue_removal(registry, MESH_ENDPOINT, name, revision);
    } else {
        const struct withdrawal_entry *entry = map_get(registry->withdrawals, key, strlen(key));
        if (entry != NULL) {
            result = registry_queue_removal(registry, MESH_WITHDRAWAL, entry->mesh_key, revision);
        }
    }
    forget_entry(registry, key);
    return result;
}

static enum rm_err take_entry(struct registry *registry, const struct store_entry *entry)
{
    const char *name = after_prefix(entry->key, RECORD_SERVICE_PREFIX);
    if (name != NULL) {
        return take_service(registry, name, entry);
    }
    name = after_prefix(entry->key, RECORD_ENDPOINT_PREFIX);
    return name != NULL ? take_endpoint(registry, name, entry) : take_withdrawal(registry, entry);
}

void registry_take_entry(struct registry *registry, const struct store_entry *entry,
                         bool is_deleted)
{
    if (sm_is(&registry->sm, REGISTRY_BEHIND)) {
        return; // everything will be read anew
    }
    enum rm_err result = is_deleted ? drop_entry(registry, entry->key, entry->revision)
                                    : take_entry(registry, entry);
    if (result != RM_OK && result != RM_ERR_NO_MEMORY) {
        // What stood there before must not count on.
        log_error(LOG_REGISTRY, "record_left_out", LOG_STR("key", entry->key), LOG_ERR(result));
        result = drop_entry(registry, entry->key, entry->revision);
    }
    if (result != RM_OK) {
        registry_lose_change(registry, result);
    }
}

// --- Everything anew.
// --------------------------------------------------------------------------------

void registry_mark_stale(struct registry *registry)
{
    list_each (node, &registry->held) {
        list_entry(node, struct held, node)->is_stale = true;
    }
}

static void forget(struct registry *registry, const struct held *held)
{
    char key[RECORD_KEY_BYTES];
    snprintf(key, sizeof key, "%s", held->key); // its own copy goes with it
    forget_entry(registry, key);
}

void registry_drop_stale(struct registry *registry)
{
    list_each_safe (node, following, &registry->held) {
        if (list_entry(node, struct held, node)->is_stale) {
            forget(registry, list_entry(node, struct held, node));
        }
    }
}

void registry_free_held(struct registry *registry)
{
    list_each_safe (node, following, &registry->held) {
        forget(registry, list_entry(node, struct held, node));
    }
}
