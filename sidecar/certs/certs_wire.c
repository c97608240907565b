// SPDX-License-Identifier: GPL-3.0-or-later
#include "certs/certs_wire.h"

#include <string.h>

#include "base/alloc.h"
#include "pb/pb.h"
#include "remora/identity/v1/identity.pb-c.h"

static ProtobufCBinaryData binary(const uint8_t *bytes, size_t length)
{
    // protobuf-c's structs are not const-correct; packing only reads.
    return (ProtobufCBinaryData){.len = length, .data = (uint8_t *)(uintptr_t)bytes};
}

static char *text(const char *borrowed)
{
    return (char *)(uintptr_t)borrowed;
}

enum rm_err issue_request_encode(const struct issue_request *request, uint8_t **bytes,
                                 size_t *length)
{
    Remora__Identity__V1__IssueRequest message = REMORA__IDENTITY__V1__ISSUE_REQUEST__INIT;
    Remora__Identity__V1__RejoinProof proof = REMORA__IDENTITY__V1__REJOIN_PROOF__INIT;
    message.csr = binary(request->csr, request->csr_length);
    message.wanted_lifetime_s = request->wanted_lifetime_s;
    if (request->new_rejoin_key != NULL) {
        message.rejoin_public_key = binary(request->new_rejoin_key, request->new_rejoin_key_length);
    }
    if (request->join_token != NULL) {
        message.evidence_case = REMORA__IDENTITY__V1__ISSUE_REQUEST__EVIDENCE_JOIN_TOKEN;
        message.join_token = text(request->join_token);
    } else if (request->rejoin_identity != NULL) {
        message.evidence_case = REMORA__IDENTITY__V1__ISSUE_REQUEST__EVIDENCE_REJOIN;
        message.rejoin = &proof;
        proof.identity = text(request->rejoin_identity);
        proof.public_key = binary(request->rejoin_public_key, request->rejoin_public_key_length);
        proof.signature = binary(request->rejoin_signature, request->rejoin_signature_length);
        proof.signed_at_s = request->rejoin_signed_at_s;
    }
    return pb_pack(&message.base, ISSUE_REQUEST_MAX_BYTES, bytes, length);
}

static enum rm_err read_chain(const Remora__Identity__V1__IssueResponse *message,
                              struct issue_response *out, struct rm_error *error)
{
    if (message->n_certificates == 0 || message->n_certificates > CHAIN_MAX_CERTIFICATES) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the answer has %zu certificates",
                            message->n_certificates);
    }
    for (size_t i = 0; i < message->n_certificates; i++) {
        RM_TRY(
            chain_append(&out->chain, message->certificates[i].data, message->certificates[i].len));
    }
    return RM_OK;
}

static enum rm_err read_bundle(const Remora__Identity__V1__TrustBundle *bundle,
                               const char *trust_domain, struct issue_response *out,
                               struct rm_error *error)
{
    if (bundle == NULL || bundle->n_roots == 0 || strcmp(bundle->trust_domain, trust_domain) != 0) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "the answer's trust bundle is for '%s', not for '%s'",
                            bundle != NULL ? bundle->trust_domain : "", trust_domain);
    }
    struct trust_builder *builder = trust_builder_new();
    if (builder == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < bundle->n_roots; i++) {
        uint8_t id[KEY_ID_BYTES];
        const ProtobufCBinaryData *root = &bundle->roots[i];
        enum rm_err result = certificate_key_id(root->data, root->len, id);
        if (result == RM_OK) {
            result = trust_builder_add_root(builder, trust_domain, root->data, root->len, id);
        }
        if (result != RM_OK) {
            trust_builder_free(builder);
            return rm_error_set(error, result, "root %zu of the answer's bundle: %s", i + 1,
                                rm_err_text(result));
        }
    }
    out->trust = trust_builder_finish(builder);
    return out->trust != NULL ? RM_OK : RM_ERR_NO_MEMORY;
}

// Arithmetic on times must not be able to overflow, whatever the other end says.
#define TIME_MAX_S INT64_C(253402300799) // the end of the year 9999, as in a certificate

static enum rm_err check_times(const Remora__Identity__V1__IssueResponse *message,
                               struct rm_error *error)
{
    bool is_sane = message->issued_at_s > 0 && message->issued_at_s <= message->not_after_s &&
                   message->not_after_s <= TIME_MAX_S;
    return is_sane ? RM_OK
                   : rm_error_set(error, RM_ERR_MALFORMED,
                                  "the answer's times make no sense: issued at %lld, valid until "
                                  "%lld",
                                  (long long)message->issued_at_s, (long long)message->not_after_s);
}

static enum rm_err read_response(const Remora__Identity__V1__IssueResponse *message,
                                 const char *trust_domain, struct issue_response *out,
                                 struct rm_error *error)
{
    RM_TRY(check_times(message, error));
    RM_TRY(read_chain(message, out, error));
    RM_TRY(read_bundle(message->bundle, trust_domain, out, error));
    out->identity = rm_strdup(message->identity);
    out->issued_at_s = message->issued_at_s;
    out->not_after_s = message->not_after_s;
    out->is_rejoin_registered = message->is_rejoin_registered;
    return out->identity != NULL ? RM_OK : RM_ERR_NO_MEMORY;
}

enum rm_err issue_response_decode(const uint8_t *bytes, size_t length, const char *trust_domain,
                                  struct issue_response *out, struct rm_error *error)
{
    memset(out, 0, sizeof *out);
    ProtobufCMessage *message = NULL;
    enum rm_err result = pb_unpack(&remora__identity__v1__issue_response__descriptor, bytes, length,
                                   ISSUE_RESPONSE_MAX_BYTES, &message, error);
    if (result == RM_OK) {
        result = read_response((const Remora__Identity__V1__IssueResponse *)(const void *)message,
                               trust_domain, out, error);
    }
    pb_free(message);
    if (result != RM_OK) {
        issue_response_deinit(out);
    }
    return result;
}

void issue_response_deinit(struct issue_response *response)
{
    chain_deinit(&response->chain);
    rm_free(response->identity);
    trust_unref(response->trust);
    memset(response, 0, sizeof *response);
}
