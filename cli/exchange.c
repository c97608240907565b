// SPDX-License-Identifier: GPL-3.0-or-later
//
//   CONNECTING -> CALLING -> CLOSING -> (the connection is gone) the loop ends
//        |                      ^
//        +----------------------+ no connection
#include "exchange.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/machine.h"
#include "loop/loop.h"
#include "rpc/rpc.h"
#include "stream/socket.h"
#include "table.h"

#define SERVICE_PATH "/remora.admin.v1.Admin/"
#define METHOD_PATH_BYTES 96

enum exchange_state { EXCHANGE_CONNECTING, EXCHANGE_CALLING, EXCHANGE_CLOSING };

static const struct sm_state states[] = {
    [EXCHANGE_CONNECTING] = {"connecting", SM_BIT(EXCHANGE_CALLING) | SM_BIT(EXCHANGE_CLOSING)},
    [EXCHANGE_CALLING] = {"calling", SM_BIT(EXCHANGE_CLOSING)},
    [EXCHANGE_CLOSING] = {"closing", 0},
};

struct exchange {
    struct loop *loop;                // owned by exchange()
    struct sm sm;                     // enum exchange_state
    const struct args *args;          // borrowed
    const char *method;               // of the service; borrowed
    const struct wire_bytes *request; // borrowed
    struct rpc_client *client;        // NULL: none, or gone
    struct wire_bytes answer;         // the message that came; owned
    bool has_answer;                  // one came, which may be empty
    enum rm_err fault;                // why there is no answer at all; RM_OK: there is a status
    enum rpc_status status;           // of the call
    char text[RPC_MAX_STATUS_TEXT_BYTES + 1]; // the server's sentence
};

void wire_bytes_deinit(struct wire_bytes *bytes)
{
    rm_free_wiped(bytes->bytes, bytes->length);
    *bytes = (struct wire_bytes){0};
}

const char *exchange_socket_path(const struct args *args)
{
    const char *path = args->socket_path;
    if (path == NULL) {
        path = getenv(EXCHANGE_SOCKET_VARIABLE);
    }
    return path != NULL && path[0] != '\0' ? path : EXCHANGE_DEFAULT_SOCKET;
}

// --- The call.

static void exchange_on_message(void *context, struct rpc_call *call, const uint8_t *bytes,
                                size_t length)
{
    struct exchange *exchange = context;
    (void)call;
    wire_bytes_deinit(&exchange->answer);
    exchange->answer.bytes = rm_memdup(bytes, length);
    exchange->answer.length = length;
    exchange->has_answer = exchange->answer.bytes != NULL;
}

static void exchange_on_close(void *context, struct rpc_call *call, enum rpc_status status,
                              const char *text)
{
    struct exchange *exchange = context;
    (void)call;
    exchange->status = status;
    snprintf(exchange->text, sizeof exchange->text, "%s", text);
    sm_move(&exchange->sm, EXCHANGE_CLOSING);
    if (status == RPC_OK) {
        rpc_client_drain(exchange->client);
    } else {
        rpc_client_abort(exchange->client, RM_ERR_CANCELLED);
    }
}

static const struct rpc_client_handler call_handler = {
    .on_message = exchange_on_message,
    .on_close = exchange_on_close,
};

static enum rm_err start_call(struct exchange *exchange)
{
    struct rpc_call *call = NULL;
    char path[METHOD_PATH_BYTES];
    snprintf(path, sizeof path, SERVICE_PATH "%s", exchange->method);
    RM_TRY(rpc_client_call(exchange->client, path, exchange->args->timeout_ms, &call_handler,
                           exchange, &call));
    const uint8_t *bytes = exchange->request->bytes;
    enum rm_err result =
        rpc_call_send(call, bytes != NULL ? bytes : (const uint8_t *)"", exchange->request->length);
    if (result == RM_OK) {
        result = rpc_call_half_close(call);
    }
    if (result != RM_OK) {
        rpc_call_cancel(call); // exchange_on_close follows
    }
    return RM_OK;
}

// --- The connection.

static void exchange_on_end(void *context, enum rm_err reason, const char *detail)
{
    struct exchange *exchange = context;
    (void)detail;
    exchange->client = NULL;
    // Without a sentence of the server's, the connection's own end is what happened.
    if (exchange->status != RPC_OK && exchange->text[0] == '\0' && reason != RM_OK &&
        reason != RM_ERR_CANCELLED) {
        exchange->fault = reason;
    }
    loop_stop(exchange->loop);
}

