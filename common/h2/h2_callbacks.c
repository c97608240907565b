// SPDX-License-Identifier: GPL-3.0-or-later
//
// What nghttp2 tells us while it reads and writes. A non-zero return ends nghttp2's run; the
// session was failed before, so that the reason is ours.
#include "h2/h2_internal.h"

#define STOP NGHTTP2_ERR_CALLBACK_FAILURE
// A block so far over the limit that reading on to its end is work for nothing.
#define MAX_BLOCK_EXCESS 4
// A client that reads small messages answers each with a WINDOW_UPDATE: no flood, but our doing.
#define BODY_BYTES_PER_CREDIT 64

static struct h2_stream *find(nghttp2_session *ng, int32_t id)
{
    return id == 0 ? NULL : nghttp2_session_get_stream_user_data(ng, id);
}

static int out_of_memory(struct h2_session *session)
{
    h2_session_fail(session, RM_ERR_NO_MEMORY, "out of memory", STREAM_CLOSE_ABORT, H2_NO_ERROR);
    return STOP;
}

static int on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *head, void *context)
{
    (void)ng;
    return h2_guard_frame(context, head) ? 0 : STOP;
}

// The peer opens a stream: the user says who handles it.
static int accept_stream(struct h2_session *session, int32_t id)
{
    struct h2_stream *stream = h2_stream_new(session, NULL, NULL);
    if (stream == NULL) {
        return out_of_memory(session);
    }
    stream->id = id;
    enum rm_err refused = session->handler->on_stream(session->context, stream, &stream->handler,
                                                      &stream->handler_context);
    if (refused != RM_OK) {
        h2_stream_free(stream);
        int result =
            nghttp2_submit_rst_stream(session->ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
        if (result != 0) {
            return out_of_memory(session);
        }
        return h2_guard_reset(session) ? 0 : STOP;
    }
    if (!stream->is_closed) { // the user may have reset it at once
        (void)nghttp2_session_set_stream_user_data(session->ng, id, stream);
    }
    return 0;
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *context)
{
    (void)ng;
    struct h2_session *session = context;
    h2_block_begin(session);
    if (h2_session_is_ending(session)) {
        return STOP;
    }
    if (session->is_server && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        return accept_stream(session, frame->hd.stream_id);
    }
    return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                     nghttp2_rcbuf *value, uint8_t flags, void *context)
{
    (void)flags;
    struct h2_session *session = context;
    nghttp2_vec name_text = nghttp2_rcbuf_get_buf(name);
    nghttp2_vec value_text = nghttp2_rcbuf_get_buf(value);
    enum rm_err result =
        h2_block_add(session, name_text.base, name_text.len, value_text.base, value_text.len);
    if (result == RM_ERR_NO_MEMORY) {
        return out_of_memory(session);
    }
    if (session->block_bytes > (size_t)MAX_BLOCK_EXCESS * H2_MAX_HEADER_BYTES) {
        h2_session_fail(session, RM_ERR_TOO_LARGE, "header block far over its limit",
                        STREAM_CLOSE_ORDERLY, H2_ENHANCE_YOUR_CALM);
        return STOP;
    }
    struct h2_stream *stream = find(ng, frame->hd.stream_id);
    if (result != RM_OK && stream != NULL) {
        h2_stream_reset(stream, H2_ENHANCE_YOUR_CALM);
    }
    return 0;
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *bytes,
                   size_t length, void *context)
{
    (void)flags;
    struct h2_session *session = context;
    struct h2_stream *stream = find(ng, id);
    if (stream == NULL) { // reset by us: only the connection's credit counts
        int result = nghttp2_session_consume_connection(ng, length);
        return result == 0 ? 0 : out_of_memory(session);
    }
    stream->unconsumed += length;
    stream->handler->on_data(stream->handler_context, bytes, length);
    return h2_session_is_ending(session) ? STOP : 0;
}

static void on_remote_end(struct h2_stream *stream)
{
    struct h2_session *session = stream->session;
    stream->remote = H2_REMOTE_ENDED;
    if (session->is_server) {
        h2_session_settle(session);
    }
    stream->handler->on_end(stream->handler_context);
    // A server that answered in full has no use for the rest of the request.
    if (!session->is_server && !stream->is_closed && stream->local != H2_LOCAL_ENDED) {
        h2_stream_reset(stream, H2_NO_ERROR);
    }
}

static int on_message_frame(struct h2_session *session, const nghttp2_frame *frame)
{
    struct h2_stream *stream = find(session->ng, frame->hd.stream_id);
    if (stream == NULL) {
        return 0;
    }
    bool is_end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_HEADERS && h2_block_deliver(stream, is_end) != RM_OK) {
        return out_of_memory(session);
    }
    if (is_end && !stream->is_closed) { // the handler may have reset it
        on_remote_end(stream);
    }
    return h2_session_is_ending(session) ? STOP : 0;
}

