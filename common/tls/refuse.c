// SPDX-License-Identifier: GPL-3.0-or-later
//
// Why a peer's certificates were refused: wolfSSL's error, the anchor check and the verdict make
// one name. Nothing here decides; everything that comes here is refused already.

#include "tls/tls_internal.h"

#define DETAIL_BYTES sizeof(((struct tls_failure *)0)->detail)
#define ID_TEXT_BYTES 128 // of a peer's SPIFFE ID in a sentence

static void refuse_chain(struct tls_session *session, const struct tls_examination *examination)
{
    char detail[DETAIL_BYTES];
    enum tls_fault fault = tls_explain_chain(examination, detail, sizeof(detail));
    tls_failure_set(session, fault, "%s", detail);
}

static void refuse_dates(struct tls_session *session, const struct tls_examination *examination,
                         enum tls_fault fault)
{
    char detail[DETAIL_BYTES] = "";
    tls_explain_dates(session, examination, detail, sizeof(detail));
    tls_failure_set(session, fault, "%s", detail);
}

static void refuse_identity(struct tls_session *session, const struct tls_examination *examination)
{
    char found[ID_TEXT_BYTES] = "none";
    const struct tls_handshake *handshake = session->handshake;
    const struct tls_pins *pins = session->context->pins;
    const char *wanted = handshake->expected_count > 0 ? handshake->expected_ids[0] : "nobody";
    if (examination->facts.spiffe_id != NULL) {
        tls_explain_text(examination->facts.spiffe_id, examination->facts.spiffe_id_length, found,
                         sizeof(found));
    }
    if (examination->answer.reason == VERDICT_REASON_WRONG_IDENTITY) {
        tls_failure_set(session, TLS_FAULT_VERDICT, "wanted %.100s%s, found %s",
                        pins != NULL ? pins->control_id : wanted,
                        handshake->expected_count > 1 ? " or another" : "", found);
    } else {
        tls_failure_set(session, TLS_FAULT_VERDICT, "found %s%s%s", found,
                        examination->why == NULL ? "" : "; ",
                        examination->why == NULL ? "" : examination->why);
    }
}

// True for wolfSSL's errors that mean: the chain does not stand.
static bool error_is_chain(int error)
{
    return error == ASN_NO_SIGNER_E || error == ASN_SELF_SIGNED_E || error == ASN_SIG_CONFIRM_E;
}

// Trust comes first: what an untrusted chain says about names is hearsay, unless a domain is named
// that we know nothing about, which says more.
static bool refuse_by_library(struct tls_session *session,
                              const struct tls_examination *examination, int error)
{
    enum verdict_reason reason = examination->answer.reason;
    if (error == ASN_PATHLEN_INV_E || error == ASN_PATHLEN_SIZE_E || error == MAX_CHAIN_ERROR) {
        tls_failure_set(session, TLS_FAULT_CHAIN_TOO_LONG, "%zu certificates; a CA allows fewer",
                        examination->count);
        return true;
    }
    if (error_is_chain(error) && reason != VERDICT_REASON_UNKNOWN_TRUST_DOMAIN) {
        refuse_chain(session, examination);
        return true;
    }
    return false;
}

static void refuse_by_verdict(struct tls_session *session,
                              const struct tls_examination *examination, int error)
{
    switch (examination->answer.reason) {
    case VERDICT_REASON_NOT_YET_VALID:
        refuse_dates(session, examination, TLS_FAULT_NOT_YET_VALID);
        break;
    case VERDICT_REASON_CERTIFICATE_EXPIRED:
        refuse_dates(session, examination, TLS_FAULT_EXPIRED);
        break;
    case VERDICT_REASON_OK:
        // The library alone said no; its error names the fault when the handshake ends.
        (void)tls_failure_from_library(session, error);
        break;
    case VERDICT_REASON_UNJUDGED:
    case VERDICT_REASON_NO_SPIFFE_ID:
    case VERDICT_REASON_SEVERAL_SPIFFE_IDS:
    case VERDICT_REASON_BAD_SPIFFE_ID:
    case VERDICT_REASON_UNKNOWN_TRUST_DOMAIN:
    case VERDICT_REASON_NOT_ANCHORED:
    case VERDICT_REASON_WRONG_USAGE:
    case VERDICT_REASON_LEAF_IS_CA:
    case VERDICT_REASON_CERTIFICATE_REVOKED:
    case VERDICT_REASON_LINEAGE_LAPSED:
    case VERDICT_REASON_WRONG_IDENTITY:
    case VERDICT_REASON_COUNT:
        refuse_identity(session, examination);
        break;
    }
}

void tls_examination_refuse(struct tls_session *session, const struct tls_examination *examination,
                            int library_error)
{
    struct tls_failure *failure = tls_failure_of(session);
    peer_unref(session->peer);
    session->peer = NULL;
    if (failure == NULL || failure->fault != TLS_FAULT_NONE) {
        return;
    }
    failure->verdict_reason = examination->answer.verdict == VERDICT_IDENTITY
                                  ? VERDICT_REASON_UNJUDGED
                                  : examination->answer.reason;
    if (examination->result == RM_ERR_NO_MEMORY || tls_library_error_is_memory(library_error)) {
        tls_failure_set(session, TLS_FAULT_NO_MEMORY, "no memory to judge the peer's certificates");
    } else if (examination->result != RM_OK) {
        tls_failure_set(session, TLS_FAULT_BAD_CERTIFICATE, "the leaf certificate cannot be read");
    } else if (!refuse_by_library(session, examination, library_error)) {
        refuse_by_verdict(session, examination, library_error);
    }
}
