// SPDX-License-Identifier: GPL-3.0-or-later
//
// An identity from files of any SPIFFE CA. The files are looked at every second; when one changed,
// key, chain, dates and bundle are read and checked together. A half-written change keeps the old
// identity and names the mismatch.
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "certs/certs_internal.h"
#include "crypto/crypto.h"
#include "identity/spiffe.h"

#define KEY_FILE_MAX_BYTES 32768

static const struct sidecar_identity_files *files_of(const struct certs *certs)
{
    return sidecar_config_files(certs->config, certs->own_index);
}

static void add_stat(struct sha256_stream *stream, const char *path)
{
    struct stat status = {0};
    // A missing file is a state like any other: its coming changes the digest.
    if (stat(path, &status) != 0) {
        memset(&status, 0, sizeof status);
    }
    sha256_stream_update(stream, &status.st_dev, sizeof status.st_dev);
    sha256_stream_update(stream, &status.st_ino, sizeof status.st_ino);
    sha256_stream_update(stream, &status.st_size, sizeof status.st_size);
    sha256_stream_update(stream, &status.st_mtim, sizeof status.st_mtim);
    sha256_stream_update(stream, &status.st_mode, sizeof status.st_mode);
}

static bool digest_files(const struct sidecar_identity_files *files, uint8_t out[SHA256_BYTES])
{
    struct sha256_stream *stream = sha256_stream_new();
    if (stream == NULL) {
        return false;
    }
    const struct sidecar_federated *federated = files->federated.items;
    add_stat(stream, files->certificate);
    add_stat(stream, files->key);
    add_stat(stream, files->bundle);
    for (size_t i = 0; i < files->federated.count; i++) {
        add_stat(stream, federated[i].bundle);
    }
    sha256_stream_finish(stream, out);
    return true;
}

static enum rm_err read_chain(const char *path, struct chain *chain, struct rm_error *error)
{
    uint8_t *pem = NULL;
    size_t length = 0;
    RM_TRY(file_read(path, BUNDLE_MAX_PEM_BYTES, &pem, &length, error));
    enum rm_err result = chain_parse_pem(pem, length, chain, error);
    rm_free(pem);
    return result == RM_OK ? RM_OK : rm_error_wrap(error, "%s", path);
}

static enum rm_err read_key(const char *path, struct private_key **key, struct rm_error *error)
{
    struct secret bytes = {0};
    RM_TRY(file_read_secret(path, KEY_FILE_MAX_BYTES, &bytes, error));
    enum rm_err result = key_parse(bytes.bytes, bytes.length, key, error);
    secret_free(&bytes);
    return result == RM_OK ? RM_OK : rm_error_wrap(error, "%s", path);
}

static enum rm_err check_dates(const char *path, const struct tls_identity *identity,
                               struct rm_error *error)
{
    int64_t now_s = clock_wall_s();
    char now[CLOCK_RFC3339_BYTES];
    char limit[CLOCK_RFC3339_BYTES];
    char difference[CLOCK_DURATION_BYTES];
    clock_format_rfc3339(now_s * 1000, 0, now);
    if (now_s > identity->not_after_s) {
        clock_format_rfc3339(identity->not_after_s * 1000, 0, limit);
        clock_format_duration(now_s - identity->not_after_s, difference);
        return rm_error_set(error, RM_ERR_EXPIRED,
                            "%s: the certificate expired %s ago (notAfter %s, our clock %s): renew "
                            "it, or set the clock",
                            path, difference, limit, now);
    }
    if (now_s < identity->not_before_s) {
        clock_format_rfc3339(identity->not_before_s * 1000, 0, limit);
        clock_format_duration(identity->not_before_s - now_s, difference);
        return rm_error_set(error, RM_ERR_EXPIRED,
                            "%s: the certificate is not valid for another %s (notBefore %s, our "
                            "clock %s): is the clock right?",
                            path, difference, limit, now);
    }
    return RM_OK;
}

static enum rm_err read_identity(const struct sidecar_identity_files *files,
                                 struct tls_identity **out, struct rm_error *error)
{
    struct chain chain = {0};
    struct private_key *key = NULL;
    RM_TRY(read_chain(files->certificate, &chain, error));
    enum rm_err result = read_key(files->key, &key, error);
    if (result != RM_OK) {
        chain_deinit(&chain);
        return result;
    }
    result = tls_identity_new(&chain, key, out, error);
    key_unref(key);
    if (result != RM_OK) {
        return rm_error_wrap(error, "%s with %s", files->certificate, files->key);
    }
    if ((*out)->spiffe_id == NULL) {
        result = rm_error_set(error, RM_ERR_CONFIG,
                              "%s: the certificate has no SPIFFE ID (a URI SAN spiffe://...)",
                              files->certificate);
    } else {
        result = check_dates(files->certificate, *out, error);
    }
    if (result != RM_OK) {
        tls_identity_unref(*out);
        *out = NULL;
    }
    return result;
}

