// SPDX-License-Identifier: GPL-3.0-or-later
//
// Reading private keys. The outer form is looked at here, so that what is not accepted is named;
// wolfCrypt reads the numbers.
#include <string.h>

#include "base/alloc.h"
#include "crypto/der_internal.h"
#include "crypto/key_internal.h"
#include "crypto/pem_internal.h"
#include "crypto/signature_internal.h"
#include <wolfssl/wolfcrypt/asn_public.h>

#define ACCEPTED "accepted are P-256, P-384 and RSA from 2048 to 4096 bits"
#define DECRYPT_HINT                                                                               \
    "the private key is encrypted: store it without a passphrase (openssl pkey -in OLD -out NEW) " \
    "and let its file's mode protect it"

// What the outer form says about a key: enough to accept it or to name what it is.
struct key_form {
    bool is_encrypted;     // EncryptedPrivateKeyInfo
    struct public_key key; // algorithm, curve and size; its borrowed parts stay empty
};

// RFC 8017 A.1.2: version, modulus, ...
static bool form_of_pkcs1(struct der_reader reader, struct key_form *form)
{
    struct der_item item;
    struct der number;
    if (!der_expect(&reader, DER_INTEGER, &item) || !der_expect(&reader, DER_INTEGER, &item) ||
        !der_unsigned(&item, &number)) {
        return false;
    }
    form->key.algorithm = OID_RSA_KEY;
    form->key.bits = der_bit_count(&number);
    return true;
}

static void form_curve(struct der_reader reader, struct key_form *form)
{
    struct der_item item;
    form->key.algorithm = OID_EC_KEY;
    if (der_next(&reader, &item) && item.tag == DER_OID) {
        form->key.curve = oid_find(item.body.bytes, item.body.length);
    } else {
        form->key.has_explicit_curve = true;
    }
}

// RFC 5915: version, private key, [0] curve, [1] public key.
static bool form_of_sec1(struct der_reader reader, struct key_form *form)
{
    struct der_item item;
    if (!der_expect(&reader, DER_INTEGER, &item) || !der_expect(&reader, DER_OCTET_STRING, &item) ||
        !der_expect(&reader, DER_CONTEXT_CONSTRUCTED, &item)) {
        return false;
    }
    form_curve(der_reader_in(&item), form);
    return true;
}

// RFC 5958: version, algorithm, private key.
static bool form_of_pkcs8(struct der_reader reader, struct key_form *form)
{
    struct der_item item;
    struct der_item algorithm;
    struct der_item inner;
    if (!der_expect(&reader, DER_INTEGER, &item) ||
        !der_expect(&reader, DER_SEQUENCE, &algorithm) ||
        !der_expect(&reader, DER_OCTET_STRING, &item)) {
        return false;
    }
    struct der_reader parts = der_reader_in(&algorithm);
    struct der_item oid;
    if (!der_expect(&parts, DER_OID, &oid)) {
        return false;
    }
    form->key.algorithm = oid_find(oid.body.bytes, oid.body.length);
    if (form->key.algorithm == OID_EC_KEY) {
        form_curve(parts, form);
    }
    return form->key.algorithm != OID_RSA_KEY ||
           (der_only(item.body.bytes, item.body.length, DER_SEQUENCE, &inner) &&
            form_of_pkcs1(der_reader_in(&inner), form));
}

// RFC 5958 3: algorithm, encrypted data.
static bool form_of_encrypted(struct der_reader reader)
{
    struct der_item item;
    return der_expect(&reader, DER_SEQUENCE, &item) &&
           der_expect(&reader, DER_OCTET_STRING, &item) && der_is_done(&reader);
}

static bool key_form_read(const uint8_t *der, size_t length, struct key_form *form)
{
    struct der_item whole;
    *form = (struct key_form){0};
    if (!der_only(der, length, DER_SEQUENCE, &whole)) {
        return false;
    }
    struct der_reader reader = der_reader_in(&whole);
    form->is_encrypted = form_of_encrypted(reader);
    return form->is_encrypted || form_of_pkcs8(reader, form) || form_of_sec1(reader, form) ||
           form_of_pkcs1(reader, form);
}

static enum rm_err key_parse_ecc(const uint8_t *der, size_t length, enum key_kind kind,
                                 struct private_key **out)
{
    WC_RNG rng;
    ecc_key ecc;
    word32 at = 0;
    RM_TRY(wolf_rng_init(&rng));
    int code = wc_ecc_init(&ecc);
    if (code == 0) {
        code = wc_EccPrivateKeyDecode(der, &at, &ecc, (word32)length);
    }
    if (code == 0 && ecc.type == ECC_PRIVATEKEY_ONLY) {
        code = wc_ecc_make_pub_ex(&ecc, NULL, &rng);
    }
    if (code == 0) {
        code = wc_ecc_check_key(&ecc); // also that both parts belong together
    }
    enum rm_err result = code == MEMORY_E ? RM_ERR_NO_MEMORY : RM_ERR_MALFORMED;
    if (code == 0) {
        result = key_from_ecc(&ecc, kind, out);
    }
    key_close_ecc(&ecc);
    wc_FreeRng(&rng);
    return result;
}

