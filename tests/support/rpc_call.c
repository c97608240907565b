// SPDX-License-Identifier: GPL-3.0-or-later
//
// Our gRPC client as a program, for servers that are not ours:
//
//     rpc_call <port> <path> <deadline ms> <count> <bytes>
//
// Opens one call, sends `count` messages of `bytes` bytes, half-closes and prints what comes:
// "message <bytes> <first byte>", then "closed <STATUS> <text>", then "ended <error>".
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "loop/loop.h"
#include "rpc/rpc.h"
#include "stream/socket.h"

#define CONNECT_TIMEOUT_MS 5000

struct program {
    struct loop *loop;         // owned
    struct rpc_client *client; // NULL once ended
    struct rpc_call *call;     // NULL once closed
    const char *path;          // of the method
    uint32_t deadline_ms;      // 0: none
    unsigned long left;        // messages still to send
    size_t bytes;              // of each
    bool is_half_closed;       // the last one was sent
};

static void fail(const char *what, enum rm_err error)
{
    printf("failed %s %s\n", what, rm_err_name(error));
    fflush(stdout);
    exit(1);
}

// As many as fit; on_writable goes on.
static void pour(struct program *program)
{
    uint8_t *message = rm_malloc(program->bytes);
    if (message == NULL) {
        fail("memory", RM_ERR_NO_MEMORY);
    }
    memset(message, 'm', program->bytes);
    enum rm_err result = RM_OK;
    while (program->left > 0 && result == RM_OK) {
        result = rpc_call_send(program->call, message, program->bytes);
        program->left -= result == RM_OK ? 1 : 0;
    }
    rm_free(message);
    if (program->left == 0 && !program->is_half_closed) {
        program->is_half_closed = true;
        result = rpc_call_half_close(program->call);
    }
    if (result != RM_OK && result != RM_ERR_LIMIT) {
        fail("send", result);
    }
}

static void on_message(void *context, struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    (void)context;
    (void)call;
    printf("message %zu %d\n", length, length > 0 ? bytes[0] : -1);
}

static void on_writable(void *context, struct rpc_call *call)
{
    (void)call;
    pour(context);
}

static void on_close(void *context, struct rpc_call *call, enum rpc_status status, const char *text)
{
    (void)call;
    struct program *program = context;
    program->call = NULL;
    printf("closed %s %s\n", rpc_status_name(status), text);
    if (program->client != NULL) {
        rpc_client_drain(program->client);
    }
}

static const struct rpc_client_handler handler = {on_message, on_writable, on_close};

static void on_end(void *context, enum rm_err reason, const char *detail)
{
    (void)detail;
    struct program *program = context;
    program->client = NULL;
    printf("ended %s\n", reason == RM_OK ? "ok" : rm_err_name(reason));
}

static void on_connect(void *context, enum rm_err result, struct stream *stream)
{
    struct program *program = context;
    if (result != RM_OK) {
        fail("connect", result);
    }
    result = rpc_client_new(stream, "localhost", on_end, program, &program->client);
    if (result == RM_OK) {
        result = rpc_client_call(program->client, program->path, program->deadline_ms, &handler,
                                 program, &program->call);
    }
    if (result != RM_OK) {
        fail("call", result);
    }
    pour(program);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: rpc_call <port> <path> <deadline ms> <count> <bytes>\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct program program = {.loop = loop_new("call"),
                              .path = argv[2],
                              .deadline_ms = (uint32_t)strtoul(argv[3], NULL, 10),
                              .left = strtoul(argv[4], NULL, 10),
                              .bytes = strtoul(argv[5], NULL, 10)};
    char text[64];
    snprintf(text, sizeof(text), "127.0.0.1:%s", argv[1]);
    struct stream_address address;
    struct socket_connect *connect = NULL;
    enum rm_err result = socket_address_parse(text, &address, NULL);
    if (result == RM_OK) {
        result = socket_connect(program.loop, &address, CONNECT_TIMEOUT_MS, on_connect, &program,
                                &connect);
    }
    if (result != RM_OK) {
        fail("connect", result);
    }
    loop_stop(program.loop); // returns once nothing is open
    loop_run(program.loop);
    loop_free(program.loop);
    return 0;
}