static enum rm_err read_trust(const struct sidecar_identity_files *files,
                              const struct tls_identity *identity, struct trust_snapshot **out,
                              struct rm_error *error)
{
    struct spiffe_id id;
    char domain[SPIFFE_TRUST_DOMAIN_MAX_BYTES + 1];
    const struct sidecar_federated *federated = files->federated.items;
    struct trust_builder *builder = trust_builder_new();
    if (builder == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    enum rm_err result =
        spiffe_id_parse(identity->spiffe_id, strlen(identity->spiffe_id), &id, error);
    if (result == RM_OK) {
        snprintf(domain, sizeof domain, "%.*s", (int)id.trust_domain_length, id.trust_domain);
        result = bundle_file_read(files->bundle, domain, builder, error);
    }
    for (size_t i = 0; i < files->federated.count && result == RM_OK; i++) {
        result = bundle_file_read(federated[i].bundle, federated[i].trust_domain, builder, error);
    }
    if (result != RM_OK) {
        trust_builder_free(builder);
        return result;
    }
    *out = trust_builder_finish(builder);
    return *out != NULL ? RM_OK : rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
}

// Our own chain must be one that our peers, with the same bundle, would accept.
static enum rm_err check_anchor(const struct sidecar_identity_files *files,
                                const struct tls_identity *identity,
                                const struct trust_snapshot *trust, struct rm_error *error)
{
    struct der ders[CHAIN_MAX_CERTIFICATES];
    struct certificate leaf;
    struct chain_facts facts;
    const char *why = "";
    for (size_t i = 0; i < identity->chain.count; i++) {
        ders[i].bytes = identity->chain.certificates[i].bytes;
        ders[i].length = identity->chain.certificates[i].length;
    }
    RM_TRY(chain_examine(ders, identity->chain.count, trust, &leaf, &facts, &why));
    certificate_deinit(&leaf);
    return facts.is_anchored ? RM_OK
                             : rm_error_set(error, RM_ERR_UNTRUSTED,
                                            "%s: its chain does not lead to a root in %s: %s",
                                            files->certificate, files->bundle, why);
}

static enum rm_err read_all(struct certs *certs, struct rm_error *error)
{
    const struct sidecar_identity_files *files = files_of(certs);
    struct tls_identity *identity = NULL;
    struct trust_snapshot *trust = NULL;
    RM_TRY(read_identity(files, &identity, error));
    enum rm_err result = read_trust(files, identity, &trust, error);
    if (result == RM_OK) {
        result = check_anchor(files, identity, trust, error);
    }
    if (result == RM_OK) {
        certs_adopt(certs, identity, trust, clock_wall_s());
    }
    trust_unref(trust);
    tls_identity_unref(identity);
    return result;
}

enum rm_err certs_files_start(struct certs *certs, struct rm_error *error)
{
    // A change between the two is seen at the next look.
    certs->has_files_seen = digest_files(files_of(certs), certs->files_seen);
    return read_all(certs, error);
}

// Files that were refused may become right without a change: a date comes, descriptors are free
// again.
static bool is_retry_due(const struct certs *certs)
{
    return certs->files_retry_ms != 0 && clock_mono_ms() >= certs->files_retry_ms;
}

void certs_files_look(struct certs *certs)
{
    uint8_t digest[SHA256_BYTES];
    if (!digest_files(files_of(certs), digest)) {
        return;
    }
    bool is_changed =
        !certs->has_files_seen || memcmp(digest, certs->files_seen, sizeof digest) != 0;
    if (!is_changed && !is_retry_due(certs)) {
        return;
    }
    memcpy(certs->files_seen, digest, sizeof digest);
    certs->has_files_seen = true;
    certs->files_retry_ms = 0;
    struct rm_error error = {0};
    if (is_changed) {
        backoff_reset(&certs->backoff);
    }
    if (read_all(certs, &error) != RM_OK) {
        certs->files_retry_ms = clock_mono_ms() + backoff_next_ms(&certs->backoff, random_u32());
        certs_note_failure(certs, rm_error_message(&error));
    }
}
