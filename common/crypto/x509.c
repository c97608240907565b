// SPDX-License-Identifier: GPL-3.0-or-later
#include "crypto/x509_internal.h"

#include "crypto/der_internal.h"
#include "crypto/signature_internal.h"

// Validity (RFC 5280 4.1.2.5).
static const char *x509_cut_dates(const struct der_item *validity, struct x509_pieces *out)
{
    struct der_reader reader = der_reader_in(validity);
    struct der_item from;
    struct der_item to;
    if (!der_next(&reader, &from) || !der_next(&reader, &to) || !der_is_done(&reader) ||
        !der_time(&from, &out->not_before_s) || !der_time(&to, &out->not_after_s)) {
        return "its validity dates are not well-formed";
    }
    return out->not_before_s <= out->not_after_s ? NULL : "it ends before it begins";
}

static const char *x509_cut_serial(const struct der_item *serial, struct x509_pieces *out)
{
    if (!der_unsigned(serial, &out->serial)) {
        return "its serial number is negative or not DER";
    }
    return out->serial.length <= SERIAL_MAX_BYTES ? NULL
                                                  : "its serial number is over 20 bytes long";
}

// What may follow the public key: unique ids [1] and [2], which nobody uses, and the extensions
// [3].
static bool x509_cut_tail(struct der_reader reader, struct x509_pieces *out)
{
    struct der_item item;
    struct der_item list;
    while (!der_is_done(&reader)) {
        if (!der_next(&reader, &item)) {
            return false;
        }
        if (item.tag != DER_CONTEXT_CONSTRUCTED + 3) {
            continue;
        }
        if (!der_only(item.body.bytes, item.body.length, DER_SEQUENCE, &list)) {
            return false;
        }
        out->extensions = list.body;
    }
    return true;
}

bool x509_find_extension(const struct x509_pieces *pieces, enum oid oid, struct der *value)
{
    struct der_reader reader = der_reader_of(pieces->extensions.bytes, pieces->extensions.length);
    struct der_item extension;
    struct der_item item;
    while (der_expect(&reader, DER_SEQUENCE, &extension)) {
        struct der_reader parts = der_reader_in(&extension);
        if (!der_expect(&parts, DER_OID, &item) ||
            oid_find(item.body.bytes, item.body.length) != oid) {
            continue;
        }
        if (!der_next(&parts, &item) || (item.tag == DER_BOOLEAN && !der_next(&parts, &item))) {
            return false;
        }
        *value = item.body;
        return item.tag == DER_OCTET_STRING;
    }
    return false;
}

// Version 3, then the pieces in order. `algorithm` gets the inner AlgorithmIdentifier.
static const char *x509_cut_signed_part(const struct der_item *part, struct x509_pieces *out,
                                        struct der_item *algorithm)
{
    static const char broken[] = "it is not a well-formed X.509 certificate";
    struct der_reader reader = der_reader_in(part);
    struct der_item version;
    struct der_item serial;
    struct der_item name;
    struct der_item validity;
    out->signed_part = part->whole;
    if (!der_expect(&reader, DER_CONTEXT_CONSTRUCTED, &version)) {
        return "it is not an X.509 certificate of version 3";
    }
    if (!der_expect(&reader, DER_INTEGER, &serial) ||
        !der_expect(&reader, DER_SEQUENCE, algorithm) ||
        !der_expect(&reader, DER_SEQUENCE, &name)) {
        return broken;
    }
    out->issuer = name.whole;
    if (!der_expect(&reader, DER_SEQUENCE, &validity) ||
        !der_expect(&reader, DER_SEQUENCE, &name)) {
        return broken;
    }
    out->subject = name.whole;
    if (!der_expect(&reader, DER_SEQUENCE, &name) || !x509_cut_tail(reader, out)) {
        return broken;
    }
    out->spki = name.whole;
    const char *fault = x509_cut_serial(&serial, out);
    return fault != NULL ? fault : x509_cut_dates(&validity, out);
}

const char *x509_cut(const uint8_t *der, size_t length, struct x509_pieces *out)
{
    struct der_item whole;
    struct der_item part;
    struct der_item inner;
    struct der_item outer;
    struct der_item oid;
    struct der_item bits;
    *out = (struct x509_pieces){0};
    if (!der_only(der, length, DER_SEQUENCE, &whole)) {
        return "it is not DER, or bytes follow it";
    }
    struct der_reader reader = der_reader_in(&whole);
    if (!der_expect(&reader, DER_SEQUENCE, &part) || !der_expect(&reader, DER_SEQUENCE, &outer) ||
        !der_expect(&reader, DER_BIT_STRING, &bits) || !der_is_done(&reader) ||
        !der_bits(&bits, &out->signature)) {
        return "it is not a well-formed X.509 certificate";
    }
    out->whole = whole.whole;
    const char *fault = x509_cut_signed_part(&part, out, &inner);
    if (fault != NULL) {
        return fault;
    }
    if (!der_equal(&inner.whole, &outer.whole)) {
        return "it names two different signature algorithms";
    }
    struct der_reader algorithm = der_reader_in(&inner);
    if (!der_expect(&algorithm, DER_OID, &oid)) {
        return "its signature algorithm is not well-formed";
    }
    out->algorithm = oid_find(oid.body.bytes, oid.body.length);
    return NULL;
}

static enum rm_err x509_decode_err(int code, struct rm_error *error)
{
    if (code == MEMORY_E || wolf_memory_has_run_out()) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "%s", rm_err_text(RM_ERR_NO_MEMORY));
    }
    const char *fault = wc_GetErrorString(code);
    if (code == ASN_CRIT_EXT_E) {
        fault = "it has a critical extension that is not known here";
    } else if (code == KEYUSAGE_E) {
        fault = "it claims the key usage keyCertSign, but it is no CA certificate";
    } else if (code == ASN_ALT_NAME_E) {
        fault = "a subject alternative name is not well-formed";
    }
    return rm_error_set(error, RM_ERR_MALFORMED, "the certificate is refused: %s", fault);
}

enum rm_err x509_open(const uint8_t *der, size_t length, struct x509 *out, struct rm_error *error)
{
    if (length > CERTIFICATE_MAX_DER_BYTES) {
        return rm_error_set(error, RM_ERR_TOO_LARGE,
                            "a certificate of %zu bytes; at most %d are taken", length,
                            CERTIFICATE_MAX_DER_BYTES);
    }
    const char *fault = x509_cut(der, length, &out->pieces);
    if (fault != NULL) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the certificate is refused: %s", fault);
    }
    wc_InitDecodedCert(&out->decoded, der, (word32)length, NULL);
    wolf_memory_watch();
    // CA_TYPE without verification differs from CERT_TYPE in one thing: a self-signed CA may have
    // the serial number 0, as some old roots do.
    int code = wc_ParseCert(&out->decoded, CA_TYPE, NO_VERIFY, NULL);
    if (code != 0) {
        wc_FreeDecodedCert(&out->decoded);
        return x509_decode_err(code, error);
    }
    return RM_OK;
}

void x509_close(struct x509 *x509)
{
    wc_FreeDecodedCert(&x509->decoded);
}

enum rm_err x509_verify_signature(const struct x509_pieces *child, const struct x509_pieces *issuer)
{
    struct public_key key;
    if (!public_key_read(issuer->spki.bytes, issuer->spki.length, &key)) {
        return RM_ERR_MALFORMED;
    }
    return signature_verify(&key, child->algorithm, &child->signed_part, &child->signature);
}
