// SPDX-License-Identifier: GPL-3.0-or-later
//
//   start -> HANDSHAKING -> LISTENING -> DONE     on_done, then the lower stream closes
//                 |                       ^
//                 +-----------------------+       failed, late
//
// A driver of its own, so that the path which carries traffic has no branch for probes. It owns a
// context of its own, too, which nobody else ever gets.
#include "tls/probe.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "tls/probe_internal.h"

#define SCRATCH_BYTES 4096 // of what a server says after the handshake

static const struct sm_state states[] = {
    [PROBE_HANDSHAKING] = {"handshaking", SM_BIT(PROBE_LISTENING) | SM_BIT(PROBE_DONE)},
    [PROBE_LISTENING] = {"listening", SM_BIT(PROBE_DONE)},
    [PROBE_DONE] = {"done", 0},
};

// --- Bytes
// ---------------------------------------------------------------------------------------

static void probe_keep_first(struct tls_probe *probe)
{
    struct tls_handshake *handshake = probe->session.handshake;
    size_t room = sizeof(probe->hello) - probe->hello_length;
    size_t count = probe->input_end < room ? probe->input_end : room;
    memcpy(probe->hello + probe->hello_length, probe->input, count);
    probe->hello_length += count;
    handshake->first_length =
        probe->hello_length < TLS_FIRST_BYTES ? probe->hello_length : TLS_FIRST_BYTES;
    memcpy(handshake->first, probe->hello, handshake->first_length);
}

static int probe_refill(struct tls_probe *probe)
{
    if (probe->received_bytes >= TLS_PROBE_MAX_RECEIVED_BYTES) {
        return WOLFSSL_CBIO_ERR_CONN_CLOSE;
    }
    probe->input_start = 0;
    probe->input_end = 0;
    enum rm_err result =
        stream_read(probe->lower, probe->input, sizeof(probe->input), &probe->input_end);
    if (result == RM_OK) {
        probe->received_bytes += probe->input_end;
        probe_keep_first(probe);
        return 0;
    }
    if (result == RM_ERR_WOULD_BLOCK) {
        return WOLFSSL_CBIO_ERR_WANT_READ;
    }
    probe->session.lower_status = result;
    return result == RM_ERR_EOF ? WOLFSSL_CBIO_ERR_CONN_CLOSE : WOLFSSL_CBIO_ERR_CONN_RST;
}

static int probe_on_receive(WOLFSSL *ssl, char *buffer, int size, void *context)
{
    struct tls_probe *probe = context;
    (void)ssl;
    if (probe->input_start == probe->input_end) {
        int refused = probe_refill(probe);
        if (refused != 0) {
            return refused;
        }
    }
    size_t available = probe->input_end - probe->input_start;
    size_t count = (size_t)size < available ? (size_t)size : available;
    memcpy(buffer, probe->input + probe->input_start, count);
    probe->input_start += count;
    return (int)count;
}

static int probe_on_send(WOLFSSL *ssl, char *bytes, int size, void *context)
{
    struct tls_probe *probe = context;
    (void)ssl;
    return buffer_append(&probe->output, bytes, (size_t)size) == RM_OK
               ? size
               : (int)WOLFSSL_CBIO_ERR_GENERAL;
}

// A lower stream that takes nothing more has its reason to be read.
static void probe_flush(struct tls_probe *probe)
{
    size_t written = 0;
    if (buffer_length(&probe->output) > 0) {
        enum rm_err result = stream_write_bytes(probe->lower, buffer_data(&probe->output),
                                                buffer_length(&probe->output), &written);
        if (result == RM_OK) {
            buffer_consume(&probe->output, written);
        } else if (result != RM_ERR_WOULD_BLOCK) {
            buffer_clear(&probe->output);
        }
    }
    stream_want(probe->lower,
                STREAM_READ | (buffer_length(&probe->output) > 0 ? (unsigned)STREAM_WRITE : 0));
}

// --- The end
// -------------------------------------------------------------------------------------

