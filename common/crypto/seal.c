// SPDX-License-Identifier: GPL-3.0-or-later
//
// version (1) | nonce (12) | ciphertext | tag (16). Version, and the caller's context, are
// authenticated. Nonces are random: at 96 bits one key seals 2^32 secrets before a repeat is
// likelier than 2^-32 (NIST SP 800-38D, 8.3); a control plane seals thousands.
#include <string.h>

#include "base/alloc.h"
#include "crypto/crypto.h"
#include "crypto/wolf_internal.h"
#include <wolfssl/wolfcrypt/aes.h>

#define SEAL_VERSION 1
#define NONCE_BYTES 12
#define TAG_BYTES 16
#define HEAD_BYTES (1 + NONCE_BYTES)
#define CONTEXT_MAX_BYTES 255 // "ca-key/<replica>" and the like

_Static_assert(HEAD_BYTES + TAG_BYTES == SEAL_OVERHEAD_BYTES, "the header promises the overhead");

struct seal_context {
    uint8_t bytes[1 + CONTEXT_MAX_BYTES]; // version and context: what is authenticated
    word32 length;                        // used
};

static bool seal_context_set(struct seal_context *out, uint8_t version, const char *context)
{
    size_t length = strlen(context);
    if (length > CONTEXT_MAX_BYTES) {
        return false;
    }
    out->bytes[0] = version;
    memcpy(out->bytes + 1, context, length);
    out->length = (word32)length + 1;
    return true;
}

static enum rm_err seal_cipher_init(Aes *aes, const struct secret *key)
{
    if (key->length != SEAL_KEY_BYTES) {
        return RM_ERR_CRYPTO;
    }
    RM_TRY(wolf_err(wc_AesInit(aes, NULL, INVALID_DEVID)));
    enum rm_err result = wolf_err(wc_AesGcmSetKey(aes, key->bytes, SEAL_KEY_BYTES));
    if (result != RM_OK) {
        wc_AesFree(aes);
    }
    return result;
}

static void seal_cipher_deinit(Aes *aes)
{
    wc_AesFree(aes);
    rm_wipe(aes, sizeof(*aes));
}

enum rm_err seal(const struct secret *key, const char *context, const void *plain,
                 size_t plain_length, uint8_t **out, size_t *out_length)
{
    struct seal_context bound;
    Aes aes;
    if (plain_length > SEAL_MAX_PLAIN_BYTES || !seal_context_set(&bound, SEAL_VERSION, context)) {
        return RM_ERR_TOO_LARGE;
    }
    RM_TRY(seal_cipher_init(&aes, key));
    enum rm_err result = RM_ERR_NO_MEMORY;
    uint8_t *sealed = rm_malloc(plain_length + SEAL_OVERHEAD_BYTES);
    if (sealed != NULL) {
        sealed[0] = SEAL_VERSION;
        result = random_bytes(sealed + 1, NONCE_BYTES);
    }
    if (result == RM_OK) {
        result = wolf_err(wc_AesGcmEncrypt(
            &aes, sealed + HEAD_BYTES, plain, (word32)plain_length, sealed + 1, NONCE_BYTES,
            sealed + HEAD_BYTES + plain_length, TAG_BYTES, bound.bytes, bound.length));
    }
    seal_cipher_deinit(&aes);
    if (result != RM_OK) {
        rm_free(sealed);
        return result;
    }
    *out = sealed;
    *out_length = plain_length + SEAL_OVERHEAD_BYTES;
    return RM_OK;
}

enum rm_err unseal(const struct secret *key, const char *context, const void *sealed,
                   size_t sealed_length, struct secret *out)
{
    const uint8_t *bytes = sealed;
    struct seal_context bound;
    Aes aes;
    *out = (struct secret){0};
    if (sealed_length < SEAL_OVERHEAD_BYTES ||
        sealed_length > SEAL_MAX_PLAIN_BYTES + SEAL_OVERHEAD_BYTES || bytes[0] != SEAL_VERSION ||
        !seal_context_set(&bound, bytes[0], context)) {
        return RM_ERR_CRYPTO;
    }
    size_t plain_length = sealed_length - SEAL_OVERHEAD_BYTES;
    RM_TRY(seal_cipher_init(&aes, key));
    enum rm_err result = secret_new(plain_length, out);
    if (result == RM_OK) {
        result = wolf_err(wc_AesGcmDecrypt(
            &aes, out->bytes, bytes + HEAD_BYTES, (word32)plain_length, bytes + 1, NONCE_BYTES,
            bytes + HEAD_BYTES + plain_length, TAG_BYTES, bound.bytes, bound.length));
    }
    seal_cipher_deinit(&aes);
    if (result != RM_OK) {
        secret_free(out);
    }
    return result;
}
