// SPDX-License-Identifier: GPL-3.0-or-later
//
// The byte path. Ciphertext is read ahead a chunk at a time and collected a chunk at a time, so
// that one system call carries many records. Chunks are held only while bytes are in them: a
// partial record waits inside wolfSSL, which keeps just that much.
#include <limits.h>
#include <string.h>

#include "tls/tls_internal.h"

// --- Chunks --------------------------------------------------------------------------------------

void tls_bytes_drop_input(struct tls_session *session)
{
    if (session->input != NULL) {
        chunk_put(session->base.loop, session->input);
    }
    session->input = NULL;
    session->input_start = 0;
    session->input_end = 0;
}

void tls_bytes_drop_output(struct tls_session *session)
{
    if (session->output != NULL) {
        chunk_put(session->base.loop, session->output);
    }
    session->output = NULL;
    session->output_start = 0;
    session->output_end = 0;
    session->is_output_blocked = false;
}

bool tls_bytes_has_output(const struct tls_session *session)
{
    return session->output_end > session->output_start;
}

bool tls_bytes_has_input(const struct tls_session *session)
{
    return session->read_status != RM_OK || session->input_end > session->input_start ||
           wolfSSL_pending(session->ssl) > 0;
}

bool tls_bytes_reserve(struct tls_session *session)
{
    if (session->output == NULL) {
        session->output = chunk_get(session->base.loop);
    }
    if (session->output == NULL) {
        tls_session_starve(session);
    }
    return session->output != NULL;
}

// --- wolfSSL asks for ciphertext -----------------------------------------------------------------

// user_canceled is a warning that wolfSSL reads over; the close_notify behind it would then look
// like an orderly end. This runs before each record, so it sees the alert while it is the last one.
static void input_note_cancel(struct tls_session *session)
{
    WOLFSSL_ALERT_HISTORY history = {.last_rx = {.code = -1}};
    (void)wolfSSL_get_alert_history(session->ssl, &history);
    if (history.last_rx.code == TLS_ALERT_USER_CANCELED) {
        session->is_cancelled_by_peer = true;
    }
}

void tls_bytes_keep_first(struct tls_session *session, const uint8_t *bytes, size_t length)
{
    struct tls_handshake *handshake = session->handshake;
    if (handshake != NULL && handshake->first_length < TLS_FIRST_BYTES) {
        size_t room = TLS_FIRST_BYTES - handshake->first_length;
        size_t count = length < room ? length : room;
        memcpy(handshake->first + handshake->first_length, bytes, count);
        handshake->first_length += count;
    }
}

// One read of the lower stream in each read of ours: a busy peer cannot hold the loop.
static int input_refill(struct tls_session *session)
{
    if (session->is_refilled) {
        return WOLFSSL_CBIO_ERR_WANT_READ;
    }
    size_t length = 0;
    session->input = chunk_get(session->base.loop);
    if (session->input == NULL) {
        tls_session_starve(session);
        return WOLFSSL_CBIO_ERR_WANT_READ;
    }
    session->is_refilled = true;
    enum rm_err result = stream_read(session->lower, session->input, CHUNK_BYTES, &length);
    if (result == RM_OK) {
        session->input_end = length;
        tls_bytes_keep_first(session, session->input, length);
        return 0;
    }
    tls_bytes_drop_input(session);
    if (result == RM_ERR_WOULD_BLOCK) {
        return WOLFSSL_CBIO_ERR_WANT_READ;
    }
    session->lower_status = result;
    return result == RM_ERR_EOF ? WOLFSSL_CBIO_ERR_CONN_CLOSE : WOLFSSL_CBIO_ERR_CONN_RST;
}

int tls_bytes_receive(WOLFSSL *ssl, char *buffer, int size, void *context)
{
    struct tls_session *session = context;
    (void)ssl;
    if (size <= TLS_RECORD_HEADER_BYTES) {
        input_note_cancel(session);
    }
    if (session->input_start == session->input_end) {
        int refused = input_refill(session);
        if (refused != 0) {
            return refused;
        }
    }
    size_t available = session->input_end - session->input_start;
    size_t count = (size_t)size < available ? (size_t)size : available;
    memcpy(buffer, session->input + session->input_start, count);
    session->input_start += count;
    if (session->input_start == session->input_end) {
        tls_bytes_drop_input(session);
    }
    return (int)count;
}

