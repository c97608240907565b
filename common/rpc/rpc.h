// SPDX-License-Identifier: GPL-3.0-or-later
//
// gRPC calls of opaque bytes over h2 (gRPC over HTTP/2 protocol): unary and streaming, client and
// server. Messages in and out are serialised protobuf; this room never looks inside.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "h2/h2.h"

enum rpc_status { // gRPC status codes
    RPC_OK = 0,
    RPC_CANCELLED = 1,
    RPC_UNKNOWN = 2,
    RPC_INVALID_ARGUMENT = 3,
    RPC_DEADLINE_EXCEEDED = 4,
    RPC_NOT_FOUND = 5,
    RPC_ALREADY_EXISTS = 6,
    RPC_PERMISSION_DENIED = 7,
    RPC_RESOURCE_EXHAUSTED = 8,
    RPC_FAILED_PRECONDITION = 9,
    RPC_ABORTED = 10,
    RPC_OUT_OF_RANGE = 11,
    RPC_UNIMPLEMENTED = 12,
    RPC_INTERNAL = 13,
    RPC_UNAVAILABLE = 14,
    RPC_DATA_LOSS = 15,
    RPC_UNAUTHENTICATED = 16,
};
// "PERMISSION_DENIED"; "UNKNOWN" for other numbers. Static.
const char *rpc_status_name(enum rpc_status status);
enum rpc_status rpc_status_from_err(enum rm_err error);
enum rm_err rpc_status_to_err(enum rpc_status status);

#define RPC_MAX_MESSAGE_BYTES (4U << 20)          // after authentication
#define RPC_MAX_UNAUTHENTICATED_BYTES (64U << 10) // a peer without identity
#define RPC_MAX_STATUS_TEXT_BYTES 1024
#define RPC_MAX_ASSEMBLING_BYTES (8U << 20) // announced by unfinished messages of one connection
#define RPC_RECEIVE_TIMEOUT_MS 30000        // from the first byte of a message to its last

struct rpc_call; // one call, either side

// ---------------------------------------------------------------------------------------- server
// One method's handler. `on_open` may set a context with rpc_call_set_context(); the others get it.
struct rpc_method {
    const char *path;         // "/remora.identity.v1.Identity/Issue"; static
    bool is_client_streaming; // several request messages
    bool is_server_streaming; // several response messages
    // The headers are in. Return other than RPC_OK to end the call (`text` borrowed, may be NULL):
    // then nothing more is called, on_close neither.
    enum rpc_status (*on_open)(void *server_context, struct rpc_call *call, const char **text);
    // One whole message, borrowed. Answer with rpc_call_send and rpc_call_end, now or later. Unary:
    // only when the client ended its request, so that there is exactly one.
    void (*on_message)(void *call_context, struct rpc_call *call, const uint8_t *bytes,
                       size_t length);
    // The client sent its last message (unary: right after on_message).
    void (*on_half_close)(void *call_context, struct rpc_call *call);
    // Queued output drained below the low mark (streaming); may be NULL.
    void (*on_writable)(void *call_context, struct rpc_call *call);
    // Once, last, whatever the cause; the call is gone afterwards. `status` is what was sent, or
    // RPC_CANCELLED / RPC_DEADLINE_EXCEEDED. Free the context here.
    void (*on_close)(void *call_context, struct rpc_call *call, enum rpc_status status);
};

struct rpc_server; // a set of methods; one per loop
// NULL when memory is exhausted.
struct rpc_server *rpc_server_new(struct loop *loop);
// Borrows the methods (static tables); `context` goes to on_open. Errors: RM_ERR_EXISTS.
RM_NODISCARD enum rm_err rpc_server_add(struct rpc_server *server, const struct rpc_method *methods,
                                        size_t count, void *context);
