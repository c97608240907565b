// SPDX-License-Identifier: GPL-3.0-or-later
//
// One incoming call: judging its headers, its messages, its deadlines, its end.
#include <stdio.h>

#include "base/alloc.h"
#include "rpc/rpc_internal.h"

static void on_call_timeout(void *context)
{
    rpc_call_end(context, RPC_DEADLINE_EXCEEDED, "deadline exceeded");
}

static void on_receive_timeout(void *context)
{
    rpc_call_end(context, RPC_DEADLINE_EXCEEDED, "the request did not arrive in time");
}

// The status leaves; without memory for it the stream is reset.
static void send_status(struct rpc_call *call, const char *text)
{
    char number[4];
    char message[RPC_STATUS_TEXT_WIRE_BYTES];
    snprintf(number, sizeof(number), "%d", (int)call->status);
    rpc_text_encode(text == NULL ? "" : text, message);
    const struct h2_header fields[] = {
        rpc_header(":status", "200"),
        rpc_header("content-type", "application/grpc"),
        rpc_header("grpc-status", number),
        rpc_header("grpc-message", message),
    };
    size_t count = sizeof(fields) / sizeof(fields[0]) - (message[0] == '\0' ? 1 : 0);
    enum rm_err result = call->is_head_sent
                             ? h2_stream_trailers(call->stream, fields + 2, count - 2)
                             : h2_stream_respond(call->stream, fields, count, true);
    if (result != RM_OK) {
        h2_stream_reset(call->stream, H2_INTERNAL_ERROR);
    }
}

void rpc_call_end(struct rpc_call *call, enum rpc_status status, const char *text)
{
    if (call->state == RPC_CALL_ENDED || call->stream == NULL) {
        return;
    }
    call->state = RPC_CALL_ENDED;
    call->status = status;
    timer_stop(&call->deadline);
    timer_stop(&call->receive);
    send_status(call, text);
}

// Not gRPC: answered in HTTP's own words.
static void refuse_http(struct rpc_call *call, const char *http_status)
{
    const struct h2_header fields[] = {rpc_header(":status", http_status)};
    call->state = RPC_CALL_ENDED;
    call->status = RPC_UNKNOWN;
    if (h2_stream_respond(call->stream, fields, 1, true) != RM_OK) {
        h2_stream_reset(call->stream, H2_INTERNAL_ERROR);
    }
}

// False: refused.
static bool check_http(struct rpc_call *call, const struct h2_header *headers, size_t count)
{
    if (!rpc_header_is(rpc_header_find(headers, count, ":method"), "POST")) {
        refuse_http(call, "405");
        return false;
    }
    if (!rpc_content_type_is_grpc(rpc_header_find(headers, count, "content-type"))) {
        refuse_http(call, "415");
        return false;
    }
    if (!rpc_header_is(rpc_header_find(headers, count, "te"), "trailers")) {
        rpc_call_end(call, RPC_INTERNAL, "te: trailers is missing");
        return false;
    }
    return true;
}

// False: ended.
static bool start_deadline(struct rpc_call *call, const struct h2_header *timeout)
{
    if (timeout == NULL) {
        return true;
    }
    uint64_t timeout_ms = 0;
    if (rpc_timeout_parse(timeout->value, &timeout_ms) != RM_OK) {
        rpc_call_end(call, RPC_INTERNAL, "malformed grpc-timeout");
        return false;
    }
    if (timeout_ms == 0) {
        on_call_timeout(call);
        return false;
    }
    if (timer_start(&call->deadline, timeout_ms) != RM_OK) {
        rpc_call_end(call, RPC_RESOURCE_EXHAUSTED, "out of memory");
        return false;
    }
    return true;
}

static bool start_receive(struct rpc_call *call)
{
    if (timer_is_active(&call->receive) ||
        timer_start(&call->receive, RPC_RECEIVE_TIMEOUT_MS) == RM_OK) {
        return true;
    }
    rpc_call_end(call, RPC_RESOURCE_EXHAUSTED, "out of memory");
    return false;
}

static void open_call(struct rpc_call *call, void *server_context)
{
    call->state = RPC_CALL_OPEN;
    const char *text = NULL;
    enum rpc_status status = call->method->on_open(server_context, call, &text);
    if (status != RPC_OK) {
        rpc_call_end(call, status, text);
        return;
    }
    call->is_open_told = true;
}

static void on_request_headers(struct rpc_call *call, const struct h2_header *headers, size_t count)
{
    if (!check_http(call, headers, count)) {
        return;
    }
    const struct h2_header *path = rpc_header_find(headers, count, ":path");
    const struct rpc_entry *entry =
        path == NULL ? NULL
                     : rpc_server_find(call->connection->server, path->value, path->value_length);
    if (entry == NULL) {
        rpc_call_end(call, RPC_UNIMPLEMENTED, "unknown method");
        return;
    }
    const struct h2_header *encoding = rpc_header_find(headers, count, "grpc-encoding");
    call->is_compression_named = encoding != NULL && !rpc_header_is(encoding, "identity");
    call->method = entry->method;
    if (start_deadline(call, rpc_header_find(headers, count, "grpc-timeout")) &&
        (call->method->is_client_streaming || start_receive(call))) {
        open_call(call, entry->context);
    }
}

