// SPDX-License-Identifier: GPL-3.0-or-later
//
// Output: nghttp2 gives frame by frame; small frames are gathered so that a burst of answers
// becomes one write (and over TLS one record). What the connection does not take stays in `output`,
// which holds memory only meanwhile.
#include "h2/h2_internal.h"

#define GATHER_BYTES ((size_t)32768)

// Fills `output` from nghttp2. Errors: nghttp2's, or out of memory.
static enum rm_err gather(struct h2_session *session)
{
    while (buffer_length(&session->output) < GATHER_BYTES) {
        const uint8_t *frame = NULL;
        ssize_t length = nghttp2_session_mem_send(session->ng, &frame);
        if (length < 0) {
            return h2_err_from_nghttp2((int)length);
        }
        if (length == 0) {
            return RM_OK;
        }
        RM_TRY(buffer_append(&session->output, frame, (size_t)length));
    }
    return RM_OK;
}

// Writes `output`. RM_ERR_WOULD_BLOCK when some of it stays.
static enum rm_err write_out(struct h2_session *session)
{
    while (buffer_length(&session->output) > 0) {
        size_t written = 0;
        RM_TRY(stream_write_bytes(session->stream, buffer_data(&session->output),
                                  buffer_length(&session->output), &written));
        buffer_consume(&session->output, written);
        session->blocked_since_ms = 0;
    }
    return RM_OK;
}

static void note_blocked(struct h2_session *session)
{
    if (session->blocked_since_ms == 0) {
        session->blocked_since_ms = loop_now_ms(session->loop);
        h2_timer_look_at(session, session->blocked_since_ms + H2_STALL_MS);
    }
    stream_want(session->stream, STREAM_READ | STREAM_WRITE);
}

void h2_session_flush(struct h2_session *session)
{
    enum rm_err result = RM_OK;
    do {
        result = gather(session);
        if (result != RM_OK) {
            h2_session_fail(session, result, "making frames failed", STREAM_CLOSE_ABORT,
                            H2_NO_ERROR);
            return;
        }
        if (buffer_length(&session->output) == 0) {
            buffer_deinit(&session->output); // an idle connection holds no memory
            stream_want(session->stream, STREAM_READ);
            return;
        }
        result = write_out(session);
    } while (result == RM_OK);
    if (result == RM_ERR_WOULD_BLOCK) {
        note_blocked(session);
        return;
    }
    h2_session_fail(session, result, "writing failed", STREAM_CLOSE_ABORT, H2_NO_ERROR);
}

// By hand, because nghttp2 may have stopped in the middle of a frame. RFC 9113 6.8.
void h2_session_say_goodbye(struct h2_session *session)
{
    uint32_t last = (uint32_t)nghttp2_session_get_last_proc_stream_id(session->ng);
    uint32_t code = session->goaway_code;
    const uint8_t frame[] = {0,
                             0,
                             8,
                             NGHTTP2_GOAWAY,
                             0,
                             0,
                             0,
                             0,
                             0,
                             (uint8_t)(last >> 24),
                             (uint8_t)(last >> 16),
                             (uint8_t)(last >> 8),
                             (uint8_t)last,
                             (uint8_t)(code >> 24),
                             (uint8_t)(code >> 16),
                             (uint8_t)(code >> 8),
                             (uint8_t)code};
    if (code != H2_NO_ERROR && buffer_append(&session->output, frame, sizeof(frame)) == RM_OK) {
        (void)write_out(session);
    }
}
