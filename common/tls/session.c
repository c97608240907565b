// SPDX-License-Identifier: GPL-3.0-or-later
//
// The life of a TLS session as a stream over a stream.
//
//   tls_accept, tls_connect
//            |
//      HANDSHAKING ----------> FAILED        refused, broken, late: on_ready told the user
//            | on_ready          |
//          READY                 |           an ordinary stream
//            |   \               |
//            |    +-> FLUSHING <-+           closed by the user; last bytes, close_notify or alert
//            |           |
//            +-> CLOSING <-------+           the lower stream closes, then on_closed
#include <string.h>

#include "base/alloc.h"
#include "tls/tls_internal.h"

const struct sm_state tls_session_states[] = {
    [TLS_HANDSHAKING] = {"handshaking",
                         SM_BIT(TLS_READY) | SM_BIT(TLS_FAILED) | SM_BIT(TLS_CLOSING)},
    [TLS_READY] = {"ready", SM_BIT(TLS_FLUSHING) | SM_BIT(TLS_CLOSING)},
    [TLS_FAILED] = {"failed", SM_BIT(TLS_FLUSHING) | SM_BIT(TLS_CLOSING)},
    [TLS_FLUSHING] = {"flushing", SM_BIT(TLS_CLOSING)},
    [TLS_CLOSING] = {"closing", 0},
};

// --- What the session waits for ------------------------------------------------------------------

// What the user wants and has, without any event of the lower stream.
static unsigned session_due(const struct tls_session *session)
{
    unsigned due = 0;
    if ((session->wanted & STREAM_READ) != 0 &&
        (session->may_read || tls_bytes_has_input(session))) {
        due |= STREAM_READ;
    }
    if ((session->wanted & STREAM_WRITE) != 0 && tls_bytes_is_open(session)) {
        due |= STREAM_WRITE;
    }
    return due;
}

static bool session_reads(const struct tls_session *session)
{
    if (session->is_starved || tls_pace_is_waiting(session)) {
        return false;
    }
    if (!sm_is(&session->sm, TLS_READY)) {
        return sm_is(&session->sm, TLS_HANDSHAKING);
    }
    return tls_bytes_is_lost(session) ||
           ((session->wanted & STREAM_READ) != 0 && !tls_bytes_has_input(session));
}

void tls_session_arm(struct tls_session *session)
{
    if (sm_is(&session->sm, TLS_CLOSING)) {
        return;
    }
    bool has_output = tls_bytes_has_output(session);
    unsigned lower_wanted = session_reads(session) ? STREAM_READ : 0;
    lower_wanted |= has_output && session->is_output_blocked ? STREAM_WRITE : 0;
    stream_want(session->lower, lower_wanted);
    if ((has_output && !session->is_output_blocked) ||
        (sm_is(&session->sm, TLS_READY) && session_due(session) != 0)) {
        deferred_schedule(session->base.loop, &session->turn);
    }
}

void tls_session_starve(struct tls_session *session)
{
    session->is_starved = true;
    chunk_wait(session->base.loop, &session->chunk_waiter);
}

void tls_session_on_chunk(void *context)
{
    struct tls_session *session = context;
    session->is_starved = false;
    session->may_read = true;
    deferred_schedule(session->base.loop, &session->turn);
}

// --- Events --------------------------------------------------------------------------------------

static void session_close_lower(struct tls_session *session, enum stream_close_mode mode);

// Puts close_notify behind everything that was taken, once there is room for it. RFC 8446 6.1.
// Unsaid, it would leave the other end waiting for ever: then reading ends, too, so that the user
// hears of it.
static void session_say_end(struct tls_session *session)
{
    if (session->is_lower_broken || session->write_status != RM_OK) {
        session->owes_end = false;
    }
    if (!session->owes_end || !tls_bytes_reserve(session)) {
        return;
    }
    session->owes_end = false;
    int said = wolfSSL_shutdown(session->ssl);
    if (said == WOLFSSL_SHUTDOWN_NOT_DONE || said == WOLFSSL_SUCCESS) {
        return;
    }
    session->write_status =
        tls_failure_from_library(session, wolfSSL_get_error(session->ssl, said));
    if (session->read_status == RM_OK) {
        session->read_status = session->write_status;
    }
}

static void session_end(struct tls_session *session)
{
    if (session->is_finished || session->is_lower_broken || session->write_status != RM_OK) {
        return;
    }
    session->is_finished = true;
    session->owes_end = true;
    session_say_end(session);
}

static void session_notify(struct tls_session *session, unsigned lower_events)
{
    unsigned due = session_due(session) | (lower_events & STREAM_READ & session->wanted);
    session->may_read = false;
    if (due != 0) {
        session->base.on_event(session->base.context, due);
    }
    tls_session_arm(session);
}

