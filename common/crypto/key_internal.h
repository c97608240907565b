// SPDX-License-Identifier: GPL-3.0-or-later
//
// Private keys as wolfCrypt's structures, for the moment of one operation.
#pragma once

#include "crypto/key.h"
#include "crypto/wolf_internal.h"
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/rsa.h>

// On RM_OK close it at once after use: that wipes it. Errors: RM_ERR_NO_MEMORY, RM_ERR_CRYPTO.
RM_NODISCARD enum rm_err key_open_ecc(const struct private_key *key, ecc_key *out);
void key_close_ecc(ecc_key *ecc);
RM_NODISCARD enum rm_err key_open_rsa(const struct private_key *key, RsaKey *out);
void key_close_rsa(RsaKey *rsa);

// Makes a key of what wolfCrypt holds, private and public part; the caller still closes that.
// Errors: RM_ERR_NO_MEMORY, RM_ERR_CRYPTO.
RM_NODISCARD enum rm_err key_from_ecc(ecc_key *ecc, enum key_kind kind, struct private_key **out);
RM_NODISCARD enum rm_err key_from_rsa(RsaKey *rsa, struct private_key **out);
