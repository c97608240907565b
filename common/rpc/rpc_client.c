// SPDX-License-Identifier: GPL-3.0-or-later
//
// A client: one connection and its outgoing calls.
#include "base/alloc.h"
#include "rpc/rpc_internal.h"

struct rpc_client {
    struct h2_session *session; // owned by itself until on_end
    struct loop *loop;          // the stream's
    char *authority;            // owned; for :authority
    const char *scheme;         // static
    rpc_client_end_fn on_end;   // once, last
    void *context;              // for on_end
    size_t assembling_bytes;    // announced by unfinished messages
};

static void free_client(struct rpc_client *client)
{
    rm_free(client->authority);
    rm_free(client);
}

static void on_session_end(void *context, enum rm_err reason, const char *detail)
{
    struct rpc_client *client = context;
    client->on_end(client->context, reason, detail);
    free_client(client);
}

static const struct h2_session_handler session_handler = {.on_end = on_session_end};

enum rm_err rpc_client_new(struct stream *stream, const char *authority, rpc_client_end_fn on_end,
                           void *context, struct rpc_client **out)
{
    struct rpc_client *client = rm_calloc(1, sizeof(*client));
    char *name = rm_strdup(authority);
    if (client == NULL || name == NULL) {
        rm_free(client);
        rm_free(name);
        stream_close(stream, STREAM_CLOSE_ABORT, NULL, NULL);
        return RM_ERR_NO_MEMORY;
    }
    client->loop = stream->loop;
    client->authority = name;
    client->scheme = stream_peer(stream) != NULL ? "https" : "http";
    client->on_end = on_end;
    client->context = context;
    enum rm_err result = h2_client_new(stream, &session_handler, client, &client->session);
    if (result != RM_OK) {
        free_client(client);
        return result;
    }
    *out = client;
    return RM_OK;
}

void rpc_client_drain(struct rpc_client *client)
{
    h2_session_drain(client->session);
}

void rpc_client_abort(struct rpc_client *client, enum rm_err reason)
{
    h2_session_abort(client->session, reason);
}

// --- calls ---

// Our own verdict, before or instead of the server's. on_close follows.
static void give_up(struct rpc_call *call, enum rpc_status status, const char *text)
{
    if (call->state == RPC_CALL_ENDED || call->stream == NULL) {
        return;
    }
    call->state = RPC_CALL_ENDED;
    call->status = status;
    call->text = rm_strdup(text); // without memory the status alone must do
    timer_stop(&call->deadline);
    h2_stream_reset(call->stream, H2_CANCEL);
}

static void on_timeout(void *context)
{
    give_up(context, RPC_DEADLINE_EXCEEDED, "deadline exceeded");
}

void rpc_call_cancel(struct rpc_call *call)
{
    give_up(call, RPC_CANCELLED, "cancelled by us");
}

static void take_status(struct rpc_call *call, const struct h2_header *headers, size_t count)
{
    const struct h2_header *status = rpc_header_find(headers, count, "grpc-status");
    const struct h2_header *message = rpc_header_find(headers, count, "grpc-message");
    call->state = RPC_CALL_ENDED;
    call->status = status == NULL ? RPC_UNKNOWN : rpc_status_parse(status->value);
    if (message != NULL) {
        char text[RPC_MAX_STATUS_TEXT_BYTES + 1];
        rpc_text_decode(message->value, text);
        call->text = rm_strdup(text);
    }
}

static void on_headers(void *context, const struct h2_header *headers, size_t count,
                       bool is_trailer, bool is_end)
{
    struct rpc_call *call = context;
    if (call->state != RPC_CALL_OPEN) {
        return;
    }
    if (is_trailer) {
        take_status(call, headers, count);
        return;
    }
    const struct h2_header *http = rpc_header_find(headers, count, ":status");
    if (!rpc_header_is(http, "200")) {
        give_up(call, http == NULL ? RPC_UNKNOWN : rpc_status_from_http(http->value),
                "the server answered with an HTTP error");
    } else if (!rpc_content_type_is_grpc(rpc_header_find(headers, count, "content-type"))) {
        give_up(call, RPC_UNKNOWN, "the server's answer is not gRPC");
    } else if (is_end) {
        take_status(call, headers, count);
    }
}

