// SPDX-License-Identifier: GPL-3.0-or-later
//
// Services: create, update, delete, list.
#include <string.h>

#include "api/admin_internal.h"
#include "base/alloc.h"
#include "mesh/view.h"

// A service as it shall become; also what the answer shows.
struct service_work {
    char *name;                       // owned
    uint16_t port;                    // of the service
    struct record_strings identities; // owned, as the next two
    struct record_strings allow;      //
    struct record_strings dns_names;  //
    bool is_guarded;                  // no allow rule matches: denied
    uint64_t revision;                // of the record it was made from; 0: none
    unsigned attempts;                // that met a conflict
};

static void work_clear(struct service_work *work)
{
    record_strings_deinit(&work->identities);
    record_strings_deinit(&work->allow);
    record_strings_deinit(&work->dns_names);
}

static void work_free(void *context)
{
    struct service_work *work = context;
    work_clear(work);
    rm_free(work->name);
    rm_free(work);
}

static struct service_work *work_new(const char *name)
{
    struct service_work *work = rm_calloc(1, sizeof *work);
    if (work != NULL) {
        work->name = rm_strdup(name);
        if (work->name == NULL) {
            rm_free(work);
            return NULL;
        }
    }
    return work;
}

// --- What an answer shows.

static enum rm_err list_endpoints(const struct admin_call *call, const char *name,
                                  const struct admin_connected *connected,
                                  struct admin_endpoint **out, size_t *out_count)
{
    const struct mesh_view *view = registry_view(call->api->options.registry);
    size_t first = 0;
    size_t count = 0;
    mesh_view_endpoints(view, name, &first, &count);
    struct admin_endpoint *endpoints = rm_calloc(count + 1, sizeof *endpoints);
    if (endpoints == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        const struct mesh_resource *resource = mesh_view_at(view, MESH_ENDPOINT, first + i);
        const char *instance_id = strchr(resource->key, '/') + 1;
        const struct admin_instance *instance = admin_connected_instance(connected, instance_id);
        bool has_view = instance != NULL && instance->view_version != 0;
        endpoints[i] = (struct admin_endpoint){
            .instance_id = instance_id,
            .identity = resource->of.endpoint.identity,
            .address = resource->of.endpoint.address,
            .zone = resource->of.endpoint.zone,
            .view_hash = has_view ? instance->view_hash : NULL,
            .view_version = has_view ? instance->view_version : 0,
        };
    }
    *out = endpoints;
    *out_count = count;
    return RM_OK;
}

// Fills in the endpoints and appends.
static enum rm_err append_service(struct admin_call *call, struct admin_service *service,
                                  const struct admin_connected *connected, bool is_listed)
{
    struct admin_endpoint *endpoints = NULL;
    RM_TRY(list_endpoints(call, service->name, connected, &endpoints, &service->endpoint_count));
    service->endpoints = endpoints;
    enum rm_err result = admin_wire_service(&call->response, service, is_listed);
    rm_free(endpoints);
    return result;
}

static void answer_work(struct admin_call *call)
{
    const struct service_work *work = call->work;
    struct admin_service service = {
        .name = work->name,
        .port = work->port,
        .identities = &work->identities,
        .allow = &work->allow,
        .dns_names = &work->dns_names,
        .is_guarded = work->is_guarded || work->allow.count > 0,
    };
    struct admin_connected *connected = admin_connected_new(call->api->options.push);
    if (connected == NULL) {
        admin_call_fail(call, RM_ERR_NO_MEMORY, NULL);
        return;
    }
    enum rm_err result = append_service(call, &service, connected, false);
    admin_connected_free(connected);
    admin_call_answer_if(call, result);
}

static void put_work(struct admin_call *call, registry_done_fn on_put)
{
    struct service_work *work = call->work;
    struct rm_error error = {0};
    mesh_sort_strings(work->identities.items, &work->identities.count);
    mesh_sort_strings(work->allow.items, &work->allow.count);
    mesh_sort_strings(work->dns_names.items, &work->dns_names.count);
    struct registry_service service = {
        .name = work->name,
        .port = work->port,
        .identities = (const char *const *)work->identities.items,
        .identity_count = work->identities.count,
        .allow = (const char *const *)work->allow.items,
        .allow_count = work->allow.count,
        .dns_names = (const char *const *)work->dns_names.items,
        .dns_count = work->dns_names.count,
        .is_guarded = work->is_guarded,
    };
    enum rm_err result = registry_put_service(call->api->options.registry, &service, work->revision,
                                              call->actor, on_put, call, &error);
    if (result != RM_OK) {
        admin_call_fail(call, result, rm_error_message(&error));
        return;
    }
    admin_call_wait(call);
}

// --- Create.