// --- wolfSSL gives ciphertext --------------------------------------------------------------------

static size_t output_room(struct tls_session *session)
{
    size_t tail = CHUNK_BYTES - session->output_end;
    if (tail < CHUNK_BYTES / 2 && session->output_start >= CHUNK_BYTES / 2) {
        size_t length = session->output_end - session->output_start;
        memmove(session->output, session->output + session->output_start, length);
        session->output_start = 0;
        session->output_end = length;
    }
    return CHUNK_BYTES - session->output_end;
}

// What application bytes may use of the room.
static size_t output_room_for_data(struct tls_session *session)
{
    size_t room = output_room(session);
    size_t kept = TLS_ANSWER_MAX_BYTES + TLS_RECORD_OVERHEAD_BYTES;
    return room > kept ? room - kept : 0;
}

// Takes all or fails: wolfSSL is never left with half a flight. Who calls wolfSSL makes room first;
// only answers that a peer provokes can exceed it.
int tls_bytes_send(WOLFSSL *ssl, char *bytes, int size, void *context)
{
    struct tls_session *session = context;
    (void)ssl;
    session->answered_bytes += session->is_reading ? (uint32_t)size : 0;
    if (session->handshake != NULL) {
        session->handshake->sent_length += (size_t)size;
    }
    if (session->answered_bytes > TLS_ANSWER_MAX_BYTES) {
        tls_failure_set(session, FAULT_PROTOCOL,
                        "the other end asks for more answers (key updates) than it reads");
        return WOLFSSL_CBIO_ERR_GENERAL;
    }
    if (session->output == NULL) {
        session->output = chunk_get(session->base.loop);
    }
    if (session->output == NULL || output_room(session) < (size_t)size) {
        tls_failure_set(session, FAULT_NO_MEMORY, "no memory for an answer of %d bytes", size);
        return WOLFSSL_CBIO_ERR_GENERAL;
    }
    memcpy(session->output + session->output_end, bytes, (size_t)size);
    session->output_end += (size_t)size;
    return size;
}

// The lower stream is gone for writing. A peer that refused us has said why: what it sent is looked
// at before the user is told, as soon as the lower stream can be read.
static void output_fail(struct tls_session *session, enum rm_err result)
{
    tls_bytes_drop_output(session);
    session->is_lower_broken = true;
    if (session->write_status != RM_OK) {
        return;
    }
    if (sm_is(&session->sm, TLS_READY) && session->read_status == RM_OK) {
        session->lost_status = result;
    } else {
        session->write_status = result;
    }
}

bool tls_bytes_is_lost(const struct tls_session *session)
{
    return session->lost_status != RM_OK && session->write_status == RM_OK;
}

void tls_bytes_look(struct tls_session *session)
{
    size_t length = 0;
    (void)tls_bytes_read(session, NULL, 0, &length);
    if (session->write_status == RM_OK) {
        session->write_status = session->lost_status;
    }
}

void tls_bytes_flush(struct tls_session *session)
{
    if (!tls_bytes_has_output(session)) {
        if (session->output != NULL) {
            tls_bytes_drop_output(session);
        }
        return;
    }
    size_t length = session->output_end - session->output_start;
    size_t written = 0;
    enum rm_err result = stream_write_bytes(session->lower, session->output + session->output_start,
                                            length, &written);
    if (result != RM_OK && result != RM_ERR_WOULD_BLOCK) {
        output_fail(session, result);
        return;
    }
    session->output_start += result == RM_OK ? written : 0;
    session->is_output_blocked = tls_bytes_has_output(session);
    if (!session->is_output_blocked) {
        tls_bytes_drop_output(session);
    }
}