// A key whose parts do not belong together makes signatures that its public part refuses.
static enum rm_err key_prove(const struct private_key *key)
{
    struct public_key public_key;
    struct der message = {.bytes = (const uint8_t *)"proof", .length = 5};
    uint8_t bytes[SIGNATURE_MAX_BYTES];
    struct der signature = {.bytes = bytes};
    const uint8_t *spki = NULL;
    size_t length = 0;
    key_spki(key, &spki, &length);
    if (!public_key_read(spki, length, &public_key)) {
        return RM_ERR_MALFORMED;
    }
    RM_TRY(signature_make(key, &message, bytes, &signature.length));
    return signature_verify(&public_key, OID_RSA_SHA256, &message, &signature);
}

static enum rm_err key_parse_rsa(const uint8_t *der, size_t length, struct private_key **out)
{
    RsaKey rsa;
    word32 at = 0;
    RM_TRY(wolf_err(wc_InitRsaKey(&rsa, NULL)));
    int code = wc_RsaPrivateKeyDecode(der, &at, &rsa, (word32)length);
    enum rm_err result = code == MEMORY_E ? RM_ERR_NO_MEMORY : RM_ERR_MALFORMED;
    if (code == 0) {
        result = key_from_rsa(&rsa, out);
    }
    key_close_rsa(&rsa);
    RM_TRY(result);
    result = key_prove(*out);
    if (result != RM_OK) {
        key_unref(*out);
        *out = NULL;
    }
    return result == RM_OK || result == RM_ERR_NO_MEMORY ? result : RM_ERR_MALFORMED;
}

static enum rm_err key_unsupported(const struct public_key *key, struct rm_error *error)
{
    char kind[PUBLIC_KEY_TEXT_BYTES];
    public_key_describe(key, kind);
    return rm_error_set(error, RM_ERR_UNSUPPORTED, "the private key is of kind %s; " ACCEPTED,
                        kind);
}

static enum rm_err key_parse_der(const uint8_t *der, size_t length, struct private_key **out,
                                 struct rm_error *error)
{
    struct key_form form;
    enum rm_err result = RM_ERR_MALFORMED;
    if (!key_form_read(der, length, &form)) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "this is no private key: neither PKCS #8, SEC 1 nor PKCS #1");
    }
    if (form.is_encrypted) {
        return rm_error_set(error, RM_ERR_UNSUPPORTED, DECRYPT_HINT);
    }
    if (!public_key_is_accepted(&form.key)) {
        return key_unsupported(&form.key, error);
    }
    if (form.key.algorithm == OID_RSA_KEY) {
        result = key_parse_rsa(der, length, out);
    } else {
        result = key_parse_ecc(der, length, form.key.curve == OID_P256 ? KEY_P256 : KEY_P384, out);
    }
    if (result == RM_ERR_MALFORMED) {
        return rm_error_set(error, result,
                            "the private key is damaged: its parts are missing or do not match");
    }
    return result == RM_OK ? RM_OK : rm_error_set(error, result, "%s", rm_err_text(result));
}

static enum rm_err key_parse_block(const struct pem_block *block, struct private_key **out,
                                   struct rm_error *error)
{
    struct secret scratch = {0};
    struct secret der = {0};
    enum rm_err result = RM_ERR_NO_MEMORY;
    if (pem_has_headers(block)) {
        return rm_error_set(error, RM_ERR_UNSUPPORTED, DECRYPT_HINT);
    }
    if (secret_new(block->body_length, &scratch) == RM_OK &&
        secret_new(block->body_length, &der) == RM_OK) {
        result = pem_decode(block, (char *)scratch.bytes, der.bytes, &der.length);
    }
    if (result == RM_OK) {
        result = key_parse_der(der.bytes, der.length, out, error);
    } else {
        rm_error_set(error, result, "%s",
                     result == RM_ERR_MALFORMED ? "the private key's text is not base64"
                                                : rm_err_text(result));
    }
    secret_free(&scratch);
    secret_free(&der);
    return result;
}

static bool is_private_key(const struct pem_block *block)
{
    static const char *const labels[] = {"PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY",
                                         "ENCRYPTED PRIVATE KEY"};
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
        if (pem_has_label(block, labels[i])) {
            return true;
        }
    }
    return false;
}

static enum rm_err key_parse_pem(const uint8_t *text, size_t length, struct private_key **out,
                                 struct rm_error *error)
{
    struct pem_reader reader = pem_reader_of(text, length);
    struct pem_block block;
    struct pem_block found = {0};
    enum pem_step step = PEM_END;
    while ((step = pem_next(&reader, &block)) == PEM_BLOCK) {
        if (!is_private_key(&block)) {
            continue;
        }
        if (found.label != NULL) {
            return rm_error_set(error, RM_ERR_MALFORMED, "there is more than one private key");
        }
        found = block;
    }
    if (step == PEM_BROKEN) {
        return rm_error_set(error, RM_ERR_MALFORMED, "a PEM block does not end");
    }
    if (found.label == NULL) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "there is PEM text, but no PRIVATE KEY block in it");
    }
    return key_parse_block(&found, out, error);
}

enum rm_err key_parse(const uint8_t *bytes, size_t length, struct private_key **out,
                      struct rm_error *error)
{
    static const char begin[] = "-----BEGIN ";
    *out = NULL;
    if (length > KEY_MAX_BYTES) {
        return rm_error_set(error, RM_ERR_TOO_LARGE,
                            "a private key of %zu bytes; at most %d are taken", length,
                            KEY_MAX_BYTES);
    }
    if (length > 0 && memmem(bytes, length, begin, strlen(begin)) != NULL) {
        return key_parse_pem(bytes, length, out, error);
    }
    return key_parse_der(bytes, length, out, error);
}
