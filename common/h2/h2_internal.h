// SPDX-License-Identifier: GPL-3.0-or-later
//
// Inside the h2 room: one session and its streams.
//
// Rules that keep re-entrance out: nghttp2's receive and send functions run only from the stream's
// event and from the deferred step, never from a public call; user callbacks on_close, on_writable
// and on_end run only between them. A closed stream waits in `closed` until its on_close was
// delivered.
#pragma once

#include <nghttp2/nghttp2.h>

#include "base/buffer.h"
#include "base/list.h"
#include "base/machine.h"
#include "h2/h2.h"
#include "loop/loop.h"

// OPEN --drain--> NOTICED (server: GOAWAY announced) --ping answered or time--> DRAINING (final
// GOAWAY)
//   |  \--drain (client)------------------------------------------------------------^
//   \--- failure, abort, end of the connection, last stream of a drained session ---> ENDING
// ENDING --step: streams closed, nghttp2 gone, stream closing--> CLOSING --on_closed--> on_end,
// freed
enum h2_state { H2_OPEN, H2_NOTICED, H2_DRAINING, H2_ENDING, H2_CLOSING };

// Counts events per second.
struct h2_rate {
    uint64_t window_start_ms; // loop time at which this second began
    uint32_t count;           // events in it
};

struct h2_session {
    struct sm sm;                             // enum h2_state
    struct stream *stream;                    // owned; the connection
    struct loop *loop;                        // the stream's
    nghttp2_session *ng;                      // owned; NULL once CLOSING
    const struct h2_session_handler *handler; // borrowed, static
    void *context;                            // for the handler
    bool is_server;                           // which end we are
    struct list streams;                      // h2_stream.node: alive
    struct list closed;                       // h2_stream.node: waiting for their on_close
    size_t stream_count;                      // in `streams`
    size_t queued_bytes;                      // body bytes waiting in all streams
    struct buffer output;                     // frames that the connection has not taken yet
    struct buffer block;                      // the header block being received; see h2_headers.c
    size_t block_bytes;                       // its decoded size as RFC 9113 6.5.2 counts
    size_t block_count;                       // its fields
    struct h2_rate resets;                    // streams the peer made fail
    struct h2_rate control;                   // frames that carry no work
    struct deferred step;                     // h2_session_step()
    struct timer timer;                       // the nearest of the deadlines below
    uint64_t timer_due_ms;                    // when `timer` fires
    uint64_t first_request_due_ms;            // 0: settled, or a client
    uint64_t notice_due_ms;                   // NOTICED: the final GOAWAY leaves at last
    uint64_t last_read_ms;                    // when the peer last sent a byte
    uint64_t ping_sent_ms;                    // 0: none is outstanding
    uint64_t blocked_since_ms;                // 0: the connection takes our output
    uint64_t idle_since_ms;                   // when the last stream closed
    enum rm_err end_reason;                   // for on_end
    const char *end_detail;                   // static, for on_end
    enum stream_close_mode end_mode;          // how the connection is closed
    uint32_t goaway_code; // ENDING in order: sent to the peer if not H2_NO_ERROR
};

enum h2_local { H2_LOCAL_IDLE, H2_LOCAL_OPEN, H2_LOCAL_ENDING, H2_LOCAL_ENDED };
enum h2_remote { H2_REMOTE_HEAD, H2_REMOTE_BODY, H2_REMOTE_ENDED };

// Trailers kept until the body left. One allocation: the fields, then their text.
struct h2_trailers {
    size_t count;        // in `fields`
    nghttp2_nv fields[]; // point behind themselves
};

