// SPDX-License-Identifier: GPL-3.0-or-later
//
// Foreign codes become faults here, once. The first fault recorded on a session stays: it is the
// nearest to the cause.
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "tls/tls_internal.h"

#define ALERT_ILLEGAL_PARAMETER 47
#define ALERT_PROTOCOL_VERSION 70

const char *tls_failure_name(const struct tls_failure *failure)
{
    return fault_name(failure->fault);
}

const struct tls_failure tls_no_failure = {.fault = FAULT_OK};

// --- Recording -----------------------------------------------------------------------------------

struct tls_failure *tls_failure_of(struct tls_session *session)
{
    if (session->failure == NULL) {
        session->failure = rm_calloc(1, sizeof(*session->failure));
    }
    return session->failure;
}

void tls_failure_set(struct tls_session *session, enum fault fault, const char *format, ...)
{
    struct tls_failure *failure = tls_failure_of(session);
    if (failure == NULL || failure->fault != FAULT_OK) {
        return;
    }
    va_list args;
    va_start(args, format);
    failure->fault = fault;
    (void)vsnprintf(failure->detail, sizeof(failure->detail), format, args);
    va_end(args);
}

static void failure_note_alerts(struct tls_session *session, struct tls_failure *failure)
{
    WOLFSSL_ALERT_HISTORY history = {.last_rx = {.code = -1}, .last_tx = {.code = -1}};
    if (session->ssl != NULL) {
        (void)wolfSSL_get_alert_history(session->ssl, &history);
    }
    failure->alert_received = history.last_rx.code > 0 ? (uint8_t)history.last_rx.code : 0;
    failure->alert_sent = history.last_tx.code > 0 ? (uint8_t)history.last_tx.code : 0;
}

// --- wolfSSL's errors ----------------------------------------------------------------------------

static const struct {
    int error;        // wolfSSL's
    enum fault fault; // ours
} library_faults[] = {
    {VERSION_ERROR, FAULT_WRONG_VERSION},
    {MATCH_SUITE_ERROR, FAULT_NO_COMMON_SUITE},
    {UNSUPPORTED_SUITE, FAULT_NO_COMMON_SUITE},
    {BAD_KEY_SHARE_DATA, FAULT_NO_COMMON_GROUP},
    {ECC_CURVE_ERROR, FAULT_NO_COMMON_GROUP},
    {UNKNOWN_ALPN_PROTOCOL_NAME_E, FAULT_ALPN_MISMATCH},
    {UNKNOWN_SNI_HOST_NAME_E, FAULT_SNI_UNKNOWN},
    {NO_PEER_CERT, FAULT_NO_CERTIFICATE},
    {NO_PEER_KEY, FAULT_BAD_CERTIFICATE},
    {PEER_KEY_ERROR, FAULT_BAD_CERTIFICATE},
    {ECC_PEERKEY_ERROR, FAULT_PROTOCOL}, // of the key exchange, not of a certificate
    {VERIFY_CERT_ERROR, FAULT_BAD_CERTIFICATE},
    {VERIFY_SIGN_ERROR, FAULT_BAD_CERTIFICATE},
    {SIG_VERIFY_E, FAULT_BAD_CERTIFICATE},
    {RSA_KEY_SIZE_E, FAULT_BAD_CERTIFICATE},
    {ECC_KEY_SIZE_E, FAULT_BAD_CERTIFICATE},
    {KEYUSE_SIGNATURE_E, FAULT_BAD_CERTIFICATE},
    {EXTKEYUSE_AUTH_E, FAULT_BAD_CERTIFICATE},
    {ASN_PARSE_E, FAULT_BAD_CERTIFICATE},
    {ASN_NAME_INVALID_E, FAULT_BAD_CERTIFICATE},
    {ASN_ECC_KEY_E, FAULT_BAD_CERTIFICATE},
    {ECC_CURVE_OID_E, FAULT_BAD_CERTIFICATE},
    {ASN_NO_SIGNER_E, FAULT_UNTRUSTED_CHAIN},
    {ASN_SELF_SIGNED_E, FAULT_SELF_SIGNED},
    {ASN_BEFORE_DATE_E, FAULT_NOT_YET_VALID},
    {ASN_AFTER_DATE_E, FAULT_CERTIFICATE_EXPIRED},
    {ASN_PATHLEN_INV_E, FAULT_CHAIN_TOO_LONG},
    {ASN_PATHLEN_SIZE_E, FAULT_CHAIN_TOO_LONG},
    {MAX_CHAIN_ERROR, FAULT_CHAIN_TOO_LONG},
    {SOCKET_ERROR_E, FAULT_CLOSED},
    {SOCKET_PEER_CLOSED_E, FAULT_CLOSED},
};

