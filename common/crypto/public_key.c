// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>
#include <string.h>

#include "crypto/der_internal.h"
#include "crypto/signature_internal.h"
#include "crypto/wolf_internal.h"
#include <wolfssl/wolfcrypt/ecc.h>

#define P256_POINT_BYTES 65 // uncompressed: 0x04, x, y

static bool rsa_bits(const struct der *material, uint32_t *bits)
{
    struct der_item sequence;
    struct der_item modulus;
    struct der number;
    if (!der_only(material->bytes, material->length, DER_SEQUENCE, &sequence)) {
        return false;
    }
    struct der_reader reader = der_reader_in(&sequence);
    if (!der_expect(&reader, DER_INTEGER, &modulus) || !der_unsigned(&modulus, &number)) {
        return false;
    }
    *bits = der_bit_count(&number);
    return true;
}

// RFC 5480 2.1.1: a named curve; whoever spells out parameters may choose weak ones.
static void ec_curve(struct der_reader *algorithm, struct public_key *out)
{
    struct der_item parameters;
    if (!der_next(algorithm, &parameters)) {
        return;
    }
    if (parameters.tag == DER_OID) {
        out->curve = oid_find(parameters.body.bytes, parameters.body.length);
    } else {
        out->has_explicit_curve = parameters.tag == DER_SEQUENCE;
    }
}

bool public_key_read(const uint8_t *spki, size_t length, struct public_key *out)
{
    struct der_item whole;
    struct der_item algorithm;
    struct der_item oid;
    struct der_item bits;
    *out = (struct public_key){0};
    if (!der_only(spki, length, DER_SEQUENCE, &whole)) {
        return false;
    }
    struct der_reader reader = der_reader_in(&whole);
    if (!der_expect(&reader, DER_SEQUENCE, &algorithm) ||
        !der_expect(&reader, DER_BIT_STRING, &bits) || !der_is_done(&reader) ||
        !der_bits(&bits, &out->material)) {
        return false;
    }
    struct der_reader parts = der_reader_in(&algorithm);
    if (!der_expect(&parts, DER_OID, &oid)) {
        return false;
    }
    out->spki = whole.whole;
    out->algorithm = oid_find(oid.body.bytes, oid.body.length);
    if (out->algorithm == OID_EC_KEY) {
        ec_curve(&parts, out);
    }
    return out->algorithm != OID_RSA_KEY || rsa_bits(&out->material, &out->bits);
}

void public_key_describe(const struct public_key *key, char out[PUBLIC_KEY_TEXT_BYTES])
{
    if (key->algorithm == OID_RSA_KEY) {
        snprintf(out, PUBLIC_KEY_TEXT_BYTES, "RSA %u", key->bits);
    } else if (key->algorithm != OID_EC_KEY) {
        snprintf(out, PUBLIC_KEY_TEXT_BYTES, "%s", oid_name(key->algorithm));
    } else if (key->has_explicit_curve) {
        snprintf(out, PUBLIC_KEY_TEXT_BYTES, "EC with explicit curve parameters");
    } else if (key->curve == OID_UNKNOWN) {
        snprintf(out, PUBLIC_KEY_TEXT_BYTES, "EC on another curve");
    } else {
        snprintf(out, PUBLIC_KEY_TEXT_BYTES, "%s", oid_name(key->curve));
    }
}

bool public_key_is_accepted(const struct public_key *key)
{
    if (key->algorithm == OID_RSA_KEY) {
        return key->bits >= KEY_RSA_LEAST_BITS && key->bits <= KEY_RSA_MOST_BITS;
    }
    return key->algorithm == OID_EC_KEY && (key->curve == OID_P256 || key->curve == OID_P384);
}

enum rm_err public_key_check_p256(const struct public_key *key)
{
    if (key->algorithm != OID_EC_KEY || key->curve != OID_P256) {
        return RM_ERR_UNSUPPORTED;
    }
    if (key->material.length != P256_POINT_BYTES || key->material.bytes[0] != 0x04 ||
        key->spki.length != PUBLIC_KEY_P256_SPKI_BYTES) {
        bool is_compressed = key->material.length == 1 + (P256_POINT_BYTES - 1) / 2;
        return is_compressed ? RM_ERR_UNSUPPORTED : RM_ERR_MALFORMED;
    }
    ecc_key point;
    RM_TRY(wolf_err(wc_ecc_init(&point)));
    int code = wc_ecc_import_x963_ex(key->material.bytes, P256_POINT_BYTES, &point, ECC_SECP256R1);
    if (code == 0) {
        code = wc_ecc_check_key(&point);
    }
    wc_ecc_free(&point);
    return code == 0 || code == MEMORY_E ? wolf_err(code) : RM_ERR_MALFORMED;
}
