// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a caller shows: copied on the loop, verified on the pool.
#include <stdio.h>
#include <string.h>

#include "attest/attest_internal.h"
#include "base/alloc.h"
#include "base/buffer.h"
#include "crypto/crypto.h"

#define REJOIN_CONTEXT "remora-rejoin-v1" // with its NUL at the head of what is signed
#define SPKI_MAX_BYTES 128                // of a P-256 key: 91

// What is too large is told as the fault of the request.
static enum rm_err take_bytes(struct issue *issue, const char *what, const uint8_t *bytes,
                              size_t length, size_t max_length, struct record_bytes *out)
{
    if (length > max_length) {
        return rm_error_set(&issue->csr_error, RM_ERR_TOO_LARGE,
                            "%s of %zu bytes; at most %zu are taken", what, length, max_length);
    }
    return record_bytes_dup(bytes, length, out);
}

static enum rm_err take_claim(struct issue *issue, const char *identity)
{
    issue->claimed = rm_strndup(identity, SPIFFE_ID_MAX_BYTES + 1);
    return issue->claimed != NULL ? RM_OK : RM_ERR_NO_MEMORY;
}

static enum rm_err take_svid(struct issue *issue, const struct peer *peer)
{
    issue->evidence = ISSUE_SVID;
    issue->has_lineage = peer->has_lineage && peer->serial_length == ISSUE_SERIAL_BYTES;
    if (issue->has_lineage) {
        memcpy(issue->shown_serial, peer->serial, ISSUE_SERIAL_BYTES);
    }
    return take_claim(issue, peer->spiffe_id);
}

static enum rm_err take_rejoin(struct issue *issue, const struct attest_evidence *evidence)
{
    issue->evidence = ISSUE_REJOIN;
    issue->rejoin_signed_at_s = evidence->rejoin_signed_at_s;
    sha256(evidence->rejoin_key, evidence->rejoin_key_length, issue->rejoin_hash);
    RM_TRY(take_bytes(issue, "a re-join key", evidence->rejoin_key, evidence->rejoin_key_length,
                      SPKI_MAX_BYTES, &issue->rejoin_key));
    RM_TRY(take_bytes(issue, "a re-join signature", evidence->rejoin_signature,
                      evidence->rejoin_signature_length, SIGNATURE_P256_MAX_BYTES,
                      &issue->rejoin_signature));
    return take_claim(issue, evidence->rejoin_identity);
}

enum rm_err attest_evidence_take(struct issue *issue, const struct attest_evidence *evidence)
{
    snprintf(issue->source, sizeof issue->source, "%s", evidence->source);
    issue->wanted_lifetime_s = evidence->wanted_lifetime_s;
    RM_TRY(take_bytes(issue, "a certificate signing request", evidence->csr, evidence->csr_length,
                      CSR_MAX_DER_BYTES, &issue->csr));
    RM_TRY(take_bytes(issue, "a re-join key", evidence->new_rejoin_key,
                      evidence->new_rejoin_key_length, SPKI_MAX_BYTES, &issue->new_rejoin));
    sha256(evidence->new_rejoin_key, evidence->new_rejoin_key_length, issue->new_rejoin_hash);
    if (evidence->peer != NULL) {
        return take_svid(issue, evidence->peer);
    }
    if (evidence->join_token != NULL) {
        issue->evidence = ISSUE_TOKEN;
        issue->is_token_malformed =
            attest_token_parse(evidence->join_token, &issue->token) != RM_OK;
        return RM_OK;
    }
    return evidence->rejoin_identity != NULL ? take_rejoin(issue, evidence) : RM_OK;
}

void attest_evidence_deinit(struct issue *issue)
{
    rm_free(issue->claimed);
    record_bytes_deinit(&issue->rejoin_key);
    record_bytes_deinit(&issue->rejoin_signature);
    record_bytes_deinit(&issue->csr);
    record_bytes_deinit(&issue->new_rejoin);
    record_bytes_deinit(&issue->spki);
    rm_wipe(&issue->token, sizeof issue->token);
}

// ECDSA over the context, the CSR and the time: the answer is of use only to who has the CSR's key.
static enum rm_err verify_rejoin(const struct issue *issue)
{
    struct buffer signed_bytes;
    uint8_t time_bytes[8];
    for (size_t i = 0; i < sizeof time_bytes; i++) {
        time_bytes[i] = (uint8_t)((uint64_t)issue->rejoin_signed_at_s >> (56 - 8 * i));
    }
    buffer_init(&signed_bytes, sizeof REJOIN_CONTEXT + CSR_MAX_DER_BYTES + sizeof time_bytes);
    enum rm_err result = buffer_append(&signed_bytes, REJOIN_CONTEXT, sizeof REJOIN_CONTEXT);
    if (result == RM_OK) {
        result = buffer_append(&signed_bytes, issue->csr.bytes, issue->csr.length);
    }
    if (result == RM_OK) {
        result = buffer_append(&signed_bytes, time_bytes, sizeof time_bytes);
    }
    if (result == RM_OK) {
        result = spki_verify_sha256(issue->rejoin_key.bytes, issue->rejoin_key.length,
                                    buffer_data(&signed_bytes), buffer_length(&signed_bytes),
                                    issue->rejoin_signature.bytes, issue->rejoin_signature.length);
    }
    buffer_deinit(&signed_bytes);
    return result;
}

void attest_evidence_verify(void *context)
{
    struct issue *issue = context;
    issue->csr_result = csr_read(issue->csr.bytes, issue->csr.length, &issue->spki.bytes,
                                 &issue->spki.length, &issue->csr_error);
    if (issue->csr_result != RM_OK) {
        return;
    }
    sha256(issue->spki.bytes, issue->spki.length, issue->key_hash);
    if (issue->evidence == ISSUE_REJOIN) {
        issue->proof_result = verify_rejoin(issue);
    }
}
