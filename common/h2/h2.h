// SPDX-License-Identifier: GPL-3.0-or-later
//
// HTTP/2 (RFC 9113) over a stream, by nghttp2: the part of it that gRPC needs. A session takes its
// stream and belongs to its loop. Knows nothing of TLS or gRPC. Bounded in everything a peer can
// ask for: concurrent streams, header bytes, unread body bytes, queued output, resets, control
// frames. Life: h2_server_new or h2_client_new -> streams -> on_end (the session's memory goes
// after it). Every callback comes from the loop, never from inside a call of this header.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"
#include "stream/stream.h"

#define H2_MAX_STREAMS 100                  // at once, per connection
#define H2_MAX_HEADER_BYTES 16384           // of one request, decoded, name + value + 32 each
#define H2_MAX_SEND_HEADERS 32              // fields in one block that we send
#define H2_STREAM_WINDOW_BYTES (256U << 10) // body bytes a peer may send before they are consumed
#define H2_SESSION_WINDOW_BYTES (1U << 20)  // the same over all streams of a connection
#define H2_MAX_QUEUED_BYTES (1U << 20) // waiting in one stream: beyond it nothing more is queued
#define H2_MAX_SEND_BYTES (8U << 20)   // one h2_stream_send()
#define H2_MAX_SESSION_QUEUED_BYTES (16U << 20) // over all streams: beyond it, the session ends
#define H2_LOW_MARK_BYTES (64U << 10) // below it, a stream that was above is writable again
#define H2_RAPID_RESET_PER_S 100      // streams a peer may make fail per second (CVE-2023-44487)
#define H2_CONTROL_FRAMES_PER_S 1000  // PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA ...
#define H2_MAX_OUTBOUND_FRAMES 2000   // answers of ours that a peer provokes and does not read
#define H2_FIRST_REQUEST_MS 5000      // to a first complete request, server only
#define H2_PING_INTERVAL_MS 30000     // keep-alive towards a silent peer; no answer in 10 s ends it
#define H2_PING_TIMEOUT_MS 10000
#define H2_STALL_MS 30000       // queued output of which the peer takes no byte
#define H2_IDLE_MS 300000       // server: a connection without a stream is drained
#define H2_DRAIN_NOTICE_MS 1000 // longest wait for requests on their way when we drain

// RFC 9113 7; what on_close and h2_stream_reset speak.
#define H2_NO_ERROR UINT32_C(0x0)
#define H2_PROTOCOL_ERROR UINT32_C(0x1)
#define H2_INTERNAL_ERROR UINT32_C(0x2)
#define H2_FLOW_CONTROL_ERROR UINT32_C(0x3)
#define H2_REFUSED_STREAM UINT32_C(0x7)
#define H2_CANCEL UINT32_C(0x8)
#define H2_ENHANCE_YOUR_CALM UINT32_C(0xb)
#define H2_INADEQUATE_SECURITY UINT32_C(0xc)
#define H2_CONNECTION_LOST                                                                         \
    UINT32_C(0xffffffff) // not on the wire: the session ended under the stream

struct h2_session;
struct h2_stream;

struct h2_header {
    const char *name;    // lower case; borrowed; NUL-terminated in callbacks
    const char *value;   // borrowed; NUL-terminated in callbacks
    size_t name_length;  // without NUL
    size_t value_length; // without NUL
};

// Callbacks of one HTTP/2 stream. Each may reset the stream. None is called after on_close.
struct h2_stream_handler {
    // Response (client) or request (server) headers; `is_trailer` for those after the body. Interim
    // (1xx) responses are left out.
    void (*on_headers)(void *context, const struct h2_header *headers, size_t count,
                       bool is_trailer, bool is_end);
    // Body bytes, borrowed. Flow-control credit returns when h2_stream_consume() is called.
    void (*on_data)(void *context, const uint8_t *bytes, size_t length);
    // The other end sent its last byte; also after an on_headers with `is_end`. A client whose
    // request is not finished by then is closed.
    void (*on_end)(void *context);
    void (*on_writable)(void *context); // queued output went below the low mark
    void (*on_close)(void *context, uint32_t h2_error_code); // once, last; the stream is gone
};