bool tls_library_error_is_memory(int error)
{
    return error == MEMORY_E || error == MEMORY_ERROR;
}

static enum fault fault_of_library(int error)
{
    if (tls_library_error_is_memory(error)) {
        return FAULT_NO_MEMORY;
    }
    for (size_t i = 0; i < sizeof(library_faults) / sizeof(library_faults[0]); i++) {
        if (library_faults[i].error == error) {
            return library_faults[i].fault;
        }
    }
    // The other ASN.1 errors are about certificates too.
    return error <= ASN_PARSE_E && error >= ASN_ALT_NAME_E ? FAULT_BAD_CERTIFICATE : FAULT_PROTOCOL;
}

// RFC 8446 5.1: a first record is a handshake or an alert, and says 3.x.
static bool first_is_tls(const struct tls_handshake *handshake)
{
    bool type_fits =
        handshake->first_length == 0 || handshake->first[0] == 22 || handshake->first[0] == 21;
    bool version_fits = handshake->first_length < 2 || handshake->first[1] == 3;
    return type_fits && version_fits;
}

static bool first_is_http(const struct tls_handshake *handshake)
{
    static const char *const starts[] = {"GET ", "POST", "PUT ", "HEAD", "HTTP",
                                         "PRI ", "CONN", "OPTI", "DELE", "PATC"};
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        if (handshake->first_length >= 4 && memcmp(handshake->first, starts[i], 4) == 0) {
            return true;
        }
    }
    return false;
}

// wolfSSL asks for a group of ours even when the client offers none of them; the client then says
// illegal_parameter to the HelloRetryRequest, the only thing that was sent so far.
static bool alert_is_about_group(const struct tls_session *session, uint8_t alert)
{
    return alert == ALERT_ILLEGAL_PARAMETER && session->is_server && session->handshake != NULL &&
           session->handshake->sent_length > 0 &&
           session->handshake->sent_length <= TLS_RETRY_REQUEST_MAX_BYTES;
}

// What the peer's hello offered or chose, instead of what we support.
static void failure_set_found(struct tls_session *session, enum fault fault, enum tls_found found)
{
    char detail[sizeof(((struct tls_failure *)0)->detail)] = "";
    tls_explain_found(session, found, detail, sizeof(detail));
    tls_failure_set(session, fault, "%s", detail);
}

static void failure_set_refused(struct tls_session *session, uint8_t alert)
{
    char meaning[sizeof(((struct tls_failure *)0)->detail)];
    tls_explain_alert(session, alert, meaning, sizeof(meaning));
    if (alert == ALERT_PROTOCOL_VERSION) {
        tls_failure_set(session, FAULT_WRONG_VERSION, "wanted TLSv1.3, found %s", meaning);
    } else if (alert_is_about_group(session, alert)) {
        failure_set_found(session, FAULT_NO_COMMON_GROUP, TLS_FOUND_GROUPS);
    } else {
        tls_failure_set(session, FAULT_REFUSED_BY_PEER, "%s", meaning);
    }
}

void tls_failure_set_cancelled(struct tls_session *session)
{
    struct tls_failure *failure = tls_failure_of(session);
    if (failure != NULL) {
        failure->alert_received = TLS_ALERT_USER_CANCELED;
        failure_set_refused(session, TLS_ALERT_USER_CANCELED);
    }
}

static void failure_set_alpn(struct tls_session *session)
{
    const char *offered = session->handshake->alpn_offered;
    bool is_known = session->is_server && session->context->alpn_count > 0;
    tls_failure_set(session, FAULT_ALPN_MISMATCH, "wanted %s, found %s",
                    is_known ? session->context->alpn[0] : offered,
                    session->is_server ? offered : "another, which the library does not tell");
}

static void failure_set_unknown(struct tls_session *session, enum fault fault, int error)
{
    const char *reason = wolfSSL_ERR_reason_error_string((unsigned long)error);
    tls_failure_set(session, fault, "wolfSSL error %d: %s", error,
                    reason == NULL ? "unknown" : reason);
}