// Appends each, with the own trust domain before what begins with "ns/".
static enum rm_err add_identities(const struct admin_call *call, struct record_strings *strings,
                                  struct admin_texts texts)
{
    for (size_t i = 0; i < texts.count; i++) {
        char *full = admin_full_identity(call->api, texts.items[i]);
        enum rm_err result = full != NULL ? admin_strings_add(strings, full) : RM_ERR_NO_MEMORY;
        rm_free(full);
        RM_TRY(result);
    }
    return RM_OK;
}

static enum rm_err add_texts(struct record_strings *strings, struct admin_texts texts)
{
    for (size_t i = 0; i < texts.count; i++) {
        RM_TRY(admin_strings_add(strings, texts.items[i]));
    }
    return RM_OK;
}

static enum rm_err fill_created(const struct admin_call *call, struct service_work *work)
{
    const struct admin_create_service *request = &call->request.of.create_service;
    work->port = (uint16_t)request->port;
    work->is_guarded = request->is_guarded;
    RM_TRY(add_identities(call, &work->identities, request->identities));
    RM_TRY(add_identities(call, &work->allow, request->allow));
    return add_texts(&work->dns_names, request->dns_names);
}

static void refuse_existing(struct admin_call *call, const char *name)
{
    admin_call_refuse(call, RPC_ALREADY_EXISTS,
                      "service '%s' exists already: update it, or delete it first", name);
}

static void on_created(void *context, enum rm_err result, const struct rm_error *error)
{
    struct admin_call *call = context;
    if (!admin_call_resume(call)) {
        return;
    }
    if (result == RM_ERR_CONFLICT) {
        refuse_existing(call, ((const struct service_work *)call->work)->name);
    } else if (result != RM_OK) {
        admin_call_fail(call, result, rm_error_message(error));
    } else {
        answer_work(call);
    }
}

void admin_create_service(struct admin_call *call)
{
    const struct admin_create_service *request = &call->request.of.create_service;
    const struct service_record *record = NULL;
    uint64_t revision = 0;
    if (request->port == 0 || request->port > UINT16_MAX) {
        admin_call_refuse(call, RPC_INVALID_ARGUMENT, "service '%s': the port must be 1 to 65535",
                          request->name);
        return;
    }
    if (registry_service(call->api->options.registry, request->name, &record, &revision)) {
        refuse_existing(call, request->name);
        return;
    }
    if (!admin_call_set_work(call, work_new(request->name), work_free)) {
        return;
    }
    enum rm_err result = fill_created(call, call->work);
    if (result != RM_OK) {
        admin_call_fail(call, result, NULL);
        return;
    }
    put_work(call, on_created);
}

// --- Update.

static enum rm_err load_record(struct service_work *work, const struct service_record *record)
{
    work_clear(work);
    work->port = record->port;
    work->is_guarded = record->is_guarded;
    RM_TRY(record_strings_dup((const char *const *)record->identities.items,
                              record->identities.count, &work->identities));
    RM_TRY(record_strings_dup((const char *const *)record->allow.items, record->allow.count,
                              &work->allow));
    return record_strings_dup((const char *const *)record->dns_names.items, record->dns_names.count,
                              &work->dns_names);
}

// What is not there cannot be taken away: a spelling mistake must not pass for a withdrawn right.
static enum rm_err remove_texts(const struct admin_call *call, struct record_strings *strings,
                                struct admin_texts texts, const char *what, struct rm_error *error)
{
    const struct service_work *work = call->work;
    for (size_t i = 0; i < texts.count; i++) {
        char *full = admin_full_identity(call->api, texts.items[i]);
        if (full == NULL) {
            return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
        }
        bool is_removed = admin_strings_remove(strings, full);
        rm_free(full);
        if (!is_removed) {
            return rm_error_set(error, RM_ERR_NOT_FOUND, "service '%s' has no %s '%s' to remove",
                                work->name, what, texts.items[i]);
        }
    }
    return RM_OK;
}

static enum rm_err apply_lists(const struct admin_call *call, struct service_work *work,
                               struct rm_error *error)
{
    const struct admin_update_service *update = &call->request.of.update_service;
    RM_TRY(remove_texts(call, &work->identities, update->remove_identities, "identity", error));
    RM_TRY(remove_texts(call, &work->allow, update->remove_allow, "allow pattern", error));
    RM_TRY(remove_texts(call, &work->dns_names, update->remove_dns_names, "DNS name", error));
    RM_TRY(add_identities(call, &work->identities, update->add_identities));
    RM_TRY(add_identities(call, &work->allow, update->add_allow));
    return add_texts(&work->dns_names, update->add_dns_names);
}

