// SPDX-License-Identifier: GPL-3.0-or-later
//
// Registration: who may stand behind a service, at which address.
#include <stdio.h>
#include <string.h>

#include "audit/alarms.h"
#include "audit/audit.h"
#include "base/alloc.h"
#include "base/log.h"
#include "identity/spiffe.h"
#include "registry/registry_internal.h"

// One registration until the store has answered. It may outlive the registry.
struct registration {
    struct list node;          // of registry->registrations
    struct registry *registry; // NULL once that is gone
    struct instance *instance; // counted in its `registering`; NULL: refused
    char *key;                 // in the view; owned
    char *address;             // owned
    registry_done_fn done;     // called once
    void *context;             // for done
    struct deferred later;     // tells without a transaction
    struct loop *loop;
    struct rm_error error; // to tell
};

static void registration_free(struct registration *registration)
{
    list_remove(&registration->node);
    rm_free(registration->key);
    rm_free(registration->address);
    rm_free(registration);
}

static void leave_instance(struct registration *registration)
{
    struct instance *instance = registration->instance;
    if (registration->registry == NULL || instance == NULL) {
        return;
    }
    instance->registering--;
    if (instance->is_leaving && instance->leaves_at_once) {
        registry_take_out(instance);
    } else {
        registry_release_instance(instance);
    }
}

static void registration_finish(struct registration *registration)
{
    leave_instance(registration);
    registration->done(registration->context, registration->error.code, &registration->error);
    loop_close(registration->loop);
    registration_free(registration);
}

static void registration_on_later(void *context)
{
    registration_finish(context);
}

static void registration_on_committed(void *context, enum rm_err result, uint64_t revision)
{
    struct registration *registration = context;
    (void)revision;
    if (result == RM_ERR_CONFLICT) {
        (void)rm_error_set(&registration->error, result,
                           "the service was changed meanwhile: try again");
    } else if (result != RM_OK) {
        (void)rm_error_set(&registration->error, result,
                           "the store did not accept the registration: %s", rm_err_text(result));
    }
    registration_finish(registration);
}

void registry_forget_registrations(struct registry *registry)
{
    list_each_safe (node, following, &registry->registrations) {
        struct registration *registration = list_entry(node, struct registration, node);
        registration->registry = NULL;
        registration->instance->registering--;
        registry_release_instance(registration->instance);
        list_remove(node);
    }
}

// --- Judgement.
// -------------------------------------------------------------------------------------------

static enum rm_err judge_owner(const struct service_entry *service,
                               const struct registry_endpoint *endpoint, struct rm_error *error)
{
    if (service == NULL) {
        return rm_error_set(error, RM_ERR_NOT_FOUND,
                            "service '%s' does not exist: create it with 'remora service create'",
                            endpoint->service);
    }
    if (!registry_owns(&service->record, endpoint->identity)) {
        return rm_error_set(error, RM_ERR_DENIED,
                            "%s does not own the service '%s': add it with 'remora service update "
                            "%s --add-identity %s' if it should",
                            endpoint->identity, endpoint->service, endpoint->service,
                            endpoint->identity);
    }
    return RM_OK;
}

static bool is_same_lineage(const struct instance *instance,
                            const struct registry_endpoint *endpoint)
{
    return memcmp(instance->lineage, endpoint->lineage, LINEAGE_BYTES) == 0;
}

// The id is random per process: another lineage that sends it has it from the view. Only a process
// that was attested anew may come back with it: same identity, same address.
static enum rm_err judge_key(const struct registry *registry, const char *key,
                             const struct registry_endpoint *endpoint, struct rm_error *error)
{
    const struct endpoint_entry *holder = map_get(registry->endpoints, key, strlen(key));
    const struct mesh_resource *resource = mesh_view_find(registry->view, MESH_ENDPOINT, key);
    bool is_held = holder != NULL && !is_same_lineage(holder->instance, endpoint);
    bool is_return = is_held && holder->instance->is_leaving && resource != NULL &&
                     strcmp(holder->address, endpoint->address) == 0 &&
                     strcmp(resource->of.endpoint.identity, endpoint->identity) == 0;
    list_each (node, &registry->registrations) {
        const struct registration *other = list_entry(node, struct registration, node);
        is_held = is_held ||
                  (strcmp(other->key, key) == 0 && !is_same_lineage(other->instance, endpoint));
    }
    if (is_held && !is_return) {
        return rm_error_set(error, RM_ERR_EXISTS,
                            "the instance id %s is that of another workload's process",
                            endpoint->instance_id);
    }
    return RM_OK;
}