bool tls_bytes_is_open(const struct tls_session *session)
{
    if (session->write_status != RM_OK) {
        return true; // a write would tell
    }
    if (session->is_finished || session->is_starved || tls_bytes_is_lost(session)) {
        return false;
    }
    // Enough for a full record, so that a blocked writer does not wake for crumbs.
    size_t waiting = session->output_end - session->output_start;
    return waiting + TLS_RECORD_MAX_BYTES + TLS_RECORD_OVERHEAD_BYTES + TLS_ANSWER_MAX_BYTES <=
           CHUNK_BYTES / 2;
}

// --- Reading -------------------------------------------------------------------------------------

static enum rm_err read_status_of_end(struct tls_session *session)
{
    if (session->is_cancelled_by_peer) {
        tls_failure_set_cancelled(session);
        return RM_ERR_CANCELLED;
    }
    if (session->lower_status == RM_OK) {
        return RM_ERR_EOF; // close_notify came
    }
    return session->lower_status == RM_ERR_EOF ? RM_ERR_TRUNCATED : session->lower_status;
}

// wolfSSL gave no bytes: notes how reading ended, if it did.
static void read_note_end(struct tls_session *session, int returned)
{
    int error = wolfSSL_get_error(session->ssl, returned);
    if (error == WOLFSSL_ERROR_WANT_READ) {
        return;
    }
    if (error == WOLFSSL_ERROR_ZERO_RETURN || error == SOCKET_PEER_CLOSED_E) {
        input_note_cancel(session);
        session->read_status = read_status_of_end(session);
    } else {
        session->read_status = tls_failure_from_library(session, error);
    }
    if (session->read_status != RM_ERR_EOF && session->write_status == RM_OK) {
        session->write_status = session->read_status;
    }
    tls_bytes_drop_input(session);
}

// With capacity 0 only looks: what can be read stays, an end is noted.
enum rm_err tls_bytes_read(struct tls_session *session, uint8_t *bytes, size_t capacity,
                           size_t *length)
{
    size_t total = 0;
    uint8_t glimpse;
    session->is_refilled = false;
    session->answered_bytes = 0;
    session->is_reading = true;
    while (session->read_status == RM_OK && (total < capacity || capacity == 0)) {
        size_t room = capacity - total < INT_MAX ? capacity - total : INT_MAX;
        int count = capacity == 0 ? wolfSSL_peek(session->ssl, &glimpse, 1)
                                  : wolfSSL_read(session->ssl, bytes + total, (int)room);
        if (count <= 0) {
            read_note_end(session, count);
            break;
        }
        if (capacity == 0) {
            break;
        }
        total += (size_t)count;
        if (session->is_refilled && !tls_bytes_has_input(session)) {
            break; // wolfSSL would take a record apart again to find that none has come
        }
    }
    session->is_reading = false;
    if (session->has_new_ticket) {
        tls_resume_keep(session);
    }
    *length = total;
    if (total > 0) {
        return RM_OK;
    }
    return session->read_status == RM_OK ? RM_ERR_WOULD_BLOCK : session->read_status;
}

// --- Writing -------------------------------------------------------------------------------------

// A place in the caller's parts.
struct cursor {
    const struct iovec *parts; // borrowed
    int count;                 // of parts
    int index;                 // of the current part
    size_t offset;             // in the current part
    size_t remaining;          // bytes in this and all later parts
};

static struct cursor cursor_at_start(const struct iovec *parts, int count)
{
    struct cursor cursor = {.parts = parts, .count = count};
    for (int i = 0; i < count; i++) {
        cursor.remaining += parts[i].iov_len;
    }
    return cursor;
}

static const uint8_t *cursor_here(const struct cursor *cursor)
{
    return (const uint8_t *)cursor->parts[cursor->index].iov_base + cursor->offset;
}

static size_t cursor_here_length(struct cursor *cursor)
{
    while (cursor->index < cursor->count &&
           cursor->offset == cursor->parts[cursor->index].iov_len) {
        cursor->index++;
        cursor->offset = 0;
    }
    return cursor->index < cursor->count ? cursor->parts[cursor->index].iov_len - cursor->offset
                                         : 0;
}

