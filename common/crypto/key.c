// SPDX-License-Identifier: GPL-3.0-or-later
#include "crypto/key.h"

#include <stdatomic.h>

#include "base/alloc.h"
#include "crypto/crypto.h"
#include "crypto/key_internal.h"
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/asn_public.h>

#define PKCS8_ECC_MAX_BYTES 256 // P-384 with its public key takes 185
#define DER_RSA_MAX_BYTES 2560  // RSA 4096 takes 2375
#define SPKI_MAX_BYTES 600      // RSA 4096 takes 550
#define P256_KEY_BYTES 32

struct private_key {
    atomic_uint ref_count;        // 1 when made
    enum key_kind kind;           // decides the algorithms
    struct secret pkcs8;          // owned
    uint8_t *spki;                // owned
    size_t spki_length;           // of spki
    uint8_t key_id[KEY_ID_BYTES]; // SHA-256 of spki
};

struct private_key *key_ref(struct private_key *key)
{
    atomic_fetch_add_explicit(&key->ref_count, 1, memory_order_relaxed);
    return key;
}

void key_unref(struct private_key *key)
{
    if (key != NULL && atomic_fetch_sub_explicit(&key->ref_count, 1, memory_order_acq_rel) == 1) {
        secret_free(&key->pkcs8);
        rm_free(key->spki);
        rm_free(key);
    }
}

enum key_kind key_kind_of(const struct private_key *key)
{
    return key->kind;
}

const struct secret *key_pkcs8(const struct private_key *key)
{
    return &key->pkcs8;
}

void key_spki(const struct private_key *key, const uint8_t **der, size_t *length)
{
    *der = key->spki;
    *length = key->spki_length;
}

void key_id(const struct private_key *key, uint8_t out[KEY_ID_BYTES])
{
    memcpy(out, key->key_id, KEY_ID_BYTES);
}

// wolfCrypt's encoders give a length, or an error below zero.
static enum rm_err encoded(int code, size_t *length)
{
    if (code <= 0) {
        return code == 0 ? RM_ERR_CRYPTO : wolf_err(code);
    }
    *length = (size_t)code;
    return RM_OK;
}

static enum rm_err ecc_encode(ecc_key *ecc, struct private_key *key, uint8_t *spki)
{
    word32 length = PKCS8_ECC_MAX_BYTES;
    RM_TRY(secret_new(PKCS8_ECC_MAX_BYTES, &key->pkcs8));
    RM_TRY(encoded(wc_EccKeyToPKCS8(ecc, key->pkcs8.bytes, &length), &key->pkcs8.length));
    return encoded(wc_EccPublicKeyToDer(ecc, spki, SPKI_MAX_BYTES, 1), &key->spki_length);
}

static enum rm_err rsa_encode(RsaKey *rsa, struct private_key *key, uint8_t *spki)
{
    struct secret plain;
    word32 length = DER_RSA_MAX_BYTES;
    RM_TRY(secret_new(DER_RSA_MAX_BYTES, &key->pkcs8));
    RM_TRY(secret_new(DER_RSA_MAX_BYTES, &plain));
    enum rm_err result =
        encoded(wc_RsaKeyToDer(rsa, plain.bytes, DER_RSA_MAX_BYTES), &plain.length);
    if (result == RM_OK) {
        result = encoded(wc_CreatePKCS8Key(key->pkcs8.bytes, &length, plain.bytes,
                                           (word32)plain.length, RSAk, NULL, 0),
                         &key->pkcs8.length);
    }
    secret_free(&plain);
    RM_TRY(result);
    return encoded(wc_RsaKeyToPublicDer(rsa, spki, SPKI_MAX_BYTES), &key->spki_length);
}

static enum rm_err key_finish(struct private_key *key, enum rm_err result, const uint8_t *spki,
                              struct private_key **out)
{
    if (result == RM_OK) {
        key->spki = rm_memdup(spki, key->spki_length);
        result = key->spki == NULL ? RM_ERR_NO_MEMORY : RM_OK;
    }
    if (result != RM_OK) {
        key_unref(key);
        return result;
    }
    sha256(key->spki, key->spki_length, key->key_id);
    *out = key;
    return RM_OK;
}

static struct private_key *key_new(enum key_kind kind)
{
    struct private_key *key = rm_calloc(1, sizeof(*key));
    if (key != NULL) {
        atomic_init(&key->ref_count, 1);
        key->kind = kind;
    }
    return key;
}

enum rm_err key_from_ecc(ecc_key *ecc, enum key_kind kind, struct private_key **out)
{
    uint8_t spki[SPKI_MAX_BYTES];
    struct private_key *key = key_new(kind);
    if (key == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    return key_finish(key, ecc_encode(ecc, key, spki), spki, out);
}

enum rm_err key_from_rsa(RsaKey *rsa, struct private_key **out)
{
    uint8_t spki[SPKI_MAX_BYTES];
    struct private_key *key = key_new(KEY_RSA);
    if (key == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    return key_finish(key, rsa_encode(rsa, key, spki), spki, out);
}

enum rm_err key_generate(struct private_key **out)
{
    WC_RNG rng;
    ecc_key ecc;
    *out = NULL;
    RM_TRY(wolf_rng_init(&rng));
    enum rm_err result = wolf_err(wc_ecc_init(&ecc));
    if (result == RM_OK) {
        result = wolf_err(wc_ecc_make_key_ex(&rng, P256_KEY_BYTES, &ecc, ECC_SECP256R1));
        if (result == RM_OK) {
            result = key_from_ecc(&ecc, KEY_P256, out);
        }
        key_close_ecc(&ecc);
    }
    wc_FreeRng(&rng);
    return result;
}

enum rm_err key_open_ecc(const struct private_key *key, ecc_key *out)
{
    word32 at = 0;
    RM_TRY(wolf_err(wc_ecc_init(out)));
    enum rm_err result =
        wolf_err(wc_EccPrivateKeyDecode(key->pkcs8.bytes, &at, out, (word32)key->pkcs8.length));
    if (result != RM_OK) {
        key_close_ecc(out);
    }
    return result;
}

void key_close_ecc(ecc_key *ecc)
{
    wc_ecc_free(ecc);
    rm_wipe(ecc, sizeof(*ecc));
}

enum rm_err key_open_rsa(const struct private_key *key, RsaKey *out)
{
    word32 at = 0;
    RM_TRY(wolf_err(wc_InitRsaKey(out, NULL)));
    enum rm_err result =
        wolf_err(wc_RsaPrivateKeyDecode(key->pkcs8.bytes, &at, out, (word32)key->pkcs8.length));
    if (result != RM_OK) {
        key_close_rsa(out);
    }
    return result;
}

void key_close_rsa(RsaKey *rsa)
{
    wc_FreeRsaKey(rsa);
    rm_wipe(rsa, sizeof(*rsa));
}
