// SPDX-License-Identifier: GPL-3.0-or-later
//
// HTTP/2 (RFC 9113) over a stream, by nghttp2: the part of it that gRPC needs. A session takes its
// stream and belongs to its loop. Knows nothing of TLS or gRPC. Bounded in everything a peer can ask
// for: concurrent streams, header bytes, unread body bytes, queued output, resets, control frames.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "stream/stream.h"

#define H2_MAX_STREAMS 100             // at once, per connection
#define H2_MAX_HEADER_BYTES 16384      // of one request, decoded, name + value + 32 each
#define H2_MAX_QUEUED_BYTES (1U << 20) // output waiting for a slow peer: beyond it, the session ends
#define H2_RAPID_RESET_PER_S 100       // streams a peer may reset per second (CVE-2023-44487)
#define H2_CONTROL_FRAMES_PER_S 1000   // PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA per second
#define H2_FIRST_REQUEST_MS 5000       // to a first complete request, server only
#define H2_PING_INTERVAL_MS 30000      // keep-alive towards a silent peer; no answer in 10 s ends it
#define H2_PING_TIMEOUT_MS 10000

struct h2_session;
struct h2_stream;

struct h2_header {
    const char *name;    // lower case; borrowed
    const char *value;   // borrowed
    size_t name_length;
    size_t value_length;
};

// Callbacks of one HTTP/2 stream. Each may reset the stream. None is called after on_close.
struct h2_stream_handler {
    // Response (client) or request (server) headers; `is_trailer` for those after the body.
    void (*on_headers)(void *context, const struct h2_header *headers, size_t count,
                       bool is_trailer, bool is_end);
    // Body bytes, borrowed. Flow-control credit returns when h2_stream_consume() is called.
    void (*on_data)(void *context, const uint8_t *bytes, size_t length);
    void (*on_end)(void *context);                           // the other end sent its last byte
    void (*on_writable)(void *context);                      // queued output went below the low mark
    void (*on_close)(void *context, uint32_t h2_error_code); // once, last; the stream is gone
};

struct h2_session_handler {
    // Server: a new stream, before its headers. Fill *handler and *handler_context; return an error to
    // refuse it (REFUSED_STREAM).
    enum rm_err (*on_stream)(void *context, struct h2_stream *stream,
                             const struct h2_stream_handler **handler, void **handler_context);
    // The session ended: RM_OK after an orderly GOAWAY and last stream, else why. Once, last; all
    // streams had their on_close before. The session's memory goes after it returns.
    void (*on_end)(void *context, enum rm_err reason, const char *detail);
};

// Both take `stream` (also on error). Errors: RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err h2_server_new(struct stream *stream,
                                       const struct h2_session_handler *handler, void *context,
                                       struct h2_session **out);
RM_NODISCARD enum rm_err h2_client_new(struct stream *stream,
                                       const struct h2_session_handler *handler, void *context,
                                       struct h2_session **out);
// GOAWAY, no new streams, ends when the last stream closed.
void h2_session_drain(struct h2_session *session);
// Ends now: streams get on_close, then on_end comes with `reason`, later from the loop.
void h2_session_abort(struct h2_session *session, enum rm_err reason);
// The connection's stream, for stream_peer() and addresses. Borrowed.
struct stream *h2_session_stream(struct h2_session *session);
size_t h2_session_stream_count(const struct h2_session *session);

// Client: opens a stream with request headers. Errors: RM_ERR_LIMIT (peer's concurrency limit),
// RM_ERR_CLOSED (GOAWAY seen).
RM_NODISCARD enum rm_err h2_request(struct h2_session *session, const struct h2_header *headers,
                                    size_t count, bool is_end,
                                    const struct h2_stream_handler *handler, void *handler_context,
                                    struct h2_stream **out);
// Server: response headers.
RM_NODISCARD enum rm_err h2_stream_respond(struct h2_stream *stream,
                                           const struct h2_header *headers, size_t count,
                                           bool is_end);
// Queues body bytes (copied). Errors: RM_ERR_LIMIT: too much queued for a slow peer; RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err h2_stream_send(struct h2_stream *stream, const void *bytes, size_t length,
                                        bool is_end);
// Ends the body with trailers (gRPC status).
RM_NODISCARD enum rm_err h2_stream_trailers(struct h2_stream *stream,
                                            const struct h2_header *headers, size_t count);
void h2_stream_consume(struct h2_stream *stream, size_t length);
// RST_STREAM with this code; on_close follows, later.
void h2_stream_reset(struct h2_stream *stream, uint32_t h2_error_code);
// Bytes queued and not yet taken by the connection.
size_t h2_stream_queued_bytes(const struct h2_stream *stream);
struct h2_session *h2_stream_session(struct h2_stream *stream);
