// SPDX-License-Identifier: GPL-3.0-or-later
//
//   open -> HELLO -> REGISTER -> LIVE -> ENDED
//             |         |                  ^
//             +---------+------------------+
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "push/push_internal.h"

#define SYNC_PATH "/remora.mesh.v1.Mesh/Sync"

static const struct sm_state states[] = {
    [SESSION_HELLO] = {"hello", SM_BIT(SESSION_REGISTER) | SM_BIT(SESSION_ENDED)},
    [SESSION_REGISTER] = {"register", SM_BIT(SESSION_LIVE) | SM_BIT(SESSION_ENDED)},
    [SESSION_LIVE] = {"live", SM_BIT(SESSION_ENDED)},
    [SESSION_ENDED] = {"ended", 0},
};

void session_free(struct session *session)
{
    timer_stop(&session->timer);
    timer_stop(&session->expiry);
    mesh_request_deinit(&session->hello);
    mesh_request_deinit(&session->status);
    delta_deinit(&session->delta);
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

// --- Messages.
// ------------------------------------------------------------------------------------------------

static void take_hello(struct session *session, struct mesh_request *request)
{
    const struct mesh_hello *hello = &session->hello.of.hello;
    session->hello = *request;
    *request = (struct mesh_request){0};
    for (size_t i = 0; i < hello->service_count; i++) {
        session->wants_all = session->wants_all || strcmp(hello->services[i], "*") == 0;
    }
    log_debug(LOG_PUSH, "hello", LOG_STR("peer_identity", session->peer->spiffe_id),
              LOG_STR("instance", hello->instance_id), LOG_STR("software", hello->software));
    sm_move(&session->sm, SESSION_REGISTER);
    timer_stop(&session->timer);
    session_register(session);
}

static bool is_ack_of(const struct mesh_ack *ack, const struct mesh_view *view)
{
    struct mesh_version sent = mesh_view_version(view);
    return ack->version.number == sent.number &&
           memcmp(ack->version.store_id, sent.store_id, sizeof sent.store_id) == 0;
}

// Everything is sent anew, but not for ever: a view that differs even then is a fault.
static void resync(struct session *session)
{
    log_warn(LOG_PUSH, "view_differs", LOG_STR("peer_identity", session->peer->spiffe_id),
             LOG_STR("text", "its view is not what we sent: everything is sent anew"));
    if (++session->mismatches > PUSH_MAX_MISMATCHES) {
        session_end(session, RPC_ABORTED, "the view differs however often it is sent");
        return;
    }
    session->is_synced = false;
    session->hello.of.hello.has_resume = false;
}

static void take_ack(struct session *session, const struct mesh_ack *ack)
{
    if (!session->is_in_flight || !is_ack_of(ack, session->sent)) {
        session_end(session, RPC_INVALID_ARGUMENT,
                    session->is_in_flight ? "an acknowledgement of another version than was sent"
                                          : "an acknowledgement without a delta");
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
    if (hash_agrees(session, ack->view_hash)) {
        session->mismatches = 0;
    } else {
        resync(session);
    }
    session_flush(session);
}

// Errors: RM_ERR_LIMIT, RM_ERR_NO_MEMORY.
static enum rm_err add_subscription(struct mesh_hello *hello, const char *name)
{
    if (hello->service_count == MESH_WIRE_MAX_SUBSCRIPTIONS) {
        return RM_ERR_LIMIT;
    }
    char **grown = rm_realloc(hello->services, (hello->service_count + 1) * sizeof(char *));
    if (grown == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    hello->services = grown;
    grown[hello->service_count] = rm_strdup(name);
    if (grown[hello->service_count] == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    hello->service_count++;
    mesh_sort_strings(hello->services, &hello->service_count);
    return RM_OK;
}

// More services: their resources are older than what was sent, so the view is sent anew.
static void take_subscribe(struct session *session, const struct mesh_subscribe *subscribe)
{
    struct mesh_hello *hello = &session->hello.of.hello;
    size_t before = hello->service_count;
    for (size_t i = 0; i < subscribe->service_count; i++) {
        enum rm_err result = add_subscription(hello, subscribe->services[i]);
        if (result != RM_OK) {
            session_end(session, RPC_RESOURCE_EXHAUSTED, "too many subscriptions");
            return;
        }
        session->wants_all = session->wants_all || strcmp(subscribe->services[i], "*") == 0;
    }
    if (hello->service_count > before) {
        session->is_synced = false;
        hello->has_resume = false;
        session_flush(session);
    }
}

static void take_goodbye(struct session *session)
{
    session->has_left = true;
    registry_unregister(session->push->registry, session->peer->lineage,
                        session->hello.of.hello.instance_id, 0);
}

// A serial begins with its lineage: nobody reports for another.
static void take_status(struct session *session, struct mesh_request *request)
{
    const struct mesh_status *status = &request->of.status;
    bool is_own = status->serial_length >= LINEAGE_BYTES &&
                  memcmp(status->serial, session->peer->lineage, LINEAGE_BYTES) == 0;
    if (status->serial_length > 0 && !is_own) {
        session_end(session, RPC_INVALID_ARGUMENT, "the serial is not one of this workload's line");
        return;
    }
    mesh_request_deinit(&session->status);
    session->status = *request;
    session->has_status = true;
    *request = (struct mesh_request){0};
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
        take_status(session, request);
        return;
    case MESH_REQUEST_GOODBYE:
        take_goodbye(session);
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
    list_each (node, &session->workload->sessions) {
        const struct session *other = list_entry(node, struct session, of_workload);
        if (other != session && other->hello.kind == MESH_REQUEST_HELLO &&
            strcmp(other->hello.of.hello.instance_id, instance_id) == 0 &&
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
    bool has_endpoints =
        session->hello.kind == MESH_REQUEST_HELLO && session->hello.of.hello.expose_count > 0;
    // At our own shutdown endpoints stay in the store: their sidecars come back. After a Goodbye
    // or a revocation they are gone already.
    if (has_endpoints && !session->has_left && !push->is_shutting_down &&
        !has_other_session(session)) {
        registry_unregister(push->registry, session->peer->lineage,
                            session->hello.of.hello.instance_id, REGISTRY_ENDPOINT_GRACE_MS);
    }
    push_remove(push, session);
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

static struct session *session_new(struct push *push, struct rpc_call *call,
                                   const struct peer *peer)
{
    struct session *session = rm_calloc(1, sizeof *session);
    if (session == NULL) {
        return NULL;
    }
    session->push = push;
    session->call = call;
    session->sent = mesh_view_empty();
    session->peer = peer_ref((struct peer *)(uintptr_t)peer);
    sm_init(&session->sm, "sync", 0, states, SESSION_HELLO);
    timer_init(&session->timer, push->loop, session_on_timer, session);
    timer_init(&session->expiry, push->loop, session_on_expiry, session);
    if (session->sent == NULL || start_timers(session) != RM_OK) {
        session_free(session);
        return NULL;
    }
    return session;
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
    struct session *session = session_new(push, call, peer);
    if (session == NULL) {
        return RPC_RESOURCE_EXHAUSTED;
    }
    status = push_add(push, session, text);
    if (status != RPC_OK) {
        session_free(session);
        return status;
    }
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
