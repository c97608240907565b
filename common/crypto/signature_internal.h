// SPDX-License-Identifier: GPL-3.0-or-later
//
// Signatures and public keys, for everything in this room that signs or verifies: certificates,
// requests, proofs. What is accepted: ECDSA on P-256 and P-384 and RSA PKCS #1 v1.5 of 2048 to 4096
// bits, each with SHA-256, SHA-384 or SHA-512.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/certificate.h"
#include "crypto/key.h"
#include "crypto/oid_internal.h"

#define SIGNATURE_MAX_BYTES 512       // RSA 4096
#define PUBLIC_KEY_TEXT_BYTES 64      // of public_key_describe()
#define PUBLIC_KEY_P256_SPKI_BYTES 91 // named curve, uncompressed point: always this long
#define SIGNATURES_ACCEPTED "ECDSA or RSA PKCS #1 with SHA-256, SHA-384 or SHA-512"

// What a SubjectPublicKeyInfo says. Borrows its bytes.
struct public_key {
    struct der spki;         // the whole
    struct der material;     // content of its BIT STRING: point or RSA key
    enum oid algorithm;      // OID_UNKNOWN when it is none we know by name
    enum oid curve;          // for OID_EC_KEY; OID_UNKNOWN when none we know by name
    bool has_explicit_curve; // for OID_EC_KEY: spelled out instead of named
    uint32_t bits;           // RSA modulus; 0 for other keys
};

// False when it is no SubjectPublicKeyInfo.
RM_NODISCARD bool public_key_read(const uint8_t *spki, size_t length, struct public_key *out);
// "P-384", "RSA 1024", "EC with explicit curve parameters", "Ed25519": for messages.
void public_key_describe(const struct public_key *key, char out[PUBLIC_KEY_TEXT_BYTES]);
// P-256, P-384, or RSA of a size that is accepted.
bool public_key_is_accepted(const struct public_key *key);
// Whether the point lies on P-256. Errors: RM_ERR_UNSUPPORTED (other kind of key, compressed
// point), RM_ERR_MALFORMED (not on the curve), RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err public_key_check_p256(const struct public_key *key);

// RM_OK only for a good signature. Errors: RM_ERR_UNTRUSTED (wrong signature), RM_ERR_UNSUPPORTED
// (algorithm or key not accepted, or they do not match), RM_ERR_MALFORMED (unusable key),
// RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err signature_verify(const struct public_key *key, enum oid algorithm,
                                          const struct der *message, const struct der *signature);

// The algorithm that signature_make uses for keys of this kind.
enum oid signature_algorithm(enum key_kind kind);
// Errors: RM_ERR_CRYPTO, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err signature_make(const struct private_key *key, const struct der *message,
                                        uint8_t out[SIGNATURE_MAX_BYTES], size_t *length);
