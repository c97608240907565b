// SPDX-License-Identifier: GPL-3.0-or-later
//
// The life of a session: reading, stepping, draining, ending. The drawing is in h2_internal.h.
#include "base/alloc.h"
#include "h2/h2_internal.h"

#define READ_BYTES 16384
#define READS_PER_EVENT 4 // so that one busy connection does not starve the others of its loop
#define OUTPUT_MAX_BYTES (256U << 10) // GATHER_BYTES and one largest frame, with room

static const struct sm_state states[] = {
    [H2_OPEN] = {"open", SM_BIT(H2_NOTICED) | SM_BIT(H2_DRAINING) | SM_BIT(H2_ENDING)},
    [H2_NOTICED] = {"noticed", SM_BIT(H2_DRAINING) | SM_BIT(H2_ENDING)},
    [H2_DRAINING] = {"draining", SM_BIT(H2_ENDING)},
    [H2_ENDING] = {"ending", SM_BIT(H2_CLOSING)},
    [H2_CLOSING] = {"closing", 0},
};

void h2_session_schedule(struct h2_session *session)
{
    if (!sm_is(&session->sm, H2_CLOSING)) {
        deferred_schedule(session->loop, &session->step);
    }
}

bool h2_session_is_ending(const struct h2_session *session)
{
    return sm_is(&session->sm, H2_ENDING) || sm_is(&session->sm, H2_CLOSING);
}

void h2_session_fail(struct h2_session *session, enum rm_err reason, const char *detail,
                     enum stream_close_mode mode, uint32_t goaway_code)
{
    if (h2_session_is_ending(session)) {
        return;
    }
    sm_move(&session->sm, H2_ENDING);
    if (session->end_reason == RM_OK) { // else the peer's own GOAWAY said why
        session->end_reason = reason;
        session->end_detail = detail;
    }
    session->end_mode = mode;
    session->goaway_code = goaway_code;
    h2_session_schedule(session);
}

static void deliver_closed(struct h2_session *session)
{
    for (struct list *node = list_first(&session->closed); node != NULL;
         node = list_first(&session->closed)) {
        struct h2_stream *stream = list_entry(node, struct h2_stream, node);
        const struct h2_stream_handler *handler = stream->handler;
        void *context = stream->handler_context;
        uint32_t code = stream->close_code;
        h2_stream_free(stream);
        if (handler != NULL) {
            handler->on_close(context, code);
        }
    }
}

static struct h2_stream *find_writable(const struct h2_session *session)
{
    list_each (node, &session->streams) {
        struct h2_stream *stream = list_entry(node, struct h2_stream, node);
        if (stream->is_above_mark && buffer_length(&stream->out) < H2_LOW_MARK_BYTES) {
            return stream;
        }
    }
    return NULL;
}

// Searched anew each time: the callback may reset any stream.
static void deliver_writable(struct h2_session *session)
{
    for (struct h2_stream *stream = find_writable(session); stream != NULL;
         stream = find_writable(session)) {
        stream->is_above_mark = false;
        if (stream->local == H2_LOCAL_OPEN) {
            stream->handler->on_writable(stream->handler_context);
        }
    }
}

static void on_closed(void *context)
{
    struct h2_session *session = context;
    session->handler->on_end(session->context, session->end_reason, session->end_detail);
    rm_free(session);
}

// What remains of a session besides its connection.
static void dispose(struct h2_session *session)
{
    timer_stop(&session->timer);
    deferred_cancel(&session->step);
    nghttp2_session_del(session->ng);
    session->ng = NULL;
    buffer_deinit(&session->output);
    buffer_deinit(&session->block);
}

static void finish(struct h2_session *session)
{
    for (struct list *node = list_first(&session->streams); node != NULL;
         node = list_first(&session->streams)) {
        h2_stream_close(list_entry(node, struct h2_stream, node), H2_CONNECTION_LOST);
    }
    deliver_closed(session);
    if (session->end_mode == STREAM_CLOSE_ORDERLY) {
        h2_session_say_goodbye(session);
    }
    dispose(session);
    sm_move(&session->sm, H2_CLOSING);
    stream_close(session->stream, session->end_mode, on_closed, session);
}

static bool is_finished(const struct h2_session *session)
{
    return !nghttp2_session_want_read(session->ng) && !nghttp2_session_want_write(session->ng) &&
           buffer_length(&session->output) == 0;
}

static void step(void *context)
{
    struct h2_session *session = context;
    deliver_closed(session);
    if (!h2_session_is_ending(session)) {
        h2_session_flush(session);
        deliver_writable(session);
        deliver_closed(session);
    }
    if (!h2_session_is_ending(session) && is_finished(session)) {
        h2_session_fail(session, RM_OK, "drained", STREAM_CLOSE_ORDERLY, H2_NO_ERROR);
    }
    if (sm_is(&session->sm, H2_ENDING)) {
        finish(session);
    }
}

static void on_read_failed(struct h2_session *session, enum rm_err result)
{
    if (result != RM_ERR_EOF) {
        h2_session_fail(session, result, "reading failed", STREAM_CLOSE_ABORT, H2_NO_ERROR);
        return;
    }
    bool is_expected = session->stream_count == 0 &&
                       (!sm_is(&session->sm, H2_OPEN) || !nghttp2_session_want_read(session->ng));
    h2_session_fail(session, is_expected ? RM_OK : RM_ERR_EOF, "the peer closed the connection",
                    STREAM_CLOSE_ORDERLY, H2_NO_ERROR);
}