struct h2_session_handler {
    // Server: a new stream, before its headers. Fill *handler and *handler_context; return an error
    // to refuse it (REFUSED_STREAM). Clients leave it NULL.
    enum rm_err (*on_stream)(void *context, struct h2_stream *stream,
                             const struct h2_stream_handler **handler, void **handler_context);
    // The session ended: RM_OK after an orderly GOAWAY and last stream, else why. Once, last; all
    // streams had their on_close before. The session's memory goes after it returns. `detail` is
    // static text.
    void (*on_end)(void *context, enum rm_err reason, const char *detail);
};

// Both take `stream` (also on error). Errors: RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err h2_server_new(struct stream *stream,
                                       const struct h2_session_handler *handler, void *context,
                                       struct h2_session **out);
RM_NODISCARD enum rm_err h2_client_new(struct stream *stream,
                                       const struct h2_session_handler *handler, void *context,
                                       struct h2_session **out);
// GOAWAY, no new streams, ends when the last stream closed. A server first says that it is about to
// (RFC 9113 6.8) and serves what was on its way.
void h2_session_drain(struct h2_session *session);
// Ends now: streams get on_close, then on_end comes with `reason`, later from the loop. The other
// end sees a reset.
void h2_session_abort(struct h2_session *session, enum rm_err reason);
// Server: a first request is complete; stops the deadline H2_FIRST_REQUEST_MS. A request that ended
// (END_STREAM) counts by itself: only for streaming, where the first message is what counts.
void h2_session_settle(struct h2_session *session);
// The connection's stream, for stream_peer() and addresses. Borrowed; valid until on_end.
struct stream *h2_session_stream(struct h2_session *session);
size_t h2_session_stream_count(const struct h2_session *session);

// Client: opens a stream with request headers. Errors: RM_ERR_LIMIT (peer's concurrency limit),
// RM_ERR_CLOSED (GOAWAY seen), RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err h2_request(struct h2_session *session, const struct h2_header *headers,
                                    size_t count, bool is_end,
                                    const struct h2_stream_handler *handler, void *handler_context,
                                    struct h2_stream **out);
// Server: response headers, once. Errors: RM_ERR_CLOSED (reset, ended or already answered),
// RM_ERR_TOO_LARGE (more than H2_MAX_SEND_HEADERS), RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err h2_stream_respond(struct h2_stream *stream,
                                           const struct h2_header *headers, size_t count,
                                           bool is_end);
// Queues body bytes (copied). Errors: RM_ERR_LIMIT: H2_MAX_QUEUED_BYTES wait already (nothing was
// queued; on_writable tells when to go on); RM_ERR_CLOSED; RM_ERR_TOO_LARGE; RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err h2_stream_send(struct h2_stream *stream, const void *bytes, size_t length,
                                        bool is_end);
// The same from several parts: all or none is queued.
RM_NODISCARD enum rm_err h2_stream_send_parts(struct h2_stream *stream, const struct iovec *parts,
                                              int count, bool is_end);
// Ends the body with trailers (gRPC status). Errors as h2_stream_respond.
RM_NODISCARD enum rm_err h2_stream_trailers(struct h2_stream *stream,
                                            const struct h2_header *headers, size_t count);
// Returns flow-control credit for `length` received body bytes (at most what is outstanding).
void h2_stream_consume(struct h2_stream *stream, size_t length);
// RST_STREAM with this code; on_close follows, later.
void h2_stream_reset(struct h2_stream *stream, uint32_t h2_error_code);
// Bytes queued and not yet taken by the connection.
size_t h2_stream_queued_bytes(const struct h2_stream *stream);
struct h2_session *h2_stream_session(struct h2_stream *stream);

// "nghttp2 1.52.0", for --version. Static; one thread.
const char *h2_describe(void);
