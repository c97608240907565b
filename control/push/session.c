// SPDX-License-Identifier: GPL-3.0-or-later
//
//   open -> HELLO -> REGISTER -> LIVE -> ENDED
//             |         |                  ^
//             +---------+------------------+
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "push/address.h"
#include "push/push_internal.h"
#include "records/record_keys.h"
#include "records/records_wire.h"

#define SYNC_PATH "/remora.mesh.v1.Mesh/Sync"

static const struct sm_state states[] = {
    [SESSION_HELLO] = {"hello", SM_BIT(SESSION_REGISTER) | SM_BIT(SESSION_ENDED)},
    [SESSION_REGISTER] = {"register", SM_BIT(SESSION_LIVE) | SM_BIT(SESSION_ENDED)},
    [SESSION_LIVE] = {"live", SM_BIT(SESSION_ENDED)},
    [SESSION_ENDED] = {"ended", 0},
};

static void session_free(struct session *session)
{
    timer_stop(&session->timer);
    timer_stop(&session->expiry);
    mesh_request_deinit(&session->hello);
    mesh_request_deinit(&session->status);
    mesh_view_unref(session->sent);
    peer_unref(session->peer);
    rm_free(session);
}

void session_end(struct session *session, enum rpc_status status, const char *text)
{
    if (sm_is(&session->sm, SESSION_ENDED)) {
        return;
    }
    sm_move(&session->sm, SESSION_ENDED);
    timer_stop(&session->timer);
    timer_stop(&session->expiry);
    if (session->call != NULL) {
        rpc_call_end(session->call, status, text);
    }
}

// --- Registration.
// --------------------------------------------------------------------------------------------

static void register_next(struct session *session);

static void session_on_registered(void *context, enum rm_err result, const struct rm_error *error)
{
    struct session *session = context;
    session->waits_for_store = false;
    if (session->is_closed) {
        session_free(session);
        return;
    }
    if (!sm_is(&session->sm, SESSION_REGISTER)) {
        return;
    }
    if (result != RM_OK) {
        log_warn(LOG_PUSH, "registration_refused",
                 LOG_STR("peer_identity", session->peer->spiffe_id),
                 LOG_STR("error", rm_error_message(error)));
        enum rpc_status status = result == RM_ERR_DENIED || result == RM_ERR_EXISTS
                                     ? RPC_PERMISSION_DENIED
                                     : RPC_FAILED_PRECONDITION;
        session_end(session, status, rm_error_message(error));
        return;
    }
    session->registering++;
    register_next(session);
}

static void go_live(struct session *session)
{
    sm_move(&session->sm, SESSION_LIVE);
    timer_stop(&session->timer);
    session_flush(session);
}