struct h2_stream {
    struct list node;                        // in session->streams or session->closed
    struct h2_session *session;              // borrowed
    const struct h2_stream_handler *handler; // borrowed, static
    void *handler_context;                   // for the handler
    int32_t id;                              // HTTP/2 stream identifier
    enum h2_local local;                     // what we sent
    enum h2_remote remote;                   // what the other end sent
    bool is_closed;                          // in session->closed
    bool is_reset_by_peer;                   // its RST_STREAM was counted already
    bool is_above_mark;           // the queue went over the low mark: on_writable is owed
    uint32_t close_code;          // for on_close
    struct buffer out;            // body bytes that nghttp2 has not taken yet
    struct h2_trailers *trailers; // owned; follow the body; may be NULL
    size_t unconsumed;            // received body bytes without returned credit
    uint64_t progress_ms;         // when the peer last took a queued byte
};

// --- h2_nghttp2.c: making nghttp2 sessions ---
RM_NODISCARD enum rm_err h2_nghttp2_new(struct h2_session *session);
enum rm_err h2_err_from_nghttp2(int code);

// --- h2_callbacks.c: what nghttp2 tells us ---
void h2_callbacks_set(nghttp2_session_callbacks *callbacks);

// --- h2_headers.c: collecting one header block ---
void h2_block_begin(struct h2_session *session);
// Errors: RM_ERR_TOO_LARGE (not kept; counted), RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err h2_block_add(struct h2_session *session, const uint8_t *name,
                                      size_t name_length, const uint8_t *value,
                                      size_t value_length);
// Hands the block to the stream's handler. Errors: RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err h2_block_deliver(struct h2_stream *stream, bool is_end);
// Fills `out` (H2_MAX_SEND_HEADERS) from ours. Errors: RM_ERR_TOO_LARGE.
RM_NODISCARD enum rm_err h2_headers_convert(const struct h2_header *headers, size_t count,
                                            nghttp2_nv *out);
// NULL when memory is exhausted.
struct h2_trailers *h2_trailers_new(const struct h2_header *headers, size_t count);

// --- h2_session.c ---
// Asks for a step soon.
void h2_session_schedule(struct h2_session *session);
// Ends the session with a reason of our own; the first one counts. `goaway_code` goes to the peer
// when the close is orderly.
void h2_session_fail(struct h2_session *session, enum rm_err reason, const char *detail,
                     enum stream_close_mode mode, uint32_t goaway_code);
bool h2_session_is_ending(const struct h2_session *session);
// Sends the final GOAWAY of a drained server.
void h2_session_finish_notice(struct h2_session *session);

// --- h2_output.c ---
// Writes as much as the connection takes now and says what to be told of next.
void h2_session_flush(struct h2_session *session);
// One attempt to let the peer know why it is cut off, behind what is queued.
void h2_session_say_goodbye(struct h2_session *session);

// --- h2_timer.c: all deadlines of a session by one timer ---
RM_NODISCARD enum rm_err h2_timer_start(struct h2_session *session);
// A deadline may have moved closer.
void h2_timer_look_at(struct h2_session *session, uint64_t due_ms);

// --- h2_guard.c: floods ---
// Counts one event; true when `limit` per second is passed.
bool h2_rate_is_over(struct h2_rate *rate, uint64_t now_ms, uint32_t limit);
// Judges a frame by its head. False: the session is being ended.
bool h2_guard_frame(struct h2_session *session, const nghttp2_frame_hd *head);
// So many control frames of the peer are what our own output asks for.
void h2_guard_credit(struct h2_session *session, uint32_t frames);
// A stream failed by the peer's doing.
bool h2_guard_reset(struct h2_session *session);

// --- h2_stream.c ---
// NULL when memory is exhausted.
struct h2_stream *h2_stream_new(struct h2_session *session, const struct h2_stream_handler *handler,
                                void *handler_context);
void h2_stream_free(struct h2_stream *stream);
// Moves it to the closed ones; on_close follows in the next step.
void h2_stream_close(struct h2_stream *stream, uint32_t code);
// nghttp2's source of body bytes.
ssize_t h2_stream_read_body(nghttp2_session *ng, int32_t id, uint8_t *bytes, size_t capacity,
                            uint32_t *flags, nghttp2_data_source *source, void *context);
