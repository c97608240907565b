// SPDX-License-Identifier: GPL-3.0-or-later
//
// A gRPC server of ours over plain TCP on loopback, for clients that are not ours. Prints "port
// <n>" once it listens; drains on SIGTERM; "health" lines on standard input set the health of the
// service test.Echo. With --large, messages may have RPC_MAX_MESSAGE_BYTES.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "descriptor_set.h"
#include "loop/loop.h"
#include "rpc/rpc.h"
#include "stream/socket.h"

#define DRAIN_MS 5000

struct program {
    struct loop *loop;         // owned
    struct rpc_server *server; // owned
    struct listener *listener; // owned until the drain
    struct watch *input;       // standard input
    bool is_large_allowed;     // --large: messages up to RPC_MAX_MESSAGE_BYTES
};

static enum rpc_status on_open(void *server_context, struct rpc_call *call, const char **text)
{
    (void)text;
    const struct program *program = server_context;
    if (program->is_large_allowed) {
        rpc_call_allow_large(call);
    }
    return RPC_OK;
}

static enum rpc_status on_open_refused(void *server_context, struct rpc_call *call,
                                       const char **text)
{
    (void)server_context;
    (void)call;
    *text = "not you: 100% s\xc3\xbcr\nreally";
    return RPC_PERMISSION_DENIED;
}

static void on_echo(void *context, struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    (void)context;
    enum rm_err result = rpc_call_send(call, bytes, length);
    rpc_call_end(call, rpc_status_from_err(result), NULL);
}

static void on_chat(void *context, struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    (void)context;
    enum rm_err result = rpc_call_send(call, bytes, length);
    if (result != RM_OK) {
        rpc_call_end(call, rpc_status_from_err(result), "echo failed");
    }
}

static void on_chat_end(void *context, struct rpc_call *call)
{
    (void)context;
    rpc_call_end(call, RPC_OK, NULL);
}

static void on_silence(void *context, struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    (void)context;
    (void)call;
    (void)bytes;
    (void)length;
}

static void on_half_close(void *context, struct rpc_call *call)
{
    (void)context;
    (void)call;
}

static void on_close(void *context, struct rpc_call *call, enum rpc_status status)
{
    (void)call;
    rm_free(context);
    printf("closed %s\n", rpc_status_name(status));
    fflush(stdout);
}

// Counts down: as many messages of as many bytes as the request's text says, as fast as the client
// takes them.
struct countdown {
    unsigned long left;  // messages still to send
    unsigned long bytes; // of each
};

static void pour(void *context, struct rpc_call *call)
{
    struct countdown *countdown = context;
    uint8_t *message = rm_calloc(1, countdown->bytes + 1);
    enum rm_err result = message == NULL ? RM_ERR_NO_MEMORY : RM_OK;
    while (result == RM_OK && countdown->left > 0) {
        message[0] = (uint8_t)countdown->left;
        result = rpc_call_send(call, message, countdown->bytes);
        countdown->left -= result == RM_OK ? 1 : 0;
    }
    rm_free(message);
    if (result != RM_ERR_LIMIT) {
        rpc_call_end(call, rpc_status_from_err(result), NULL);
    }
}

static void on_pour(void *context, struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    (void)context;
    char text[64] = "";
    memcpy(text, bytes, length < sizeof(text) - 1 ? length : sizeof(text) - 1);
    struct countdown *countdown = rm_calloc(1, sizeof(*countdown));
    if (countdown == NULL || sscanf(text, "%lu %lu", &countdown->left, &countdown->bytes) != 2) {
        rm_free(countdown);
        rpc_call_end(call, RPC_INVALID_ARGUMENT, "want: <count> <bytes>");
        return;
    }
    rpc_call_set_context(call, countdown);
    pour(countdown, call);
}

