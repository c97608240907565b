// SPDX-License-Identifier: GPL-3.0-or-later
//
// Why a peer's certificates were refused: wolfSSL's error, the anchor check and the verdict make
// one name. Nothing here decides; everything that comes here is refused already.
#include <stdio.h>

#include "base/encode.h"
#include "tls/tls_internal.h"

#define DETAIL_BYTES sizeof(((struct tls_failure *)0)->detail)
#define ID_TEXT_BYTES 128 // of a peer's SPIFFE ID in a sentence

static void refuse_chain(struct tls_session *session, const struct tls_examination *examination)
{
    char detail[DETAIL_BYTES];
    enum fault fault = tls_explain_chain(examination, detail, sizeof(detail));
    tls_failure_set(session, fault, "%s", detail);
}

static void refuse_dates(struct tls_session *session, const struct tls_examination *examination,
                         enum fault fault)
{
    char detail[DETAIL_BYTES] = "";
    tls_explain_dates(session, examination, detail, sizeof(detail));
    tls_failure_set(session, fault, "%s", detail);
}

// --- Identities: wanted and found ---------------------------------------------------------------

static void found_id(const struct tls_examination *examination, char out[ID_TEXT_BYTES])
{
    (void)snprintf(out, ID_TEXT_BYTES, "none");
    if (examination->facts.spiffe_id != NULL) {
        tls_explain_text(examination->facts.spiffe_id, examination->facts.spiffe_id_length, out,
                         ID_TEXT_BYTES);
    }
}

static void refuse_other_identity(struct tls_session *session, const char *found)
{
    const struct tls_handshake *handshake = session->handshake;
    const struct tls_pins *pins = session->context->pins;
    const char *wanted = handshake->expected_count > 0 ? handshake->expected_ids[0] : "nobody";
    tls_failure_set(session, FAULT_WRONG_IDENTITY, "wanted %.100s%s, found %s",
                    pins != NULL ? pins->control_id : wanted,
                    handshake->expected_count > 1 ? " or another" : "", found);
}

static void refuse_domain(struct tls_session *session, const char *found)
{
    const struct tls_pins *pins = session->context->pins;
    const struct trust_snapshot *trust = session->context->trust;
    size_t count = trust == NULL ? 0 : trust_domain_count(trust);
    const char *known = count > 0 ? trust_domain_at(trust, 0)->name : "none";
    tls_failure_set(session, FAULT_UNKNOWN_TRUST_DOMAIN, "wanted trust domain %.80s%s, found %s",
                    pins != NULL ? pins->trust_domain : known,
                    count > 1 ? " or another known one" : "", found);
}

static void refuse_usage(struct tls_session *session, const struct chain_facts *facts,
                         const char *found)
{
    tls_failure_set(
        session, FAULT_WRONG_USAGE,
        "wanted digitalSignature and %s, found%s%s%s%s%s in the certificate of %s",
        session->is_server ? "clientAuth" : "serverAuth",
        facts->has_digital_signature ? " digitalSignature" : "",
        facts->has_cert_sign ? " keyCertSign or cRLSign" : "",
        facts->has_server_auth ? " serverAuth" : "", facts->has_client_auth ? " clientAuth" : "",
        facts->has_server_auth || facts->has_client_auth ? "" : " another usage", found);
}

static void refuse_withdrawn(struct tls_session *session, enum fault fault,
                             const struct chain_facts *facts, const char *found)
{
    char serial[HEX_BYTES(SERIAL_MAX_BYTES)];
    hex_encode(facts->serial, facts->serial_length, serial);
    tls_failure_set(session, fault, "found %s, serial %s", found, serial);
}

static void refuse_identity(struct tls_session *session, const struct tls_examination *examination)
{
    const struct chain_facts *facts = &examination->facts;
    enum fault fault = verdict_fault(examination->answer.reason);
    char found[ID_TEXT_BYTES];
    found_id(examination, found);
    if (fault == FAULT_WRONG_IDENTITY) {
        refuse_other_identity(session, found);
    } else if (fault == FAULT_UNKNOWN_TRUST_DOMAIN) {
        refuse_domain(session, found);
    } else if (fault == FAULT_WRONG_USAGE) {
        refuse_usage(session, facts, found);
    } else if (fault == FAULT_CERTIFICATE_REVOKED || fault == FAULT_LINEAGE_LAPSED) {
        refuse_withdrawn(session, fault, facts, found);
    } else if (fault == FAULT_NO_SPIFFE_ID || fault == FAULT_SEVERAL_SPIFFE_IDS) {
        tls_failure_set(session, fault, "wanted one URI SAN, found %u", (unsigned)facts->uri_count);
    } else if (fault == FAULT_BAD_SPIFFE_ID) {
        tls_failure_set(session, fault, "wanted spiffe://<trust domain>/<path>, found %s", found);
    } else {
        tls_failure_set(session, fault, "found %s%s%s", found, examination->why == NULL ? "" : "; ",
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
        tls_failure_set(
            session, FAULT_CHAIN_TOO_LONG,
            "wanted as many as each CA's path length and we allow (%d), found %zu certificates",
            CHAIN_MAX_CERTIFICATES, examination->count);
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
        refuse_dates(session, examination, FAULT_NOT_YET_VALID);
        break;
    case VERDICT_REASON_CERTIFICATE_EXPIRED:
        refuse_dates(session, examination, FAULT_CERTIFICATE_EXPIRED);
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
    if (failure == NULL || failure->fault != FAULT_OK) {
        return;
    }
    if (examination->result == RM_ERR_NO_MEMORY || tls_library_error_is_memory(library_error)) {
        tls_failure_set(session, FAULT_NO_MEMORY, "no memory to judge the peer's certificates");
    } else if (examination->result != RM_OK) {
        tls_failure_set(session, FAULT_BAD_CERTIFICATE, "the leaf certificate cannot be read");
    } else if (!refuse_by_library(session, examination, library_error)) {
        refuse_by_verdict(session, examination, library_error);
    }
}
