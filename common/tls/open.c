// SPDX-License-Identifier: GPL-3.0-or-later
//
// A session is made whole or not at all; on any error the lower stream is closed.
#include <string.h>

#include "base/alloc.h"
#include "tls/tls_internal.h"

static bool session_expects(const struct tls_session_options *options, const char *id)
{
    for (size_t i = 0; i < options->expected_count; i++) {
        if (strcmp(options->expected_ids[i], id) == 0) {
            return true;
        }
    }
    return false;
}

enum rm_err tls_session_expect(struct tls_session *session,
                               const struct tls_session_options *options)
{
    struct tls_handshake *handshake = session->handshake;
    if (options->expected_ids == NULL) {
        return RM_OK;
    }
    // A pinned context proves one identity; an expectation of another one can only be a mistake.
    if (session->context->pins != NULL &&
        !session_expects(options, session->context->pins->control_id)) {
        return RM_ERR_CONFIG;
    }
    // An empty list stays a list: it expects nobody.
    handshake->expected_ids = rm_calloc(options->expected_count + 1, sizeof(char *));
    if (handshake->expected_ids == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < options->expected_count; i++) {
        handshake->expected_ids[i] = rm_strdup(options->expected_ids[i]);
        if (handshake->expected_ids[i] == NULL) {
            return RM_ERR_NO_MEMORY;
        }
        handshake->expected_count++;
    }
    return RM_OK;
}

enum rm_err tls_session_begin_library(struct tls_session *session,
                                      const struct tls_session_options *options)
{
    WOLFSSL_CTX *library = session->is_server ? session->context->server : session->context->client;
    if (library == NULL) {
        return RM_ERR_CONFIG; // a server without a certificate
    }
    session->ssl = wolfSSL_new(library);
    if (session->ssl == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    wolfSSL_SetIOReadCtx(session->ssl, session);
    wolfSSL_SetIOWriteCtx(session->ssl, session);
    wolfSSL_SetCertCbCtx(session->ssl, session);
    RM_TRY(tls_hello_prepare(session, options));
    return tls_resume_prepare(session, options);
}

static enum rm_err session_prepare(struct tls_session *session,
                                   const struct tls_session_options *options, tls_ready_fn on_ready,
                                   void *context)
{
    session->failure = rm_calloc(1, sizeof(*session->failure));
    struct tls_handshake *handshake = rm_calloc(1, sizeof(*handshake));
    if (session->failure == NULL || handshake == NULL) {
        rm_free(handshake);
        return RM_ERR_NO_MEMORY;
    }
    list_init(&handshake->paced);
    session->handshake = handshake;
    session->handshake->session = session;
    session->handshake->pace = options->pace;
    session->handshake->on_ready = on_ready;
    session->handshake->ready_context = context;
    session->handshake->started_ms = loop_now_ms(session->base.loop);
    RM_TRY(tls_session_expect(session, options));
    buffer_init(&handshake->hello, TLS_HELLO_MAX_BYTES);
    // Where several identities answer, the hello chooses one of them first.
    if (!session->is_server || session->context->sibling_count == 0) {
        RM_TRY(tls_session_begin_library(session, options));
    }
    return timer_start(&session->timer,
                       options->timeout_ms == 0 ? TLS_HANDSHAKE_TIMEOUT_MS : options->timeout_ms);
}

static struct tls_session *session_new(struct stream *lower,
                                       const struct tls_session_options *options, bool is_server)
{
    struct tls_session *session = rm_calloc(1, sizeof(*session));
    if (session == NULL) {
        return NULL;
    }
    session->base.ops = &tls_stream_ops;
    session->base.loop = lower->loop;
    session->lower = lower;
    session->is_server = is_server;
    session->context = tls_context_ref(options->tls);
    sm_init(&session->sm, "tls_session", 0, tls_session_states, TLS_HANDSHAKING);
    deferred_init(&session->turn, tls_session_on_turn, session);
    timer_init(&session->timer, lower->loop, tls_session_on_timer, session);
    chunk_waiter_init(&session->chunk_waiter, tls_session_on_chunk, session);
    return session;
}

static enum rm_err session_open(struct stream *lower, const struct tls_session_options *options,
                                bool is_server, tls_ready_fn on_ready, void *context,
                                struct stream **out)
{
    struct tls_session *session = session_new(lower, options, is_server);
    enum rm_err result =
        session == NULL ? RM_ERR_NO_MEMORY : session_prepare(session, options, on_ready, context);
    if (result != RM_OK) {
        if (session != NULL) {
            tls_session_free(session);
        }
        stream_close(lower, STREAM_CLOSE_ABORT, NULL, NULL);
        return result;
    }
    stream_own(lower, tls_session_on_lower, session);
    if (is_server) {
        tls_session_arm(session); // the client speaks first
    } else if (session->handshake->pace != NULL) {
        tls_pace_step(session);
    } else {
        deferred_schedule(lower->loop, &session->turn);
    }
    *out = &session->base;
    return RM_OK;
}

enum rm_err tls_accept(struct stream *lower, const struct tls_session_options *options,
                       tls_ready_fn on_ready, void *context, struct stream **out)
{
    return session_open(lower, options, true, on_ready, context, out);
}

enum rm_err tls_connect(struct stream *lower, const struct tls_session_options *options,
                        tls_ready_fn on_ready, void *context, struct stream **out)
{
    return session_open(lower, options, false, on_ready, context, out);
}
