// SPDX-License-Identifier: GPL-3.0-or-later
//
// Private keys. Immutable and counted; shared between threads. Bytes live in secret memory.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/secret.h"
#include "identity/peer.h"

#define KEY_MAX_BYTES 65536         // of a key file: the key, and perhaps its chain beside it
#define KEY_RSA_LEAST_BITS 2048     // smaller ones are too weak
#define KEY_RSA_MOST_BITS 4096      // larger ones cost more than they give
#define SIGNATURE_P256_MAX_BYTES 72 // DER of two 256-bit numbers

enum key_kind { KEY_P256, KEY_P384, KEY_RSA };

struct private_key;

// A fresh P-256 key. Errors: RM_ERR_CRYPTO, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err key_generate(struct private_key **out);
// PKCS#8, SEC 1 or PKCS#1; PEM with one private key (certificates beside it are ignored) or DER;
// not encrypted. P-256, P-384, RSA 2048 to 4096. Checks that the public key belongs to the private
// one. Errors: RM_ERR_MALFORMED, RM_ERR_TOO_LARGE, RM_ERR_UNSUPPORTED with kind and size and what
// is accepted, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err key_parse(const uint8_t *bytes, size_t length, struct private_key **out,
                                   struct rm_error *error);
struct private_key *key_ref(struct private_key *key);
// `key` may be NULL.
void key_unref(struct private_key *key);

enum key_kind key_kind_of(const struct private_key *key);
// PKCS#8 DER. Borrowed; secret.
const struct secret *key_pkcs8(const struct private_key *key);
// SubjectPublicKeyInfo DER. Borrowed.
void key_spki(const struct private_key *key, const uint8_t **der, size_t *length);
// SHA-256 of the SubjectPublicKeyInfo.
void key_id(const struct private_key *key, uint8_t out[KEY_ID_BYTES]);

// ECDSA with SHA-256 over `bytes`, P-256 only: proofs of possession outside of certificates.
// `signature` is DER and has room for SIGNATURE_P256_MAX_BYTES.
// Errors: RM_ERR_UNSUPPORTED (key is not P-256), RM_ERR_CRYPTO, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err key_sign_sha256(const struct private_key *key, const void *bytes,
                                         size_t length, uint8_t *signature,
                                         size_t *signature_length);
// The other end's check; `spki` is SubjectPublicKeyInfo DER. RM_OK only for a good signature.
// Errors: RM_ERR_UNTRUSTED (wrong signature), RM_ERR_MALFORMED (no key, or not on its curve),
// RM_ERR_UNSUPPORTED (key is not P-256), RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err spki_verify_sha256(const uint8_t *spki, size_t spki_length,
                                            const void *bytes, size_t length,
                                            const uint8_t *signature, size_t signature_length);
