// SPDX-License-Identifier: GPL-3.0-or-later
//
// Floods: frames that cost us work and the peer nothing are counted per second, and a peer that
// passes the count is told to calm down and cut off.
#include "h2/h2_internal.h"

#define RATE_WINDOW_MS 1000
// grpcio opens windows for each call: up to two WINDOW_UPDATEs beside its HEADERS.
#define CREDIT_PER_REQUEST 2

bool h2_rate_is_over(struct h2_rate *rate, uint64_t now_ms, uint32_t limit)
{
    if (now_ms - rate->window_start_ms >= RATE_WINDOW_MS) {
        rate->window_start_ms = now_ms;
        rate->count = 0;
    }
    rate->count++;
    return rate->count > limit;
}

static bool refuse(struct h2_session *session, const char *detail)
{
    h2_session_fail(session, RM_ERR_LIMIT, detail, STREAM_CLOSE_ORDERLY, H2_ENHANCE_YOUR_CALM);
    return false;
}

bool h2_guard_reset(struct h2_session *session)
{
    if (h2_rate_is_over(&session->resets, loop_now_ms(session->loop), H2_RAPID_RESET_PER_S)) {
        return refuse(session, "rapid reset of streams");
    }
    return true;
}

static bool guard_control(struct h2_session *session)
{
    if (h2_rate_is_over(&session->control, loop_now_ms(session->loop), H2_CONTROL_FRAMES_PER_S)) {
        return refuse(session, "flood of control frames");
    }
    return true;
}

void h2_guard_credit(struct h2_session *session, uint32_t frames)
{
    session->control.count -= frames < session->control.count ? frames : session->control.count;
}

// A stream that we answered in full, or that is gone, cannot be reset in harm: honest clients do
// that when their last byte and our answer cross.
static bool is_harmful_reset(struct h2_session *session, const nghttp2_frame_hd *head)
{
    const struct h2_stream *stream =
        head->stream_id == 0 ? NULL
                             : nghttp2_session_get_stream_user_data(session->ng, head->stream_id);
    return stream != NULL && stream->local != H2_LOCAL_ENDED;
}

bool h2_guard_frame(struct h2_session *session, const nghttp2_frame_hd *head)
{
    if (nghttp2_session_get_outbound_queue_size(session->ng) > H2_MAX_OUTBOUND_FRAMES) {
        return refuse(session, "our answers are not read");
    }
    if (head->type == NGHTTP2_HEADERS) {
        h2_guard_credit(session, CREDIT_PER_REQUEST); // bounded by the count of streams
        return true;
    }
    if (head->type == NGHTTP2_DATA) { // bounded by windows, if it carries anything
        bool is_work = head->length > 0 || (head->flags & NGHTTP2_FLAG_END_STREAM) != 0;
        return is_work || guard_control(session);
    }
    if (head->type == NGHTTP2_RST_STREAM && is_harmful_reset(session, head)) {
        return h2_guard_reset(session);
    }
    return guard_control(session);
}
