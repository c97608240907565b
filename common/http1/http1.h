// SPDX-License-Identifier: GPL-3.0-or-later
//
// A small, bounded HTTP/1.1 server (RFC 9112) for health, metrics and probes: GET and HEAD without
// a body, one answer per request, keep-alive. A connection costs at most HTTP1_MAX_HEAD_BYTES in.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "stream/stream.h"

#define HTTP1_MAX_HEAD_BYTES 8192
#define HTTP1_MAX_ANSWER_BYTES (8U << 20) // a metrics page of a very large mesh
#define HTTP1_HEAD_TIMEOUT_MS 5000        // to a whole request head
#define HTTP1_IDLE_TIMEOUT_MS 60000
#define HTTP1_MAX_CONNECTIONS 256 // per server; the one that has waited longest makes room

struct http1_request {
    const char *method; // "GET" or "HEAD"
    const char *path;   // absolute path without query, percent-encoding left as it came
    const char *query;  // after '?', "" when none
};

struct http1_answer {
    int status;               // 200, 404, 503 ...
    const char *content_type; // static
    struct buffer body;       // filled by the handler; the server frees it
};

typedef void (*http1_handler_fn)(void *context, const struct http1_request *request,
                                 struct http1_answer *answer);

struct http1_server;
struct http1_server *http1_server_new(struct loop *loop, http1_handler_fn handler, void *context);
// A client spoke TLS to the server, which speaks none; it is refused as any other nonsense.
typedef void (*http1_tls_fn)(void *context, const struct stream_address *remote);
// Tells `on_tls` of such clients, with the handler's context.
void http1_server_on_tls(struct http1_server *server, http1_tls_fn on_tls);
// Takes the stream.
void http1_server_accept(struct http1_server *server, struct stream *stream);
// Closes all connections; `done` (may be NULL) when the last is gone; then frees itself.
void http1_server_close(struct http1_server *server, void (*done)(void *context), void *context);
