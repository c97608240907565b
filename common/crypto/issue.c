// SPDX-License-Identifier: GPL-3.0-or-later
#include "crypto/issue.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "crypto/issuer_internal.h"
#include "crypto/profile_internal.h"
#include "crypto/signature_internal.h"
#include "identity/spiffe.h"

#define DNS_NAME_MAX_CHARS 253 // RFC 1035 2.3.4, without the final dot

static bool serial_is_usable(const uint8_t serial[ISSUE_SERIAL_BYTES])
{
    static const uint8_t zero[ISSUE_SERIAL_BYTES];
    return memcmp(serial, zero, ISSUE_SERIAL_BYTES) != 0;
}

// Letters, digits, '-', '_' and '.', with "*" as a whole first label: what a service record holds.
static bool dns_name_is_usable(const char *name)
{
    const char *rest = strncmp(name, "*.", 2) == 0 ? name + 2 : name;
    size_t length = strlen(name);
    if (*rest == '\0' || *rest == '.' || length > DNS_NAME_MAX_CHARS || name[length - 1] == '.' ||
        strstr(rest, "..") != NULL) {
        return false;
    }
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    return rest[strspn(rest, allowed)] == '\0';
}

// The end of a certificate under `issuer`: never later than the issuer's own.
static enum rm_err issue_cut_end(const struct issuer *issuer, int64_t not_before_s,
                                 int64_t *not_after_s)
{
    if (*not_after_s > issuer->pieces.not_after_s) {
        *not_after_s = issuer->pieces.not_after_s;
    }
    return *not_after_s > not_before_s ? RM_OK : RM_ERR_EXPIRED;
}

static enum rm_err issue_check_key(const uint8_t *spki, size_t length)
{
    struct public_key key;
    if (!public_key_read(spki, length, &key)) {
        return RM_ERR_MALFORMED;
    }
    return key.curve == OID_P256 && length == PUBLIC_KEY_P256_SPKI_BYTES ? RM_OK
                                                                         : RM_ERR_UNSUPPORTED;
}

// Fields that every certificate under an issuer has in common.
static struct profile issue_profile(const struct issuer *issuer)
{
    return (struct profile){
        .issuer = &issuer->pieces.subject,
        .issuer_key_id = issuer->key_id.length > 0 ? &issuer->key_id : NULL,
    };
}

static enum rm_err leaf_check(const struct issuer *issuer, const struct leaf_request *request)
{
    struct spiffe_id id;
    RM_TRY(spiffe_id_parse(request->spiffe_id, strlen(request->spiffe_id), &id, NULL));
    if (id.path_length == 0 || !serial_is_usable(request->serial)) {
        return RM_ERR_MALFORMED;
    }
    if (issuer->trust_domain != NULL && !spiffe_id_in_domain(&id, issuer->trust_domain)) {
        return RM_ERR_DENIED;
    }
    if (request->dns_count > CERTIFICATE_MAX_NAMES) {
        return RM_ERR_TOO_LARGE;
    }
    for (size_t i = 0; i < request->dns_count; i++) {
        if (!dns_name_is_usable(request->dns_names[i])) {
            return RM_ERR_MALFORMED;
        }
    }
    return issue_check_key(request->spki, request->spki_length);
}

enum rm_err issue_leaf(const struct issuer *issuer, const struct leaf_request *request,
                       uint8_t **der, size_t *length)
{
    RM_TRY(leaf_check(issuer, request));
    struct profile profile = issue_profile(issuer);
    profile.serial = request->serial;
    profile.not_before_s = request->not_before_s;
    profile.not_after_s = request->not_after_s;
    profile.spki = request->spki;
    profile.spki_length = request->spki_length;
    profile.uri = request->spiffe_id;
    profile.dns_names = request->dns_names;
    profile.dns_count = request->dns_count;
    RM_TRY(issue_cut_end(issuer, profile.not_before_s, &profile.not_after_s));
    return profile_issue(&profile, issuer->key, der, length);
}

static enum rm_err authority_fill(struct profile *profile, const struct authority_request *request,
                                  char uri[PROFILE_URI_BYTES])
{
    if (!serial_is_usable(request->serial)) {
        return RM_ERR_MALFORMED;
    }
    profile->serial = request->serial;
    profile->not_before_s = request->not_before_s;
    profile->not_after_s = request->not_after_s;
    return profile_name_authority(profile, request->trust_domain, request->common_name, uri);
}

enum rm_err issue_root(struct private_key *key, const struct authority_request *request,
                       uint8_t **der, size_t *length)
{
    char uri[PROFILE_URI_BYTES];
    struct profile profile = {0};
    key_spki(key, &profile.spki, &profile.spki_length);
    RM_TRY(authority_fill(&profile, request, uri));
    if (profile.not_after_s <= profile.not_before_s) {
        return RM_ERR_EXPIRED;
    }
    return profile_issue(&profile, key, der, length);
}

enum rm_err issue_intermediate(const struct issuer *root, const uint8_t *spki, size_t spki_length,
                               const struct authority_request *request, uint8_t **der,
                               size_t *length)
{
    char uri[PROFILE_URI_BYTES];
    struct profile profile = issue_profile(root);
    RM_TRY(authority_fill(&profile, request, uri));
    if (!root->may_issue_ca ||
        (root->trust_domain != NULL && strcmp(root->trust_domain, request->trust_domain) != 0)) {
        return RM_ERR_DENIED;
    }
    RM_TRY(issue_check_key(spki, spki_length));
    RM_TRY(issue_cut_end(root, profile.not_before_s, &profile.not_after_s));
    profile.spki = spki;
    profile.spki_length = spki_length;
    profile.is_path_length_zero = true;
    profile.permitted_host = request->trust_domain;
    return profile_issue(&profile, root->key, der, length);
}