static void exchange_on_connect(void *context, enum rm_err result, struct stream *stream)
{
    struct exchange *exchange = context;
    if (result == RM_OK) {
        result = rpc_client_new(stream, "localhost", exchange_on_end, exchange, &exchange->client);
    }
    if (result != RM_OK) {
        exchange->fault = result;
        sm_move(&exchange->sm, EXCHANGE_CLOSING);
        loop_stop(exchange->loop);
        return;
    }
    sm_move(&exchange->sm, EXCHANGE_CALLING);
    exchange->status = RPC_UNAVAILABLE; // until it closes
    result = start_call(exchange);
    if (result != RM_OK) {
        exchange->fault = result;
        sm_move(&exchange->sm, EXCHANGE_CLOSING);
        rpc_client_abort(exchange->client, result);
    }
}

static enum rm_err run(struct exchange *exchange)
{
    struct stream_address address;
    struct socket_connect *connect = NULL;
    struct rm_error error = {0};
    char text[STREAM_ADDRESS_TEXT_BYTES + 8];
    int length = snprintf(text, sizeof text, "unix:%s", exchange_socket_path(exchange->args));
    if (length < 0 || (size_t)length >= sizeof text) {
        return RM_ERR_MALFORMED;
    }
    RM_TRY(socket_address_parse(text, &address, &error));
    exchange->loop = loop_new("remora");
    if (exchange->loop == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    enum rm_err result = socket_connect(exchange->loop, &address, exchange->args->timeout_ms,
                                        exchange_on_connect, exchange, &connect);
    if (result != RM_OK) {
        loop_stop(exchange->loop);
    }
    loop_run(exchange->loop);
    loop_free(exchange->loop);
    return result;
}

// --- What is said of it.

static const char *advice(enum rm_err fault)
{
    switch ((int)fault) {
    case RM_ERR_NOT_FOUND:
        return "there is no such socket. Is remora-control running, and is this its "
               "'admin_socket'?";
    case RM_ERR_REFUSED:
        return "nobody answers there. Is remora-control running?";
    case RM_ERR_PERMISSION:
        return "no permission to open it. Run this as root, as the control plane's user, or as a "
               "member of its admin group";
    case RM_ERR_MALFORMED:
        return "this cannot be the path of a socket: too long, or malformed";
    case RM_ERR_BUSY:
    case RM_ERR_TIMEOUT:
        return "it does not answer in time. Is remora-control overloaded or stopped? See --timeout";
    case RM_ERR_NO_MEMORY:
        return "out of memory";
    default:
        return "the connection ended before the answer. Is this the admin socket of a running "
               "remora-control?";
    }
}

static enum cli_exit say_unreachable(const struct args *args, enum rm_err fault)
{
    fprintf(stderr,
            "remora: the control plane cannot be reached at %s: %s (--socket PATH or "
            "$" EXCHANGE_SOCKET_VARIABLE " names another one)\n",
            exchange_socket_path(args), advice(fault));
    return CLI_UNREACHABLE;
}

static enum cli_exit say_refused(const struct exchange *exchange)
{
    const char *sentence =
        exchange->text[0] != '\0' ? exchange->text : rpc_status_name(exchange->status);
    char *safe = printable_dup(sentence);
    fprintf(stderr, "remora: %s\n", safe != NULL ? safe : rpc_status_name(exchange->status));
    rm_free(safe);
    return CLI_REFUSED;
}

static enum cli_exit conclude(struct exchange *exchange, struct wire_bytes *answer)
{
    if (exchange->fault != RM_OK) {
        return say_unreachable(exchange->args, exchange->fault);
    }
    if (exchange->status == RPC_DEADLINE_EXCEEDED) {
        return say_unreachable(exchange->args, RM_ERR_TIMEOUT);
    }
    if (exchange->status != RPC_OK) {
        return say_refused(exchange);
    }
    if (!exchange->has_answer) {
        fputs("remora: the control plane's answer holds nothing\n", stderr);
        return CLI_REFUSED;
    }
    *answer = exchange->answer;
    exchange->answer = (struct wire_bytes){0};
    return CLI_OK;
}

enum cli_exit exchange(const struct args *args, const char *method, struct wire_bytes *request,
                       struct wire_bytes *answer)
{
    struct exchange self = {.args = args, .method = method, .request = request};
    sm_init(&self.sm, "exchange", 1, states, EXCHANGE_CONNECTING);
    enum rm_err result = run(&self);
    if (result != RM_OK) {
        self.fault = result;
    }
    enum cli_exit status = conclude(&self, answer);
    wire_bytes_deinit(&self.answer);
    wire_bytes_deinit(request);
    return status;
}
