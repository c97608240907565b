// SPDX-License-Identifier: GPL-3.0-or-later
//
// Private keys. Immutable and counted; shared between threads. Bytes live in secret memory.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/secret.h"
#include "identity/peer.h"

enum key_kind { KEY_P256, KEY_P384, KEY_RSA };

struct private_key;

// A fresh P-256 key. Errors: RM_ERR_CRYPTO, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err key_generate(struct private_key **out);
// PKCS#8, SEC 1 or PKCS#1; one PEM block or DER; not encrypted. P-256, P-384, RSA 2048 to 4096.
// Errors: RM_ERR_MALFORMED, RM_ERR_UNSUPPORTED with kind and size and what is accepted.
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
