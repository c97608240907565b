// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>
#include <string.h>

#include "audit/alarms.h"
#include "audit/audit.h"
#include "base/alloc.h"
#include "base/encode.h"
#include "base/log.h"
#include "identity/spiffe.h"
#include "registry/registry_internal.h"

struct registration {
    registry_done_fn done;
    void *context;
    struct deferred later; // tells without a transaction
    struct loop *loop;
    struct rm_error error; // to tell
};

static void registration_finish(struct registration *registration)
{
    registration->done(registration->context, registration->error.code, &registration->error);
    loop_close(registration->loop);
    rm_free(registration);
}

static void registration_on_later(void *context)
{
    registration_finish(context);
}

static void registration_on_committed(void *context, enum rm_err result, uint64_t revision)
{
    struct registration *registration = context;
    (void)revision;
    if (result != RM_OK) {
        (void)rm_error_set(&registration->error, result,
                           "the store did not accept the registration: %s", rm_err_text(result));
    }
    registration_finish(registration);
}

struct holder_search {
    const struct registry_endpoint *wanted;
    const struct endpoint_entry *holder; // of the wanted address, by another lineage
};

static void visit_holder(void *context, const void *key, size_t key_length, void *value)
{
    struct holder_search *search = context;
    const struct endpoint_entry *entry = value;
    (void)key;
    (void)key_length;
    if (strcmp(entry->address, search->wanted->address) == 0 &&
        memcmp(entry->lineage, search->wanted->lineage, LINEAGE_BYTES) != 0) {
        search->holder = entry;
    }
}

static bool is_leaving(const struct registry *registry, const char *instance_id)
{
    list_each (node, &registry->leaving) {
        if (strcmp(list_entry(node, struct leaving, node)->instance_id, instance_id) == 0) {
            return true;
        }
    }
    return false;
}

// Why this registration does not count; RM_OK: it does.
static enum rm_err judge(const struct registry *registry, const struct registry_endpoint *endpoint,
                         struct rm_error *error)
{
    const struct mesh_resource *service =
        mesh_view_find(registry->view, MESH_SERVICE, endpoint->service);
    if (service == NULL) {
        return rm_error_set(error, RM_ERR_NOT_FOUND,
                            "service '%s' does not exist: create it with 'remora service create'",
                            endpoint->service);
    }
    if (!mesh_service_has_identity(&service->of.service, endpoint->identity,
                                   strlen(endpoint->identity))) {
        return rm_error_set(error, RM_ERR_DENIED,
                            "%s does not own the service '%s': add it with 'remora service update "
                            "%s --add-identity %s' if it should",
                            endpoint->identity, endpoint->service, endpoint->service,
                            endpoint->identity);
    }
    struct holder_search search = {.wanted = endpoint};
    map_visit(registry->holders, visit_holder, &search);
    if (search.holder != NULL && !is_leaving(registry, search.holder->instance_id)) {
        return rm_error_set(error, RM_ERR_EXISTS,
                            "the address %s is held by a live instance of another workload (%s)",
                            endpoint->address, search.holder->service);
    }
    return RM_OK;
}

static void raise_alarm(struct registry *registry, const struct registry_endpoint *endpoint,
                        const struct rm_error *error)
{
    char text[RM_ERROR_MESSAGE_BYTES + SPIFFE_ID_MAX_BYTES];
    snprintf(text, sizeof text, "%s at %s: %s", endpoint->identity, endpoint->address,
             error->message);
    alarms_raise(ALARM_ENDPOINT_REFUSED, text);
    audit_refusal(registry->store, "endpoint_refused", endpoint->identity, endpoint->service,
                  error->message);
}

// An instance of the same lineage at the same address that a restart left behind.
static void displace(struct registry *registry, const struct registry_endpoint *endpoint,
                     struct transaction *transaction)
{
    size_t first = 0;
    size_t count = 0;
    mesh_view_endpoints(registry->view, endpoint->service, &first, &count);
    for (size_t i = first; i < first + count; i++) {
        const struct mesh_resource *other = mesh_view_at(registry->view, MESH_ENDPOINT, i);
        const struct endpoint_entry *holder =
            map_get(registry->holders, other->key, strlen(other->key));
        bool is_same_address = strcmp(other->of.endpoint.address, endpoint->address) == 0;
        if (holder != NULL && is_same_address &&
            strcmp(holder->instance_id, endpoint->instance_id) != 0 &&
            transaction->operation_count < TRANSACTION_MAX_STEPS - 2) {
            char key[RECORD_KEY_BYTES];
            snprintf(key, sizeof key, RECORD_ENDPOINT_PREFIX "%s", other->key);
            transaction_delete(transaction, key);
        }
    }
}

static void stop_leaving(struct registry *registry, const char *instance_id)
{
    list_each_safe (node, following, &registry->leaving) {
        struct leaving *leaving = list_entry(node, struct leaving, node);
        if (strcmp(leaving->instance_id, instance_id) == 0) {
            registry_free_leaving(leaving);
        }
    }
}

