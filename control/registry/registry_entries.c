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

static struct mesh_resource *service_resource(const char *name, const struct service_record *record)
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

static void forget_service(struct registry *registry, const char *name)
{
    struct service_entry *entry = map_remove(registry->services, name, strlen(name));
    if (entry != NULL) {
        service_record_deinit(&entry->record);
        rm_free(entry);
    }
}

static enum rm_err take_service(struct registry *registry, const char *name,
                                const struct store_entry *stored)
{
    struct service_entry *entry = rm_calloc(1, sizeof *entry);
    void *previous = NULL;
    if (entry == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    entry->revision = stored->revision;
    enum rm_err result = service_record_decode(stored->value, stored->value_length, &entry->record);
    struct mesh_resource *resource =
        result == RM_OK ? service_resource(name, &entry->record) : NULL;
    if (result == RM_OK && resource == NULL) {
        result = RM_ERR_NO_MEMORY;
    }
    if (result == RM_OK) {
        result = map_put(registry->services, name, strlen(name), entry, &previous);
    }
    if (result != RM_OK) {
        mesh_resource_unref(resource);
        service_record_deinit(&entry->record);
        rm_free(entry);
        return result;
    }
    if (previous != NULL) {
        struct service_entry *old = previous;
        service_record_deinit(&old->record);
        rm_free(old);
    }
    registry_queue_put(registry, resource, stored->revision);
    return RM_OK;
}

static void forget_endpoint(struct registry *registry, const char *key)
{
    struct endpoint_entry *entry = map_remove(registry->holders, key, strlen(key));
    if (entry != NULL) {
        rm_free(entry->address);
        rm_free(entry->service);
        rm_free(entry->instance_id);
        rm_free(entry);
    }
}

static enum rm_err hold_endpoint(struct registry *registry, const char *key,
                                 const struct endpoint_record *record)
{
    const char *slash = strchr(key, '/');
    struct endpoint_entry *entry = rm_calloc(1, sizeof *entry);
    if (entry == NULL || slash == NULL) {
        rm_free(entry);
        return slash == NULL ? RM_ERR_MALFORMED : RM_ERR_NO_MEMORY;
    }
    memcpy(entry->lineage, record->lineage, sizeof entry->lineage);
    entry->address = rm_strdup(record->address);
    entry->service = rm_strndup(key, (size_t)(slash - key));
    entry->instance_id = rm_strdup(slash + 1);
    forget_endpoint(registry, key);
    if (entry->address == NULL || entry->service == NULL || entry->instance_id == NULL ||
        map_put(registry->holders, key, strlen(key), entry, NULL) != RM_OK) {
        rm_free(entry->address);
        rm_free(entry->service);
        rm_free(entry->instance_id);
        rm_free(entry);
        return RM_ERR_NO_MEMORY;
    }
    return RM_OK;
}

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
        resource != NULL ? hold_endpoint(registry, key, &record) : RM_ERR_NO_MEMORY;
    endpoint_record_deinit(&record);
    if (result != RM_OK) {
        mesh_resource_unref(resource);
        return result;
    }
    registry_queue_put(registry, resource, stored->revision);
    return RM_OK;
}

static enum rm_err take_withdrawal(struct registry *registry, const struct store_entry *stored)
{
    struct withdrawal_record record;
    RM_TRY(withdrawal_record_decode(stored->value, stored->value_length, &record));
    char *key = mesh_withdrawal_key(record.kind, record.subject.bytes, record.subject.length);
    struct mesh_resource *resource = key != NULL ? mesh_resource_new(MESH_WITHDRAWAL, key) : NULL;
    rm_free(key);
    if (resource == NULL) {
        withdrawal_record_deinit(&record);
        return RM_ERR_NO_MEMORY;
    }
    struct mesh_withdrawal *withdrawal = &resource->of.withdrawal;
    withdrawal->kind = record.kind;
    withdrawal->before_s = record.before_s;
    withdrawal->expires_s = record.expires_s;
    withdrawal->key.bytes = record.subject.bytes; // moves
    withdrawal->key.length = record.subject.length;
    record.subject.bytes = NULL;
    record.subject.length = 0;
    withdrawal_record_deinit(&record);
    registry_queue_put(registry, resource, stored->revision);
    return RM_OK;
}

// The deleted record's bytes are gone, so the mesh key is found by its store key.
static void drop_withdrawal(struct registry *registry, const char *store_key, uint64_t revision)
{
    struct mesh_view *view = registry->view;
    for (size_t i = 0; i < mesh_view_count(view, MESH_WITHDRAWAL); i++) {
        const struct mesh_resource *resource = mesh_view_at(view, MESH_WITHDRAWAL, i);
        const struct mesh_withdrawal *withdrawal = &resource->of.withdrawal;
        char key[RECORD_KEY_BYTES];
        record_key_withdrawal(withdrawal->kind, withdrawal->key.bytes, withdrawal->key.length, key);
        if (strcmp(key, store_key) == 0) {
            registry_queue_removal(registry, MESH_WITHDRAWAL, resource->key, revision);
            return;
        }
    }
}

static void drop_entry(struct registry *registry, const char *key, uint64_t revision)
{
    const char *name = after_prefix(key, RECORD_SERVICE_PREFIX);
    if (name != NULL) {
        forget_service(registry, name);
        registry_queue_removal(registry, MESH_SERVICE, name, revision);
        return;
    }
    name = after_prefix(key, RECORD_ENDPOINT_PREFIX);
    if (name != NULL) {
        forget_endpoint(registry, name);
        registry_queue_removal(registry, MESH_ENDPOINT, name, revision);
        return;
    }
    drop_withdrawal(registry, key, revision);
}

void registry_take_entry(struct registry *registry, const struct store_entry *entry,
                         bool is_deleted)
{
    enum rm_err result = RM_OK;
    const char *service = after_prefix(entry->key, RECORD_SERVICE_PREFIX);
    const char *endpoint = after_prefix(entry->key, RECORD_ENDPOINT_PREFIX);
    if (is_deleted) {
        drop_entry(registry, entry->key, entry->revision);
    } else if (service != NULL) {
        result = take_service(registry, service, entry);
    } else if (endpoint != NULL) {
        result = take_endpoint(registry, endpoint, entry);
    } else {
        result = take_withdrawal(registry, entry);
    }
    if (result != RM_OK) {
        log_error(LOG_REGISTRY, "record_left_out", LOG_STR("key", entry->key), LOG_ERR(result));
    }
}