// grpc.health.v1: "" and each service name. Serving status may change at any time; watchers are
// told. A service with methods here follows "" until it is set by itself; "" begins as serving; all
// end with the drain.
RM_NODISCARD enum rm_err rpc_server_add_health(struct rpc_server *server);
void rpc_server_set_health(struct rpc_server *server, const char *service, bool is_serving);
// grpc.reflection.v1 and v1alpha from a serialised FileDescriptorSet (borrowed, static).
RM_NODISCARD enum rm_err rpc_server_add_reflection(struct rpc_server *server,
                                                   const uint8_t *descriptor_set, size_t length);
// Serves one accepted connection; takes `stream` (also on error).
RM_NODISCARD enum rm_err rpc_server_accept(struct rpc_server *server, struct stream *stream);
// Stops: GOAWAY to all; `done` once the last connection ended, or after `deadline_ms` with an
// abort.
typedef void (*rpc_done_fn)(void *context);
void rpc_server_drain(struct rpc_server *server, uint32_t deadline_ms, rpc_done_fn done,
                      void *context);
// Ends every connection whose stream_peer() makes `matches` true (a revoked identity).
typedef bool (*rpc_peer_fn)(void *context, const struct peer *peer);
void rpc_server_close_peers(struct rpc_server *server, rpc_peer_fn matches, void *context);
size_t rpc_server_connection_count(const struct rpc_server *server);
void rpc_server_free(struct rpc_server *server); // after drain's done

// ------------------------------------------------------------------------------------------ calls
// Sends one message (copied). Errors: RM_ERR_LIMIT: queued bytes of a slow peer; RM_ERR_CLOSED.
RM_NODISCARD enum rm_err rpc_call_send(struct rpc_call *call, const uint8_t *bytes, size_t length);
// Server: ends with a status; `text` (UTF-8, percent-encoded on the wire) may be NULL. Idempotent.
// Queued messages go first. on_close comes later, from the loop.
void rpc_call_end(struct rpc_call *call, enum rpc_status status, const char *text);
void rpc_call_set_context(struct rpc_call *call, void *context);
void *rpc_call_context(struct rpc_call *call);
// The authenticated caller, or NULL. Borrowed from the connection.
const struct peer *rpc_call_peer(const struct rpc_call *call);
struct stream_address rpc_call_remote(const struct rpc_call *call);
// The connection's stream (Unix peer credentials). Borrowed.
struct stream *rpc_call_stream(const struct rpc_call *call);
size_t rpc_call_queued_bytes(const struct rpc_call *call);
// Server: messages of this call may be as large as RPC_MAX_MESSAGE_BYTES. Calls from peers without
// identity start at RPC_MAX_UNAUTHENTICATED_BYTES.
void rpc_call_allow_large(struct rpc_call *call);

// ---------------------------------------------------------------------------------------- client
struct rpc_client; // one connection
typedef void (*rpc_client_end_fn)(void *context, enum rm_err reason, const char *detail);
// Takes `stream`. `on_end` once, last, when the connection is gone.
RM_NODISCARD enum rm_err rpc_client_new(struct stream *stream, const char *authority,
                                        rpc_client_end_fn on_end, void *context,
                                        struct rpc_client **out);
// Orderly: no new calls, ends after the last one.
void rpc_client_drain(struct rpc_client *client);
void rpc_client_abort(struct rpc_client *client, enum rm_err reason);

struct rpc_client_handler {
    void (*on_message)(void *context, struct rpc_call *call, const uint8_t *bytes, size_t length);
    void (*on_writable)(void *context, struct rpc_call *call); // may be NULL
    // Once, last. `text` is the server's message, borrowed.
    void (*on_close)(void *context, struct rpc_call *call, enum rpc_status status,
                     const char *text);
};
// Opens a call. `deadline_ms` 0: none. Errors: RM_ERR_CLOSED, RM_ERR_LIMIT, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err rpc_client_call(struct rpc_client *client, const char *path,
                                         uint32_t deadline_ms,
                                         const struct rpc_client_handler *handler, void *context,
                                         struct rpc_call **out);
// Client: no more request messages.
RM_NODISCARD enum rm_err rpc_call_half_close(struct rpc_call *call);
// Client: on_close follows with RPC_CANCELLED, later.
void rpc_call_cancel(struct rpc_call *call);
