// SPDX-License-Identifier: GPL-3.0-or-later
//
// The first root and intermediate, or the first intermediate key and its request.
#include "base/alloc.h"
#include "base/buffer.h"
#include "ca/authority_internal.h"

struct init {
    authority_init_fn on_done; // once
    void *context;             // for on_done
    char *csr_pem;             // offline-root; owned
};

static void on_init_commit(void *context, enum rm_err result, uint64_t revision)
{
    struct init *init = context;
    struct rm_error error = {0};
    (void)revision;
    if (result == RM_ERR_CONFLICT) {
        result = rm_error_set(&error, RM_ERR_EXISTS,
                              "there is a certificate authority already: it stays as it is");
    } else {
        ca_explain(&error, result, "the certificate authority cannot be stored");
    }
    init->on_done(init->context, result, result == RM_OK ? init->csr_pem : NULL, &error);
    rm_free(init->csr_pem);
    rm_free(init);
}

static enum rm_err make_self(struct transaction *transaction, const char *trust_domain,
                             const struct secret *kek, struct rm_error *error)
{
    struct private_key *root_key = NULL;
    struct private_key *key = NULL;
    struct ca root = {0};
    struct ca intermediate = {0};
    enum rm_err result = key_generate(&root_key);
    if (result == RM_OK) {
        result = key_generate(&key);
    }
    if (result != RM_OK) {
        ca_explain(error, result, "a key cannot be made");
    } else {
        result = ca_make_root(&root, root_key, trust_domain, error);
    }
    if (result == RM_OK) {
        result = ca_make_intermediate(&intermediate, &root, key, trust_domain, error);
    }
    if (result == RM_OK) {
        ca_put(transaction, RECORD_ROOT_KEY, kek, &root.der, root_key);
        ca_put(transaction, RECORD_INTERMEDIATE_KEY, kek, &intermediate.der, key);
    }
    ca_deinit(&root);
    ca_deinit(&intermediate);
    key_unref(root_key);
    key_unref(key);
    return result;
}

static enum rm_err csr_to_pem(const uint8_t *der, size_t length, char **pem)
{
    struct buffer buffer;
    buffer_init(&buffer, AUTHORITY_MAX_PEM_BYTES);
    enum rm_err result = pem_append(&buffer, "CERTIFICATE REQUEST", der, length);
    const char *text = result == RM_OK ? buffer_text(&buffer) : NULL;
    *pem = text != NULL ? rm_strdup(text) : NULL;
    buffer_deinit(&buffer);
    return *pem != NULL ? RM_OK : RM_ERR_NO_MEMORY;
}

static enum rm_err make_offline(struct transaction *transaction, const char *trust_domain,
                                const struct secret *kek, char **csr_pem, struct rm_error *error)
{
    static const struct record_bytes none = {0};
    struct private_key *key = NULL;
    uint8_t *der = NULL;
    size_t length = 0;
    enum rm_err result = key_generate(&key);
    if (result == RM_OK) {
        result = csr_make_authority(key, trust_domain, "Remora intermediate", &der, &length);
    }
    if (result == RM_OK) {
        result = csr_to_pem(der, length, csr_pem);
    }
    if (result == RM_OK) {
        ca_put(transaction, RECORD_INTERMEDIATE_KEY, kek, &none, key);
    } else {
        ca_explain(error, result, "the certificate request cannot be made");
    }
    rm_free(der);
    key_unref(key);
    return result;
}

enum rm_err authority_init(struct store *store, enum authority_mode mode, const char *trust_domain,
                           const struct secret *kek, authority_init_fn on_done, void *context,
                           struct rm_error *error)
{
    struct init *init = rm_calloc(1, sizeof *init);
    if (init == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    *init = (struct init){.on_done = on_done, .context = context};
    struct transaction transaction;
    transaction_init(&transaction);
    transaction_require(&transaction, RECORD_ROOT_KEY, 0);
    transaction_require(&transaction, RECORD_INTERMEDIATE_KEY, 0);
    enum rm_err result = mode == AUTHORITY_SELF
                             ? make_self(&transaction, trust_domain, kek, error)
                             : make_offline(&transaction, trust_domain, kek, &init->csr_pem, error);
    if (result != RM_OK) {
        transaction_deinit(&transaction);
    } else {
        result = transaction_commit(&transaction, store, on_init_commit, init);
        ca_explain(error, result, "the certificate authority cannot be stored");
    }
    if (result != RM_OK) {
        rm_free(init->csr_pem);
        rm_free(init);
    }
    return result;
}
