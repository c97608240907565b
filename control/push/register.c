// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a session offers: checked against its evidence, then registered one service after the other.
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "push/address.h"
#include "push/push_internal.h"
#include "records/record_keys.h"
#include "records/records_wire.h"

static void refuse(struct session *session, enum rpc_status status, const char *text)
{
    static struct log_limit limit;
    uint64_t suppressed = 0;
    if (log_limit_pass(&limit, &suppressed)) {
        log_warn(LOG_PUSH, "registration_refused",
                 LOG_STR("peer_identity", session->peer->spiffe_id), LOG_STR("error", text),
                 LOG_U64("suppressed", suppressed));
    }
    session_end(session, status, text);
}

// --- Registration.
// --------------------------------------------------------------------------------------

static void register_next(struct session *session);

static enum rpc_status status_of(enum rm_err result)
{
    switch ((int)result) {
    case RM_ERR_DENIED:
    case RM_ERR_EXISTS:
        return RPC_PERMISSION_DENIED;
    case RM_ERR_NOT_FOUND:
        return RPC_FAILED_PRECONDITION;
    case RM_ERR_CONFLICT:
        return RPC_ABORTED;
    default:
        return RPC_UNAVAILABLE;
    }
}

// False: the session is gone, or ended meanwhile.
static bool resume(struct session *session)
{
    session->waits_for_store = false;
    if (session->is_closed) {
        session_free(session);
        return false;
    }
    return sm_is(&session->sm, SESSION_REGISTER);
}

static void session_on_registered(void *context, enum rm_err result, const struct rm_error *error)
{
    struct session *session = context;
    if (!resume(session)) {
        return;
    }
    if (result != RM_OK) {
        refuse(session, status_of(result), rm_error_message(error));
        return;
    }
    session->registering++;
    register_next(session);
}

static void go_live(struct session *session)
{
    const struct mesh_hello *hello = &session->hello.of.hello;
    if (!session->has_left) {
        registry_keep(session->push->registry, session->peer->lineage, hello->instance_id,
                      (const char *const *)hello->exposes, hello->expose_count);
    }
    sm_move(&session->sm, SESSION_LIVE);
    timer_stop(&session->timer);
    session_check_services(session);
    session_flush(session);
}

static void register_next(struct session *session)
{
    const struct mesh_hello *hello = &session->hello.of.hello;
    if (session->registering == hello->expose_count || session->has_left) {
        go_live(session);
        return;
    }
    struct registry_endpoint endpoint = {
        .service = hello->exposes[session->registering],
        .instance_id = hello->instance_id,
        .identity = session->peer->spiffe_id,
        .lineage = session->peer->lineage,
        .address = session->address,
        .zone = hello->zone != NULL ? hello->zone : "",
    };
    enum rm_err result =
        registry_register(session->push->registry, &endpoint, session_on_registered, session);
    if (result != RM_OK) {
        session_end(session, rpc_status_from_err(result), "the registration was not taken");
        return;
    }
    session->waits_for_store = true;
}

// --- Evidence.
// ------------------------------------------------------------------------------------------

static bool has_string(const struct record_strings *strings, const char *text)
{
    for (size_t i = 0; i < strings->count; i++) {
        if (strcmp(strings->items[i], text) == 0) {
            return true;
        }
    }
    return false;
}

// A join token that names services is for these only.
static const char *find_foreign(const struct mesh_hello *hello, const struct lineage_record *record)
{
    for (size_t i = 0; i < hello->expose_count && record->services.count > 0; i++) {
        if (!has_string(&record->services, hello->exposes[i])) {
            return hello->exposes[i];
        }
    }
    return NULL;
}

static bool is_address_allowed(const struct session *session, const struct lineage_record *record)
{
    const struct stream_address source = rpc_call_remote(session->call);
    if (address_is_source(session->address, &source)) {
        return true;
    }
    for (size_t i = 0; i < record->address_ranges.count; i++) {
        if (address_is_in_range(session->address, &source, record->address_ranges.items[i])) {
            return true;
        }
    }
    return false;
}

static void check_evidence(struct session *session, const struct lineage_record *record)
{
    char text[512];
    const char *foreign = find_foreign(&session->hello.of.hello, record);
    if (foreign != NULL) {
        snprintf(text, sizeof text,
                 "the join token of this workload does not name the service '%s': make a token "
                 "that does (remora token create --service %s)",
                 foreign, foreign);
        refuse(session, RPC_PERMISSION_DENIED, text);
    } else if (!is_address_allowed(session, record)) {
        snprintf(text, sizeof text,
                 "the tunnel address %s is neither the connection's source address nor in the "
                 "ranges of the join token (remora token create --address-range)",
                 session->address);
        refuse(session, RPC_PERMISSION_DENIED, text);
    } else {
        register_next(session);
    }
}

static void session_on_lineage(void *context, enum rm_err result, const struct store_entry *entries,
                               size_t count, uint64_t revision)
{
    struct session *session = context;
    struct lineage_record record;
    (void)revision;
    if (!resume(session)) {
        return;
    }
    if (result == RM_OK && count == 0) {
        refuse(session, RPC_PERMISSION_DENIED, "the lineage of this certificate is unknown here");
        return;
    }
    if (result == RM_OK) {
        result = lineage_record_decode(entries[0].value, entries[0].value_length, &record);
    }
    if (result != RM_OK) {
        session_end(session, RPC_UNAVAILABLE, "the lineage cannot be read: try again");
        return;
    }
    check_evidence(session, &record);
    lineage_record_deinit(&record);
}

void session_register(struct session *session)
{
    const struct mesh_hello *hello = &session->hello.of.hello;
    struct rm_error error = {0};
    char key[RECORD_KEY_BYTES];
    if (hello->expose_count == 0) {
        go_live(session);
        return;
    }
    const struct stream_address source = rpc_call_remote(session->call);
    if (address_complete(hello->tunnel_address, &source, session->address, sizeof session->address,
                         &error) != RM_OK) {
        session_end(session, RPC_INVALID_ARGUMENT, rm_error_message(&error));
        return;
    }
    record_key_lineage(session->peer->lineage, key);
    enum rm_err result = store_read(session->push->store, key, session_on_lineage, session);
    if (result != RM_OK) {
        session_end(session, rpc_status_from_err(result), "the store is busy: try again");
        return;
    }
    session->waits_for_store = true;
}

void session_check_services(struct session *session)
{
    const struct mesh_hello *hello = &session->hello.of.hello;
    const struct peer *peer = session->peer;
    char text[512];
    if (!sm_is(&session->sm, SESSION_LIVE) || session->has_left) {
        return;
    }
    for (size_t i = 0; i < hello->expose_count; i++) {
        const struct mesh_resource *service =
            mesh_view_find(registry_view(session->push->registry), MESH_SERVICE, hello->exposes[i]);
        if (service == NULL) {
            snprintf(text, sizeof text, "service '%s' does not exist any more", hello->exposes[i]);
            refuse(session, RPC_FAILED_PRECONDITION, text);
            return;
        }
        if (!mesh_service_has_identity(&service->of.service, peer->spiffe_id,
                                       peer->spiffe_id_length)) {
            snprintf(text, sizeof text, "this workload does not own the service '%s' any more",
                     hello->exposes[i]);
            refuse(session, RPC_PERMISSION_DENIED, text);
            return;
        }
    }
}