static void probe_free(struct tls_probe *probe)
{
    struct tls_session *session = &probe->session;
    timer_stop(&probe->timer);
    deferred_cancel(&probe->turn);
    wolfSSL_free(session->ssl);
    tls_handshake_free(session->handshake);
    tls_context_unref(session->context);
    rm_free(session->failure);
    rm_free(session->sni);
    buffer_deinit(&probe->output);
    buffer_deinit(&probe->response);
    chain_deinit(&probe->chain);
    rm_free(probe);
}

static void probe_on_lower_closed(void *context)
{
    probe_free(context);
}

static void probe_close(struct tls_probe *probe)
{
    sm_move(&probe->sm, PROBE_DONE);
    timer_stop(&probe->timer);
    deferred_cancel(&probe->turn);
    stream_close(probe->lower,
                 probe->report.result == RM_OK ? STREAM_CLOSE_ORDERLY : STREAM_CLOSE_ABORT,
                 probe_on_lower_closed, probe);
}

static void probe_finish(struct tls_probe *probe)
{
    struct tls_probe_report *report = &probe->report;
    tls_probe_take_failure(probe, &report->failure);
    tls_probe_read_hello(probe->hello, probe->hello_length, &report->hello);
    for (size_t i = 0; i < probe->chain.count; i++) {
        report->chain[i].bytes = probe->chain.certificates[i].bytes;
        report->chain[i].length = probe->chain.certificates[i].length;
    }
    report->chain_count = probe->chain.count;
    probe->on_done(probe->context, report);
    probe_close(probe);
}

static void probe_fail(struct tls_probe *probe, enum rm_err result)
{
    probe->report.result = result;
    probe->report.handshake_us = (clock_mono_ns() - probe->started_ns) / 1000;
    probe_finish(probe);
}

// --- After the handshake
// -------------------------------------------------------------------------

static bool probe_listens_for_date(const struct tls_probe *probe)
{
    return probe->asks_date && strcmp(probe->report.alpn, "http/1.1") == 0;
}

// The only application bytes a probe ever sends: fixed but for the name, which was checked.
static void probe_ask_date(struct tls_probe *probe)
{
    char request[SPIFFE_SNI_BYTES + 128];
    const char *host = tls_session_sni(&probe->session);
    int length = snprintf(request, sizeof(request),
                          "HEAD / HTTP/1.1\r\nHost: %s\r\nUser-Agent: remora-diagnose\r\n"
                          "Connection: close\r\n\r\n",
                          host[0] != '\0' ? host : "localhost");
    probe->is_asking = wolfSSL_write(probe->session.ssl, request, length) == length;
}

static void probe_hear(struct tls_probe *probe, const uint8_t *bytes, size_t length)
{
    probe->report.is_confirmed = true;
    if (!probe->is_asking || buffer_append(&probe->response, bytes, length) != RM_OK) {
        return; // nobody asked for it
    }
    const char *text = buffer_text(&probe->response);
    if (text != NULL && tls_probe_head_is_whole(text)) {
        probe->report.date_s = tls_probe_read_date(text);
        probe->is_asking = false;
    }
}

// wolfSSL has no more bytes. True when nothing more is to come.
static bool probe_note_end(struct tls_probe *probe, int error)
{
    struct tls_probe_report *report = &probe->report;
    if (error == WOLFSSL_ERROR_WANT_READ) {
        return false;
    }
    if (error == WOLFSSL_ERROR_ZERO_RETURN) {
        report->is_confirmed = true; // close_notify comes from an end that is done
        return true;
    }
    (void)tls_failure_from_library(&probe->session, error);
    const struct tls_failure *failure = probe->session.failure;
    report->is_refused = failure != NULL && failure->alert_received != 0;
    if (!report->is_refused) {
        struct tls_failure dropped; // an abrupt end after ours is rude, and no fault of TLS
        tls_probe_take_failure(probe, &dropped);
    }
    return true;
}