static bool changes_nothing(const struct admin_update_service *update)
{
    return update->add_identities.count + update->remove_identities.count +
                   update->add_allow.count + update->remove_allow.count +
                   update->add_dns_names.count + update->remove_dns_names.count ==
               0 &&
           !update->clear_guard;
}

static void try_update(struct admin_call *call);

static void on_updated(void *context, enum rm_err result, const struct rm_error *error)
{
    struct admin_call *call = context;
    if (!admin_call_resume(call)) {
        return;
    }
    struct service_work *work = call->work;
    if (result == RM_ERR_CONFLICT && work->attempts++ < ADMIN_RETRIES) {
        try_update(call);
    } else if (result != RM_OK) {
        admin_call_fail(call, result, rm_error_message(error));
    } else {
        answer_work(call);
    }
}

static void try_update(struct admin_call *call)
{
    struct service_work *work = call->work;
    const struct service_record *record = NULL;
    struct rm_error error = {0};
    if (!registry_service(call->api->options.registry, work->name, &record, &work->revision)) {
        admin_call_refuse(call, RPC_NOT_FOUND, "service '%s' does not exist", work->name);
        return;
    }
    enum rm_err result = load_record(work, record);
    if (result == RM_OK) {
        result = apply_lists(call, work, &error);
    }
    if (result == RM_ERR_NOT_FOUND) {
        admin_call_refuse(call, RPC_FAILED_PRECONDITION, "%s", rm_error_message(&error));
        return;
    }
    if (result != RM_OK) {
        admin_call_fail(call, result, NULL);
        return;
    }
    if (call->request.of.update_service.clear_guard) {
        if (work->allow.count > 0) {
            admin_call_refuse(call, RPC_FAILED_PRECONDITION,
                              "service '%s' still has allow patterns (%zu): remove them first, "
                              "or in the same update",
                              work->name, work->allow.count);
            return;
        }
        work->is_guarded = false;
    }
    put_work(call, on_updated);
}

void admin_update_service(struct admin_call *call)
{
    const struct admin_update_service *update = &call->request.of.update_service;
    if (changes_nothing(update)) {
        admin_call_refuse(call, RPC_INVALID_ARGUMENT, "the update changes nothing");
        return;
    }
    if (admin_call_set_work(call, work_new(update->name), work_free)) {
        try_update(call);
    }
}

// --- Delete.

static void try_delete(struct admin_call *call);

static void on_deleted(void *context, enum rm_err result, const struct rm_error *error)
{
    struct admin_call *call = context;
    if (!admin_call_resume(call)) {
        return;
    }
    struct service_work *work = call->work;
    if (result == RM_ERR_CONFLICT && work->attempts++ < ADMIN_RETRIES) {
        try_delete(call);
    } else if (result != RM_OK) {
        admin_call_fail(call, result, rm_error_message(error));
    } else {
        admin_call_answer(call); // DeleteServiceResponse is empty
    }
}

static void try_delete(struct admin_call *call)
{
    const struct service_work *work = call->work;
    enum rm_err result = registry_delete_service(call->api->options.registry, work->name,
                                                 call->actor, on_deleted, call);
    if (result == RM_ERR_NOT_FOUND) {
        admin_call_refuse(call, RPC_NOT_FOUND, "service '%s' does not exist", work->name);
    } else if (result != RM_OK) {
        admin_call_fail(call, result, NULL);
    } else {
        admin_call_wait(call);
    }
}

void admin_delete_service(struct admin_call *call)
{
    if (admin_call_set_work(call, work_new(call->request.of.name), work_free)) {
        try_delete(call);
    }
}

// --- List.

static enum rm_err append_all(struct admin_call *call, const struct admin_connected *connected)
{
    const struct registry *registry = call->api->options.registry;
    const struct mesh_view *view = registry_view(registry);
    for (size_t i = 0; i < mesh_view_count(view, MESH_SERVICE); i++) {
        const char *name = mesh_view_at(view, MESH_SERVICE, i)->key;
        const struct service_record *record = NULL;
        uint64_t revision = 0;
        // The view is one turn behind the records: this one was deleted just now.
        if (!registry_service(registry, name, &record, &revision)) {
            continue;
        }
        struct admin_service service = {
            .name = name,
            .port = record->port,
            .identities = &record->identities,
            .allow = &record->allow,
            .dns_names = &record->dns_names,
            .is_guarded = record->is_guarded,
        };
        RM_TRY(append_service(call, &service, connected, true));
    }
    return RM_OK;
}

void admin_list_services(struct admin_call *call)
{
    struct admin_connected *connected = admin_connected_new(call->api->options.push);
    if (connected == NULL) {
        admin_call_fail(call, RM_ERR_NO_MEMORY, NULL);
        return;
    }
    enum rm_err result = append_all(call, connected);
    admin_connected_free(connected);
    admin_call_answer_if(call, result);
}
