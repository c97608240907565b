// SPDX-License-Identifier: GPL-3.0-or-later
//
// One call:
//
//   ACTIVE <--> WAITING --(closed)--> ORPHANED --(the answer came)--> freed
//     |  \__      |
//     v     v     v
//   SENDING --> ANSWERED --(closed)--> freed
#include "local/local_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "descriptor_set.h"
#include "stream/credentials.h"

// A stream goes on while less than this waits for its caller (and is told when it is less again).
#define QUEUE_BYTES H2_LOW_MARK_BYTES

static const struct sm_state states[] = {
    [LOCAL_CALL_ACTIVE] = {"active", SM_BIT(LOCAL_CALL_WAITING) | SM_BIT(LOCAL_CALL_SENDING) |
                                         SM_BIT(LOCAL_CALL_ANSWERED)},
    [LOCAL_CALL_WAITING] = {"waiting", SM_BIT(LOCAL_CALL_ACTIVE) | SM_BIT(LOCAL_CALL_ORPHANED)},
    [LOCAL_CALL_SENDING] = {"sending", SM_BIT(LOCAL_CALL_ACTIVE)},
    [LOCAL_CALL_ANSWERED] = {"answered", 0},
    [LOCAL_CALL_ORPHANED] = {"orphaned", 0},
};

// --- A call's life.

static void close_if_done(struct local *local)
{
    if (local->on_closed == NULL || !local->is_drained || local->call_count > 0) {
        return;
    }
    local_closed_fn on_closed = local->on_closed;
    void *context = local->closed_context;
    struct loop *loop = local->loop;
    rpc_server_free(local->server);
    rm_free(local);
    on_closed(context);
    loop_close(loop);
}

static void call_free(struct local_call *call)
{
    struct local *local = call->local;
    if (call->work != NULL) {
        call->work_free(call->work);
    }
    local_request_deinit(&call->request);
    buffer_deinit(&call->response);
    rm_free(call);
    local->call_count--;
    close_if_done(local);
}

void local_call_wait(struct local_call *call)
{
    sm_move(&call->sm, LOCAL_CALL_WAITING);
}

bool local_call_resume(struct local_call *call)
{
    if (sm_is(&call->sm, LOCAL_CALL_ORPHANED)) {
        call_free(call);
        return false;
    }
    sm_move(&call->sm, LOCAL_CALL_ACTIVE);
    return true;
}

static void end(struct local_call *call, enum rpc_status status, const char *text)
{
    sm_move(&call->sm, LOCAL_CALL_ANSWERED);
    rpc_call_end(call->rpc, status, text);
}

