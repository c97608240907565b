// SPDX-License-Identifier: GPL-3.0-or-later
#include "crypto/signature_internal.h"

#include <string.h>

#include "crypto/key_internal.h"
#include "crypto/wolf_internal.h"
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/rsa.h>
#include <wolfssl/wolfcrypt/signature.h>

struct signature_scheme {
    enum oid key;          // algorithm of the key it goes with; OID_UNKNOWN: not accepted
    enum wc_HashType hash; // what is signed
};

static struct signature_scheme signature_scheme_of(enum oid algorithm)
{
    static const struct signature_scheme schemes[OID_COUNT] = {
        [OID_ECDSA_SHA256] = {OID_EC_KEY, WC_HASH_TYPE_SHA256},
        [OID_ECDSA_SHA384] = {OID_EC_KEY, WC_HASH_TYPE_SHA384},
        [OID_ECDSA_SHA512] = {OID_EC_KEY, WC_HASH_TYPE_SHA512},
        [OID_RSA_SHA256] = {OID_RSA_KEY, WC_HASH_TYPE_SHA256},
        [OID_RSA_SHA384] = {OID_RSA_KEY, WC_HASH_TYPE_SHA384},
        [OID_RSA_SHA512] = {OID_RSA_KEY, WC_HASH_TYPE_SHA512},
    };
    return schemes[algorithm];
}

static enum rm_err verify_err(int code)
{
    return code == 0 || code == MEMORY_E ? wolf_err(code) : RM_ERR_UNTRUSTED;
}

static enum rm_err verify_ecdsa(const struct public_key *key, enum wc_HashType hash,
                                const struct der *message, const struct der *signature)
{
    ecc_key ecc;
    word32 at = 0;
    RM_TRY(wolf_err(wc_ecc_init(&ecc)));
    enum rm_err result = RM_ERR_MALFORMED;
    int code = wc_EccPublicKeyDecode(key->spki.bytes, &at, &ecc, (word32)key->spki.length);
    if (code == 0) {
        result = verify_err(wc_SignatureVerify(hash, WC_SIGNATURE_TYPE_ECC, message->bytes,
                                               (word32)message->length, signature->bytes,
                                               (word32)signature->length, &ecc, sizeof(ecc)));
    } else if (code == MEMORY_E) {
        result = RM_ERR_NO_MEMORY;
    }
    wc_ecc_free(&ecc);
    return result;
}

static enum rm_err verify_rsa(const struct public_key *key, enum wc_HashType hash,
                              const struct der *message, const struct der *signature)
{
    RsaKey rsa;
    word32 at = 0;
    RM_TRY(wolf_err(wc_InitRsaKey(&rsa, NULL)));
    enum rm_err result = RM_ERR_MALFORMED;
    int code = wc_RsaPublicKeyDecode(key->spki.bytes, &at, &rsa, (word32)key->spki.length);
    if (code == 0) {
        result = verify_err(wc_SignatureVerify(hash, WC_SIGNATURE_TYPE_RSA_W_ENC, message->bytes,
                                               (word32)message->length, signature->bytes,
                                               (word32)signature->length, &rsa, sizeof(rsa)));
    } else if (code == MEMORY_E) {
        result = RM_ERR_NO_MEMORY;
    }
    wc_FreeRsaKey(&rsa);
    return result;
}

enum rm_err signature_verify(const struct public_key *key, enum oid algorithm,
                             const struct der *message, const struct der *signature)
{
    struct signature_scheme scheme = signature_scheme_of(algorithm);
    if (scheme.key != key->algorithm || !public_key_is_accepted(key)) {
        return RM_ERR_UNSUPPORTED;
    }
    if (message->length > WOLF_MAX_BYTES || signature->length > SIGNATURE_MAX_BYTES) {
        return RM_ERR_UNTRUSTED;
    }
    return scheme.key == OID_EC_KEY ? verify_ecdsa(key, scheme.hash, message, signature)
                                    : verify_rsa(key, scheme.hash, message, signature);
}

enum oid signature_algorithm(enum key_kind kind)
{
    static const enum oid algorithms[] = {
        [KEY_P256] = OID_ECDSA_SHA256,
        [KEY_P384] = OID_ECDSA_SHA384,
        [KEY_RSA] = OID_RSA_SHA256,
    };
    return algorithms[kind];
}

static enum rm_err sign_ecdsa(const struct private_key *key, enum wc_HashType hash,
                              const struct der *message, uint8_t *out, word32 *length, WC_RNG *rng)
{
    ecc_key ecc;
    RM_TRY(key_open_ecc(key, &ecc));
    int code =
        wc_SignatureGenerate_ex(hash, WC_SIGNATURE_TYPE_ECC, message->bytes,
                                (word32)message->length, out, length, &ecc, sizeof(ecc), rng, 0);
    key_close_ecc(&ecc);
    return wolf_err(code);
}

static enum rm_err sign_rsa(const struct private_key *key, enum wc_HashType hash,
                            const struct der *message, uint8_t *out, word32 *length, WC_RNG *rng)
{
    RsaKey rsa;
    RM_TRY(key_open_rsa(key, &rsa));
    *length = (word32)wc_RsaEncryptSize(&rsa);
    int code = wc_RsaSetRNG(&rsa, rng); // blinding
    if (code == 0) {
        code = wc_SignatureGenerate_ex(hash, WC_SIGNATURE_TYPE_RSA_W_ENC, message->bytes,
                                       (word32)message->length, out, length, &rsa, sizeof(rsa), rng,
                                       0);
    }
    key_close_rsa(&rsa);
    return wolf_err(code);
}

enum rm_err signature_make(const struct private_key *key, const struct der *message,
                           uint8_t out[SIGNATURE_MAX_BYTES], size_t *length)
{
    enum key_kind kind = key_kind_of(key);
    enum wc_HashType hash = signature_scheme_of(signature_algorithm(kind)).hash;
    word32 used = SIGNATURE_MAX_BYTES;
    WC_RNG rng;
    if (message->length > WOLF_MAX_BYTES) {
        return RM_ERR_TOO_LARGE;
    }
    RM_TRY(wolf_rng_init(&rng));
    enum rm_err result = kind == KEY_RSA ? sign_rsa(key, hash, message, out, &used, &rng)
                                         : sign_ecdsa(key, hash, message, out, &used, &rng);
    wc_FreeRng(&rng);
    *length = used;
    return result;
}

enum rm_err key_sign_sha256(const struct private_key *key, const void *bytes, size_t length,
                            uint8_t *signature, size_t *signature_length)
{
    uint8_t made[SIGNATURE_MAX_BYTES];
    struct der message = {.bytes = bytes, .length = length};
    if (key_kind_of(key) != KEY_P256) {
        return RM_ERR_UNSUPPORTED;
    }
    RM_TRY(signature_make(key, &message, made, signature_length));
    if (*signature_length > SIGNATURE_P256_MAX_BYTES) {
        return RM_ERR_CRYPTO;
    }
    memcpy(signature, made, *signature_length);
    return RM_OK;
}

enum rm_err spki_verify_sha256(const uint8_t *spki, size_t spki_length, const void *bytes,
                               size_t length, const uint8_t *signature, size_t signature_length)
{
    struct public_key key;
    struct der message = {.bytes = bytes, .length = length};
    struct der proof = {.bytes = signature, .length = signature_length};
    if (!public_key_read(spki, spki_length, &key)) {
        return RM_ERR_MALFORMED;
    }
    RM_TRY(public_key_check_p256(&key));
    return signature_verify(&key, OID_ECDSA_SHA256, &message, &proof);
}
