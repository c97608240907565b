// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a certificate of ours is to say, and the bytes that say it. Written by our own encoder, not
// by wolfCrypt's: the profile is fixed and short, and this way every byte of it stands in one file.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "crypto/certificate.h"
#include "crypto/der_internal.h"
#include "crypto/key.h"
#include "identity/spiffe.h"

struct profile {
    const uint8_t *serial;           // ISSUE_SERIAL_BYTES, big-endian
    const struct der *issuer;        // Name DER; NULL: the subject itself
    const struct der *issuer_key_id; // content of its subjectKeyIdentifier; NULL: left out
    const char *organization;        // of the subject; NULL: left out
    const char *common_name;         // of the subject; NULL: left out
    int64_t not_before_s;            // Unix seconds
    int64_t not_after_s;             // Unix seconds
    const uint8_t *spki;             // SubjectPublicKeyInfo DER of the subject
    size_t spki_length;              // of spki
    bool is_ca;                      // a CA signs certificates and CRLs; a leaf signs handshakes
    bool is_path_length_zero;        // the CA may issue leaves only
    const char *uri;                 // the only URI SAN
    const char *const *dns_names;    // DNS SANs; may be NULL
    size_t dns_count;                // of dns_names
    const char *permitted_host;      // critical URI name constraint to exactly this; NULL: none
};

// Fills in what makes a CA of `profile`: subject, SPIFFE ID, is_ca. The names are borrowed; `uri`
// is room for spiffe://<trust domain>. A trust domain that is longer than an organization name may
// be stands in the SPIFFE ID alone. Errors: RM_ERR_MALFORMED.
#define PROFILE_URI_BYTES (sizeof("spiffe://") + SPIFFE_TRUST_DOMAIN_MAX_BYTES)
RM_NODISCARD enum rm_err profile_name_authority(struct profile *profile, const char *trust_domain,
                                                const char *common_name,
                                                char uri[PROFILE_URI_BYTES]);

// The subject as a Name.
void profile_put_subject(struct der_writer *writer, const struct profile *profile);
// The list of extensions, as a SEQUENCE.
void profile_put_extensions(struct der_writer *writer, const struct profile *profile);
// Errors: RM_ERR_CRYPTO, RM_ERR_NO_MEMORY, RM_ERR_TOO_LARGE, RM_ERR_MALFORMED (dates out of range).
// *der is the caller's (rm_free).
RM_NODISCARD enum rm_err profile_issue(const struct profile *profile,
                                       const struct private_key *signer, uint8_t **der,
                                       size_t *length);

// SEQUENCE { what the writer holds, algorithm, signature }: the shape that certificates and
// requests share. Takes the writer's content.
RM_NODISCARD enum rm_err profile_seal(struct der_writer *content, const struct private_key *signer,
                                      uint8_t **der, size_t *length);
void profile_put_algorithm(struct der_writer *writer, const struct private_key *signer);
