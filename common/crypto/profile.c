// SPDX-License-Identifier: GPL-3.0-or-later
#include "crypto/profile_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "crypto/crypto.h"
#include "crypto/issue.h"
#include "crypto/signature_internal.h"

#define KEY_ID_TRUNCATED_BYTES 20 // RFC 7093 2 (1): the leftmost 160 bits of SHA-256
#define SUBJECT_MAX_CHARS 64      // RFC 5280 A.1, ub-common-name and ub-organization-name
#define GENERAL_NAME_DNS (DER_CONTEXT + 2)
#define GENERAL_NAME_URI (DER_CONTEXT + 6)

struct extension_place {
    size_t whole; // the extension
    size_t value; // its OCTET STRING
};

static struct extension_place extension_begin(struct der_writer *writer, enum oid oid,
                                              bool is_critical)
{
    struct extension_place place = {.whole = der_begin(writer)};
    der_put_oid(writer, oid);
    if (is_critical) {
        der_put_true(writer);
    }
    place.value = der_begin(writer);
    return place;
}

static void extension_end(struct der_writer *writer, struct extension_place place)
{
    der_end(writer, place.value, DER_OCTET_STRING);
    der_end(writer, place.whole, DER_SEQUENCE);
}

static void put_basic_constraints(struct der_writer *writer, const struct profile *profile)
{
    struct extension_place place = extension_begin(writer, OID_BASIC_CONSTRAINTS, true);
    size_t sequence = der_begin(writer);
    if (profile->is_ca) {
        der_put_true(writer);
    }
    if (profile->is_path_length_zero) {
        der_put_unsigned(writer, (const uint8_t[]){0}, 1);
    }
    der_end(writer, sequence, DER_SEQUENCE);
    extension_end(writer, place);
}

static void put_key_usage(struct der_writer *writer, bool is_ca)
{
    static const uint8_t digital_signature[] = {7, 0x80}; // unused bits, then bit 0
    static const uint8_t cert_and_crl_sign[] = {1, 0x06}; // bits 5 and 6
    struct extension_place place = extension_begin(writer, OID_KEY_USAGE, true);
    der_put_item(writer, DER_BIT_STRING, is_ca ? cert_and_crl_sign : digital_signature, 2);
    extension_end(writer, place);
}

static void put_extended_key_usage(struct der_writer *writer)
{
    struct extension_place place = extension_begin(writer, OID_EXTENDED_KEY_USAGE, false);
    size_t sequence = der_begin(writer);
    der_put_oid(writer, OID_SERVER_AUTH);
    der_put_oid(writer, OID_CLIENT_AUTH);
    der_end(writer, sequence, DER_SEQUENCE);
    extension_end(writer, place);
}

static void put_subject_key_id(struct der_writer *writer, const struct profile *profile)
{
    struct public_key key;
    uint8_t digest[SHA256_BYTES];
    if (!public_key_read(profile->spki, profile->spki_length, &key)) {
        der_fail(writer, RM_ERR_MALFORMED);
        return;
    }
    sha256(key.material.bytes, key.material.length, digest);
    struct extension_place place = extension_begin(writer, OID_SUBJECT_KEY_ID, false);
    der_put_item(writer, DER_OCTET_STRING, digest, KEY_ID_TRUNCATED_BYTES);
    extension_end(writer, place);
}

static void put_authority_key_id(struct der_writer *writer, const struct der *key_id)
{
    struct extension_place place = extension_begin(writer, OID_AUTHORITY_KEY_ID, false);
    size_t sequence = der_begin(writer);
    der_put_item(writer, DER_CONTEXT, key_id->bytes, key_id->length);
    der_end(writer, sequence, DER_SEQUENCE);
    extension_end(writer, place);
}

// Critical where the subject is empty (RFC 5280 4.2.1.6).
static void put_alt_names(struct der_writer *writer, const struct profile *profile)
{
    bool is_subject_empty = profile->organization == NULL && profile->common_name == NULL;
    struct extension_place place = extension_begin(writer, OID_SUBJECT_ALT_NAME, is_subject_empty);
    size_t sequence = der_begin(writer);
    der_put_item(writer, GENERAL_NAME_URI, profile->uri, strlen(profile->uri));
    for (size_t i = 0; i < profile->dns_count; i++) {
        const char *name = profile->dns_names[i];
        der_put_item(writer, GENERAL_NAME_DNS, name, strlen(name));
    }
    der_end(writer, sequence, DER_SEQUENCE);
    extension_end(writer, place);
}

// NameConstraints { permittedSubtrees [0] { GeneralSubtree { base [6] host } } }
static void put_name_constraints(struct der_writer *writer, const char *host)
{
    struct extension_place place = extension_begin(writer, OID_NAME_CONSTRAINTS, true);
    size_t constraints = der_begin(writer);
    size_t permitted = der_begin(writer);
    size_t subtree = der_begin(writer);
    der_put_item(writer, GENERAL_NAME_URI, host, strlen(host));
    der_end(writer, subtree, DER_SEQUENCE);
    der_end(writer, permitted, DER_CONTEXT_CONSTRUCTED);
    der_end(writer, constraints, DER_SEQUENCE);
    extension_end(writer, place);
}

