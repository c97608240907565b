// SPDX-License-Identifier: GPL-3.0-or-later
//
// offline-root: the chain that an operator had signed elsewhere comes in.
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "ca/authority_internal.h"
#include "identity/spiffe.h"
#include "records/records_wire.h"

struct import {
    struct store *store;       // borrowed
    char *trust_domain;        // owned
    struct secret kek;         // own copy
    struct chain chain;        // intermediate, root
    struct record_bytes root;  // in force; empty: none yet
    authority_init_fn on_done; // once
    void *context;             // for on_done
};

static void import_free(struct import *import)
{
    rm_free(import->trust_domain);
    secret_free(&import->kek);
    chain_deinit(&import->chain);
    record_bytes_deinit(&import->root);
    rm_free(import);
}

static void finish(struct import *import, enum rm_err result, const struct rm_error *error)
{
    import->on_done(import->context, result, NULL, error);
    import_free(import);
}

// What a sidecar would find when it is shown `leaf` under the chain.
static enum rm_err examine(const struct ca *intermediate, const struct trust_snapshot *trust,
                           const uint8_t *leaf, size_t leaf_length, struct rm_error *error)
{
    struct der chain[] = {{leaf, leaf_length}, {intermediate->der.bytes, intermediate->der.length}};
    struct certificate parsed;
    struct chain_facts facts;
    const char *why = NULL;
    RM_TRY(ca_explain(error, chain_examine(chain, 2, trust, &parsed, &facts, &why),
                      "the chain cannot be examined"));
    certificate_deinit(&parsed);
    return facts.is_anchored
               ? RM_OK
               : rm_error_set(error, RM_ERR_UNTRUSTED,
                              "a certificate under this chain would not verify: %s", why);
}

