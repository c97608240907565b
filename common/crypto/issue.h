// SPDX-License-Identifier: GPL-3.0-or-later
//
// Making certificates and certificate signing requests. Thread-safe: an issuer is immutable.
// RFC 5280 for the profile, RFC 2986 for requests, X509-SVID.md for the leaf.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "crypto/certificate.h"
#include "crypto/key.h"

#define CSR_MAX_DER_BYTES 8192
#define ISSUE_SERIAL_BYTES 16

// A PKCS#10 request (DER) that proves possession of `key`; it names nothing, since only its public
// key is ever taken. *der is the caller's (rm_free).
RM_NODISCARD enum rm_err csr_make(const struct private_key *key, uint8_t **der, size_t *length);
// A request for an intermediate that an operator has signed elsewhere (offline root): names the CA
// and asks for what issue_intermediate() would give it. Errors: RM_ERR_MALFORMED (a name that
// cannot stand), RM_ERR_CRYPTO, RM_ERR_NO_MEMORY. *der is the caller's (rm_free).
RM_NODISCARD enum rm_err csr_make_authority(const struct private_key *key, const char *trust_domain,
                                            const char *common_name, uint8_t **der, size_t *length);
// Checks form, signature and key (P-256 only: named curve, point on curve) and gives the public key
// as SubjectPublicKeyInfo DER; nothing else of a request counts. *spki is the caller's (rm_free).
// Errors: RM_ERR_MALFORMED (no request, bad signature), RM_ERR_UNSUPPORTED (key kind or size),
// RM_ERR_TOO_LARGE, RM_ERR_NO_MEMORY; the message says which and what is accepted.
RM_NODISCARD enum rm_err csr_read(const uint8_t *der, size_t length, uint8_t **spki,
                                  size_t *spki_length, struct rm_error *error);

struct issuer; // a CA certificate and its key; counted, immutable

// Checks that the key belongs to the certificate and that it is a CA. Shares the key.
// Errors: RM_ERR_MALFORMED (with what is wrong), RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err issuer_new(const uint8_t *certificate_der, size_t length,
                                    struct private_key *key, struct issuer **out,
                                    struct rm_error *error);
struct issuer *issuer_ref(struct issuer *issuer);
// `issuer` may be NULL.
void issuer_unref(struct issuer *issuer);
int64_t issuer_not_after_s(const struct issuer *issuer);

struct leaf_request {
    const uint8_t *spki; // P-256 SubjectPublicKeyInfo DER
    size_t spki_length;
    const char *spiffe_id;              // the only URI SAN
    const char *const *dns_names;       // DNS SANs, from service records only; may be NULL
    size_t dns_count;                   // at most CERTIFICATE_MAX_NAMES
    uint8_t serial[ISSUE_SERIAL_BYTES]; // 8 bytes lineage, 8 random; not all zero
    int64_t not_before_s;               // Unix seconds
    int64_t not_after_s;                // cut to the issuer's own end
};

// A workload leaf: empty subject, critical SAN, digitalSignature, serverAuth and clientAuth,
// CA:FALSE, SKID, AKID. *der is the caller's (rm_free).
// Errors: RM_ERR_MALFORMED (ID, DNS name, serial or date that cannot stand), RM_ERR_TOO_LARGE,
// RM_ERR_UNSUPPORTED (key is not P-256), RM_ERR_DENIED (the ID is outside the issuer's trust
// domain), RM_ERR_EXPIRED (it would end before it begins, or after the issuer's end has passed),
// RM_ERR_CRYPTO, RM_ERR_NO_MEMORY. The same for the two below.
RM_NODISCARD enum rm_err issue_leaf(const struct issuer *issuer, const struct leaf_request *request,
                                    uint8_t **der, size_t *length);

struct authority_request {
    const char *trust_domain;           // goes into the subject's O and, as URI SAN, spiffe://<td>
    const char *common_name;            // "Remora root", "Remora intermediate 3f2a"; 1..64 bytes
    int64_t not_before_s;               // Unix seconds
    int64_t not_after_s;                // Unix seconds
    uint8_t serial[ISSUE_SERIAL_BYTES]; // not all zero
};

// A self-signed root: CA:TRUE, keyCertSign, cRLSign.
RM_NODISCARD enum rm_err issue_root(struct private_key *key,
                                    const struct authority_request *request, uint8_t **der,
                                    size_t *length);
// An intermediate: CA:TRUE, pathlen 0, critical URI name constraint to the trust domain.
RM_NODISCARD enum rm_err issue_intermediate(const struct issuer *root, const uint8_t *spki,
                                            size_t spki_length,
                                            const struct authority_request *request, uint8_t **der,
                                            size_t *length);