static void on_goaway(struct h2_session *session, uint32_t code)
{
    if (code != NGHTTP2_NO_ERROR && session->end_reason == RM_OK) {
        session->end_reason =
            code == NGHTTP2_ENHANCE_YOUR_CALM ? RM_ERR_LIMIT : RM_ERR_REFUSED_BY_PEER;
        session->end_detail = nghttp2_http2_strerror(code);
    }
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *context)
{
    struct h2_session *session = context;
    struct h2_stream *stream = NULL;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        return on_message_frame(session, frame);
    case NGHTTP2_RST_STREAM:
        stream = find(ng, frame->hd.stream_id);
        if (stream != NULL) {
            stream->is_reset_by_peer = true;
        }
        return 0;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
            h2_session_finish_notice(session);
        }
        return 0;
    case NGHTTP2_GOAWAY:
        on_goaway(session, frame->goaway.error_code);
        return 0;
    default:
        return 0;
    }
}

// A stream that the peer opened past our limit costs a decoded header block and an answer.
static int on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *frame, int code,
                            void *context)
{
    (void)ng;
    (void)frame;
    (void)code;
    return h2_guard_reset(context) ? 0 : STOP;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *context)
{
    struct h2_session *session = context;
    struct h2_stream *stream = find(ng, id);
    if (stream == NULL) {
        return 0;
    }
    bool is_failed_by_peer = code != NGHTTP2_NO_ERROR && !stream->is_reset_by_peer;
    h2_stream_close(stream, code);
    if (is_failed_by_peer && session->is_server && !h2_guard_reset(session)) {
        return STOP;
    }
    return 0;
}

// RFC 9113 8.1: a server that answered in full asks a client that is still sending to stop.
static int finish_answer(struct h2_session *session, int32_t id)
{
    struct h2_stream *stream = find(session->ng, id);
    if (stream == NULL) {
        return 0;
    }
    stream->local = H2_LOCAL_ENDED;
    if (!session->is_server || stream->remote == H2_REMOTE_ENDED) {
        return 0;
    }
    int result = nghttp2_submit_rst_stream(session->ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
    return result == 0 ? 0 : out_of_memory(session);
}

static int on_frame_sent(nghttp2_session *ng, const nghttp2_frame *frame, void *context)
{
    (void)ng;
    struct h2_session *session = context;
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR &&
        session->end_reason == RM_OK) {
        session->end_reason = RM_ERR_PROTOCOL;
        session->end_detail = nghttp2_http2_strerror(frame->goaway.error_code);
    }
    if (frame->hd.type == NGHTTP2_DATA) {
        h2_guard_credit(session, 1 + (uint32_t)frame->hd.length / BODY_BYTES_PER_CREDIT);
    }
    bool is_message = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (is_message && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        return finish_answer(session, frame->hd.stream_id);
    }
    return 0;
}

void h2_callbacks_set(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
}