static bool on_message(void *context, const uint8_t *bytes, size_t length)
{
    struct rpc_call *call = context;
    call->handler->on_message(call->context, call, bytes, length);
    return call->state == RPC_CALL_OPEN;
}

static void on_data(void *context, const uint8_t *bytes, size_t length)
{
    struct rpc_call *call = context;
    h2_stream_consume(call->stream, length);
    if (call->state != RPC_CALL_OPEN) {
        return;
    }
    enum rm_err result = rpc_reader_feed(&call->reader, bytes, length, on_message, call);
    if (result == RM_ERR_TOO_LARGE) {
        give_up(call, RPC_RESOURCE_EXHAUSTED, "the server's message is larger than its limit");
    } else if (result == RM_ERR_NO_MEMORY) {
        give_up(call, RPC_RESOURCE_EXHAUSTED, "out of memory");
    } else if (result != RM_OK && result != RM_ERR_CLOSED) {
        give_up(call, RPC_INTERNAL, "the server's message is compressed");
    }
}

static void on_end(void *context)
{
    struct rpc_call *call = context;
    if (call->state == RPC_CALL_OPEN) {
        give_up(call, RPC_INTERNAL, "the server ended the call without a status");
    } else if (call->status == RPC_OK && !rpc_reader_is_between(&call->reader)) {
        call->status = RPC_INTERNAL; // a cut message must not pass for a complete answer
    }
}

static void on_writable(void *context)
{
    struct rpc_call *call = context;
    if (call->state == RPC_CALL_OPEN && call->handler->on_writable != NULL) {
        call->handler->on_writable(call->context, call);
    }
}

static void on_close(void *context, uint32_t code)
{
    struct rpc_call *call = context;
    if (call->state != RPC_CALL_ENDED) {
        call->status = rpc_status_from_h2(code);
    }
    call->state = RPC_CALL_ENDED;
    call->stream = NULL;
    timer_stop(&call->deadline);
    call->handler->on_close(call->context, call, call->status,
                            call->text == NULL ? "" : call->text);
    rpc_call_free(call);
}

static const struct h2_stream_handler stream_handler = {
    .on_headers = on_headers,
    .on_data = on_data,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_close = on_close,
};

static enum rm_err request(struct rpc_client *client, const char *path, uint32_t deadline_ms,
                           struct rpc_call *call)
{
    char timeout[RPC_TIMEOUT_TEXT_BYTES];
    rpc_timeout_format(deadline_ms, timeout);
    const struct h2_header headers[] = {
        rpc_header(":method", "POST"),
        rpc_header(":scheme", client->scheme),
        rpc_header(":path", path),
        rpc_header(":authority", client->authority),
        rpc_header("te", "trailers"),
        rpc_header("content-type", "application/grpc"),
        rpc_header("user-agent", RPC_USER_AGENT),
        rpc_header("grpc-timeout", timeout),
    };
    size_t count = sizeof(headers) / sizeof(headers[0]) - (deadline_ms == 0 ? 1 : 0);
    return h2_request(client->session, headers, count, false, &stream_handler, call, &call->stream);
}

enum rm_err rpc_client_call(struct rpc_client *client, const char *path, uint32_t deadline_ms,
                            const struct rpc_client_handler *handler, void *context,
                            struct rpc_call **out)
{
    struct rpc_call *call = rpc_call_new(client->session, false);
    if (call == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    call->handler = handler;
    call->context = context;
    call->state = RPC_CALL_OPEN;
    rpc_reader_init(&call->reader, RPC_MAX_MESSAGE_BYTES, &client->assembling_bytes);
    timer_init(&call->deadline, client->loop, on_timeout, call);
    enum rm_err result = deadline_ms > 0 ? timer_start(&call->deadline, deadline_ms) : RM_OK;
    if (result == RM_OK) {
        result = request(client, path, deadline_ms, call);
    }
    if (result != RM_OK) {
        timer_stop(&call->deadline);
        rpc_call_free(call);
        return result;
    }
    *out = call;
    return RM_OK;
}

enum rm_err rpc_call_half_close(struct rpc_call *call)
{
    if (call->state != RPC_CALL_OPEN || call->stream == NULL) {
        return RM_ERR_CLOSED;
    }
    return h2_stream_send(call->stream, NULL, 0, true);
}
