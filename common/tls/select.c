// SPDX-License-Identifier: GPL-3.0-or-later
//
// Several identities behind one port: the name in the ClientHello (RFC 6066 3) chooses the context
// that answers, whole, before wolfSSL sees a byte: certificate, roots, rules. The choice is no
// judgement: a context that does not know the name refuses it afterwards, where it must be known.
//
// A hello that needs a second record is nobody we know; wolfSSL meets it with the first context.
// While the hello is incomplete only its own bytes are kept, so that slow peers hold no chunk.
#include <string.h>

#include "tls/tls_internal.h"

#define SELECT_HANDSHAKE_RECORD 22 // RFC 8446 5.1

static struct tls_context *select_context(struct tls_context *first, const char *name)
{
    for (size_t i = 0; !tls_context_knows(first, name) && i < first->sibling_count; i++) {
        if (tls_context_knows(first->siblings[i], name)) {
            return first->siblings[i];
        }
    }
    return first;
}

// The name asked for; "" when there is none. False while the hello is incomplete.
static bool select_read_name(const struct buffer *hello, char name[SPIFFE_SNI_BYTES])
{
    const uint8_t *bytes = buffer_data(hello);
    size_t hello_length = buffer_length(hello);
    word32 length = SPIFFE_SNI_BYTES - 1;
    name[0] = '\0';
    if (bytes[0] != SELECT_HANDSHAKE_RECORD) {
        return true; // wolfSSL says what it thinks of that
    }
    int found = wolfSSL_SNI_GetFromBuffer(bytes, (word32)hello_length, WOLFSSL_SNI_HOST_NAME,
                                          (uint8_t *)name, &length);
    if (found == INCOMPLETE_DATA) {
        return hello_length >= TLS_HELLO_MAX_BYTES;
    }
    name[found == WOLFSSL_SUCCESS ? length : 0] = '\0';
    return true;
}

// Reads what the lower stream has, once. Errors: RM_ERR_WOULD_BLOCK when there is nothing or no
// chunk, or how the stream ended.
static enum rm_err select_read(struct tls_session *session)
{
    struct buffer *hello = &session->handshake->hello;
    size_t length = 0;
    uint8_t *chunk = chunk_get(session->base.loop);
    if (chunk == NULL) {
        tls_session_starve(session);
        return RM_ERR_WOULD_BLOCK;
    }
    enum rm_err result =
        stream_read(session->lower, chunk, TLS_HELLO_MAX_BYTES - buffer_length(hello), &length);
    if (result == RM_OK) {
        tls_bytes_keep_first(session, chunk, length);
        result = buffer_append(hello, chunk, length);
    }
    chunk_put(session->base.loop, chunk);
    return result;
}

// Gives wolfSSL what was read for the choice.
static enum rm_err select_hand_over(struct tls_session *session)
{
    struct buffer *hello = &session->handshake->hello;
    session->input = chunk_get(session->base.loop);
    if (session->input == NULL) {
        tls_session_starve(session);
        return RM_ERR_WOULD_BLOCK;
    }
    memcpy(session->input, buffer_data(hello), buffer_length(hello));
    session->input_start = 0;
    session->input_end = buffer_length(hello);
    buffer_deinit(hello);
    return RM_OK;
}

static enum rm_err select_begin(struct tls_session *session, const char *name)
{
    struct tls_context *before = session->context;
    session->context = tls_context_ref(select_context(before, name));
    tls_context_unref(before);
    enum rm_err result = tls_session_begin_library(session, &(struct tls_session_options){0});
    return result == RM_OK ? select_hand_over(session) : result;
}

static enum rm_err select_fail(struct tls_session *session, enum rm_err result)
{
    if (result == RM_ERR_NO_MEMORY || result == RM_ERR_TOO_LARGE) {
        tls_failure_set(session, FAULT_NO_MEMORY, "no memory for the client's hello");
        return RM_ERR_NO_MEMORY;
    }
    session->lower_status = result;
    return tls_failure_from_library(session, SOCKET_ERROR_E);
}

enum rm_err tls_select_step(struct tls_session *session)
{
    char name[SPIFFE_SNI_BYTES];
    if (session->ssl != NULL) {
        return session->input == NULL && buffer_length(&session->handshake->hello) > 0
                   ? select_hand_over(session)
                   : RM_OK;
    }
    enum rm_err result = select_read(session);
    if (result == RM_OK) {
        result = select_read_name(&session->handshake->hello, name) ? select_begin(session, name)
                                                                    : RM_ERR_WOULD_BLOCK;
    }
    return result == RM_OK || result == RM_ERR_WOULD_BLOCK ? result : select_fail(session, result);
}