static void session_drain(struct tls_session *session)
{
    session_say_end(session);
    tls_bytes_flush(session);
    if (session->is_lower_broken) {
        session_close_lower(session, STREAM_CLOSE_ABORT);
    } else if (!tls_bytes_has_output(session) && !session->owes_end) {
        session_close_lower(session, STREAM_CLOSE_ORDERLY);
    } else {
        tls_session_arm(session);
    }
}

static void session_progress(struct tls_session *session, unsigned lower_events)
{
    switch ((enum tls_state)session->sm.state) {
    case TLS_HANDSHAKING:
        tls_pace_step(session);
        break;
    case TLS_READY:
        session_say_end(session);
        tls_bytes_flush(session);
        if ((lower_events & STREAM_READ) != 0 && tls_bytes_is_lost(session)) {
            tls_bytes_look(session);
        }
        session_notify(session, lower_events);
        break;
    case TLS_FAILED:
        tls_bytes_flush(session);
        tls_session_arm(session);
        break;
    case TLS_FLUSHING:
        session_drain(session);
        break;
    case TLS_CLOSING:
        break;
    }
}

void tls_session_on_lower(void *context, unsigned events)
{
    struct tls_session *session = context;
    if ((events & STREAM_WRITE) != 0) {
        session->is_output_blocked = false;
    }
    session_progress(session, events);
}

void tls_session_on_turn(void *context)
{
    session_progress(context, 0);
}

void tls_session_on_timer(void *context)
{
    struct tls_session *session = context;
    if (sm_is(&session->sm, TLS_HANDSHAKING)) {
        tls_failure_set(
            session, FAULT_TIMEOUT, "no end of the handshake after %u ms%s",
            (unsigned)(loop_now_ms(session->base.loop) - session->handshake->started_ms),
            session->handshake->first_length == 0 ? "; not one byte was received" : "");
        tls_handshake_fail(session, RM_ERR_TIMEOUT);
    } else if (sm_is(&session->sm, TLS_FLUSHING)) {
        session_close_lower(session, STREAM_CLOSE_ABORT);
    }
}

// --- Operations ----------------------------------------------------------------------------------

static enum rm_err session_read(struct stream *stream, uint8_t *bytes, size_t capacity,
                                size_t *length)
{
    struct tls_session *session = tls_session_of(stream);
    *length = 0;
    if (!sm_is(&session->sm, TLS_READY)) {
        return sm_is(&session->sm, TLS_HANDSHAKING) ? RM_ERR_WOULD_BLOCK : session->read_status;
    }
    if (capacity == 0) {
        return RM_ERR_WOULD_BLOCK;
    }
    enum rm_err result = tls_bytes_read(session, bytes, capacity, length);
    tls_session_arm(session);
    return result;
}

static enum rm_err session_write(struct stream *stream, const struct iovec *parts, int count,
                                 size_t *written)
{
    struct tls_session *session = tls_session_of(stream);
    *written = 0;
    if (!sm_is(&session->sm, TLS_READY)) {
        return sm_is(&session->sm, TLS_HANDSHAKING) ? RM_ERR_WOULD_BLOCK : session->write_status;
    }
    if (session->is_finished) {
        return RM_ERR_CLOSED;
    }
    enum rm_err result = tls_bytes_write(session, parts, count, written);
    tls_session_arm(session);
    return result;
}

static enum rm_err session_finish(struct stream *stream)
{
    struct tls_session *session = tls_session_of(stream);
    if (!sm_is(&session->sm, TLS_READY)) {
        return sm_is(&session->sm, TLS_HANDSHAKING) ? RM_ERR_WOULD_BLOCK : session->write_status;
    }
    session_end(session);
    tls_session_arm(session);
    return session->write_status != RM_OK ? session->write_status : session->lost_status;
}

static void session_want(struct stream *stream, unsigned events)
{
    struct tls_session *session = tls_session_of(stream);
    session->wanted = events;
    tls_session_arm(session);
}

static const struct peer *session_peer(const struct stream *stream)
{
    const struct tls_session *session = (const struct tls_session *)(const void *)stream;
    return session->handshake == NULL ? session->peer : NULL;
}

static struct stream_address session_remote(const struct stream *stream)
{
    return stream_remote(((const struct tls_session *)(const void *)stream)->lower);
}

static struct stream_address session_local(const struct stream *stream)
{
    return stream_local(((const struct tls_session *)(const void *)stream)->lower);
}

static int session_descriptor(const struct stream *stream)
{
    return stream_descriptor(((const struct tls_session *)(const void *)stream)->lower);
}