static enum rm_err judge_address(const struct registry *registry,
                                 const struct registry_endpoint *endpoint, struct rm_error *error)
{
    const char *address = endpoint->address;
    const struct address_entry *entry = map_get(registry->addresses, address, strlen(address));
    const char *service = NULL;
    if (entry != NULL) {
        list_each (node, &entry->endpoints) {
            const struct endpoint_entry *holder =
                list_entry(node, struct endpoint_entry, at_address);
            if (!is_same_lineage(holder->instance, endpoint) && !holder->instance->is_leaving) {
                service = holder->held.key + strlen(RECORD_ENDPOINT_PREFIX);
            }
        }
    }
    list_each (node, &registry->registrations) {
        const struct registration *other = list_entry(node, struct registration, node);
        if (strcmp(other->address, address) == 0 && !is_same_lineage(other->instance, endpoint)) {
            service = other->key;
        }
    }
    if (service != NULL) {
        return rm_error_set(error, RM_ERR_EXISTS,
                            "the address %s is held by a live instance of another workload (%.*s)",
                            address, (int)strcspn(service, "/"), service);
    }
    return RM_OK;
}

static enum rm_err judge(const struct registry *registry, const char *key,
                         const struct registry_endpoint *endpoint, struct rm_error *error)
{
    const struct service_entry *service =
        map_get(registry->services, endpoint->service, strlen(endpoint->service));
    RM_TRY(judge_owner(service, endpoint, error));
    RM_TRY(judge_key(registry, key, endpoint, error));
    return judge_address(registry, endpoint, error);
}

// A workload must not fill the disk with records of its refusals, nor push other alarms out of
// their list.
static void raise_alarm(struct registry *registry, const struct registry_endpoint *endpoint,
                        const struct rm_error *error)
{
    static struct log_limit limit;
    char text[RM_ERROR_MESSAGE_BYTES + SPIFFE_ID_MAX_BYTES + 64];
    uint64_t suppressed = 0;
    if (error->code == RM_ERR_NOT_FOUND || !log_limit_pass(&limit, &suppressed)) {
        return;
    }
    snprintf(text, sizeof text, "%s at %s: %s", endpoint->identity, endpoint->address,
             error->message);
    alarms_raise(ALARM_ENDPOINT_REFUSED, text);
    audit_refusal(registry->store, "endpoint_refused", endpoint->identity, endpoint->service,
                  error->message);
}

// --- Registering.
// -----------------------------------------------------------------------------------------

// What other instances left at this address goes; its holder answers there no more.
static void displace(struct registry *registry, const struct registry_endpoint *endpoint,
                     const struct instance *instance, struct transaction *transaction)
{
    const char *address = endpoint->address;
    const struct address_entry *entry = map_get(registry->addresses, address, strlen(address));
    if (entry == NULL) {
        return;
    }
    list_each (node, &entry->endpoints) {
        struct endpoint_entry *other = list_entry(node, struct endpoint_entry, at_address);
        if (other->instance != instance &&
            transaction->operation_count < TRANSACTION_MAX_STEPS - 2) {
            transaction_delete(transaction, other->held.key);
            other->is_removing = true;
        }
    }
}

// True when the store already says exactly this: a new stream of the same instance.
static bool is_unchanged(const struct registry *registry, const char *key,
                         const struct registry_endpoint *endpoint, const struct instance *instance)
{
    const struct mesh_resource *resource = mesh_view_find(registry->view, MESH_ENDPOINT, key);
    const struct endpoint_entry *holder = map_get(registry->endpoints, key, strlen(key));
    return resource != NULL && holder != NULL && holder->instance == instance &&
           !holder->is_removing && instance->registering == 1 &&
           strcmp(holder->address, endpoint->address) == 0 &&
           strcmp(resource->of.endpoint.address, endpoint->address) == 0 &&
           strcmp(resource->of.endpoint.identity, endpoint->identity) == 0 &&
           strcmp(resource->of.endpoint.zone, endpoint->zone) == 0;
}

