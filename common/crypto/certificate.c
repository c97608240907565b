// SPDX-License-Identifier: GPL-3.0-or-later
#include "crypto/certificate.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "crypto/certificate_internal.h"
#include "crypto/crypto.h"
#include "crypto/signature_internal.h"

// wolfCrypt's one-line form holds whatever bytes the certificate does; what people read holds none
// that could move a cursor or forge a line.
static char *certificate_name_text(const char *name)
{
    char *text = rm_strdup(name);
    for (char *at = text; at != NULL && *at != '\0'; at++) {
        if (*at < 0x20 || *at > 0x7e) {
            *at = '?';
        }
    }
    return text;
}

// A copy with NUL at its end, and with any NUL inside it kept.
static char *certificate_bytes_text(const char *bytes, size_t length)
{
    char *text = rm_malloc(length + 1);
    if (text != NULL) {
        memcpy(text, bytes, length);
        text[length] = '\0';
    }
    return text;
}

static uint32_t certificate_count_names(const DecodedCert *decoded, int type)
{
    uint32_t count = 0;
    for (const DNS_entry *name = decoded->altNames; name != NULL; name = name->next) {
        count += name->type == type ? 1 : 0;
    }
    return count;
}

// wolfCrypt lists alternative names last first. Only the type tells a URI from a DNS name: a DNS
// name may read "spiffe://...".
static enum rm_err certificate_copy_names(const DecodedCert *decoded, struct certificate *out)
{
    uint32_t uri_left = certificate_count_names(decoded, ASN_URI_TYPE);
    uint32_t dns_left = certificate_count_names(decoded, ASN_DNS_TYPE);
    out->uri_count = uri_left;
    out->dns_count = dns_left < CERTIFICATE_MAX_NAMES ? dns_left : CERTIFICATE_MAX_NAMES;
    for (const DNS_entry *name = decoded->altNames; name != NULL; name = name->next) {
        char **place = NULL;
        if (name->type == ASN_URI_TYPE && --uri_left == 0) {
            place = &out->uri;
            out->uri_length = (size_t)name->len;
        } else if (name->type == ASN_DNS_TYPE && --dns_left < CERTIFICATE_MAX_NAMES) {
            place = &out->dns[dns_left];
        }
        if (place != NULL) {
            *place = certificate_bytes_text(name->name, (size_t)name->len);
            if (*place == NULL) {
                return RM_ERR_NO_MEMORY;
            }
        }
    }
    return RM_OK;
}

static void certificate_copy_usage(const DecodedCert *decoded, struct certificate *out)
{
    out->is_ca = decoded->isCA != 0;
    out->has_path_length = decoded->pathLengthSet != 0;
    out->path_length = decoded->pathLength < UINT8_MAX ? (uint8_t)decoded->pathLength : UINT8_MAX;
    out->has_key_usage = decoded->extKeyUsageSet != 0;
    out->key_usage = decoded->extKeyUsage;
    out->has_extended_key_usage = decoded->extExtKeyUsageSet != 0;
    out->is_server_auth = (decoded->extExtKeyUsage & (EXTKEYUSE_SERVER_AUTH | EXTKEYUSE_ANY)) != 0;
    out->is_client_auth = (decoded->extExtKeyUsage & (EXTKEYUSE_CLIENT_AUTH | EXTKEYUSE_ANY)) != 0;
}

enum rm_err certificate_of_x509(const struct x509 *x509, struct certificate *out)
{
    const struct x509_pieces *pieces = &x509->pieces;
    *out = (struct certificate){
        .serial_length = (uint8_t)pieces->serial.length,
        .not_before_s = pieces->not_before_s,
        .not_after_s = pieces->not_after_s,
        .is_self_signed = der_equal(&pieces->issuer, &pieces->subject),
    };
    memcpy(out->serial, pieces->serial.bytes, pieces->serial.length);
    sha256(pieces->spki.bytes, pieces->spki.length, out->spki_id);
    certificate_copy_usage(&x509->decoded, out);
    enum rm_err result = certificate_copy_names(&x509->decoded, out);
    out->subject = certificate_name_text(x509->decoded.subject);
    out->issuer = certificate_name_text(x509->decoded.issuer);
    if (result != RM_OK || out->subject == NULL || out->issuer == NULL) {
        certificate_deinit(out);
        return RM_ERR_NO_MEMORY;
    }
    return RM_OK;
}

enum rm_err certificate_parse(const uint8_t *der, size_t length, struct certificate *out,
                              struct rm_error *error)
{
    struct x509 x509;
    *out = (struct certificate){0};
    RM_TRY(x509_open(der, length, &x509, error));
    enum rm_err result = certificate_of_x509(&x509, out);
    x509_close(&x509);
    return result == RM_OK ? RM_OK : rm_error_set(error, result, "%s", rm_err_text(result));
}

void certificate_deinit(struct certificate *certificate)
{
    rm_free(certificate->uri);
    for (uint32_t i = 0; i < certificate->dns_count; i++) {
        rm_free(certificate->dns[i]);
    }
    rm_free(certificate->subject);
    rm_free(certificate->issuer);
    *certificate = (struct certificate){0};
}

enum rm_err certificate_key_id(const uint8_t *der, size_t length, uint8_t out[KEY_ID_BYTES])
{
    struct x509_pieces pieces;
    if (length > CERTIFICATE_MAX_DER_BYTES || x509_cut(der, length, &pieces) != NULL) {
        return RM_ERR_MALFORMED;
    }
    sha256(pieces.spki.bytes, pieces.spki.length, out);
    return RM_OK;
}

enum rm_err certificate_kinds(const uint8_t *der, size_t length, char key[CERTIFICATE_KIND_BYTES],
                              char signature[CERTIFICATE_KIND_BYTES])
{
    struct x509_pieces pieces;
    struct public_key public;
    char text[PUBLIC_KEY_TEXT_BYTES];
    if (length > CERTIFICATE_MAX_DER_BYTES || x509_cut(der, length, &pieces) != NULL ||
        !public_key_read(pieces.spki.bytes, pieces.spki.length, &public)) {
        return RM_ERR_MALFORMED;
    }
    public_key_describe(&public, text);
    snprintf(key, CERTIFICATE_KIND_BYTES, "%s", text);
    snprintf(signature, CERTIFICATE_KIND_BYTES, "%s", oid_name(pieces.algorithm));
    return RM_OK;
}

enum rm_err certificate_verify_signature(const uint8_t *der, size_t length,
                                         const uint8_t *issuer_der, size_t issuer_length)
{
    struct x509_pieces child;
    struct x509_pieces issuer;
    if (length > CERTIFICATE_MAX_DER_BYTES || issuer_length > CERTIFICATE_MAX_DER_BYTES ||
        x509_cut(der, length, &child) != NULL ||
        x509_cut(issuer_der, issuer_length, &issuer) != NULL) {
        return RM_ERR_MALFORMED;
    }
    return x509_verify_signature(&child, &issuer);
}