// True when the store already says exactly this: a new stream of the same instance.
static bool is_unchanged(const struct registry *registry, const struct registry_endpoint *endpoint)
{
    char key[STORE_MAX_KEY_BYTES];
    snprintf(key, sizeof key, "%s/%s", endpoint->service, endpoint->instance_id);
    const struct mesh_resource *resource = mesh_view_find(registry->view, MESH_ENDPOINT, key);
    const struct endpoint_entry *holder = map_get(registry->holders, key, strlen(key));
    return resource != NULL && holder != NULL &&
           strcmp(resource->of.endpoint.address, endpoint->address) == 0 &&
           strcmp(resource->of.endpoint.identity, endpoint->identity) == 0 &&
           strcmp(resource->of.endpoint.zone, endpoint->zone) == 0 &&
           memcmp(holder->lineage, endpoint->lineage, LINEAGE_BYTES) == 0;
}

static enum rm_err commit_endpoint(struct registry *registry,
                                   const struct registry_endpoint *endpoint,
                                   struct registration *registration)
{
    struct transaction transaction;
    struct endpoint_record record = {
        .identity = (char *)(uintptr_t)endpoint->identity,
        .address = (char *)(uintptr_t)endpoint->address,
        .zone = (char *)(uintptr_t)endpoint->zone,
    };
    memcpy(record.lineage, endpoint->lineage, LINEAGE_BYTES);
    transaction_init(&transaction);
    displace(registry, endpoint, &transaction);
    transaction_put_endpoint(&transaction, endpoint->service, endpoint->instance_id, &record);
    audit_record_operation(&transaction, "endpoint_register", endpoint->identity, endpoint->service,
                           endpoint->address);
    return transaction_commit(&transaction, registry->store, registration_on_committed,
                              registration);
}

enum rm_err registry_register(struct registry *registry, const struct registry_endpoint *endpoint,
                              registry_done_fn done, void *context)
{
    struct registration *registration = rm_calloc(1, sizeof *registration);
    if (registration == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    registration->done = done;
    registration->context = context;
    registration->loop = registry->loop;
    deferred_init(&registration->later, registration_on_later, registration);
    enum rm_err result = judge(registry, endpoint, &registration->error);
    if (result != RM_OK) {
        raise_alarm(registry, endpoint, &registration->error);
    } else {
        stop_leaving(registry, endpoint->instance_id);
    }
    if (result != RM_OK || is_unchanged(registry, endpoint)) {
        loop_open(registry->loop);
        deferred_schedule(registry->loop, &registration->later);
        return RM_OK;
    }
    result = commit_endpoint(registry, endpoint, registration);
    if (result != RM_OK) {
        rm_free(registration);
        return result;
    }
    loop_open(registry->loop);
    return RM_OK;
}

// --- Leaving.
// ---------------------------------------------------------------------------------------------

struct instance_keys {
    const char *instance_id;
    struct transaction *transaction;
};

static void visit_instance(void *context, const void *key, size_t key_length, void *value)
{
    struct instance_keys *keys = context;
    const struct endpoint_entry *entry = value;
    char store_key[RECORD_KEY_BYTES];
    if (strcmp(entry->instance_id, keys->instance_id) == 0 &&
        keys->transaction->operation_count < TRANSACTION_MAX_STEPS - 1) {
        snprintf(store_key, sizeof store_key, RECORD_ENDPOINT_PREFIX "%.*s", (int)key_length,
                 (const char *)key);
        transaction_delete(keys->transaction, store_key);
    }
}

static void take_out(struct registry *registry, const char *instance_id)
{
    struct transaction transaction;
    transaction_init(&transaction);
    struct instance_keys keys = {.instance_id = instance_id, .transaction = &transaction};
    map_visit(registry->holders, visit_instance, &keys);
    if (transaction.operation_count == 0) {
        transaction_deinit(&transaction);
        return;
    }
    audit_record_operation(&transaction, "endpoint_leave", "remora/control", instance_id, NULL);
    enum rm_err result = transaction_commit(&transaction, registry->store, NULL, NULL);
    if (result != RM_OK) {
        log_error(LOG_REGISTRY, "endpoint_not_removed", LOG_STR("instance", instance_id),
                  LOG_ERR(result));
    }
}

void registry_free_leaving(struct leaving *leaving)
{
    timer_stop(&leaving->timer);
    list_remove(&leaving->node);
    rm_free(leaving->instance_id);
    rm_free(leaving);
}

static void leaving_on_timer(void *context)
{
    struct leaving *leaving = context;
    take_out(leaving->registry, leaving->instance_id);
    registry_free_leaving(leaving);
}

void registry_unregister(struct registry *registry, const char *instance_id, uint32_t grace_ms)
{
    stop_leaving(registry, instance_id);
    struct leaving *leaving = grace_ms > 0 ? rm_calloc(1, sizeof *leaving) : NULL;
    char *copy = leaving != NULL ? rm_strdup(instance_id) : NULL;
    if (leaving == NULL || copy == NULL) {
        rm_free(leaving);
        take_out(registry, instance_id);
        return;
    }
    leaving->registry = registry;
    leaving->instance_id = copy;
    timer_init(&leaving->timer, registry->loop, leaving_on_timer, leaving);
    list_append(&registry->leaving, &leaving->node);
    if (timer_start(&leaving->timer, grace_ms) != RM_OK) {
        leaving_on_timer(leaving);
    }
}
