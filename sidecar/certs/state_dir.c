// SPDX-License-Identifier: GPL-3.0-or-later
#include "certs/state_dir.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/file.h"
#include "crypto/certificate.h"
#include "identity/spiffe.h"

#define PATH_BYTES 1024
#define KEY_FILE "rejoin.key"
#define IDENTITY_FILE "identity"
#define BUNDLE_FILE "bundle.pem"
#define KEY_FILE_MAX_BYTES 16384

static enum rm_err path_in(const char *folder, const char *name, char out[PATH_BYTES],
                           struct rm_error *error)
{
    int length = snprintf(out, PATH_BYTES, "%s/%s", folder, name);
    return length > 0 && length < PATH_BYTES
               ? RM_OK
               : rm_error_set(error, RM_ERR_CONFIG, "%s: the path is too long", folder);
}

struct root_adder {
    struct trust_builder *builder;
    const char *trust_domain;
    size_t count;
};

static enum rm_err add_root(void *context, const uint8_t *der, size_t length)
{
    struct root_adder *adder = context;
    uint8_t id[KEY_ID_BYTES];
    RM_TRY(certificate_key_id(der, length, id));
    adder->count++;
    return trust_builder_add_root(adder->builder, adder->trust_domain, der, length, id);
}

enum rm_err bundle_file_read(const char *path, const char *trust_domain, struct trust_builder *into,
                             struct rm_error *error)
{
    uint8_t *pem = NULL;
    size_t length = 0;
    struct root_adder adder = {.builder = into, .trust_domain = trust_domain};
    RM_TRY(file_read(path, BUNDLE_MAX_PEM_BYTES, &pem, &length, error));
    enum rm_err result = pem_each(pem, length, add_root, &adder, error);
    rm_free(pem);
    if (result != RM_OK) {
        return rm_error_wrap(error, "%s", path);
    }
    if (adder.count == 0) {
        return rm_error_set(error, RM_ERR_CONFIG,
                            "%s: no PEM certificate in it; expected the roots of %s", path,
                            trust_domain);
    }
    return RM_OK;
}

static enum rm_err read_key(const char *path, struct state_dir *out, struct rm_error *error)
{
    struct secret bytes = {0};
    enum rm_err result = file_read_secret(path, KEY_FILE_MAX_BYTES, &bytes, error);
    if (result == RM_ERR_NOT_FOUND) {
        rm_error_clear(error);
        return RM_OK;
    }
    RM_TRY(result);
    result = key_parse(bytes.bytes, bytes.length, &out->rejoin_key, error);
    secret_free(&bytes);
    return result == RM_OK ? RM_OK : rm_error_wrap(error, "%s", path);
}

static enum rm_err read_identity(const char *path, const char *trust_domain, struct state_dir *out,
                                 struct rm_error *error)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    struct spiffe_id id;
    RM_TRY(file_read(path, SPIFFE_ID_MAX_BYTES, &bytes, &length, error));
    enum rm_err result = spiffe_id_parse((const char *)bytes, length, &id, error);
    if (result == RM_OK && !spiffe_id_in_domain(&id, trust_domain)) {
        result = rm_error_set(error, RM_ERR_CONFIG,
                              "'%.*s' is not in the trust domain %s: the folder belongs to another "
                              "mesh; name another state_dir, or empty this one",
                              (int)id.length, id.text, trust_domain);
    }
    if (result == RM_OK) {
        out->identity = rm_strndup(id.text, id.length);
        result =
            out->identity != NULL ? RM_OK : rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    rm_free(bytes);
    return result == RM_OK ? RM_OK : rm_error_wrap(error, "%s", path);
}

static enum rm_err read_all(const char *path, const char *trust_domain, struct state_dir *out,
                            struct rm_error *error)
{
    char file[PATH_BYTES];
    RM_TRY(file_make_private_folder(path, 0700, error));
    RM_TRY(path_in(path, KEY_FILE, file, error));
    RM_TRY(read_key(file, out, error));
    if (out->rejoin_key == NULL) {
        return RM_OK;
    }
    RM_TRY(path_in(path, IDENTITY_FILE, file, error));
    RM_TRY(read_identity(file, trust_domain, out, error));
    RM_TRY(path_in(path, BUNDLE_FILE, file, error));
    struct trust_builder *builder = trust_builder_new();
    if (builder == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    enum rm_err result = bundle_file_read(file, trust_domain, builder, error);
    if (result != RM_OK) {
        trust_builder_free(builder);
        return result;
    }
    out->trust = trust_builder_finish(builder);
    return out->trust != NULL ? RM_OK : rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
}

enum rm_err state_dir_read(const char *path, const char *trust_domain, struct state_dir *out,
                           struct rm_error *error)
{
    memset(out, 0, sizeof *out);
    enum rm_err result = read_all(path, trust_domain, out, error);
    if (result != RM_OK) {
        state_dir_deinit(out);
    }
    return result;
}

static enum rm_err write_bundle(const char *file, const struct trust_domain *domain,
                                struct rm_error *error)
{
    struct buffer pem;
    buffer_init(&pem, BUNDLE_MAX_PEM_BYTES);
    enum rm_err result = RM_OK;
    for (size_t i = 0; i < domain->root_count && result == RM_OK; i++) {
        result = pem_append(&pem, "CERTIFICATE", domain->roots[i].der, domain->roots[i].der_length);
    }
    if (result == RM_OK) {
        result = file_write_atomic(file, buffer_data(&pem), buffer_length(&pem), 0600, error);
    }
    buffer_deinit(&pem);
    return result;
}

static enum rm_err write_key(const char *file, const struct private_key *key,
                             struct rm_error *error)
{
    struct buffer pem;
    const struct secret *pkcs8 = key_pkcs8(key);
    buffer_init(&pem, KEY_FILE_MAX_BYTES);
    enum rm_err result = pem_append(&pem, "PRIVATE KEY", pkcs8->bytes, pkcs8->length);
    if (result == RM_OK) {
        result = file_write_atomic(file, buffer_data(&pem), buffer_length(&pem), 0600, error);
    }
    buffer_deinit_wiped(&pem);
    return result;
}

enum rm_err state_dir_write(const char *path, const char *trust_domain,
                            struct private_key *rejoin_key, const char *identity,
                            const struct trust_snapshot *trust, struct rm_error *error)
{
    char file[PATH_BYTES];
    const struct trust_domain *domain =
        trust_domain_find(trust, trust_domain, strlen(trust_domain));
    if (domain == NULL) {
        return rm_error_set(error, RM_ERR_INTERNAL, "no roots of %s to keep", trust_domain);
    }
    RM_TRY(path_in(path, BUNDLE_FILE, file, error));
    RM_TRY(write_bundle(file, domain, error));
    RM_TRY(path_in(path, IDENTITY_FILE, file, error));
    RM_TRY(file_write_atomic(file, identity, strlen(identity), 0600, error));
    // Last, since its presence says that the rest is complete.
    RM_TRY(path_in(path, KEY_FILE, file, error));
    return write_key(file, rejoin_key, error);
}

void state_dir_deinit(struct state_dir *state)
{
    key_unref(state->rejoin_key);
    rm_free(state->identity);
    trust_unref(state->trust);
    memset(state, 0, sizeof *state);
}
