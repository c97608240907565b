// SPDX-License-Identifier: GPL-3.0-or-later
#include "api/identity_wire.h"

#include <string.h>

#include "pb/pb.h"
#include "remora/identity/v1/identity.pb-c.h"
#include "rpc/rpc.h"

#define ISSUE_REQUEST_MAX_BYTES RPC_MAX_UNAUTHENTICATED_BYTES
#define BUNDLE_MAX_BYTES (TRUST_MAX_ROOTS_PER_DOMAIN * (TRUST_MAX_ROOT_DER_BYTES + 16) + 512)
#define ISSUE_RESPONSE_MAX_BYTES                                                                   \
    (BUNDLE_MAX_BYTES + CHAIN_MAX_CERTIFICATES * CERTIFICATE_MAX_DER_BYTES)

static void fill_evidence(const Remora__Identity__V1__IssueRequest *message,
                          struct attest_evidence *out)
{
    *out = (struct attest_evidence){
        .csr = message->csr.data,
        .csr_length = message->csr.len,
        .new_rejoin_key = message->rejoin_public_key.data,
        .new_rejoin_key_length = message->rejoin_public_key.len,
        .wanted_lifetime_s = message->wanted_lifetime_s,
    };
    if (message->evidence_case == REMORA__IDENTITY__V1__ISSUE_REQUEST__EVIDENCE_JOIN_TOKEN) {
        out->join_token = message->join_token;
    } else if (message->evidence_case == REMORA__IDENTITY__V1__ISSUE_REQUEST__EVIDENCE_REJOIN &&
               message->rejoin != NULL) {
        const Remora__Identity__V1__RejoinProof *proof = message->rejoin;
        out->rejoin_identity = proof->identity;
        out->rejoin_key = proof->public_key.data;
        out->rejoin_key_length = proof->public_key.len;
        out->rejoin_signature = proof->signature.data;
        out->rejoin_signature_length = proof->signature.len;
        out->rejoin_signed_at_s = proof->signed_at_s;
    }
}

enum rm_err identity_wire_read_issue(const uint8_t *bytes, size_t length,
                                     struct identity_request **request,
                                     struct attest_evidence *evidence, struct rm_error *error)
{
    ProtobufCMessage *message = NULL;
    *request = NULL;
    RM_TRY(pb_unpack(&remora__identity__v1__issue_request__descriptor, bytes, length,
                     ISSUE_REQUEST_MAX_BYTES, &message, error));
    fill_evidence((const void *)message, evidence);
    *request = (struct identity_request *)(void *)message;
    return RM_OK;
}

void identity_request_free(struct identity_request *request)
{
    pb_free((ProtobufCMessage *)(void *)request);
}

// Borrows the roots; `roots` has room for all of them.
static void fill_bundle(const struct trust_domain *domain, ProtobufCBinaryData *roots,
                        Remora__Identity__V1__TrustBundle *out)
{
    if (domain == NULL) {
        return;
    }
    out->trust_domain = (char *)domain->name;
    out->roots = roots;
    out->n_roots = domain->root_count;
    for (size_t i = 0; i < domain->root_count; i++) {
        roots[i].data = (uint8_t *)domain->roots[i].der;
        roots[i].len = domain->roots[i].der_length;
    }
}

enum rm_err identity_wire_write_issue(const struct attest_result *result,
                                      const struct trust_domain *domain, uint8_t **bytes,
                                      size_t *length)
{
    Remora__Identity__V1__IssueResponse message = REMORA__IDENTITY__V1__ISSUE_RESPONSE__INIT;
    Remora__Identity__V1__TrustBundle bundle = REMORA__IDENTITY__V1__TRUST_BUNDLE__INIT;
    ProtobufCBinaryData roots[TRUST_MAX_ROOTS_PER_DOMAIN];
    ProtobufCBinaryData certificates[CHAIN_MAX_CERTIFICATES];
    fill_bundle(domain, roots, &bundle);
    for (size_t i = 0; i < result->chain->count; i++) {
        certificates[i].data = result->chain->certificates[i].bytes;
        certificates[i].len = result->chain->certificates[i].length;
    }
    message.certificates = certificates;
    message.n_certificates = result->chain->count;
    message.identity = (char *)result->identity;
    message.issued_at_s = result->issued_at_s;
    message.not_after_s = result->not_after_s;
    message.bundle = &bundle;
    message.is_rejoin_registered = result->is_rejoin_registered;
    return pb_pack(&message.base, ISSUE_RESPONSE_MAX_BYTES, bytes, length);
}

enum rm_err identity_wire_write_bundle(const struct trust_domain *domain, uint8_t **bytes,
                                       size_t *length)
{
    Remora__Identity__V1__TrustBundle bundle = REMORA__IDENTITY__V1__TRUST_BUNDLE__INIT;
    ProtobufCBinaryData roots[TRUST_MAX_ROOTS_PER_DOMAIN];
    fill_bundle(domain, roots, &bundle);
    return pb_pack(&bundle.base, BUNDLE_MAX_BYTES, bytes, length);
}