static void failure_set_library(struct tls_session *session, int error)
{
    enum fault fault = fault_of_library(error);
    if (fault == FAULT_NO_COMMON_GROUP && tls_found_group_is_ours(session)) {
        failure_set_unknown(session, FAULT_PROTOCOL, error); // a wrong share of a good group
    } else if (fault == FAULT_CLOSED) {
        tls_failure_set(session, fault, "%s",
                        session->lower_status == RM_ERR_EOF ? "in order, but too early"
                                                            : rm_err_text(session->lower_status));
    } else if (fault == FAULT_NO_CERTIFICATE) {
        tls_failure_set(session, fault, TLS_DETAIL_NO_CERTIFICATE);
    } else if (fault == FAULT_ALPN_MISMATCH && session->handshake != NULL) {
        failure_set_alpn(session);
    } else if (fault == FAULT_WRONG_VERSION) {
        failure_set_found(session, fault, TLS_FOUND_VERSIONS);
    } else if (fault == FAULT_NO_COMMON_SUITE) {
        failure_set_found(session, fault, TLS_FOUND_SUITES);
    } else if (fault == FAULT_NO_COMMON_GROUP) {
        failure_set_found(session, fault, TLS_FOUND_GROUPS);
    } else if (error == MAX_CHAIN_ERROR) {
        tls_failure_set(session, fault, "wanted at most %d certificates, found more",
                        CHAIN_MAX_CERTIFICATES);
    } else {
        failure_set_unknown(session, fault, error);
    }
}

// OpenSSL's clients refuse a TLS 1.3 server's certificate with an alert in clear. wolfSSL takes
// none where records are encrypted already, but keeps its number. Anybody on the way could have
// sent it; the handshake fails in any case, and only its name hangs on this.
static bool error_is_alert(const struct tls_session *session, int library_error)
{
    return library_error == FATAL_ERROR ||
           (library_error == PARSE_ERROR && session->handshake != NULL);
}

enum rm_err tls_failure_from_library(struct tls_session *session, int library_error)
{
    struct tls_failure *failure = tls_failure_of(session);
    if (failure == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    failure_note_alerts(session, failure);
    if (session->handshake != NULL && !first_is_tls(session->handshake)) {
        tls_failure_set(session, FAULT_NOT_TLS, "wanted a TLS record, found %s",
                        first_is_http(session->handshake) ? "plain HTTP" : "what is no TLS record");
    } else if (failure->alert_received != 0 && error_is_alert(session, library_error)) {
        failure_set_refused(session, failure->alert_received);
    } else {
        failure_set_library(session, library_error);
    }
    return tls_failure_code(failure);
}

enum rm_err tls_failure_code(const struct tls_failure *failure)
{
    static const struct {
        enum fault fault; // what happened
        enum rm_err code; // what callers branch on; RM_ERR_TLS for all others
    } codes[] = {
        {FAULT_UNTRUSTED_CHAIN, RM_ERR_UNTRUSTED},
        {FAULT_UNKNOWN_ISSUER, RM_ERR_UNTRUSTED},
        {FAULT_SELF_SIGNED, RM_ERR_UNTRUSTED},
        {FAULT_MISSING_INTERMEDIATE, RM_ERR_UNTRUSTED},
        {FAULT_WRONG_ORDER, RM_ERR_UNTRUSTED},
        {FAULT_CHAIN_TOO_LONG, RM_ERR_UNTRUSTED},
        {FAULT_UNKNOWN_TRUST_DOMAIN, RM_ERR_UNTRUSTED},
        {FAULT_NOT_ANCHORED, RM_ERR_UNTRUSTED},
        {FAULT_NO_CERTIFICATE, RM_ERR_UNAUTHENTICATED},
        {FAULT_BAD_CERTIFICATE, RM_ERR_UNAUTHENTICATED},
        {FAULT_UNJUDGED, RM_ERR_UNAUTHENTICATED},
        {FAULT_NO_SPIFFE_ID, RM_ERR_UNAUTHENTICATED},
        {FAULT_SEVERAL_SPIFFE_IDS, RM_ERR_UNAUTHENTICATED},
        {FAULT_BAD_SPIFFE_ID, RM_ERR_UNAUTHENTICATED},
        {FAULT_WRONG_USAGE, RM_ERR_UNAUTHENTICATED},
        {FAULT_LEAF_IS_CA, RM_ERR_UNAUTHENTICATED},
        {FAULT_WRONG_IDENTITY, RM_ERR_UNAUTHENTICATED},
        {FAULT_CERTIFICATE_EXPIRED, RM_ERR_EXPIRED},
        {FAULT_NOT_YET_VALID, RM_ERR_EXPIRED},
        {FAULT_CERTIFICATE_REVOKED, RM_ERR_REVOKED},
        {FAULT_LINEAGE_LAPSED, RM_ERR_REVOKED},
        {FAULT_REFUSED_BY_PEER, RM_ERR_REFUSED_BY_PEER},
        {FAULT_TIMEOUT, RM_ERR_TIMEOUT},
        {FAULT_CLOSED, RM_ERR_RESET},
        {FAULT_NO_MEMORY, RM_ERR_NO_MEMORY},
        {FAULT_INTERNAL, RM_ERR_INTERNAL},
    };
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i].fault == failure->fault) {
            return codes[i].code;
        }
    }
    return RM_ERR_TLS;
}
