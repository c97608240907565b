// SPDX-License-Identifier: GPL-3.0-or-later
//
// Reading certificate signing requests. Only the public key is ever taken, so only what proves that
// key is read; subject and attributes are stepped over.
#include <string.h>

#include "base/alloc.h"
#include "crypto/der_internal.h"
#include "crypto/issue.h"
#include "crypto/signature_internal.h"

#define ACCEPTED "accepted is P-256 as a named curve with an uncompressed point"

struct csr {
    struct der info;       // CertificationRequestInfo: what is signed
    struct public_key key; // of the subject
    enum oid algorithm;    // of the signature
    struct der signature;  // its bytes
};

// RFC 2986 4.1: version, subject, key, attributes.
static const char *csr_cut_info(const struct der_item *info, struct csr *out)
{
    struct der_reader reader = der_reader_in(info);
    struct der_item item;
    if (!der_next(&reader, &item)) {
        return "it is not a certificate signing request (PKCS #10)";
    }
    if (item.tag == DER_CONTEXT_CONSTRUCTED) {
        return "it looks like a certificate, not like a certificate signing request";
    }
    if (item.tag != DER_INTEGER || item.body.length != 1 || item.body.bytes[0] != 0 ||
        !der_expect(&reader, DER_SEQUENCE, &item) || !der_expect(&reader, DER_SEQUENCE, &item)) {
        return "it is not a certificate signing request (PKCS #10)";
    }
    if (!public_key_read(item.whole.bytes, item.whole.length, &out->key)) {
        return "its public key is not well-formed";
    }
    out->info = info->whole;
    return NULL;
}

static const char *csr_cut(const uint8_t *der, size_t length, struct csr *out)
{
    struct der_item whole;
    struct der_item info;
    struct der_item item;
    *out = (struct csr){0};
    if (length >= 5 && memcmp(der, "-----", 5) == 0) {
        return "it is PEM text; DER is expected";
    }
    if (!der_only(der, length, DER_SEQUENCE, &whole)) {
        return "it is not DER, or bytes follow it";
    }
    struct der_reader reader = der_reader_in(&whole);
    if (!der_expect(&reader, DER_SEQUENCE, &info)) {
        return "it is not a certificate signing request (PKCS #10)";
    }
    const char *fault = csr_cut_info(&info, out);
    if (fault != NULL) {
        return fault;
    }
    if (!der_expect(&reader, DER_SEQUENCE, &item)) {
        return "it has no signature";
    }
    struct der_reader algorithm = der_reader_in(&item);
    struct der_item oid;
    if (!der_expect(&algorithm, DER_OID, &oid) || !der_expect(&reader, DER_BIT_STRING, &item) ||
        !der_is_done(&reader) || !der_bits(&item, &out->signature)) {
        return "its signature is not well-formed";
    }
    out->algorithm = oid_find(oid.body.bytes, oid.body.length);
    return NULL;
}

static enum rm_err csr_check_key(const struct csr *csr, struct rm_error *error)
{
    char kind[PUBLIC_KEY_TEXT_BYTES];
    enum rm_err result = public_key_check_p256(&csr->key);
    if (result == RM_ERR_UNSUPPORTED) {
        public_key_describe(&csr->key, kind);
        return rm_error_set(error, result, "the key in the request is %s%s; " ACCEPTED, kind,
                            csr->key.curve == OID_P256 ? " with a compressed point" : "");
    }
    if (result == RM_ERR_MALFORMED) {
        return rm_error_set(error, result, "the key in the request is not a point on P-256");
    }
    return result == RM_OK ? RM_OK : rm_error_set(error, result, "%s", rm_err_text(result));
}

static enum rm_err csr_check_signature(const struct csr *csr, struct rm_error *error)
{
    enum rm_err result = signature_verify(&csr->key, csr->algorithm, &csr->info, &csr->signature);
    if (result == RM_ERR_UNSUPPORTED) {
        return rm_error_set(
            error, result,
            "the request is signed with %s; accepted is ECDSA with SHA-256, SHA-384 "
            "or SHA-512",
            oid_name(csr->algorithm));
    }
    if (result == RM_ERR_UNTRUSTED) {
        return rm_error_set(
            error, RM_ERR_MALFORMED,
            "the request's signature is wrong: whoever made it does not hold the key");
    }
    return result == RM_OK ? RM_OK : rm_error_set(error, result, "%s", rm_err_text(result));
}

enum rm_err csr_read(const uint8_t *der, size_t length, uint8_t **spki, size_t *spki_length,
                     struct rm_error *error)
{
    struct csr csr;
    *spki = NULL;
    *spki_length = 0;
    if (length > CSR_MAX_DER_BYTES) {
        return rm_error_set(error, RM_ERR_TOO_LARGE,
                            "a certificate signing request of %zu bytes; at most %d are taken",
                            length, CSR_MAX_DER_BYTES);
    }
    const char *fault = csr_cut(der, length, &csr);
    if (fault != NULL) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the request is refused: %s", fault);
    }
    RM_TRY(csr_check_key(&csr, error));
    RM_TRY(csr_check_signature(&csr, error));
    *spki = rm_memdup(csr.key.spki.bytes, csr.key.spki.length);
    if (*spki == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "%s", rm_err_text(RM_ERR_NO_MEMORY));
    }
    *spki_length = csr.key.spki.length;
    return RM_OK;
}
