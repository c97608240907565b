// SPDX-License-Identifier: GPL-3.0-or-later
//
// One HTTP/2 stream: its queue of body bytes, its trailers, its credit.
#include <string.h>

#include "base/alloc.h"
#include "h2/h2_internal.h"

struct h2_stream *h2_stream_new(struct h2_session *session, const struct h2_stream_handler *handler,
                                void *handler_context)
{
    struct h2_stream *stream = rm_calloc(1, sizeof(*stream));
    if (stream == NULL) {
        return NULL;
    }
    stream->session = session;
    stream->handler = handler;
    stream->handler_context = handler_context;
    buffer_init(&stream->out, H2_MAX_QUEUED_BYTES + H2_MAX_SEND_BYTES);
    list_append(&session->streams, &stream->node);
    session->stream_count++;
    return stream;
}

// Takes it out of the living: its queue and its count.
static void retire(struct h2_stream *stream)
{
    struct h2_session *session = stream->session;
    list_remove(&stream->node);
    session->stream_count--;
    session->queued_bytes -= buffer_length(&stream->out);
    buffer_deinit(&stream->out);
    rm_free(stream->trailers);
    stream->trailers = NULL;
    if (session->stream_count == 0) {
        session->idle_since_ms = loop_now_ms(session->loop);
        h2_timer_look_at(session, session->idle_since_ms + H2_IDLE_MS);
    }
}

void h2_stream_free(struct h2_stream *stream)
{
    if (stream->is_closed) {
        list_remove(&stream->node);
    } else {
        retire(stream);
    }
    rm_free(stream);
}

void h2_stream_close(struct h2_stream *stream, uint32_t code)
{
    struct h2_session *session = stream->session;
    if (stream->is_closed) {
        return;
    }
    retire(stream);
    stream->is_closed = true;
    stream->close_code = code;
    list_append(&session->closed, &stream->node);
    // Bytes that nobody will consume must not use up the connection's window.
    int result = nghttp2_session_consume_connection(session->ng, stream->unconsumed);
    if (result != 0) {
        h2_session_fail(session, h2_err_from_nghttp2(result), nghttp2_strerror(result),
                        STREAM_CLOSE_ABORT, H2_NO_ERROR);
    }
    stream->unconsumed = 0;
    (void)nghttp2_session_set_stream_user_data(session->ng, stream->id, NULL);
    h2_session_schedule(session);
}

// A failed call into nghttp2: the session cannot go on without memory; all else is the caller's.
static enum rm_err submit_result(struct h2_session *session, int code)
{
    enum rm_err result = h2_err_from_nghttp2(code);
    if (result == RM_ERR_NO_MEMORY) {
        h2_session_fail(session, result, nghttp2_strerror(code), STREAM_CLOSE_ABORT, H2_NO_ERROR);
    }
    return result;
}

enum rm_err h2_request(struct h2_session *session, const struct h2_header *headers, size_t count,
                       bool is_end, const struct h2_stream_handler *handler, void *handler_context,
                       struct h2_stream **out)
{
    nghttp2_nv fields[H2_MAX_SEND_HEADERS];
    RM_TRY(h2_headers_convert(headers, count, fields));
    if (!sm_is(&session->sm, H2_OPEN) || !nghttp2_session_check_request_allowed(session->ng)) {
        return RM_ERR_CLOSED;
    }
    uint32_t allowed =
        nghttp2_session_get_remote_settings(session->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    if (session->stream_count >= H2_MAX_STREAMS || session->stream_count >= allowed) {
        return RM_ERR_LIMIT;
    }
    struct h2_stream *stream = h2_stream_new(session, handler, handler_context);
    if (stream == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    stream->local = is_end ? H2_LOCAL_ENDING : H2_LOCAL_OPEN;
    nghttp2_data_provider body = {.read_callback = h2_stream_read_body};
    int32_t id =
        nghttp2_submit_request(session->ng, NULL, fields, count, is_end ? NULL : &body, stream);
    if (id < 0) {
        h2_stream_free(stream);
        return submit_result(session, id);
    }
    stream->id = id;
    h2_session_schedule(session);
    *out = stream;
    return RM_OK;
}

enum rm_err h2_stream_respond(struct h2_stream *stream, const struct h2_header *headers,
                              size_t count, bool is_end)
{
    struct h2_session *session = stream->session;
    nghttp2_nv fields[H2_MAX_SEND_HEADERS];
    RM_TRY(h2_headers_convert(headers, count, fields));
    if (stream->is_closed || h2_session_is_ending(session) || stream->local != H2_LOCAL_IDLE) {
        return RM_ERR_CLOSED;
    }
    nghttp2_data_provider body = {.read_callback = h2_stream_read_body};
    int result =
        nghttp2_submit_response(session->ng, stream->id, fields, count, is_end ? NULL : &body);
    if (result != 0) {
        return submit_result(session, result);
    }
    stream->local = is_end ? H2_LOCAL_ENDING : H2_LOCAL_OPEN;
    h2_session_schedule(session);
    return RM_OK;
}

// New bytes or an end: nghttp2 asks again. It refuses when it was not waiting, which is fine.
static void wake(struct h2_stream *stream)
{
    (void)nghttp2_session_resume_data(stream->session->ng, stream->id);
    h2_session_schedule(stream->session);
}

static enum rm_err queue(struct h2_stream *stream, const struct iovec *parts, int count,
                         size_t total)
{
    struct h2_session *session = stream->session;
    uint8_t *at = NULL;
    RM_TRY(buffer_reserve(&stream->out, total, &at));
    if (buffer_length(&stream->out) == 0) {
        stream->progress_ms = loop_now_ms(session->loop);
        h2_timer_look_at(session, stream->progress_ms + H2_STALL_MS);
    }
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len > 0) {
            memcpy(at, parts[i].iov_base, parts[i].iov_len);
            at += parts[i].iov_len;
        }
    }
    buffer_commit(&stream->out, total);
    session->queued_bytes += total;
    if (buffer_length(&stream->out) >= H2_LOW_MARK_BYTES) {
        stream->is_above_mark = true;
    }
    return RM_OK;
}