// nghttp2 could not go on: the peer's fault, unless memory ran out.
static void on_feed_failed(struct h2_session *session, int code)
{
    enum rm_err reason = h2_err_from_nghttp2(code);
    if (reason == RM_ERR_LIMIT) { // nghttp2's own bounds, behind those of h2_guard.c
        h2_session_fail(session, reason, "flood of control frames", STREAM_CLOSE_ORDERLY,
                        H2_ENHANCE_YOUR_CALM);
    } else {
        h2_session_fail(session, reason, nghttp2_strerror(code), STREAM_CLOSE_ORDERLY,
                        H2_PROTOCOL_ERROR);
    }
}

static void feed(struct h2_session *session, const uint8_t *bytes, size_t length)
{
    session->last_read_ms = loop_now_ms(session->loop);
    session->ping_sent_ms = 0;
    ssize_t result = nghttp2_session_mem_recv(session->ng, bytes, length);
    if (result < 0) {
        on_feed_failed(session, (int)result);
    }
}

static void read_some(struct h2_session *session)
{
    for (int i = 0; i < READS_PER_EVENT && !h2_session_is_ending(session); i++) {
        uint8_t bytes[READ_BYTES];
        size_t length = 0;
        enum rm_err result = stream_read(session->stream, bytes, sizeof(bytes), &length);
        if (result == RM_ERR_WOULD_BLOCK) {
            return;
        }
        if (result != RM_OK) {
            on_read_failed(session, result);
            return;
        }
        feed(session, bytes, length);
        deliver_closed(session);
    }
}

static void on_event(void *context, unsigned events)
{
    struct h2_session *session = context;
    if ((events & STREAM_READ) != 0) {
        read_some(session);
    }
    step(session);
}

static enum rm_err session_new(struct stream *stream, bool is_server,
                               const struct h2_session_handler *handler, void *context,
                               struct h2_session **out)
{
    enum rm_err result = RM_ERR_NO_MEMORY;
    struct h2_session *session = rm_calloc(1, sizeof(*session));
    if (session == NULL) {
        goto fail_stream;
    }
    session->stream = stream;
    session->loop = stream->loop;
    session->is_server = is_server;
    session->handler = handler;
    session->context = context;
    session->end_detail = "";
    sm_init(&session->sm, is_server ? "h2_server" : "h2_client", 0, states, H2_OPEN);
    list_init(&session->streams);
    list_init(&session->closed);
    buffer_init(&session->output, OUTPUT_MAX_BYTES);
    deferred_init(&session->step, step, session);
    result = h2_timer_start(session);
    if (result != RM_OK) {
        goto fail_session;
    }
    result = h2_nghttp2_new(session);
    if (result != RM_OK) {
        goto fail_timer;
    }
    stream_own(stream, on_event, session);
    stream_want(stream, STREAM_READ);
    h2_session_schedule(session); // our SETTINGS
    *out = session;
    return RM_OK;

fail_timer:
    timer_stop(&session->timer);
fail_session:
    rm_free(session);
fail_stream:
    stream_close(stream, STREAM_CLOSE_ABORT, NULL, NULL);
    return result;
}

enum rm_err h2_server_new(struct stream *stream, const struct h2_session_handler *handler,
                          void *context, struct h2_session **out)
{
    return session_new(stream, true, handler, context, out);
}

enum rm_err h2_client_new(struct stream *stream, const struct h2_session_handler *handler,
                          void *context, struct h2_session **out)
{
    return session_new(stream, false, handler, context, out);
}

static void check(struct h2_session *session, int result)
{
    if (result != 0) {
        h2_session_fail(session, h2_err_from_nghttp2(result), nghttp2_strerror(result),
                        STREAM_CLOSE_ABORT, H2_NO_ERROR);
    }
    h2_session_schedule(session);
}

static void send_final_goaway(struct h2_session *session)
{
    sm_move(&session->sm, H2_DRAINING);
    session->notice_due_ms = 0;
    check(session, nghttp2_submit_goaway(session->ng, NGHTTP2_FLAG_NONE,
                                         nghttp2_session_get_last_proc_stream_id(session->ng),
                                         NGHTTP2_NO_ERROR, NULL, 0));
}

void h2_session_finish_notice(struct h2_session *session)
{
    if (sm_is(&session->sm, H2_NOTICED)) {
        send_final_goaway(session);
    }
}

void h2_session_drain(struct h2_session *session)
{
    if (!sm_is(&session->sm, H2_OPEN)) {
        return;
    }
    if (!session->is_server) {
        send_final_goaway(session);
        return;
    }
    sm_move(&session->sm, H2_NOTICED);
    session->notice_due_ms = loop_now_ms(session->loop) + H2_DRAIN_NOTICE_MS;
    h2_timer_look_at(session, session->notice_due_ms);
    check(session, nghttp2_submit_shutdown_notice(session->ng));
    if (!h2_session_is_ending(session)) {
        check(session, nghttp2_submit_ping(session->ng, NGHTTP2_FLAG_NONE, NULL));
    }
}

void h2_session_abort(struct h2_session *session, enum rm_err reason)
{
    h2_session_fail(session, reason, "ended by us", STREAM_CLOSE_ABORT, H2_NO_ERROR);
}

void h2_session_settle(struct h2_session *session)
{
    session->first_request_due_ms = 0;
}

struct stream *h2_session_stream(struct h2_session *session)
{
    return session->stream;
}

size_t h2_session_stream_count(const struct h2_session *session)
{
    return session->stream_count;
}