static enum rm_err commit_endpoint(struct registry *registry,
                                   const struct registry_endpoint *endpoint,
                                   struct registration *registration)
{
    char service_key[RECORD_KEY_BYTES];
    struct transaction transaction;
    struct endpoint_record record = {
        .identity = (char *)(uintptr_t)endpoint->identity,
        .address = (char *)(uintptr_t)endpoint->address,
        .zone = (char *)(uintptr_t)endpoint->zone,
    };
    const struct service_entry *service =
        map_get(registry->services, endpoint->service, strlen(endpoint->service));
    RM_TRY(record_key_service(endpoint->service, service_key));
    memcpy(record.lineage, endpoint->lineage, LINEAGE_BYTES);
    transaction_init(&transaction);
    // The owner that was judged must still be one when this becomes durable.
    transaction_require(&transaction, service_key, service->revision);
    displace(registry, endpoint, registration->instance, &transaction);
    transaction_put_endpoint(&transaction, endpoint->service, endpoint->instance_id, &record);
    audit_record_operation(&transaction, "endpoint_register", endpoint->identity, endpoint->service,
                           endpoint->address);
    return transaction_commit(&transaction, registry->store, registration_on_committed,
                              registration);
}

// A judged registration joins its instance, which thereby lives.
static enum rm_err join_instance(struct registry *registry,
                                 const struct registry_endpoint *endpoint,
                                 struct registration *registration)
{
    struct instance *instance =
        registry_instance(registry, endpoint->lineage, endpoint->instance_id);
    if (instance == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    timer_stop(&instance->timer);
    instance->is_leaving = false;
    instance->leaves_at_once = false;
    instance->registering++;
    registration->instance = instance;
    registration->registry = registry;
    list_append(&registry->registrations, &registration->node);
    return RM_OK;
}

static struct registration *registration_new(struct registry *registry,
                                             const struct registry_endpoint *endpoint,
                                             registry_done_fn done, void *context)
{
    char key[STORE_MAX_KEY_BYTES];
    struct registration *registration = rm_calloc(1, sizeof *registration);
    if (registration == NULL) {
        return NULL;
    }
    snprintf(key, sizeof key, "%s/%s", endpoint->service, endpoint->instance_id);
    list_init(&registration->node);
    registration->key = rm_strdup(key);
    registration->address = rm_strdup(endpoint->address);
    registration->done = done;
    registration->context = context;
    registration->loop = registry->loop;
    deferred_init(&registration->later, registration_on_later, registration);
    if (registration->key == NULL || registration->address == NULL) {
        registration_free(registration);
        return NULL;
    }
    return registration;
}

// Sets *is_answered when there is nothing for the store to do.
static enum rm_err begin(struct registry *registry, const struct registry_endpoint *endpoint,
                         struct registration *registration, bool *is_answered)
{
    *is_answered = true;
    if (judge(registry, registration->key, endpoint, &registration->error) != RM_OK) {
        raise_alarm(registry, endpoint, &registration->error);
        return RM_OK;
    }
    RM_TRY(join_instance(registry, endpoint, registration));
    if (is_unchanged(registry, registration->key, endpoint, registration->instance)) {
        return RM_OK;
    }
    *is_answered = false;
    return commit_endpoint(registry, endpoint, registration);
}

enum rm_err registry_register(struct registry *registry, const struct registry_endpoint *endpoint,
                              registry_done_fn done, void *context)
{
    bool is_answered = false;
    struct registration *registration = registration_new(registry, endpoint, done, context);
    if (registration == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    enum rm_err result = begin(registry, endpoint, registration, &is_answered);
    if (result != RM_OK) {
        leave_instance(registration);
        registration_free(registration);
        return result;
    }
    loop_open(registry->loop);
    if (is_answered) {
        deferred_schedule(registry->loop, &registration->later);
    }
    return RM_OK;
}