// One record's plaintext of `length` bytes: in place when one part holds it, gathered otherwise.
static const uint8_t *cursor_take(struct cursor *cursor, size_t length,
                                  uint8_t gathered[TLS_RECORD_MAX_BYTES])
{
    const uint8_t *bytes = gathered;
    size_t taken = 0;
    if (cursor_here_length(cursor) >= length) {
        bytes = cursor_here(cursor);
        cursor->offset += length;
        cursor->remaining -= length;
        return bytes;
    }
    while (taken < length) {
        size_t here = cursor_here_length(cursor);
        size_t count = here < length - taken ? here : length - taken;
        memcpy(gathered + taken, cursor_here(cursor), count);
        taken += count;
        cursor->offset += count;
    }
    cursor->remaining -= length;
    return bytes;
}

// Room for some of the next record, or 0. A full chunk is offered to the lower stream once.
static size_t write_room(struct tls_session *session, size_t wish)
{
    size_t worth = wish < TLS_RECORD_WORTH_BYTES ? wish : TLS_RECORD_WORTH_BYTES;
    for (int attempt = 0; attempt < 2; attempt++) {
        if (session->is_lower_broken || session->write_status != RM_OK ||
            !tls_bytes_reserve(session)) {
            return 0;
        }
        size_t room = output_room_for_data(session);
        if (room >= worth) {
            return room;
        }
        if (session->is_output_blocked) {
            return 0;
        }
        tls_bytes_flush(session);
    }
    return 0;
}

// A burst begins after a silence.
static void write_note_burst(struct tls_session *session)
{
    uint64_t now_ms = loop_now_ms(session->base.loop);
    if (now_ms - session->burst_ms >= TLS_BURST_SILENCE_MS) {
        session->burst_bytes = 0;
    }
    session->burst_ms = now_ms;
}

// What the next record may hold: little until the burst has got going.
static size_t write_record_limit(const struct tls_session *session)
{
    return session->burst_bytes < TLS_BURST_SMALL_BYTES ? TLS_RECORD_SMALL_BYTES
                                                        : TLS_RECORD_MAX_BYTES;
}

static bool write_record(struct tls_session *session, struct cursor *cursor, size_t length)
{
    uint8_t gathered[TLS_RECORD_MAX_BYTES];
    const uint8_t *bytes = cursor_take(cursor, length, gathered);
    int taken = wolfSSL_write(session->ssl, bytes, (int)length);
    if (taken == (int)length) {
        session->burst_bytes += session->burst_bytes < TLS_BURST_SMALL_BYTES ? (uint32_t)length : 0;
        return true;
    }
    // The output had room, so this is memory or our own mistake; the record's number may be used
    // up.
    session->write_status =
        tls_failure_from_library(session, wolfSSL_get_error(session->ssl, taken));
    session->read_status = session->write_status;
    return false;
}

enum rm_err tls_bytes_write(struct tls_session *session, const struct iovec *parts, int count,
                            size_t *written)
{
    struct cursor cursor = cursor_at_start(parts, count);
    size_t total = cursor.remaining;
    *written = 0;
    write_note_burst(session);
    while (cursor.remaining > 0) {
        size_t limit = write_record_limit(session);
        size_t wish = cursor.remaining < limit ? cursor.remaining : limit;
        size_t room = write_room(session, wish);
        size_t length = room < wish ? room : wish;
        if (length == 0 || !write_record(session, &cursor, length)) {
            break;
        }
        *written = total - cursor.remaining;
    }
    // Half a chunk is worth a system call now; less waits for what follows in this turn.
    if (!session->is_output_blocked &&
        session->output_end - session->output_start >= CHUNK_BYTES / 2) {
        tls_bytes_flush(session);
    }
    if (*written > 0 || total == 0) {
        return RM_OK;
    }
    return session->write_status == RM_OK ? RM_ERR_WOULD_BLOCK : session->write_status;
}
