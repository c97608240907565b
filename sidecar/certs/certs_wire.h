// SPDX-License-Identifier: GPL-3.0-or-later
//
// Identity.Issue on the wire (remora.identity.v1), from the client's side.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "crypto/certificate.h"
#include "crypto/crypto.h"
#include "identity/trust.h"

#define IDENTITY_ISSUE_PATH "/remora.identity.v1.Identity/Issue"
#define ISSUE_REQUEST_MAX_BYTES (64U << 10)
#define ISSUE_RESPONSE_MAX_BYTES (1U << 20)

struct issue_request {
    const uint8_t *csr; // DER
    size_t csr_length;
    const char *join_token;      // NULL: none
    const char *rejoin_identity; // NULL: no proof
    const uint8_t *rejoin_public_key;
    size_t rejoin_public_key_length;
    const uint8_t *rejoin_signature;
    size_t rejoin_signature_length;
    int64_t rejoin_signed_at_s;
    const uint8_t *new_rejoin_key; // NULL: none to register
    size_t new_rejoin_key_length;
    uint32_t wanted_lifetime_s; // 0: default
};

struct issue_response {
    struct chain chain; // owned
    char *identity;     // owned
    int64_t issued_at_s;
    int64_t not_after_s;
    struct trust_snapshot *trust; // owned; of the trust domain that was asked for
    bool is_rejoin_registered;
};

// *bytes is the caller's (rm_free_wiped: it may hold the token). Errors: RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err issue_request_encode(const struct issue_request *request, uint8_t **bytes,
                                              size_t *length);
// Everything is checked: sizes, certificates, the bundle's domain. Errors: RM_ERR_MALFORMED with a
// sentence, RM_ERR_TOO_LARGE, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err issue_response_decode(const uint8_t *bytes, size_t length,
                                               const char *trust_domain, struct issue_response *out,
                                               struct rm_error *error);
void issue_response_deinit(struct issue_response *response);
