// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "identity/spiffe.h"
#include "tls/tls_internal.h"

static size_t identity_chain_bytes(const struct chain *chain)
{
    size_t total = 0;
    for (size_t i = 0; i < chain->count; i++) {
        total += chain->certificates[i].length;
    }
    return total;
}

static enum rm_err identity_check_key(const struct tls_identity *identity,
                                      const struct certificate *leaf, struct rm_error *error)
{
    uint8_t id[KEY_ID_BYTES];
    char key_text[HEX_BYTES(KEY_ID_BYTES)];
    char leaf_text[HEX_BYTES(KEY_ID_BYTES)];
    key_id(identity->key, id);
    if (memcmp(id, leaf->spki_id, KEY_ID_BYTES) == 0) {
        return RM_OK;
    }
    hex_encode(id, KEY_ID_BYTES, key_text);
    hex_encode(leaf->spki_id, KEY_ID_BYTES, leaf_text);
    return rm_error_set(error, RM_ERR_CONFIG,
                        "the private key does not belong to the certificate: the key's id is %s, "
                        "the first certificate's is %s; give the key that the certificate was "
                        "issued for, with the leaf first in the chain",
                        key_text, leaf_text);
}

static enum rm_err identity_describe(struct tls_identity *identity, const struct certificate *leaf)
{
    struct spiffe_id id;
    identity->not_before_s = leaf->not_before_s;
    identity->not_after_s = leaf->not_after_s;
    identity->serial_length = leaf->serial_length;
    memcpy(identity->serial, leaf->serial, sizeof(identity->serial));
    if (leaf->uri == NULL || leaf->uri_count != 1 ||
        spiffe_id_parse(leaf->uri, leaf->uri_length, &id, NULL) != RM_OK) {
        return RM_OK;
    }
    identity->spiffe_id = rm_strdup(leaf->uri);
    return identity->spiffe_id == NULL ? RM_ERR_NO_MEMORY : RM_OK;
}

static enum rm_err identity_fill(struct tls_identity *identity, struct rm_error *error)
{
    const struct chain *chain = &identity->chain;
    if (chain->count == 0) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the certificate chain is empty");
    }
    if (identity_chain_bytes(chain) > TLS_IDENTITY_MAX_BYTES) {
        return rm_error_set(error, RM_ERR_TOO_LARGE,
                            "the certificate chain has %zu bytes; other ends take at most %d",
                            identity_chain_bytes(chain), TLS_IDENTITY_MAX_BYTES);
    }
    struct certificate leaf;
    RM_TRY(certificate_parse(chain->certificates[0].bytes, chain->certificates[0].length, &leaf,
                             error));
    enum rm_err result = identity_check_key(identity, &leaf, error);
    if (result == RM_OK) {
        result = identity_describe(identity, &leaf);
    }
    certificate_deinit(&leaf);
    return result;
}

enum rm_err tls_identity_new(struct chain *chain, struct private_key *key,
                             struct tls_identity **out, struct rm_error *error)
{
    struct tls_identity *identity = rm_calloc(1, sizeof(*identity));
    if (identity == NULL) {
        chain_deinit(chain);
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    identity->ref_count = 1;
    identity->chain = *chain;
    *chain = (struct chain){0};
    identity->key = key_ref(key);
    enum rm_err result = identity_fill(identity, error);
    if (result != RM_OK) {
        tls_identity_unref(identity);
        return result;
    }
    *out = identity;
    return RM_OK;
}

struct tls_identity *tls_identity_ref(struct tls_identity *identity)
{
    __atomic_add_fetch(&identity->ref_count, 1, __ATOMIC_RELAXED);
    return identity;
}

void tls_identity_unref(struct tls_identity *identity)
{
    if (identity == NULL || __atomic_sub_fetch(&identity->ref_count, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    chain_deinit(&identity->chain);
    key_unref(identity->key);
    rm_free(identity->spiffe_id);
    rm_free(identity);
}
