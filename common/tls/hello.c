// SPDX-License-Identifier: GPL-3.0-or-later
//
// The names in the hello: SNI (RFC 6066 3) and ALPN (RFC 7301). What the library lets pass in
// silence (no ALPN at all, unknown SNI) is refused here.
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "tls/tls_internal.h"

#define ALERT_INTERNAL_ERROR 80
#define ALERT_MISSING_EXTENSION 109
#define ALERT_UNRECOGNIZED_NAME 112
#define ALERT_NO_APPLICATION_PROTOCOL 120
// What wolfSSL's server-name callback may answer.
enum { HELLO_OK = 0, HELLO_FATAL = fatal_return };

// "a,b" as wolfSSL wants it. TLS_ALPN_MAX names of at most 31 characters fit.
struct alpn_list {
    char text[TLS_ALPN_MAX * sizeof(((struct tls_facts *)0)->alpn)]; // NUL-terminated
    size_t length;                                                   // without NUL
};

static bool alpn_list_add(struct alpn_list *list, const char *name)
{
    size_t length = strlen(name);
    size_t comma = list->length > 0 ? 1 : 0;
    if (length == 0 || length >= sizeof(((struct tls_facts *)0)->alpn) ||
        strchr(name, ',') != NULL || list->length + comma + length >= sizeof(list->text)) {
        return false;
    }
    if (comma > 0) {
        list->text[list->length++] = ',';
    }
    memcpy(list->text + list->length, name, length + 1);
    list->length += length;
    return true;
}

static enum rm_err hello_use_alpn(struct tls_session *session,
                                  const struct tls_session_options *options)
{
    const struct tls_context *context = session->context;
    bool is_own_choice = !session->is_server && options->alpn != NULL;
    size_t count = is_own_choice ? options->alpn_count : context->alpn_count;
    struct alpn_list list = {0};
    for (size_t i = 0; i < count; i++) {
        if (!alpn_list_add(&list, is_own_choice ? options->alpn[i] : context->alpn[i])) {
            return RM_ERR_CONFIG;
        }
    }
    if (count == 0) {
        return context->is_alpn_required ? RM_ERR_CONFIG : RM_OK;
    }
    if (!session->is_server) {
        tls_explain_text(list.text, list.length, session->handshake->alpn_offered,
                         sizeof(session->handshake->alpn_offered));
    }
    int used = wolfSSL_UseALPN(session->ssl, list.text, (unsigned int)list.length,
                               WOLFSSL_ALPN_FAILED_ON_MISMATCH);
    return used == WOLFSSL_SUCCESS ? RM_OK : RM_ERR_NO_MEMORY;
}

enum rm_err tls_hello_prepare(struct tls_session *session,
                              const struct tls_session_options *options)
{
    RM_TRY(hello_use_alpn(session, options));
    if (session->is_server || options->sni == NULL) {
        return RM_OK;
    }
    size_t length = strlen(options->sni);
    if (length == 0 || length >= SPIFFE_SNI_BYTES) {
        return RM_ERR_CONFIG;
    }
    session->sni = rm_strdup(options->sni);
    if (session->sni == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    int used =
        wolfSSL_UseSNI(session->ssl, WOLFSSL_SNI_HOST_NAME, options->sni, (unsigned short)length);
    return used == WOLFSSL_SUCCESS ? RM_OK : RM_ERR_NO_MEMORY;
}

// --- The server's look at a ClientHello ----------------------------------------------------------

bool tls_context_knows(const struct tls_context *context, const char *name)
{
    for (size_t i = 0; i < context->own_name_count; i++) {
        if (strcasecmp(context->own_names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

const char *tls_session_sni(const struct tls_session *session)
{
    return session->sni != NULL ? session->sni : "";
}

// Copies the SNI as far as it fits; a longer one is nobody's. False when memory is exhausted.
static bool hello_take_sni(struct tls_session *session, size_t *length)
{
    char text[SPIFFE_SNI_BYTES];
    void *name = NULL;
    rm_free(session->sni); // of a hello before a retry
    session->sni = NULL;
    *length = wolfSSL_SNI_GetRequest(session->ssl, WOLFSSL_SNI_HOST_NAME, &name);
    if (name == NULL || *length == 0) {
        *length = 0;
        return true;
    }
    tls_explain_text(name, *length, text, sizeof(text));
    session->sni = rm_strdup(text);
    return session->sni != NULL;
}

static bool hello_check_sni(struct tls_session *session, int *alert)
{
    const struct tls_context *context = session->context;
    size_t length = 0;
    if (!hello_take_sni(session, &length)) {
        tls_failure_set(session, FAULT_NO_MEMORY, "no memory for the server name");
        *alert = ALERT_INTERNAL_ERROR;
        return false;
    }
    if (!context->is_sni_strict) {
        return true;
    }
    if (length == 0) {
        tls_failure_set(session, FAULT_SNI_MISSING, "wanted one of our %zu names, found none",
                        context->own_name_count);
        *alert = ALERT_MISSING_EXTENSION;
        return false;
    }
    if (length >= SPIFFE_SNI_BYTES || !tls_context_knows(context, tls_session_sni(session))) {
        tls_failure_set(session, FAULT_SNI_UNKNOWN, "wanted %s%s, found %.100s",
                        context->own_name_count > 0 ? context->own_names[0] : "a name of ours",
                        context->own_name_count > 1 ? " or another name of ours" : "",
                        tls_session_sni(session));
        *alert = ALERT_UNRECOGNIZED_NAME;
        return false;
    }
    return true;
}

// An offer without overlap is refused by the library, after this call, with the same alert; it is
// described here, where the offer can still be read.
static bool hello_check_alpn(struct tls_session *session, int *alert)
{
    char *offered = NULL;
    unsigned short length = 0;
    if (wolfSSL_ALPN_GetPeerProtocol(session->ssl, &offered, &length) != WOLFSSL_SUCCESS) {
        if (!session->context->is_alpn_required) {
            return true;
        }
        tls_failure_set(session, FAULT_ALPN_MISSING, "wanted %s, the client offered none",
                        session->context->alpn[0]);
        *alert = ALERT_NO_APPLICATION_PROTOCOL;
        return false;
    }
    tls_explain_text(offered, length, session->handshake->alpn_offered,
                     sizeof(session->handshake->alpn_offered));
    (void)wolfSSL_ALPN_FreePeerProtocol(session->ssl, &offered);
    return true;
}

int tls_hello_on_client(WOLFSSL *ssl, int *alert, void *context)
{
    struct tls_session *session = wolfSSL_GetIOReadCtx(ssl);
    (void)context;
    if (session->handshake == NULL) {
        return HELLO_FATAL; // renegotiation does not exist
    }
    return hello_check_sni(session, alert) && hello_check_alpn(session, alert) ? HELLO_OK
                                                                               : HELLO_FATAL;
}

// --- After the handshake -------------------------------------------------------------------------

bool tls_hello_check(struct tls_session *session)
{
    char *name = NULL;
    unsigned short length = 0;
    session->facts.alpn[0] = '\0';
    if (wolfSSL_ALPN_GetProtocol(session->ssl, &name, &length) == WOLFSSL_SUCCESS && name != NULL &&
        length > 0 && length < sizeof(session->facts.alpn)) {
        memcpy(session->facts.alpn, name, length);
        session->facts.alpn[length] = '\0';
        return true;
    }
    if (!session->context->is_alpn_required) {
        return true;
    }
    tls_failure_set(session, FAULT_ALPN_MISSING, "wanted %s, the other end chose none",
                    session->context->alpn[0]);
    return false;
}