void profile_put_extensions(struct der_writer *writer, const struct profile *profile)
{
    size_t list = der_begin(writer);
    put_basic_constraints(writer, profile);
    put_key_usage(writer, profile->is_ca);
    if (!profile->is_ca) {
        put_extended_key_usage(writer);
    }
    put_subject_key_id(writer, profile);
    if (profile->issuer_key_id != NULL) {
        put_authority_key_id(writer, profile->issuer_key_id);
    }
    put_alt_names(writer, profile);
    if (profile->permitted_host != NULL) {
        put_name_constraints(writer, profile->permitted_host);
    }
    der_end(writer, list, DER_SEQUENCE);
}

static void put_name_part(struct der_writer *writer, enum oid type, const char *text)
{
    size_t set = der_begin(writer);
    size_t pair = der_begin(writer);
    der_put_oid(writer, type);
    der_put_item(writer, DER_UTF8_STRING, text, strlen(text));
    der_end(writer, pair, DER_SEQUENCE);
    der_end(writer, set, DER_SET);
}

void profile_put_subject(struct der_writer *writer, const struct profile *profile)
{
    size_t name = der_begin(writer);
    if (profile->organization != NULL) {
        put_name_part(writer, OID_ORGANIZATION, profile->organization);
    }
    if (profile->common_name != NULL) {
        put_name_part(writer, OID_COMMON_NAME, profile->common_name);
    }
    der_end(writer, name, DER_SEQUENCE);
}

// RFC 5758 3.2: ECDSA has no parameters; RFC 4055 5: RSA has NULL.
void profile_put_algorithm(struct der_writer *writer, const struct private_key *signer)
{
    size_t sequence = der_begin(writer);
    der_put_oid(writer, signature_algorithm(key_kind_of(signer)));
    if (key_kind_of(signer) == KEY_RSA) {
        der_put_item(writer, DER_NULL, NULL, 0);
    }
    der_end(writer, sequence, DER_SEQUENCE);
}

// TBSCertificate (RFC 5280 4.1).
static void put_signed_part(struct der_writer *writer, const struct profile *profile,
                            const struct private_key *signer)
{
    size_t whole = der_begin(writer);
    size_t version = der_begin(writer);
    der_put_unsigned(writer, (const uint8_t[]){2}, 1); // version 3
    der_end(writer, version, DER_CONTEXT_CONSTRUCTED);
    der_put_unsigned(writer, profile->serial, ISSUE_SERIAL_BYTES);
    profile_put_algorithm(writer, signer);
    if (profile->issuer != NULL) {
        der_put(writer, profile->issuer->bytes, profile->issuer->length);
    } else {
        profile_put_subject(writer, profile);
    }
    size_t validity = der_begin(writer);
    der_put_time(writer, profile->not_before_s);
    der_put_time(writer, profile->not_after_s);
    der_end(writer, validity, DER_SEQUENCE);
    profile_put_subject(writer, profile);
    der_put(writer, profile->spki, profile->spki_length);
    size_t extensions = der_begin(writer);
    profile_put_extensions(writer, profile);
    der_end(writer, extensions, DER_CONTEXT_CONSTRUCTED + 3);
    der_end(writer, whole, DER_SEQUENCE);
}

enum rm_err profile_seal(struct der_writer *content, const struct private_key *signer,
                         uint8_t **der, size_t *length)
{
    uint8_t signature[SIGNATURE_MAX_BYTES];
    size_t signature_length = 0;
    uint8_t *bytes = NULL;
    struct der message = {0};
    RM_TRY(der_finish(content, &bytes, &message.length));
    message.bytes = bytes;
    enum rm_err result = signature_make(signer, &message, signature, &signature_length);
    if (result == RM_OK) {
        struct der_writer writer;
        der_writer_init(&writer, CERTIFICATE_MAX_DER_BYTES);
        size_t whole = der_begin(&writer);
        der_put(&writer, message.bytes, message.length);
        profile_put_algorithm(&writer, signer);
        der_put_bits(&writer, signature, signature_length);
        der_end(&writer, whole, DER_SEQUENCE);
        result = der_finish(&writer, der, length);
    }
    rm_free(bytes);
    return result;
}

enum rm_err profile_issue(const struct profile *profile, const struct private_key *signer,
                          uint8_t **der, size_t *length)
{
    struct der_writer writer;
    der_writer_init(&writer, CERTIFICATE_MAX_DER_BYTES);
    put_signed_part(&writer, profile, signer);
    return profile_seal(&writer, signer, der, length);
}

enum rm_err profile_name_authority(struct profile *profile, const char *trust_domain,
                                   const char *common_name, char uri[PROFILE_URI_BYTES])
{
    size_t length = strlen(trust_domain);
    RM_TRY(spiffe_trust_domain_check(trust_domain, length, NULL));
    size_t name_length = strlen(common_name);
    if (name_length == 0 || name_length > SUBJECT_MAX_CHARS) {
        return RM_ERR_MALFORMED;
    }
    snprintf(uri, PROFILE_URI_BYTES, "spiffe://%s", trust_domain);
    profile->organization = length <= SUBJECT_MAX_CHARS ? trust_domain : NULL;
    profile->common_name = common_name;
    profile->uri = uri;
    profile->is_ca = true;
    return RM_OK;
}
