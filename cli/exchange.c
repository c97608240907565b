// SPDX-License-Identifier: GPL-3.0-or-later
//
//   CONNECTING -> CALLING -> CLOSING -> (the connection is gone) the loop ends
//        |                      ^
//        +----------------------+ no connection
#include "exchange_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/machine.h"
#include "loop/loop.h"
#include "stream/socket.h"

#define METHOD_PATH_BYTES 96

enum exchange_state { EXCHANGE_CONNECTING, EXCHANGE_CALLING, EXCHANGE_CLOSING };

static const struct sm_state states[] = {
    [EXCHANGE_CONNECTING] = {"connecting", SM_BIT(EXCHANGE_CALLING) | SM_BIT(EXCHANGE_CLOSING)},
    [EXCHANGE_CALLING] = {"calling", SM_BIT(EXCHANGE_CLOSING)},
    [EXCHANGE_CLOSING] = {"closing", 0},
};

struct exchange {
    struct loop *loop;                        // owned by run()
    struct sm sm;                             // enum exchange_state
    const struct args *args;                  // borrowed
    const struct exchange_question *question; // borrowed
    struct rpc_client *client;                // NULL: none, or gone
    struct exchange_outcome outcome;          // so far
    char text[RPC_MAX_STATUS_TEXT_BYTES + 1]; // the server's sentence
};

void wire_bytes_deinit(struct wire_bytes *bytes)
{
    rm_free_wiped(bytes->bytes, bytes->length);
    *bytes = (struct wire_bytes){0};
}

// --- The call.

static void exchange_on_message(void *context, struct rpc_call *call, const uint8_t *bytes,
                                size_t length)
{
    struct exchange *exchange = context;
    const struct exchange_question *question = exchange->question;
    struct exchange_outcome *outcome = &exchange->outcome;
    if (outcome->told != RM_OK) {
        return;
    }
    outcome->has_message = true;
    outcome->told = question->on_message(question->context, bytes, length);
    if (outcome->told != RM_OK) {
        rpc_call_cancel(call);
    }
}

static void exchange_on_close(void *context, struct rpc_call *call, enum rpc_status status,
                              const char *text)
{
    struct exchange *exchange = context;
    (void)call;
    exchange->outcome.status = status;
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
    const struct exchange_question *question = exchange->question;
    struct rpc_call *call = NULL;
    char path[METHOD_PATH_BYTES];
    snprintf(path, sizeof path, "/%s/%s", exchange_words_of(question->peer)->service,
             question->method);
    RM_TRY(rpc_client_call(exchange->client, path, exchange->args->timeout_ms, &call_handler,
                           exchange, &call));
    const uint8_t *bytes = question->request->bytes;
    enum rm_err result =
        rpc_call_send(call, bytes != NULL ? bytes : (const uint8_t *)"", question->request->length);
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
    if (exchange->outcome.status != RPC_OK && exchange->text[0] == '\0' && reason != RM_OK &&
        reason != RM_ERR_CANCELLED) {
        exchange->outcome.fault = reason;
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
        exchange->outcome.fault = result;
        sm_move(&exchange->sm, EXCHANGE_CLOSING);
        loop_stop(exchange->loop);
        return;
    }
    sm_move(&exchange->sm, EXCHANGE_CALLING);
    exchange->outcome.status = RPC_UNAVAILABLE; // until it closes
    result = start_call(exchange);
    if (result != RM_OK) {
        exchange->outcome.fault = result;
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
    int length = snprintf(text, sizeof text, "unix:%s",
                          exchange_socket_path(exchange->args, exchange->question->peer));
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

// --- What callers want.

enum cli_exit exchange_ask(const struct args *args, const struct exchange_question *question,
                           char sentence[EXCHANGE_SENTENCE_BYTES])
{
    struct exchange self = {.args = args, .question = question};
    sm_init(&self.sm, "exchange", 1, states, EXCHANGE_CONNECTING);
    enum rm_err result = run(&self);
    if (result != RM_OK) {
        self.outcome.fault = result;
    }
    self.outcome.text = self.text;
    wire_bytes_deinit(question->request);
    return exchange_conclude(args, question, &self.outcome, sentence);
}

enum cli_exit exchange_stream(const struct args *args, const struct exchange_question *question)
{
    char sentence[EXCHANGE_SENTENCE_BYTES];
    enum cli_exit status = exchange_ask(args, question, sentence);
    if (status != CLI_OK) {
        fprintf(stderr, "remora: %s\n", sentence);
    }
    return status;
}

static enum rm_err keep_message(void *context, const uint8_t *bytes, size_t length)
{
    struct wire_bytes *answer = context;
    wire_bytes_deinit(answer);
    answer->bytes = rm_memdup(bytes, length);
    answer->length = length;
    return answer->bytes != NULL ? RM_OK : RM_ERR_NO_MEMORY;
}

static enum cli_exit ask_one(const struct args *args, enum exchange_peer peer, const char *method,
                             struct wire_bytes *request, struct wire_bytes *answer)
{
    const struct exchange_question question = {
        .peer = peer,
        .method = method,
        .request = request,
        .on_message = keep_message,
        .context = answer,
    };
    enum cli_exit status = exchange_stream(args, &question);
    if (status != CLI_OK) {
        wire_bytes_deinit(answer);
    }
    return status;
}

enum cli_exit exchange(const struct args *args, const char *method, struct wire_bytes *request,
                       struct wire_bytes *answer)
{
    return ask_one(args, EXCHANGE_CONTROL, method, request, answer);
}

enum cli_exit exchange_sidecar(const struct args *args, const char *method,
                               struct wire_bytes *request, struct wire_bytes *answer)
{
    return ask_one(args, EXCHANGE_SIDECAR, method, request, answer);
}