static void on_headers(void *context, const struct h2_header *headers, size_t count,
                       bool is_trailer, bool is_end)
{
    (void)is_end; // on_end follows
    struct rpc_call *call = context;
    if (!is_trailer && call->state == RPC_CALL_NEW) {
        on_request_headers(call, headers, count);
    }
}

// A unary request is held until the client's end: only then is it the only one.
static void hold(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    if (call->has_request) {
        rpc_call_end(call, RPC_UNIMPLEMENTED, "more than one request message");
        return;
    }
    call->has_request = true;
    if (buffer_append(&call->request, bytes, length) != RM_OK) {
        rpc_call_end(call, RPC_RESOURCE_EXHAUSTED, "out of memory");
    }
}

static bool on_message(void *context, const uint8_t *bytes, size_t length)
{
    struct rpc_call *call = context;
    h2_session_settle(call->session);
    if (call->method->is_client_streaming) {
        timer_stop(&call->receive);
        call->method->on_message(call->context, call, bytes, length);
    } else {
        hold(call, bytes, length);
    }
    return call->state == RPC_CALL_OPEN;
}

static void refuse_message(struct rpc_call *call, enum rm_err fault)
{
    if (fault == RM_ERR_TOO_LARGE) {
        rpc_call_end(call, RPC_RESOURCE_EXHAUSTED, "message larger than its limit");
    } else if (fault == RM_ERR_UNSUPPORTED && call->is_compression_named) {
        rpc_call_end(call, RPC_UNIMPLEMENTED, "compression is not supported");
    } else if (fault == RM_ERR_UNSUPPORTED || fault == RM_ERR_PROTOCOL) {
        rpc_call_end(call, RPC_INTERNAL, "compressed flag without grpc-encoding");
    } else {
        rpc_call_end(call, RPC_RESOURCE_EXHAUSTED, "out of memory");
    }
}

static void on_data(void *context, const uint8_t *bytes, size_t length)
{
    struct rpc_call *call = context;
    // What an ended call still gets is dropped, and its credit returned too.
    h2_stream_consume(call->stream, length);
    if (call->state != RPC_CALL_OPEN) {
        return;
    }
    enum rm_err result = rpc_reader_feed(&call->reader, bytes, length, on_message, call);
    if (result != RM_OK && result != RM_ERR_CLOSED) {
        refuse_message(call, result);
    }
    if (call->state == RPC_CALL_OPEN && !rpc_reader_is_between(&call->reader)) {
        (void)start_receive(call);
    }
}

static void on_unary_end(struct rpc_call *call)
{
    if (!call->has_request) {
        rpc_call_end(call, RPC_UNIMPLEMENTED, "no request message");
        return;
    }
    struct buffer request = call->request; // the handler may end the call
    buffer_init(&call->request, RPC_MAX_MESSAGE_BYTES);
    const uint8_t *bytes = buffer_data(&request);
    call->method->on_message(call->context, call, bytes == NULL ? (const uint8_t *)"" : bytes,
                             buffer_length(&request));
    buffer_deinit_wiped(&request);
}

static void on_end(void *context)
{
    struct rpc_call *call = context;
    if (call->state != RPC_CALL_OPEN) {
        return;
    }
    timer_stop(&call->receive);
    if (!rpc_reader_is_between(&call->reader)) {
        rpc_call_end(call, RPC_INTERNAL, "the request ended inside a message");
        return;
    }
    if (!call->method->is_client_streaming) {
        on_unary_end(call);
    }
    if (call->state == RPC_CALL_OPEN) {
        call->method->on_half_close(call->context, call);
    }
}

static void on_writable(void *context)
{
    struct rpc_call *call = context;
    if (call->state == RPC_CALL_OPEN && call->method->on_writable != NULL) {
        call->method->on_writable(call->context, call);
    }
}

static enum rpc_status final_status(const struct rpc_call *call, uint32_t code)
{
    bool is_told = call->state == RPC_CALL_ENDED &&
                   (code == H2_NO_ERROR || call->status == RPC_DEADLINE_EXCEEDED);
    return is_told ? call->status : RPC_CANCELLED;
}

static void on_close(void *context, uint32_t code)
{
    struct rpc_call *call = context;
    enum rpc_status status = final_status(call, code);
    call->stream = NULL;
    call->state = RPC_CALL_ENDED;
    timer_stop(&call->deadline);
    timer_stop(&call->receive);
    if (call->is_open_told) {
        call->method->on_close(call->context, call, status);
    }
    rpc_call_free(call);
}

static const struct h2_stream_handler stream_handler = {
    .on_headers = on_headers,
    .on_data = on_data,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_close = on_close,
};

enum rm_err rpc_server_call_open(void *context, struct h2_stream *stream,
                                 const struct h2_stream_handler **handler, void **handler_context)
{
    struct rpc_connection *connection = context;
    struct rpc_call *call = rpc_call_new(connection->session, true);
    if (call == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    bool is_known = stream_peer(h2_session_stream(connection->session)) != NULL;
    call->connection = connection;
    call->stream = stream;
    rpc_reader_init(&call->reader, is_known ? RPC_MAX_MESSAGE_BYTES : RPC_MAX_UNAUTHENTICATED_BYTES,
                    &connection->assembling_bytes);
    timer_init(&call->deadline, connection->server->loop, on_call_timeout, call);
    timer_init(&call->receive, connection->server->loop, on_receive_timeout, call);
    *handler = &stream_handler;
    *handler_context = call;
    return RM_OK;
}