// Errors: RM_ERR_TOO_LARGE.
static enum rm_err sum_parts(const struct iovec *parts, int count, size_t *total)
{
    *total = 0;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len > H2_MAX_SEND_BYTES - *total) {
            return RM_ERR_TOO_LARGE;
        }
        *total += parts[i].iov_len;
    }
    return RM_OK;
}

enum rm_err h2_stream_send_parts(struct h2_stream *stream, const struct iovec *parts, int count,
                                 bool is_end)
{
    struct h2_session *session = stream->session;
    if (stream->is_closed || h2_session_is_ending(session) || stream->local != H2_LOCAL_OPEN) {
        return RM_ERR_CLOSED;
    }
    size_t total = 0;
    RM_TRY(sum_parts(parts, count, &total));
    if (total > 0 && buffer_length(&stream->out) >= H2_MAX_QUEUED_BYTES) {
        return RM_ERR_LIMIT;
    }
    if (total > 0) {
        RM_TRY(queue(stream, parts, count, total));
    }
    if (session->queued_bytes > H2_MAX_SESSION_QUEUED_BYTES) {
        h2_session_fail(session, RM_ERR_LIMIT, "the peer does not read its answers",
                        STREAM_CLOSE_ABORT, H2_NO_ERROR);
        return RM_ERR_LIMIT;
    }
    stream->local = is_end ? H2_LOCAL_ENDING : H2_LOCAL_OPEN;
    wake(stream);
    return RM_OK;
}

enum rm_err h2_stream_send(struct h2_stream *stream, const void *bytes, size_t length, bool is_end)
{
    const struct iovec part = {(void *)bytes, length};
    return h2_stream_send_parts(stream, &part, 1, is_end);
}

enum rm_err h2_stream_trailers(struct h2_stream *stream, const struct h2_header *headers,
                               size_t count)
{
    if (count > H2_MAX_SEND_HEADERS) {
        return RM_ERR_TOO_LARGE;
    }
    if (stream->is_closed || h2_session_is_ending(stream->session) ||
        stream->local != H2_LOCAL_OPEN) {
        return RM_ERR_CLOSED;
    }
    stream->trailers = h2_trailers_new(headers, count);
    if (stream->trailers == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    stream->local = H2_LOCAL_ENDING;
    wake(stream);
    return RM_OK;
}

// The queue is empty and nothing follows but the end.
static ssize_t end_body(struct h2_stream *stream, uint32_t *flags)
{
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->trailers == NULL) {
        return 0;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    int result = nghttp2_submit_trailer(stream->session->ng, stream->id, stream->trailers->fields,
                                        stream->trailers->count);
    rm_free(stream->trailers);
    stream->trailers = NULL;
    if (result != 0) {
        (void)submit_result(stream->session, result);
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

ssize_t h2_stream_read_body(nghttp2_session *ng, int32_t id, uint8_t *bytes, size_t capacity,
                            uint32_t *flags, nghttp2_data_source *source, void *context)
{
    (void)source;
    struct h2_session *session = context;
    struct h2_stream *stream = nghttp2_session_get_stream_user_data(ng, id);
    if (stream == NULL) {
        return NGHTTP2_ERR_DEFERRED; // reset by us: its RST_STREAM is on the way
    }
    size_t length = buffer_length(&stream->out);
    size_t taken = length < capacity ? length : capacity;
    if (taken > 0) {
        memcpy(bytes, buffer_data(&stream->out), taken);
        buffer_consume(&stream->out, taken);
        session->queued_bytes -= taken;
        stream->progress_ms = loop_now_ms(session->loop);
    }
    if (taken == length) {
        buffer_deinit(&stream->out); // an idle stream holds no memory
        if (stream->local == H2_LOCAL_ENDING) {
            ssize_t result = end_body(stream, flags);
            return result == 0 ? (ssize_t)taken : result;
        }
    }
    return taken > 0 ? (ssize_t)taken : NGHTTP2_ERR_DEFERRED;
}

void h2_stream_consume(struct h2_stream *stream, size_t length)
{
    struct h2_session *session = stream->session;
    if (stream->is_closed || h2_session_is_ending(session)) {
        return;
    }
    size_t credit = length < stream->unconsumed ? length : stream->unconsumed;
    stream->unconsumed -= credit;
    int result = nghttp2_session_consume(session->ng, stream->id, credit);
    if (result != 0) {
        (void)submit_result(session, result);
    }
    h2_session_schedule(session);
}

void h2_stream_reset(struct h2_stream *stream, uint32_t h2_error_code)
{
    struct h2_session *session = stream->session;
    if (stream->is_closed || h2_session_is_ending(session)) {
        return;
    }
    int result =
        nghttp2_submit_rst_stream(session->ng, NGHTTP2_FLAG_NONE, stream->id, h2_error_code);
    if (result != 0) {
        (void)submit_result(session, result);
    }
    h2_stream_close(stream, h2_error_code);
}

size_t h2_stream_queued_bytes(const struct h2_stream *stream)
{
    return buffer_length(&stream->out);
}

struct h2_session *h2_stream_session(struct h2_stream *stream)
{
    return stream->session;
}
