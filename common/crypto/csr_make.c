// SPDX-License-Identifier: GPL-3.0-or-later
#include "crypto/issue.h"
#include "crypto/profile_internal.h"

// CertificationRequestInfo (RFC 2986 4.1), then algorithm and signature.
static enum rm_err csr_seal(const struct private_key *key, const struct profile *profile,
                            bool has_extensions, uint8_t **der, size_t *length)
{
    struct der_writer writer;
    der_writer_init(&writer, CSR_MAX_DER_BYTES);
    size_t info = der_begin(&writer);
    der_put_unsigned(&writer, (const uint8_t[]){0}, 1); // version 1
    profile_put_subject(&writer, profile);
    der_put(&writer, profile->spki, profile->spki_length);
    size_t attributes = der_begin(&writer);
    if (has_extensions) {
        size_t attribute = der_begin(&writer);
        der_put_oid(&writer, OID_EXTENSION_REQUEST);
        size_t values = der_begin(&writer);
        profile_put_extensions(&writer, profile);
        der_end(&writer, values, DER_SET);
        der_end(&writer, attribute, DER_SEQUENCE);
    }
    der_end(&writer, attributes, DER_CONTEXT_CONSTRUCTED);
    der_end(&writer, info, DER_SEQUENCE);
    return profile_seal(&writer, key, der, length);
}

enum rm_err csr_make(const struct private_key *key, uint8_t **der, size_t *length)
{
    struct profile profile = {0};
    key_spki(key, &profile.spki, &profile.spki_length);
    return csr_seal(key, &profile, false, der, length);
}

enum rm_err csr_make_authority(const struct private_key *key, const char *trust_domain,
                               const char *common_name, uint8_t **der, size_t *length)
{
    char uri[PROFILE_URI_BYTES];
    struct profile profile = {.is_path_length_zero = true, .permitted_host = trust_domain};
    key_spki(key, &profile.spki, &profile.spki_length);
    RM_TRY(profile_name_authority(&profile, trust_domain, common_name, uri));
    return csr_seal(key, &profile, true, der, length);
}