// A leaf as workloads will get it must verify from end to end: whatever is wrong with the chain
// (path length, name constraints, usages, dates, signature), it shows here and not in the mesh.
static enum rm_err prove(const struct ca *intermediate, const struct trust_snapshot *trust,
                         const char *trust_domain, const struct private_key *key,
                         struct rm_error *error)
{
    struct leaf_request request = {
        .serial = {0x10},
        .not_before_s = clock_wall_s() - 1,
        .not_after_s = clock_wall_s() + 60,
    };
    char *id = spiffe_control_id(trust_domain);
    if (id == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    uint8_t *leaf = NULL;
    size_t leaf_length = 0;
    request.spiffe_id = id;
    key_spki(key, &request.spki, &request.spki_length);
    enum rm_err result =
        ca_explain(error, issue_leaf(intermediate->issuer, &request, &leaf, &leaf_length),
                   "this chain cannot issue certificates of the trust domain");
    if (result == RM_OK) {
        result = examine(intermediate, trust, leaf, leaf_length, error);
    }
    rm_free(id);
    rm_free(leaf);
    return result;
}

// The trust domain stands on it for years: an intermediate in its place would be pinned instead.
static enum rm_err check_self_signed(const struct import *import, struct rm_error *error)
{
    const uint8_t *root = import->chain.certificates[1].bytes;
    size_t length = import->chain.certificates[1].length;
    enum rm_err result = certificate_verify_signature(root, length, root, length);
    if (result == RM_ERR_UNTRUSTED) {
        return rm_error_set(error, RM_ERR_CONFIG,
                            "the second certificate did not sign itself, so it is no root: append "
                            "the root that signed the first one");
    }
    return ca_explain(error, result, "the second certificate's signature cannot be verified");
}

// Tokens and sidecars pin the root in force: another one would cut the mesh in two.
static enum rm_err check_root(const struct import *import, struct rm_error *error)
{
    uint8_t current[KEY_ID_BYTES];
    uint8_t given[KEY_ID_BYTES];
    if (import->root.length == 0) {
        return RM_OK;
    }
    RM_TRY(ca_explain(error, certificate_key_id(import->root.bytes, import->root.length, current),
                      "the root in force cannot be read"));
    RM_TRY(ca_explain(error,
                      certificate_key_id(import->chain.certificates[1].bytes,
                                         import->chain.certificates[1].length, given),
                      "the second certificate cannot be read"));
    return memcmp(current, given, sizeof current) == 0
               ? RM_OK
               : rm_error_set(error, RM_ERR_CONFIG,
                              "the second certificate is not the root that this trust domain has: "
                              "every sidecar and token trusts that one");
}

static enum rm_err check_dates(const struct ca *ca, const char *noun, struct rm_error *error)
{
    char when[CLOCK_RFC3339_BYTES];
    int64_t now_s = clock_wall_s();
    bool is_early = now_s < ca->not_before_s;
    if (!is_early && now_s < ca->not_after_s) {
        return RM_OK;
    }
    clock_format_rfc3339((is_early ? ca->not_before_s : ca->not_after_s) * 1000, 0, when);
    return rm_error_set(error, RM_ERR_EXPIRED,
                        is_early ? "the %s is not valid before %s (or this machine's clock is "
                                   "wrong)"
                                 : "the %s has expired at %s (or this machine's clock is wrong)",
                        noun, when);
}

static enum rm_err check(struct import *import, struct private_key *key, struct ca *root,
                         struct ca *intermediate, struct rm_error *error)
{
    const struct chain *chain = &import->chain;
    uint8_t own_id[KEY_ID_BYTES];
    uint8_t given_id[KEY_ID_BYTES];
    key_id(key, own_id);
    enum rm_err result =
        certificate_key_id(chain->certificates[0].bytes, chain->certificates[0].length, given_id);
    if (result != RM_OK || memcmp(own_id, given_id, sizeof own_id) != 0) {
        return rm_error_set(error, RM_ERR_CONFIG,
                            "the first certificate is not for the key that 'remora-control init' "
                            "made: sign its request, and put that certificate first");
    }
    RM_TRY(check_self_signed(import, error));
    RM_TRY(check_root(import, error));
    RM_TRY(ca_init(root, chain->certificates[1].bytes, chain->certificates[1].length, NULL, error));
    RM_TRY(ca_init(intermediate, chain->certificates[0].bytes, chain->certificates[0].length, key,
                   error));
    RM_TRY(check_dates(root, "root", error));
    RM_TRY(check_dates(intermediate, "intermediate", error));
    struct trust_snapshot *trust = NULL;
    RM_TRY(ca_explain(error, ca_trust(root, import->trust_domain, &trust),
                      "the root cannot be trusted"));
    result = prove(intermediate, trust, import->trust_domain, key, error);
    trust_unref(trust);
    return result;
}

static void on_import_commit(void *context, enum rm_err result, uint64_t revision)
{
    struct import *import = context;
    struct rm_error error = {0};
    (void)revision;
    ca_explain(&error, result, "the chain cannot be stored");
    finish(import, result, &error);
}

static enum rm_err import_commit(struct import *import, const struct store_entry *entry,
                                 const struct ca *root, const struct ca *intermediate,
                                 const struct private_key *key, struct rm_error *error)
{
    struct transaction transaction;
    transaction_init(&transaction);
    transaction_require(&transaction, RECORD_INTERMEDIATE_KEY, entry->revision);
    ca_put(&transaction, RECORD_ROOT_KEY, &import->kek, &root->der, NULL);
    ca_put(&transaction, RECORD_INTERMEDIATE_KEY, &import->kek, &intermediate->der, key);
    enum rm_err result = transaction_commit(&transaction, import->store, on_import_commit, import);
    return ca_explain(error, result, "the chain cannot be stored");
}

// The key that init made: an authority whose root key is here takes no foreign chain.
static enum rm_err find_key(struct import *import, const struct store_entry *entries, size_t count,
                            const struct store_entry **intermediate, struct private_key **key,
                            struct rm_error *error)
{
    struct authority_record record = {0};
    for (size_t i = 0; i < count; i++) {
        RM_TRY(authority_record_decode(entries[i].value, entries[i].value_length, &record));
        bool has_root_key =
            strcmp(entries[i].key, RECORD_ROOT_KEY) == 0 && record.sealed_key.length > 0;
        enum rm_err result = RM_OK;
        if (has_root_key) {
            result = rm_error_set(error, RM_ERR_CONFIG,
                                  "this control plane has its own root (mode self): there is "
                                  "nothing to import");
        } else if (strcmp(entries[i].key, RECORD_ROOT_KEY) == 0) {
            import->root = record.certificate;
            record.certificate = (struct record_bytes){0};
        } else if (strcmp(entries[i].key, RECORD_INTERMEDIATE_KEY) == 0) {
            *intermediate = &entries[i];
            result = ca_key_unseal(&import->kek, RECORD_INTERMEDIATE_KEY, &record.sealed_key, key,
                                   error);
        }
        authority_record_deinit(&record);
        RM_TRY(result);
    }
    return *key != NULL ? RM_OK
                        : rm_error_set(error, RM_ERR_NOT_FOUND,
                                       "there is no certificate authority yet: run "
                                       "'remora-control init' first");
}

static void on_import_read(void *context, enum rm_err result, const struct store_entry *entries,
                           size_t count, uint64_t revision)
{
    struct import *import = context;
    struct rm_error error = {0};
    const struct store_entry *entry = NULL;
    struct private_key *key = NULL;
    struct ca root = {0};
    struct ca intermediate = {0};
    (void)revision;
    if (result == RM_OK) {
        result = find_key(import, entries, count, &entry, &key, &error);
    }
    if (result == RM_OK) {
        result = check(import, key, &root, &intermediate, &error);
    }
    if (result == RM_OK) {
        result = import_commit(import, entry, &root, &intermediate, key, &error);
    }
    ca_deinit(&root);
    ca_deinit(&intermediate);
    key_unref(key);
    if (result != RM_OK) {
        finish(import, result, &error);
    }
}

enum rm_err authority_import(struct store *store, const char *trust_domain,
                             const struct secret *kek, const uint8_t *pem, size_t length,
                             authority_init_fn on_done, void *context, struct rm_error *error)
{
    struct import *import = rm_calloc(1, sizeof *import);
    if (import == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    *import = (struct import){.store = store, .on_done = on_done, .context = context};
    enum rm_err result = chain_parse_pem(pem, length, &import->chain, error);
    if (result == RM_OK && import->chain.count != 2) {
        result = rm_error_set(error, RM_ERR_CONFIG,
                              "the chain has %zu certificates; wanted are two: the intermediate, "
                              "then the root that signed it",
                              import->chain.count);
    }
    if (result == RM_OK) {
        import->trust_domain = rm_strdup(trust_domain);
        result = import->trust_domain != NULL ? secret_dup(kek->bytes, kek->length, &import->kek)
                                              : RM_ERR_NO_MEMORY;
        if (result == RM_OK) {
            result = store_read_prefix(store, "ca/", NULL, 0, on_import_read, import);
        }
        ca_explain(error, result, "the store cannot be read");
    }
    if (result != RM_OK) {
        import_free(import);
    }
    return result;
}