void local_call_refuse(struct local_call *call, enum rpc_status status, const char *format, ...)
{
    char text[RPC_MAX_STATUS_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    end(call, status, text);
}

// Queues `response`; false when it cannot be, and the call is ended.
static bool send_response(struct local_call *call, enum rm_err result)
{
    if (result == RM_OK) {
        result =
            rpc_call_send(call->rpc, buffer_data(&call->response), buffer_length(&call->response));
    }
    if (result != RM_OK) {
        local_call_refuse(call, rpc_status_from_err(result), "the answer could not be made: %s",
                          rm_err_text(result));
    }
    return result == RM_OK;
}

void local_call_answer(struct local_call *call, enum rm_err result)
{
    if (send_response(call, result)) {
        end(call, RPC_OK, NULL);
    }
}

void local_call_end(struct local_call *call)
{
    end(call, RPC_OK, NULL);
}

void local_call_send(struct local_call *call, enum rm_err result)
{
    (void)send_response(call, result);
    buffer_clear(&call->response);
}

void local_call_go_on(struct local_call *call)
{
    while (sm_is(&call->sm, LOCAL_CALL_ACTIVE)) {
        if (rpc_call_queued_bytes(call->rpc) >= QUEUE_BYTES) {
            sm_move(&call->sm, LOCAL_CALL_SENDING);
        } else {
            call->step(call);
        }
    }
}

void local_call_stream(struct local_call *call, void (*step)(struct local_call *call))
{
    call->step = step;
    local_call_go_on(call);
}

bool local_call_set_work(struct local_call *call, void *work, void (*work_free)(void *work))
{
    if (work == NULL) {
        local_call_refuse(call, RPC_RESOURCE_EXHAUSTED, "out of memory");
        return false;
    }
    call->work = work;
    call->work_free = work_free;
    return true;
}

// --- The server's side of a call.

static void (*const handlers[])(struct local_call *call) = {
#define LOCAL_HANDLER_ENTRY(name, wire, handler, is_streaming) [LOCAL_##name] = handler,
    LOCAL_METHOD_LIST(LOCAL_HANDLER_ENTRY)
#undef LOCAL_HANDLER_ENTRY
};

static bool is_admitted(const struct local *local, struct rpc_call *rpc)
{
    static struct log_limit limit;
    uint64_t suppressed = 0;
    struct stream_credentials credentials = {0};
    struct stream *stream = rpc_call_stream(rpc);
    bool is_known = stream != NULL && stream_credentials_get(stream, &credentials) == RM_OK;
    if (is_known && stream_credentials_may_administer(&credentials, local->group)) {
        return true;
    }
    if (log_limit_pass(&limit, &suppressed)) {
        log_warn(LOG_LOCAL, "call_refused", LOG_BOOL("known", is_known),
                 LOG_U64("uid", credentials.uid), LOG_I64("pid", credentials.pid),
                 LOG_U64("suppressed", suppressed));
    }
    return false;
}

static enum rpc_status open_call(struct local *local, struct rpc_call *rpc,
                                 enum local_method method, const char **text)
{
    if (!is_admitted(local, rpc)) {
        *text = "not_an_admin: the sidecar's local socket serves root, the sidecar's own user and "
                "the group in its configuration's local.group";
        return RPC_PERMISSION_DENIED;
    }
    if (local->on_closed != NULL) {
        *text = "the sidecar is stopping";
        return RPC_UNAVAILABLE;
    }
    if (local->call_count >= LOCAL_MAX_CALLS) {
        *text = "too many calls are under way: try again";
        return RPC_RESOURCE_EXHAUSTED;
    }
    struct local_call *call = rm_calloc(1, sizeof *call);
    if (call == NULL) {
        *text = "out of memory";
        return RPC_RESOURCE_EXHAUSTED;
    }
    call->local = local;
    call->rpc = rpc;
    call->method = method;
    buffer_init(&call->response, RPC_MAX_MESSAGE_BYTES);
    sm_init(&call->sm, "local_call", local->next_id++, states, LOCAL_CALL_ACTIVE);
    local->call_count++;
    rpc_call_set_context(rpc, call);
    return RPC_OK;
}

static void call_on_message(void *context, struct rpc_call *rpc, const uint8_t *bytes,
                            size_t length)
{
    struct local_call *call = context;
    struct rm_error error = {0};
    (void)rpc;
    enum rm_err result = local_wire_decode(call->method, bytes, length, &call->request, &error);
    if (result != RM_OK) {
        local_call_refuse(call, rpc_status_from_err(result), "%s", rm_error_message(&error));
        return;
    }
    handlers[call->method](call);
}

// A request without its one message never gets here: the rpc room refuses it.
static void call_on_half_close(void *context, struct rpc_call *rpc)
{
    (void)context;
    (void)rpc;
}

static void call_on_writable(void *context, struct rpc_call *rpc)
{
    struct local_call *call = context;
    (void)rpc;
    if (sm_is(&call->sm, LOCAL_CALL_SENDING)) {
        sm_move(&call->sm, LOCAL_CALL_ACTIVE);
        local_call_go_on(call);
    }
}

static void call_on_close(void *context, struct rpc_call *rpc, enum rpc_status status)
{
    struct local_call *call = context;
    (void)rpc;
    (void)status;
    call->rpc = NULL;
    if (sm_is(&call->sm, LOCAL_CALL_WAITING) &&
        (call->work_cancel == NULL || !call->work_cancel(call->work))) {
        sm_move(&call->sm, LOCAL_CALL_ORPHANED);
        return;
    }
    call_free(call);
}

// --- Methods. A method's on_open is not told its path, so each has one of its own.

#define LOCAL_METHOD_OPEN(name, wire, handler, is_streaming)                                       \
    static enum rpc_status open_##name(void *context, struct rpc_call *rpc, const char **text)     \
    {                                                                                              \
        return open_call(context, rpc, LOCAL_##name, text);                                        \
    }
LOCAL_METHOD_LIST(LOCAL_METHOD_OPEN)
#undef LOCAL_METHOD_OPEN

static const struct rpc_method methods[] = {
#define LOCAL_METHOD_ROW(name, wire, handler, is_streaming)                                        \
    [LOCAL_##name] = {                                                                             \
        .path = "/" LOCAL_SERVICE "/" #wire,                                                       \
        .is_server_streaming = is_streaming,                                                       \
        .on_open = open_##name,                                                                    \
        .on_message = call_on_message,                                                             \
        .on_half_close = call_on_half_close,                                                       \
        .on_writable = call_on_writable,                                                           \
        .on_close = call_on_close,                                                                 \
    },
    LOCAL_METHOD_LIST(LOCAL_METHOD_ROW)
#undef LOCAL_METHOD_ROW
};

// --- The socket.

static void local_on_accept(void *context, struct stream *stream)
{
    struct local *local = context;
    enum rm_err result = rpc_server_accept(local->server, stream);
    if (result != RM_OK) {
        log_warn(LOG_LOCAL, "connection_not_served", LOG_ERR(result));
    }
}

static enum rm_err open_door(struct local *local, const struct sidecar_config *config,
                             struct rm_error *error)
{
    bool has_group = config->local_gid != GROUP_NONE;
    const struct listener_options options = {
        .address = config->local_address,
        .unix_mode = has_group ? 0660 : 0600,
        .unix_uid = -1,
        .unix_gid = has_group ? (int)config->local_gid : -1,
        .has_reserve = true,
    };
    return door_prepare(&local->door, local->loop, &options, local_on_accept, local, error);
}

enum rm_err local_prepare(struct local *local, const struct sidecar_config *config,
                          struct rm_error *error)
{
    local->next_group = config->local_gid;
    local->has_next = config->has_local;
    if (!config->has_local) {
        return RM_OK;
    }
    enum rm_err result = open_door(local, config, error);
    if (result == RM_OK || config->local_listen != NULL) {
        return result;
    }
    // Nobody asked for this path: an operator can do without, traffic cannot do without us.
    local->has_next = false;
    log_warn(LOG_LOCAL, "no_local_socket", LOG_STR("error", rm_error_message(error)),
             LOG_STR("text", "'remora connections', 'remora top' and 'remora sidecar' cannot ask "
                             "this sidecar; set local.listen to a path of its own, or to 'off'"));
    rm_error_clear(error);
    return RM_OK;
}

void local_commit(struct local *local)
{
    if (local->has_next) {
        door_commit(&local->door);
    } else {
        door_close(&local->door);
    }
    local->group = local->next_group;
    local_level_reset(local);
}

void local_undo(struct local *local)
{
    door_undo(&local->door);
}

// --- Start and end.

static enum rm_err make_server(struct local *local)
{
    local->server = rpc_server_new(local->loop);
    if (local->server == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    RM_TRY(rpc_server_add(local->server, methods, LOCAL_METHOD_COUNT, local));
    RM_TRY(rpc_server_add_health(local->server));
    return rpc_server_add_reflection(local->server, remora_local_descriptor_set,
                                     remora_local_descriptor_set_length);
}

enum rm_err local_open(struct loop *loop, const struct sidecar_config *config,
                       const struct local_source *source, struct local **out,
                       struct rm_error *error)
{
    struct local *local = rm_calloc(1, sizeof *local);
    if (local == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    local->loop = loop;
    local->source = *source;
    local->started_at_s = clock_wall_s();
    timer_init(&local->level_timer, loop, local_on_level_timer, local);
    enum rm_err result = make_server(local);
    if (result == RM_OK) {
        result = local_prepare(local, config, error);
    } else {
        (void)rm_error_set(error, result, "out of memory");
    }
    if (result != RM_OK) {
        if (local->server != NULL) {
            rpc_server_free(local->server);
        }
        rm_free(local);
        return result;
    }
    local_commit(local);
    loop_open(loop);
    *out = local;
    return RM_OK;
}

static void local_on_drained(void *context)
{
    struct local *local = context;
    local->is_drained = true;
    close_if_done(local);
}

void local_close(struct local *local, local_closed_fn done, void *context)
{
    local->on_closed = done;
    local->closed_context = context;
    timer_stop(&local->level_timer);
    door_close(&local->door);
    rpc_server_drain(local->server, LOCAL_CLOSE_MS, local_on_drained, local);
}
