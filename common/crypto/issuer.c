// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "base/alloc.h"
#include "crypto/certificate_internal.h"
#include "crypto/crypto.h"
#include "crypto/issuer_internal.h"
#include "identity/spiffe.h"

static enum rm_err issuer_check(const struct certificate *certificate,
                                const struct private_key *key, struct rm_error *error)
{
    uint8_t id[KEY_ID_BYTES];
    key_id(key, id);
    if (!certificate->is_ca) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the certificate is not a CA certificate");
    }
    if (certificate->has_key_usage && (certificate->key_usage & KEYUSE_KEY_CERT_SIGN) == 0) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "the CA certificate lacks the key usage keyCertSign");
    }
    if (memcmp(id, certificate->spki_id, KEY_ID_BYTES) != 0) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "the private key does not belong to the CA certificate");
    }
    return RM_OK;
}

// The trust domain of the CA's own SPIFFE ID (X509-SVID.md 4.2), if it has one.
static enum rm_err issuer_take_domain(struct issuer *issuer, const struct certificate *certificate)
{
    struct spiffe_id id;
    if (certificate->uri_count != 1 ||
        spiffe_id_parse(certificate->uri, certificate->uri_length, &id, NULL) != RM_OK) {
        return RM_OK;
    }
    issuer->trust_domain = rm_strndup(id.trust_domain, id.trust_domain_length);
    return issuer->trust_domain == NULL ? RM_ERR_NO_MEMORY : RM_OK;
}

static void issuer_take_key_id(struct issuer *issuer)
{
    struct der value;
    struct der_item key_id;
    if (x509_find_extension(&issuer->pieces, OID_SUBJECT_KEY_ID, &value) &&
        der_only(value.bytes, value.length, DER_OCTET_STRING, &key_id)) {
        issuer->key_id = key_id.body;
    }
}

static enum rm_err issuer_fill(struct issuer *issuer, const uint8_t *der, size_t length,
                               struct private_key *key, struct rm_error *error)
{
    struct certificate certificate;
    issuer->der = rm_memdup(der, length);
    if (issuer->der == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "%s", rm_err_text(RM_ERR_NO_MEMORY));
    }
    RM_TRY(certificate_parse(issuer->der, length, &certificate, error));
    enum rm_err result = issuer_check(&certificate, key, error);
    if (result == RM_OK) {
        result = issuer_take_domain(issuer, &certificate);
        issuer->may_issue_ca = !certificate.has_path_length || certificate.path_length > 0;
    }
    certificate_deinit(&certificate);
    if (result != RM_OK || x509_cut(issuer->der, length, &issuer->pieces) != NULL) {
        return result == RM_OK ? RM_ERR_MALFORMED : result;
    }
    issuer_take_key_id(issuer);
    issuer->key = key_ref(key);
    return RM_OK;
}

enum rm_err issuer_new(const uint8_t *certificate_der, size_t length, struct private_key *key,
                       struct issuer **out, struct rm_error *error)
{
    *out = NULL;
    if (length > CERTIFICATE_MAX_DER_BYTES) {
        return rm_error_set(error, RM_ERR_MALFORMED, "a CA certificate of %zu bytes; at most %d",
                            length, CERTIFICATE_MAX_DER_BYTES);
    }
    struct issuer *issuer = rm_calloc(1, sizeof(*issuer));
    if (issuer == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "%s", rm_err_text(RM_ERR_NO_MEMORY));
    }
    atomic_init(&issuer->ref_count, 1);
    enum rm_err result = issuer_fill(issuer, certificate_der, length, key, error);
    if (result != RM_OK) {
        issuer_unref(issuer);
        return result;
    }
    *out = issuer;
    return RM_OK;
}

struct issuer *issuer_ref(struct issuer *issuer)
{
    atomic_fetch_add_explicit(&issuer->ref_count, 1, memory_order_relaxed);
    return issuer;
}

void issuer_unref(struct issuer *issuer)
{
    if (issuer != NULL &&
        atomic_fetch_sub_explicit(&issuer->ref_count, 1, memory_order_acq_rel) == 1) {
        key_unref(issuer->key);
        rm_free(issuer->trust_domain);
        rm_free(issuer->der);
        rm_free(issuer);
    }
}

int64_t issuer_not_after_s(const struct issuer *issuer)
{
    return issuer->pieces.not_after_s;
}
