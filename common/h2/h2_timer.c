// SPDX-License-Identifier: GPL-3.0-or-later
//
// All deadlines of a session by one timer. It is never moved back when bytes arrive: when it fires
// it looks at what is really due and starts again for the nearest.
#include "h2/h2_internal.h"

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t ping_due(const struct h2_session *session)
{
    return session->ping_sent_ms != 0 ? session->ping_sent_ms + H2_PING_TIMEOUT_MS
                                      : session->last_read_ms + H2_PING_INTERVAL_MS;
}

static bool may_idle_out(const struct h2_session *session)
{
    return session->is_server && session->stream_count == 0 && sm_is(&session->sm, H2_OPEN);
}

static uint64_t next_due(const struct h2_session *session)
{
    uint64_t due = ping_due(session);
    if (session->first_request_due_ms != 0) {
        due = earlier(due, session->first_request_due_ms);
    }
    if (session->notice_due_ms != 0) {
        due = earlier(due, session->notice_due_ms);
    }
    if (session->blocked_since_ms != 0) {
        due = earlier(due, session->blocked_since_ms + H2_STALL_MS);
    }
    if (may_idle_out(session)) {
        due = earlier(due, session->idle_since_ms + H2_IDLE_MS);
    }
    list_each (node, &session->streams) {
        const struct h2_stream *stream = list_entry(node, struct h2_stream, node);
        if (buffer_length(&stream->out) > 0) {
            due = earlier(due, stream->progress_ms + H2_STALL_MS);
        }
    }
    return due;
}

static void ping(struct h2_session *session, uint64_t now_ms)
{
    int result = nghttp2_submit_ping(session->ng, NGHTTP2_FLAG_NONE, NULL);
    if (result != 0) {
        h2_session_fail(session, h2_err_from_nghttp2(result), nghttp2_strerror(result),
                        STREAM_CLOSE_ABORT, H2_NO_ERROR);
        return;
    }
    session->ping_sent_ms = now_ms;
    h2_session_schedule(session);
}

static void check_peer(struct h2_session *session, uint64_t now_ms)
{
    if (session->first_request_due_ms != 0 && now_ms >= session->first_request_due_ms) {
        h2_session_fail(session, RM_ERR_TIMEOUT, "no complete request in time",
                        STREAM_CLOSE_ORDERLY, H2_ENHANCE_YOUR_CALM);
    } else if (session->blocked_since_ms != 0 &&
               now_ms >= session->blocked_since_ms + H2_STALL_MS) {
        h2_session_fail(session, RM_ERR_TIMEOUT, "the peer does not read", STREAM_CLOSE_ABORT,
                        H2_NO_ERROR);
    } else if (now_ms >= ping_due(session)) {
        if (session->ping_sent_ms != 0) {
            h2_session_fail(session, RM_ERR_TIMEOUT, "the peer is silent", STREAM_CLOSE_ABORT,
                            H2_NO_ERROR);
        } else {
            ping(session, now_ms);
        }
    }
}

// A stream whose window the peer keeps shut.
static void check_streams(struct h2_session *session, uint64_t now_ms)
{
    list_each_safe (node, following, &session->streams) {
        struct h2_stream *stream = list_entry(node, struct h2_stream, node);
        if (buffer_length(&stream->out) > 0 && now_ms >= stream->progress_ms + H2_STALL_MS) {
            h2_stream_reset(stream, H2_CANCEL);
        }
    }
}

static void restart(struct h2_session *session, uint64_t now_ms)
{
    session->timer_due_ms = next_due(session);
    uint64_t delay_ms = session->timer_due_ms > now_ms ? session->timer_due_ms - now_ms : 1;
    if (timer_start(&session->timer, delay_ms) != RM_OK) {
        h2_session_fail(session, RM_ERR_NO_MEMORY, "no memory for a deadline", STREAM_CLOSE_ABORT,
                        H2_NO_ERROR);
    }
}

static void on_timer(void *context)
{
    struct h2_session *session = context;
    uint64_t now_ms = loop_now_ms(session->loop);
    check_peer(session, now_ms);
    check_streams(session, now_ms);
    if (session->notice_due_ms != 0 && now_ms >= session->notice_due_ms) {
        h2_session_finish_notice(session);
    }
    if (may_idle_out(session) && now_ms >= session->idle_since_ms + H2_IDLE_MS) {
        h2_session_drain(session);
    }
    if (!h2_session_is_ending(session)) {
        restart(session, now_ms);
    }
}

enum rm_err h2_timer_start(struct h2_session *session)
{
    uint64_t now_ms = loop_now_ms(session->loop);
    session->last_read_ms = now_ms;
    session->idle_since_ms = now_ms;
    session->first_request_due_ms = session->is_server ? now_ms + H2_FIRST_REQUEST_MS : 0;
    session->timer_due_ms = next_due(session);
    timer_init(&session->timer, session->loop, on_timer, session);
    return timer_start(&session->timer, session->timer_due_ms - now_ms);
}

void h2_timer_look_at(struct h2_session *session, uint64_t due_ms)
{
    if (due_ms < session->timer_due_ms && !h2_session_is_ending(session)) {
        restart(session, loop_now_ms(session->loop));
    }
}
