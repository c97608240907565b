// SPDX-License-Identifier: GPL-3.0-or-later
//
// From the store to an authority that signs.
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "ca/authority_internal.h"
#include "records/records_wire.h"

// The two records, decoded.
struct stored {
    struct authority_record root;         // certificate empty: not there
    struct authority_record intermediate; // the same
    uint64_t revision;                    // of the intermediate's
};

static enum rm_err decode(const struct store_entry *entries, size_t count, struct stored *stored)
{
    for (size_t i = 0; i < count; i++) {
        const struct store_entry *entry = &entries[i];
        if (strcmp(entry->key, RECORD_ROOT_KEY) == 0) {
            RM_TRY(authority_record_decode(entry->value, entry->value_length, &stored->root));
        } else if (strcmp(entry->key, RECORD_INTERMEDIATE_KEY) == 0) {
            RM_TRY(
                authority_record_decode(entry->value, entry->value_length, &stored->intermediate));
            stored->revision = entry->revision;
        }
    }
    return RM_OK;
}

static enum rm_err load_ca(struct authority *authority, const char *name,
                           const struct authority_record *record, struct ca *ca,
                           struct rm_error *error)
{
    struct private_key *key = NULL;
    if (record->sealed_key.length > 0) {
        RM_TRY(ca_key_unseal(&authority->kek, name, &record->sealed_key, &key, error));
    }
    enum rm_err result =
        ca_init(ca, record->certificate.bytes, record->certificate.length, key, error);
    key_unref(key);
    return result == RM_OK ? RM_OK : rm_error_wrap(error, "stored certificate '%s'", name);
}

static enum rm_err check_presence(const struct stored *stored, struct rm_error *error)
{
    if (stored->intermediate.sealed_key.length == 0) {
        return rm_error_set(error, RM_ERR_NOT_FOUND,
                            "the data folder has no certificate authority: run "
                            "'remora-control init' first");
    }
    if (stored->intermediate.certificate.length == 0 || stored->root.certificate.length == 0) {
        return rm_error_set(error, RM_ERR_NOT_FOUND,
                            "the intermediate is not signed yet: sign the request that 'init' "
                            "printed, then run 'remora-control import-chain FILE'");
    }
    return RM_OK;
}

static enum rm_err check_dates(const struct authority *authority, struct rm_error *error)
{
    int64_t now_s = clock_wall_s();
    if (now_s >= authority->root.not_after_s) {
        return rm_error_set(error, RM_ERR_EXPIRED,
                            "the root certificate has expired (or this machine's clock is wrong)");
    }
    if (authority->mode == AUTHORITY_OFFLINE_ROOT && now_s >= authority->intermediate.not_after_s) {
        return rm_error_set(error, RM_ERR_EXPIRED,
                            "the intermediate certificate has expired: have its request signed "
                            "again and run 'remora-control import-chain FILE'");
    }
    return RM_OK;
}

static enum rm_err assemble(struct authority *authority, const struct stored *stored,
                            struct rm_error *error)
{
    RM_TRY(check_presence(stored, error));
    RM_TRY(load_ca(authority, RECORD_ROOT_KEY, &stored->root, &authority->root, error));
    RM_TRY(load_ca(authority, RECORD_INTERMEDIATE_KEY, &stored->intermediate,
                   &authority->intermediate, error));
    authority->revision = stored->revision;
    authority->mode = authority->root.issuer != NULL ? AUTHORITY_SELF : AUTHORITY_OFFLINE_ROOT;
    authority->root_der = (struct der){authority->root.der.bytes, authority->root.der.length};
    authority->intermediate_der =
        (struct der){authority->intermediate.der.bytes, authority->intermediate.der.length};
    RM_TRY(ca_explain(error, ca_trust(&authority->root, authority->trust_domain, &authority->trust),
                      "the stored root cannot be trusted"));
    return check_dates(authority, error);
}

static void on_load(void *context, enum rm_err result, const struct store_entry *entries,
                    size_t count, uint64_t revision)
{
    struct authority *authority = context;
    struct stored stored = {0};
    struct rm_error error = {0};
    (void)revision;
    authority->pending_count--;
    if (result == RM_OK) {
        result = decode(entries, count, &stored);
    }
    ca_explain(&error, result, "the certificate authority cannot be read");
    if (result == RM_OK) {
        result = assemble(authority, &stored, &error);
    }
    authority_record_deinit(&stored.root);
    authority_record_deinit(&stored.intermediate);
    if (result != RM_OK) {
        authority_answer_ready(authority, result, &error);
        return;
    }
    authority_check_dates(authority);
    if (authority->renewal == NULL) {
        authority_answer_ready(authority, RM_OK, NULL);
    }
}

enum rm_err authority_load(struct loop *loop, struct store *store, const char *trust_domain,
                           const struct secret *kek, authority_ready_fn on_ready, void *context)
{
    struct authority *authority = rm_calloc(1, sizeof *authority);
    if (authority == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    authority->loop = loop;
    authority->store = store;
    authority->on_ready = on_ready;
    authority->ready_context = context;
    timer_init(&authority->check, loop, authority_check_dates, authority);
    authority->trust_domain = rm_strdup(trust_domain);
    enum rm_err result = authority->trust_domain != NULL
                             ? secret_dup(kek->bytes, kek->length, &authority->kek)
                             : RM_ERR_NO_MEMORY;
    if (result == RM_OK) {
        result = store_read_prefix(store, "ca/", NULL, 0, on_load, authority);
    }
    if (result != RM_OK) {
        authority_release(authority);
        return result;
    }
    authority->pending_count = 1;
    return RM_OK;
}
