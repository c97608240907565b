// SPDX-License-Identifier: GPL-3.0-or-later
//
// One CA certificate and its key: make, read, seal.
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/encode.h"
#include "ca/authority_internal.h"
#include "crypto/crypto.h"

void ca_deinit(struct ca *ca)
{
    record_bytes_deinit(&ca->der);
    issuer_unref(ca->issuer);
    *ca = (struct ca){0};
}

enum rm_err ca_init(struct ca *ca, const uint8_t *der, size_t length, struct private_key *key,
                    struct rm_error *error)
{
    *ca = (struct ca){0};
    struct certificate certificate;
    RM_TRY(certificate_parse(der, length, &certificate, error));
    ca->not_before_s = certificate.not_before_s;
    ca->not_after_s = certificate.not_after_s;
    memcpy(ca->key_id, certificate.spki_id, sizeof ca->key_id);
    certificate_deinit(&certificate);
    enum rm_err result = record_bytes_dup(der, length, &ca->der);
    if (result != RM_OK) {
        rm_error_set(error, result, "out of memory");
    } else if (key != NULL) {
        result = issuer_new(der, length, key, &ca->issuer, error);
    }
    if (result != RM_OK) {
        ca_deinit(ca);
    }
    return result;
}

enum rm_err authority_random_lineage(uint8_t out[LINEAGE_BYTES])
{
    RM_TRY(random_bytes(out, LINEAGE_BYTES));
    out[0] = (uint8_t)((out[0] & 0x7f) | 0x10);
    return RM_OK;
}

static enum rm_err fill_request(struct authority_request *request, const char *trust_domain,
                                int64_t lifetime_s)
{
    int64_t now_s = clock_wall_s();
    *request = (struct authority_request){
        .trust_domain = trust_domain,
        .not_before_s = now_s - AUTHORITY_BACKDATE_S,
        .not_after_s = now_s + lifetime_s,
    };
    RM_TRY(authority_random_lineage(request->serial));
    return random_bytes(request->serial + LINEAGE_BYTES, ISSUE_SERIAL_BYTES - LINEAGE_BYTES);
}

enum rm_err ca_make_root(struct ca *ca, struct private_key *key, const char *trust_domain,
                         struct rm_error *error)
{
    struct authority_request request;
    uint8_t *der = NULL;
    size_t length = 0;
    *ca = (struct ca){0};
    enum rm_err result = fill_request(&request, trust_domain, AUTHORITY_ROOT_LIFETIME_S);
    request.common_name = "Remora root";
    if (result == RM_OK) {
        result = issue_root(key, &request, &der, &length);
    }
    if (result != RM_OK) {
        return rm_error_set(error, result, "the root certificate cannot be made: %s",
                            rm_err_text(result));
    }
    result = ca_init(ca, der, length, key, error);
    rm_free(der);
    return result;
}

enum rm_err ca_make_intermediate(struct ca *ca, const struct ca *root, struct private_key *key,
                                 const char *trust_domain, struct rm_error *error)
{
    struct authority_request request;
    const uint8_t *spki = NULL;
    size_t spki_length = 0;
    uint8_t id[KEY_ID_BYTES];
    char name[sizeof "Remora intermediate " + 4];
    uint8_t *der = NULL;
    size_t length = 0;
    *ca = (struct ca){0};
    key_spki(key, &spki, &spki_length);
    key_id(key, id);
    snprintf(name, sizeof name, "Remora intermediate %02x%02x", id[0], id[1]);
    enum rm_err result = fill_request(&request, trust_domain, AUTHORITY_INTERMEDIATE_LIFETIME_S);
    request.common_name = name;
    if (result == RM_OK) {
        result = issue_intermediate(root->issuer, spki, spki_length, &request, &der, &length);
    }
    if (result != RM_OK) {
        return rm_error_set(error, result, "the intermediate certificate cannot be made: %s",
                            rm_err_text(result));
    }
    result = ca_init(ca, der, length, key, error);
    rm_free(der);
    return result;
}

enum rm_err ca_explain(struct rm_error *error, enum rm_err result, const char *what)
{
    return result == RM_OK ? RM_OK
                           : rm_error_set(error, result, "%s: %s", what, rm_err_text(result));
}

bool ca_is_past_half(const struct ca *ca, int64_t now_s)
{
    return now_s >= ca->not_before_s + (ca->not_after_s - ca->not_before_s) / 2;
}

enum rm_err ca_trust(const struct ca *root, const char *trust_domain, struct trust_snapshot **out)
{
    *out = NULL;
    struct trust_builder *builder = trust_builder_new();
    if (builder == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    enum rm_err result = trust_builder_add_root(builder, trust_domain, root->der.bytes,
                                                root->der.length, root->key_id);
    if (result != RM_OK) {
        trust_builder_free(builder);
        return result;
    }
    *out = trust_builder_finish(builder);
    return *out != NULL ? RM_OK : RM_ERR_NO_MEMORY;
}

enum rm_err ca_key_seal(const struct secret *kek, const char *name, const struct private_key *key,
                        struct record_bytes *out)
{
    const struct secret *plain = key_pkcs8(key);
    *out = (struct record_bytes){0};
    return seal(kek, name, plain->bytes, plain->length, &out->bytes, &out->length);
}

enum rm_err ca_key_unseal(const struct secret *kek, const char *name,
                          const struct record_bytes *sealed, struct private_key **out,
                          struct rm_error *error)
{
    struct secret plain = {0};
    enum rm_err result = unseal(kek, name, sealed->bytes, sealed->length, &plain);
    if (result == RM_ERR_CRYPTO) {
        return rm_error_set(error, RM_ERR_CONFIG,
                            "the key-encryption key does not open the sealed key '%s': it is not "
                            "the one that this data folder was made with; point 'kek_file' to the "
                            "right one",
                            name);
    }
    if (result != RM_OK) {
        return rm_error_set(error, result, "the sealed key '%s' cannot be opened: %s", name,
                            rm_err_text(result));
    }
    result = key_parse(plain.bytes, plain.length, out, error);
    secret_free(&plain);
    return result;
}

void ca_put(struct transaction *transaction, const char *name, const struct secret *kek,
            const struct record_bytes *certificate, const struct private_key *key)
{
    struct authority_record record = {.certificate = *certificate};
    if (key != NULL && transaction->failure == RM_OK) {
        transaction->failure = ca_key_seal(kek, name, key, &record.sealed_key);
    }
    transaction_put_authority(transaction, name, &record);
    record_bytes_deinit(&record.sealed_key);
}
