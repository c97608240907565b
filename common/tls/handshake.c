// SPDX-License-Identifier: GPL-3.0-or-later
//
// The handshake: wolfSSL is asked to go on whenever something arrived, until it says how it ended.
// Its good word is not enough: a verdict must have said IDENTITY on this very session.
#include "base/alloc.h"
#include "tls/tls_internal.h"

static const char *handshake_suite(WOLFSSL *ssl)
{
    switch (wolfSSL_get_current_cipher_suite(ssl)) {
    case 0x1301:
        return "TLS_AES_128_GCM_SHA256";
    case 0x1302:
        return "TLS_AES_256_GCM_SHA384";
    case 0x1303:
        return "TLS_CHACHA20_POLY1305_SHA256";
    default:
        return "unknown";
    }
}

static void handshake_fill_facts(struct tls_session *session)
{
    struct tls_facts *facts = &session->facts;
    facts->version = "TLSv1.3"; // the only one the contexts allow
    facts->suite = handshake_suite(session->ssl);
    facts->group = tls_library_group(session->ssl);
    facts->sni = tls_session_sni(session);
    facts->is_server = session->is_server;
    facts->local_id =
        session->context->identity != NULL ? session->context->identity->spiffe_id : NULL;
    facts->handshake_ms =
        (uint32_t)(loop_now_ms(session->base.loop) - session->handshake->started_ms);
}

// A resumed session has the peer that its first handshake proved, judged anew when its ticket was
// offered or opened. Nothing else may have named a peer meanwhile.
static void handshake_resume(struct tls_session *session)
{
    struct tls_handshake *handshake = session->handshake;
    bool is_named = session->peer != NULL;
    peer_unref(session->peer);
    session->peer = NULL;
    if (is_named) {
        return; // fails closed
    }
    if (session->is_server) {
        session->peer = tls_ticket_peer(session);
    } else if (handshake->offered_peer != NULL) {
        struct chain_facts facts;
        verdict_facts_of_peer(handshake->offered_peer, &facts);
        session->peer = peer_new(&facts, true);
    }
    session->facts.ticket = TLS_TICKET_RESUMED;
    session->facts.is_resumed = true;
}

static void handshake_note_ticket(struct tls_session *session)
{
    if (wolfSSL_session_reused(session->ssl) == 1) {
        handshake_resume(session);
    } else if (session->is_server) {
        session->facts.ticket = session->handshake->offer.use;
    }
}

// Fails closed if the verify callback was never asked, whatever wolfSSL says.
static bool handshake_check_peer(struct tls_session *session)
{
    bool may_be_anonymous = session->is_server && !session->context->is_certificate_required;
    if (session->peer != NULL || (may_be_anonymous && session->handshake->is_anonymous)) {
        return true;
    }
    tls_failure_set(session, FAULT_INTERNAL, "the handshake ended without a verdict");
    return false;
}

void tls_handshake_fail(struct tls_session *session, enum rm_err result)
{
    struct tls_handshake *handshake = session->handshake;
    timer_stop(&session->timer);
    list_remove(&handshake->paced);
    sm_move(&session->sm, TLS_FAILED);
    peer_unref(session->peer);
    session->peer = NULL;
    session->read_status = result;
    session->write_status = result;
    tls_bytes_drop_input(session);
    tls_bytes_flush(session); // the alert that says why
    tls_ready_fn on_ready = handshake->on_ready;
    handshake->on_ready = NULL;
    on_ready(handshake->ready_context, result, session->failure);
    tls_session_arm(session);
}

// What the user writes in on_ready joins what is still unsent: a client's Finished and the
// application's first bytes leave in one flight.
static void handshake_succeed(struct tls_session *session)
{
    struct tls_handshake *handshake = session->handshake;
    tls_ready_fn on_ready = handshake->on_ready;
    void *context = handshake->ready_context;
    timer_stop(&session->timer);
    handshake_fill_facts(session);
    sm_move(&session->sm, TLS_READY);
    tls_handshake_free(handshake);
    rm_free(session->failure);
    session->handshake = NULL;
    session->failure = NULL;
    on_ready(context, RM_OK, tls_stream_failure(&session->base));
    if (sm_is(&session->sm, TLS_READY)) {
        tls_bytes_flush(session);
    }
    tls_session_arm(session);
}

static void handshake_end(struct tls_session *session)
{
    handshake_note_ticket(session);
    if (handshake_check_peer(session) && tls_hello_check(session)) {
        handshake_succeed(session);
        return;
    }
    tls_bytes_drop_output(session); // our Finished would say that all is well
    tls_handshake_fail(session, tls_failure_code(session->failure));
}

// An intermediate that one peer sent must not complete the chain of another: forget it at once, not
// only when the handshake ends (wolfssl.md 0.1).
static void handshake_forget_intermediates(const struct tls_session *session)
{
    WOLFSSL_CTX *library = session->is_server ? session->context->server : session->context->client;
    (void)wolfSSL_CertManagerUnloadIntermediateCerts(wolfSSL_CTX_GetCertManager(library));
}

// Where several identities answer, the hello first chooses one. False: not yet, or it failed.
static bool handshake_has_context(struct tls_session *session)
{
    if (session->ssl != NULL && buffer_length(&session->handshake->hello) == 0) {
        return true;
    }
    enum rm_err result = tls_select_step(session);
    if (result == RM_ERR_WOULD_BLOCK) {
        tls_session_arm(session);
    } else if (result != RM_OK) {
        tls_handshake_fail(session, result);
    }
    return result == RM_OK;
}

void tls_handshake_step(struct tls_session *session)
{
    if (session->is_starved || !handshake_has_context(session)) {
        return;
    }
    if (!tls_bytes_reserve(session)) {
        tls_session_arm(session);
        return;
    }
    session->is_refilled = false;
    int returned =
        session->is_server ? wolfSSL_accept(session->ssl) : wolfSSL_connect(session->ssl);
    handshake_forget_intermediates(session);
    if (returned == WOLFSSL_SUCCESS) {
        handshake_end(session);
        return;
    }
    int error = wolfSSL_get_error(session->ssl, returned);
    if (error == WOLFSSL_ERROR_WANT_READ) {
        tls_bytes_flush(session);
        tls_session_arm(session);
        return;
    }
    tls_handshake_fail(session, tls_failure_from_library(session, error));
}