#define UNARY .on_half_close = on_half_close, .on_close = on_close
static const struct rpc_method methods[] = {
    {.path = "/test.Echo/Unary", .on_open = on_open, .on_message = on_echo, UNARY},
    {.path = "/test.Echo/Refused", .on_open = on_open_refused, .on_message = on_echo, UNARY},
    {.path = "/test.Echo/Silent", .on_open = on_open, .on_message = on_silence, UNARY},
    {.path = "/test.Echo/Chat",
     .is_client_streaming = true,
     .is_server_streaming = true,
     .on_open = on_open,
     .on_message = on_chat,
     .on_half_close = on_chat_end,
     .on_close = on_close},
    {.path = "/test.Echo/Pour",
     .is_server_streaming = true,
     .on_open = on_open,
     .on_message = on_pour,
     .on_writable = pour,
     UNARY},
};

// The control plane's contract, so that reflection has a service to describe.
static const struct rpc_method identity[] = {
    {.path = "/remora.identity.v1.Identity/Issue",
     .on_open = on_open_refused,
     .on_message = on_echo,
     UNARY},
};

static void on_accept(void *context, struct stream *stream)
{
    struct program *program = context;
    (void)!rpc_server_accept(program->server, stream);
}

static void on_drained(void *context)
{
    struct program *program = context;
    printf("drained\n");
    fflush(stdout);
    loop_stop(program->loop);
}

static void close_input(struct program *program)
{
    if (program->input != NULL) {
        watch_close(program->input);
        program->input = NULL;
    }
}

static void on_signal(void *context, int number)
{
    (void)number;
    struct program *program = context;
    if (program->listener == NULL) {
        return;
    }
    listener_close(program->listener, true);
    program->listener = NULL;
    close_input(program);
    rpc_server_drain(program->server, DRAIN_MS, on_drained, program);
}

static void on_input(void *context, unsigned events, enum rm_err error)
{
    (void)events;
    (void)error;
    struct program *program = context;
    char text[256];
    ssize_t length = read(STDIN_FILENO, text, sizeof(text) - 1);
    if (length <= 0) {
        if (length == 0 || errno != EAGAIN) {
            close_input(program);
        }
        return;
    }
    text[length] = '\0';
    rpc_server_set_health(program->server, "test.Echo", strstr(text, "health up") != NULL);
}

static uint16_t port_of(const struct stream_address *address)
{
    return ntohs(((const struct sockaddr_in *)(const void *)&address->address)->sin_port);
}

static enum rm_err start(struct program *program, struct rm_error *error)
{
    struct listener_options options = {.unix_uid = -1, .unix_gid = -1};
    RM_TRY(rpc_server_add(program->server, methods, sizeof(methods) / sizeof(methods[0]), program));
    RM_TRY(rpc_server_add(program->server, identity, 1, program));
    RM_TRY(rpc_server_add_health(program->server));
    RM_TRY(rpc_server_add_reflection(program->server, remora_descriptor_set,
                                     remora_descriptor_set_length));
    RM_TRY(socket_address_parse("127.0.0.1:0", &options.address, error));
    RM_TRY(listener_open(program->loop, &options, on_accept, program, &program->listener, error));
    RM_TRY(loop_on_signal(program->loop, SIGTERM, on_signal, program));
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    RM_TRY(watch_open(program->loop, STDIN_FILENO, on_input, program, &program->input));
    watch_set(program->input, WATCH_READ);
    return RM_OK;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    struct program program = {.loop = loop_new("echo")};
    program.is_large_allowed = argc > 1 && strcmp(argv[1], "--large") == 0;
    program.server = rpc_server_new(program.loop);
    struct rm_error error;
    rm_error_clear(&error);
    if (start(&program, &error) != RM_OK) {
        fprintf(stderr, "%s\n", rm_error_message(&error));
        return 1;
    }
    printf("port %u\n", port_of(listener_address(program.listener)));
    fflush(stdout);
    loop_run(program.loop);
    rpc_server_free(program.server);
    loop_free(program.loop);
    return 0;
}