static void probe_listen(struct tls_probe *probe)
{
    uint8_t scratch[SCRATCH_BYTES];
    int count;
    while ((count = wolfSSL_read(probe->session.ssl, scratch, sizeof(scratch))) > 0) {
        probe_hear(probe, scratch, (size_t)count);
    }
    bool was_asking = probe_listens_for_date(probe);
    bool is_over = probe_note_end(probe, wolfSSL_get_error(probe->session.ssl, count));
    if (is_over || (was_asking && !probe->is_asking)) {
        probe_finish(probe);
        return;
    }
    probe_flush(probe);
}

static int probe_on_ticket(WOLFSSL *ssl, const unsigned char *ticket, int length, void *context)
{
    struct tls_probe *probe = context;
    (void)ssl;
    (void)ticket;
    (void)length;
    probe->report.ticket_count++;
    probe->report.is_confirmed = true;
    return 0;
}

// Our close_notify asks the server to end: what it thinks of our certificate comes before.
static void probe_succeed(struct tls_probe *probe)
{
    probe->report.result = RM_OK;
    probe->report.handshake_us = (clock_mono_ns() - probe->started_ns) / 1000;
    (void)tls_hello_check(&probe->session);
    memcpy(probe->report.alpn, probe->session.facts.alpn, sizeof(probe->report.alpn));
    timer_stop(&probe->timer);
    sm_move(&probe->sm, PROBE_LISTENING);
    if (timer_start(&probe->timer, TLS_PROBE_LISTEN_MS) != RM_OK) {
        probe_finish(probe);
        return;
    }
    if (probe_listens_for_date(probe)) {
        probe_ask_date(probe);
    } else {
        (void)wolfSSL_shutdown(probe->session.ssl);
    }
    probe_flush(probe);
    probe_listen(probe);
}

// --- Steps
// ---------------------------------------------------------------------------------------

static void probe_step(struct tls_probe *probe)
{
    if (sm_is(&probe->sm, PROBE_LISTENING)) {
        probe_listen(probe);
        return;
    }
    int returned = wolfSSL_connect(probe->session.ssl);
    if (returned == WOLFSSL_SUCCESS) {
        probe_succeed(probe);
        return;
    }
    int error = wolfSSL_get_error(probe->session.ssl, returned);
    probe_flush(probe);
    if (error != WOLFSSL_ERROR_WANT_READ) {
        probe_fail(probe, tls_failure_from_library(&probe->session, error));
    }
}

static void probe_on_lower(void *context, unsigned events)
{
    struct tls_probe *probe = context;
    if ((events & STREAM_WRITE) != 0) {
        probe_flush(probe);
    }
    if ((events & STREAM_READ) != 0 && !sm_is(&probe->sm, PROBE_DONE)) {
        probe_step(probe);
    }
}

static void probe_on_turn(void *context)
{
    probe_step(context);
}

static void probe_on_timer(void *context)
{
    struct tls_probe *probe = context;
    if (sm_is(&probe->sm, PROBE_LISTENING)) {
        probe_finish(probe);
        return;
    }
    tls_failure_set(&probe->session, FAULT_TIMEOUT, "no end of the handshake after %u ms%s",
                    (unsigned)((clock_mono_ns() - probe->started_ns) / 1000000),
                    probe->hello_length == 0 ? "; not one byte was received" : "");
    probe_fail(probe, RM_ERR_TIMEOUT);
}

// --- The start
// -----------------------------------------------------------------------------------

// RFC 6066 3 and RFC 9110 7.2: what may stand in a hello and in a Host field.
static bool sni_is_clean(const char *sni)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    return sni == NULL || (sni[0] != '\0' && sni[strspn(sni, allowed)] == '\0');
}