// --- The end -------------------------------------------------------------------------------------

void tls_handshake_free(struct tls_handshake *handshake)
{
    if (handshake == NULL) {
        return;
    }
    for (size_t i = 0; i < handshake->expected_count; i++) {
        rm_free(handshake->expected_ids[i]);
    }
    list_remove(&handshake->paced);
    rm_free(handshake->expected_ids);
    buffer_deinit(&handshake->hello);
    peer_unref(handshake->offered_peer);
    rm_free(handshake);
}

void tls_session_free(struct tls_session *session)
{
    timer_stop(&session->timer);
    deferred_cancel(&session->turn);
    chunk_wait_cancel(&session->chunk_waiter);
    tls_bytes_drop_input(session);
    tls_bytes_drop_output(session);
    wolfSSL_free(session->ssl);
    tls_handshake_free(session->handshake);
    rm_free(session->failure);
    peer_unref(session->peer);
    tls_resumable_unref(session->resumable);
    rm_free(session->sni);
    tls_context_unref(session->context);
    rm_free(session);
}

static void session_on_lower_closed(void *context)
{
    struct tls_session *session = context;
    if (session->base.on_closed != NULL) {
        session->base.on_closed(session->base.closed_context);
    }
    tls_session_free(session);
}

static void session_close_lower(struct tls_session *session, enum stream_close_mode mode)
{
    sm_move(&session->sm, TLS_CLOSING);
    timer_stop(&session->timer);
    if (session->handshake != NULL) {
        list_remove(&session->handshake->paced);
    }
    deferred_cancel(&session->turn);
    chunk_wait_cancel(&session->chunk_waiter);
    tls_bytes_drop_input(session);
    tls_bytes_drop_output(session);
    stream_close(session->lower, mode, session_on_lower_closed, session);
}

// An alert that explains a refusal, and a user_canceled, are worth the wait even when the user
// aborts.
static bool session_has_last_words(const struct tls_session *session, enum stream_close_mode mode)
{
    return mode == STREAM_CLOSE_ORDERLY || session->is_cancelled ||
           (session->failure != NULL && session->failure->alert_sent != 0);
}

static void session_close(struct stream *stream, enum stream_close_mode mode)
{
    struct tls_session *session = tls_session_of(stream);
    if (sm_is(&session->sm, TLS_HANDSHAKING) || !session_has_last_words(session, mode)) {
        session_close_lower(session, mode);
        return;
    }
    if (sm_is(&session->sm, TLS_READY)) {
        session_end(session);
    }
    sm_move(&session->sm, TLS_FLUSHING);
    if (timer_start(&session->timer, STREAM_LINGER_MS) != RM_OK) {
        session_close_lower(session, STREAM_CLOSE_ABORT);
        return;
    }
    session_drain(session);
}

const struct stream_ops tls_stream_ops = {
    .read = session_read,
    .write = session_write,
    .finish = session_finish,
    .want = session_want,
    .close = session_close,
    .peer = session_peer,
    .remote = session_remote,
    .local = session_local,
    .descriptor = session_descriptor,
};

// --- For TLS streams only ------------------------------------------------------------------------

const struct tls_facts *tls_stream_facts(const struct stream *stream)
{
    const struct tls_session *session = (const struct tls_session *)(const void *)stream;
    return stream->ops == &tls_stream_ops ? &session->facts : NULL;
}

bool tls_stream_is_waiting(const struct stream *stream)
{
    return stream->ops == &tls_stream_ops &&
           tls_pace_is_waiting((const struct tls_session *)(const void *)stream);
}

const struct tls_failure *tls_stream_failure(const struct stream *stream)
{
    const struct tls_session *session = (const struct tls_session *)(const void *)stream;
    if (stream->ops != &tls_stream_ops) {
        return NULL;
    }
    return session->failure == NULL ? &tls_no_failure : session->failure;
}

void tls_stream_cancel(struct stream *stream)
{
    if (stream->ops != &tls_stream_ops) {
        return;
    }
    struct tls_session *session = tls_session_of(stream);
    if (!sm_is(&session->sm, TLS_READY) || session->is_finished || session->is_lower_broken ||
        session->write_status != RM_OK) {
        return; // nothing can be said any more; the abort that follows says enough
    }
    session->is_finished = true;
    // No more than TLS_ANSWER_MAX_BYTES, which writes leave free.
    session->is_cancelled = wolfSSL_SendUserCanceled(session->ssl) > 0;
    session->read_status = RM_ERR_CANCELLED;
    session->write_status = RM_ERR_CANCELLED;
    tls_session_arm(session);
}