static void register_next(struct session *session)
{
    const struct mesh_hello *hello = &session->hello.of.hello;
    if (session->registering == hello->expose_count) {
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

static void refuse_address(struct session *session)
{
    char text[STREAM_ADDRESS_TEXT_BYTES + 192];
    snprintf(
        text, sizeof text,
        "the tunnel address %s is neither the connection's source address nor in the ranges of "
        "the join token (remora token create --address-range)",
        session->address);
    log_warn(LOG_PUSH, "registration_refused", LOG_STR("peer_identity", session->peer->spiffe_id),
             LOG_STR("error", text));
    session_end(session, RPC_PERMISSION_DENIED, text);
}

// The lineage's record says which ranges its evidence allows.
static void session_on_lineage(void *context, enum rm_err result, const struct store_entry *entries,
                               size_t count, uint64_t revision)
{
    struct session *session = context;
    struct lineage_record record;
    (void)revision;
    session->waits_for_store = false;
    if (session->is_closed) {
        session_free(session);
        return;
    }
    if (!sm_is(&session->sm, SESSION_REGISTER)) {
        return;
    }
    bool is_allowed = false;
    if (result == RM_OK && count == 1 &&
        lineage_record_decode(entries[0].value, entries[0].value_length, &record) == RM_OK) {
        for (size_t i = 0; i < record.address_ranges.count && !is_allowed; i++) {
            is_allowed = address_is_in_range(session->address, record.address_ranges.items[i]);
        }
        lineage_record_deinit(&record);
    }
    if (is_allowed) {
        register_next(session);
    } else {
        refuse_address(session);
    }
}

static void check_address(struct session *session)
{
    const struct mesh_hello *hello = &session->hello.of.hello;
    char key[RECORD_KEY_BYTES];
    if (hello->expose_count == 0) {
        go_live(session);
        return;
    }
    enum rm_err result = address_complete(hello->tunnel_address, rpc_call_remote(session->call),
                                          session->address, sizeof session->address);
    if (result != RM_OK) {
        session_end(session, RPC_INVALID_ARGUMENT, "the tunnel address is missing or malformed");
        return;
    }
    if (address_is_source(session->address, rpc_call_remote(session->call))) {
        register_next(session);
        return;
    }
    record_key_lineage(session->peer->lineage, key);
    result = store_read(session->push->store, key, session_on_lineage, session);
    if (result != RM_OK) {
        session_end(session, rpc_status_from_err(result), "the store is busy: try again");
        return;
    }
    session->waits_for_store = true;
}

// --- Messages.
// ------------------------------------------------------------------------------------------------

static void take_hello(struct session *session, struct mesh_request *request)
{
    const struct mesh_hello *hello = &request->of.hello;
    session->hello = *request;
    *request = (struct mesh_request){0};
    for (size_t i = 0; i < hello->service_count; i++) {
        session->wants_all =
            session->wants_all || strcmp(session->hello.of.hello.services[i], "*") == 0;
    }
    log_debug(LOG_PUSH, "hello", LOG_STR("peer_identity", session->peer->spiffe_id),
              LOG_STR("instance", session->hello.of.hello.instance_id),
              LOG_STR("software", session->hello.of.hello.software));
    sm_move(&session->sm, SESSION_REGISTER);
    timer_stop(&session->timer);
    check_address(session);
}

static void hash_piece(void *context, const void *bytes, size_t length)
{
    sha256_stream_update(context, bytes, length);
}

static bool hash_agrees(const struct session *session, const uint8_t *hash)
{
    uint8_t own[SHA256_BYTES];
    struct sha256_stream *stream = sha256_stream_new();
    if (stream == NULL) {
        return true; // not a reason to resync
    }
    mesh_view_canonical(session->sent, hash_piece, stream);
    sha256_stream_finish(stream, own);
    return memcmp(own, hash, sizeof own) == 0;
}

static void take_ack(struct session *session, const struct mesh_ack *ack)
{
    if (!session->is_in_flight) {
        session_end(session, RPC_INVALID_ARGUMENT, "an acknowledgement without a delta");
        return;
    }
    session->is_in_flight = false;
    session->acked = ack->version;
    session->has_acked = true;
    memcpy(session->acked_hash, ack->view_hash, sizeof session->acked_hash);
    if (ack->error != NULL && ack->error[0] != '\0') {
        log_error(LOG_PUSH, "delta_refused", LOG_STR("peer_identity", session->peer->spiffe_id),
                  LOG_STR("error", ack->error));
        session_end(session, RPC_ABORTED, "the delta was refused: open a new stream");
        return;
    }
    if (!hash_agrees(session, ack->view_hash)) {
        log_warn(LOG_PUSH, "view_differs", LOG_STR("peer_identity", session->peer->spiffe_id),
                 LOG_STR("text", "its view is not what we sent: everything is sent anew"));
        session->is_synced = false;
        session->hello.of.hello.has_resume = false;
    }
    session_flush(session);
}

// More services: their resources are older than what was sent, so the view is sent anew.
static void take_subscribe(struct session *session, const struct mesh_subscribe *subscribe)
{
    struct mesh_hello *hello = &session->hello.of.hello;
    for (size_t i = 0; i < subscribe->service_count; i++) {
        char **grown =
            hello->service_count < MESH_WIRE_MAX_SUBSCRIPTIONS
                ? rm_realloc(hello->services, (hello->service_count + 1) * sizeof(char *))
                : NULL;
        char *copy = rm_strdup(subscribe->services[i]);
        if (grown != NULL) {
            hello->services = grown;
        }
        if (grown == NULL || copy == NULL) {
            rm_free(copy);
            session_end(session, RPC_RESOURCE_EXHAUSTED, "too many subscriptions");
            return;
        }
        grown[hello->service_count++] = copy;
        session->wants_all = session->wants_all || strcmp(copy, "*") == 0;
    }
    session->is_synced = false;
    hello->has_resume = false;
    session_flush(session);
}

static void take_live(struct session *session, struct mesh_request *request)
{
    switch (request->kind) {
    case MESH_REQUEST_ACK:
        take_ack(session, &request->of.ack);
        return;
    case MESH_REQUEST_SUBSCRIBE:
        take_subscribe(session, &request->of.subscribe);
        return;
    case MESH_REQUEST_STATUS:
        mesh_request_deinit(&session->status);
        session->status = *request;
        session->has_status = true;
        *request = (struct mesh_request){0};
        return;
    case MESH_REQUEST_GOODBYE:
        registry_unregister(session->push->registry, session->hello.of.hello.instance_id, 0);
        return;
    case MESH_REQUEST_HELLO:
    case MESH_REQUEST_NONE:
        break;
    }
    session_end(session, RPC_INVALID_ARGUMENT, "a second Hello on one stream");
}

static void session_on_message(void *context, struct rpc_call *call, const uint8_t *bytes,
                               size_t length)
{
    struct session *session = context;
    struct mesh_request request = {0};
    struct rm_error error = {0};
    (void)call;
    if (sm_is(&session->sm, SESSION_ENDED)) {
        return;
    }
    if (mesh_wire_decode_request(bytes, length, &request, &error) != RM_OK) {
        session_end(session, RPC_INVALID_ARGUMENT, rm_error_message(&error));
        return;
    }
    if (sm_is(&session->sm, SESSION_HELLO)) {
        if (request.kind == MESH_REQUEST_HELLO) {
            take_hello(session, &request);
        } else {
            session_end(session, RPC_INVALID_ARGUMENT, "the first message must be Hello");
        }
    } else {
        take_live(session, &request);
    }
    mesh_request_deinit(&request);
}

static void session_on_half_close(void *context, struct rpc_call *call)
{
    struct session *session = context;
    (void)call;
    session_end(session, RPC_OK, NULL);
}

static bool has_other_session(const struct session *session)
{
    const char *instance_id = session->hello.of.hello.instance_id;
    list_each (node, &session->push->sessions) {
        const struct session *other = list_entry(node, struct session, node);
        if (other != session && strcmp(other->hello.of.hello.instance_id, instance_id) == 0 &&
            !sm_is(&other->sm, SESSION_ENDED)) {
            return true;
        }
    }
    return false;
}

static void session_on_close(void *context, struct rpc_call *call, enum rpc_status status)
{
    struct session *session = context;
    struct push *push = session->push;
    (void)call;
    (void)status;
    if (!sm_is(&session->sm, SESSION_ENDED)) {
        sm_move(&session->sm, SESSION_ENDED);
    }
    session->call = NULL;
    timer_stop(&session->timer);
    timer_stop(&session->expiry);
    list_remove(&session->node);
    push->session_count--;
    bool has_endpoints =
        session->hello.kind == MESH_REQUEST_HELLO && session->hello.of.hello.expose_count > 0;
    // At our own shutdown endpoints stay in the store: their sidecars come back.
    if (has_endpoints && !push->is_shutting_down && !has_other_session(session)) {
        registry_unregister(push->registry, session->hello.of.hello.instance_id,
                            REGISTRY_ENDPOINT_GRACE_MS);
    }
    if (session->waits_for_store) {
        session->is_closed = true;
    } else {
        session_free(session);
    }
}

// --- Timers.
// --------------------------------------------------------------------------------------------------

static void session_on_timer(void *context)
{
    struct session *session = context;
    if (sm_is(&session->sm, SESSION_HELLO)) {
        session_end(session, RPC_DEADLINE_EXCEEDED, "no Hello within 5 seconds");
    } else if (session->is_in_flight) {
        session_end(session, RPC_DEADLINE_EXCEEDED, "a delta was not acknowledged");
    } else {
        session_flush(session);
    }
}

static void session_on_expiry(void *context)
{
    session_end(context, RPC_UNAUTHENTICATED,
                "the certificate that opened this stream has expired: renew and reopen");
}

static enum rm_err start_timers(struct session *session)
{
    int64_t left_s = session->peer->not_after_s - clock_wall_s();
    RM_TRY(timer_start(&session->timer, PUSH_HELLO_TIMEOUT_MS));
    return timer_start(&session->expiry, left_s > 0 ? (uint64_t)left_s * 1000 : 0);
}

static enum rpc_status session_on_open(void *server_context, struct rpc_call *call,
                                       const char **text)
{
    struct push *push = server_context;
    enum rpc_status status = access_check(push->access, call, SYNC_PATH, text);
    if (status != RPC_OK) {
        return status;
    }
    const struct peer *peer = rpc_call_peer(call);
    if (peer == NULL || !peer->has_lineage) {
        *text = "the certificate was not issued by this control plane";
        return RPC_PERMISSION_DENIED;
    }
    if (push->is_shutting_down || push->session_count == PUSH_MAX_SESSIONS) {
        *text = push->is_shutting_down ? "the control plane is going away" : "too many streams";
        return RPC_UNAVAILABLE;
    }
    struct session *session = rm_calloc(1, sizeof *session);
    struct mesh_view *empty = mesh_view_empty();
    if (session == NULL || empty == NULL) {
        rm_free(session);
        mesh_view_unref(empty);
        return RPC_RESOURCE_EXHAUSTED;
    }
    session->push = push;
    session->call = call;
    session->sent = empty;
    session->peer = peer_ref((struct peer *)(uintptr_t)peer);
    sm_init(&session->sm, "sync", 0, states, SESSION_HELLO);
    timer_init(&session->timer, push->loop, session_on_timer, session);
    timer_init(&session->expiry, push->loop, session_on_expiry, session);
    if (start_timers(session) != RM_OK) {
        session_free(session);
        return RPC_RESOURCE_EXHAUSTED;
    }
    list_append(&push->sessions, &session->node);
    push->session_count++;
    rpc_call_set_context(call, session);
    rpc_call_allow_large(call);
    return RPC_OK;
}

const struct rpc_method push_methods[] = {{
    .path = SYNC_PATH,
    .is_client_streaming = true,
    .is_server_streaming = true,
    .on_open = session_on_open,
    .on_message = session_on_message,
    .on_half_close = session_on_half_close,
    .on_close = session_on_close,
}};