static enum rm_err probe_prepare_context(struct tls_probe *probe,
                                         const struct tls_probe_options *options)
{
    struct tls_spiffe_profile profile = {.identity = options->identity, .trust = options->trust};
    struct rm_error error = {0};
    RM_TRY(tls_context_new_spiffe(&profile, &probe->session.context, &error));
    WOLFSSL_CTX *library = probe->session.context->client;
    wolfSSL_CTX_set_verify(library, WOLFSSL_VERIFY_PEER, tls_probe_on_chain);
    wolfSSL_CTX_SetIORecv(library, probe_on_receive);
    wolfSSL_CTX_SetIOSend(library, probe_on_send);
    wolfSSL_CTX_set_cert_cb(library, tls_probe_on_certificate_request, NULL);
    return RM_OK;
}

static enum rm_err probe_prepare_library(struct tls_probe *probe,
                                         const struct tls_session_options *session_options)
{
    struct tls_session *session = &probe->session;
    session->ssl = wolfSSL_new(session->context->client);
    if (session->ssl == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    wolfSSL_SetIOReadCtx(session->ssl, probe);
    wolfSSL_SetIOWriteCtx(session->ssl, probe);
    wolfSSL_SetCertCbCtx(session->ssl, probe);
    wolfSSL_set_SessionTicket_cb(session->ssl, probe_on_ticket, probe);
    return tls_hello_prepare(session, session_options);
}

static enum rm_err probe_prepare(struct tls_probe *probe, const struct tls_probe_options *options)
{
    static const char *const no_alpn[] = {NULL};
    struct tls_session_options session_options = {
        .sni = options->sni,
        .alpn = options->alpn != NULL ? options->alpn : no_alpn,
        .alpn_count = options->alpn_count,
        .expected_ids = options->expected_ids,
        .expected_count = options->expected_count,
    };
    if (!sni_is_clean(options->sni)) {
        return RM_ERR_CONFIG;
    }
    probe->session.handshake = rm_calloc(1, sizeof(*probe->session.handshake));
    if (probe->session.handshake == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    list_init(&probe->session.handshake->paced);
    buffer_init(&probe->session.handshake->hello, TLS_HELLO_MAX_BYTES);
    RM_TRY(probe_prepare_context(probe, options));
    RM_TRY(tls_session_expect(&probe->session, &session_options));
    RM_TRY(probe_prepare_library(probe, &session_options));
    probe->started_ns = clock_mono_ns();
    return timer_start(&probe->timer,
                       options->timeout_ms == 0 ? TLS_HANDSHAKE_TIMEOUT_MS : options->timeout_ms);
}

static struct tls_probe *probe_new(struct stream *lower, bool asks_date, tls_probe_fn on_done,
                                   void *context)
{
    struct tls_probe *probe = rm_calloc(1, sizeof(*probe));
    if (probe == NULL) {
        return NULL;
    }
    probe->lower = lower;
    probe->asks_date = asks_date;
    probe->on_done = on_done;
    probe->context = context;
    probe->report.result = RM_ERR_CANCELLED;
    sm_init(&probe->sm, "tls_probe", 0, states, PROBE_HANDSHAKING);
    timer_init(&probe->timer, lower->loop, probe_on_timer, probe);
    deferred_init(&probe->turn, probe_on_turn, probe);
    buffer_init(&probe->output, PROBE_OUTPUT_BYTES);
    buffer_init(&probe->response, PROBE_RESPONSE_BYTES);
    return probe;
}

enum rm_err tls_probe_start(struct stream *lower, const struct tls_probe_options *options,
                            tls_probe_fn on_done, void *context, struct tls_probe **out)
{
    struct tls_probe *probe = probe_new(lower, options->asks_date, on_done, context);
    enum rm_err result = probe == NULL ? RM_ERR_NO_MEMORY : probe_prepare(probe, options);
    if (result != RM_OK) {
        if (probe != NULL) {
            probe_free(probe);
        }
        stream_close(lower, STREAM_CLOSE_ABORT, NULL, NULL);
        return result;
    }
    stream_own(lower, probe_on_lower, probe);
    deferred_schedule(lower->loop, &probe->turn);
    *out = probe;
    return RM_OK;
}

void tls_probe_cancel(struct tls_probe *probe)
{
    probe_close(probe);
}
