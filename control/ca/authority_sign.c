// SPDX-License-Identifier: GPL-3.0-or-later
//
// Leaves, signed on the pool, and the control plane's own.
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "ca/authority_internal.h"
#include "crypto/crypto.h"
#include "identity/spiffe.h"

// One signature. Everything the pool's thread touches is its own.
struct signing {
    struct authority *authority;           // borrowed; counts this as pending
    struct authority_leaf_request request; // owned
    struct issuer *issuer;                 // reference
    struct record_bytes intermediate;      // copy: it may be renewed meanwhile
    struct authority_leaf leaf;            // result
    enum rm_err result;                    // of the pool's work
    authority_sign_fn on_signed;           // once
    void *context;                         // for on_signed
};

static void request_deinit(struct authority_leaf_request *request)
{
    struct record_strings names = {request->dns_names, request->dns_count};
    record_strings_deinit(&names);
    rm_free(request->spki);
    rm_free(request->spiffe_id);
    *request = (struct authority_leaf_request){0};
}

static void signing_free(struct signing *signing)
{
    request_deinit(&signing->request);
    issuer_unref(signing->issuer);
    record_bytes_deinit(&signing->intermediate);
    chain_deinit(&signing->leaf.chain);
    rm_free(signing);
}

// On a pool thread.
static void sign(void *context)
{
    struct signing *signing = context;
    struct leaf_request request = {
        .spki = signing->request.spki,
        .spki_length = signing->request.spki_length,
        .spiffe_id = signing->request.spiffe_id,
        .dns_names = (const char *const *)signing->request.dns_names,
        .dns_count = signing->request.dns_count,
        .not_before_s = signing->leaf.not_before_s,
        .not_after_s = signing->leaf.not_after_s,
    };
    memcpy(request.serial, signing->request.serial, sizeof request.serial);
    uint8_t *der = NULL;
    size_t length = 0;
    signing->result = issue_leaf(signing->issuer, &request, &der, &length);
    if (signing->result == RM_OK) {
        signing->result = chain_append(&signing->leaf.chain, der, length);
    }
    if (signing->result == RM_OK) {
        signing->result = chain_append(&signing->leaf.chain, signing->intermediate.bytes,
                                       signing->intermediate.length);
    }
    rm_free(der);
}

static void on_signed(void *context)
{
    struct signing *signing = context;
    struct authority *authority = signing->authority;
    signing->on_signed(signing->context, signing->result,
                       signing->result == RM_OK ? &signing->leaf : NULL);
    signing_free(signing);
    authority->pending_count--;
    if (authority->is_closed && authority->pending_count == 0) {
        authority_release(authority);
    }
}

// Dates of the leaf: as wanted, never beyond the issuer's end.
static enum rm_err choose_dates(const struct authority *authority,
                                const struct authority_leaf_request *request,
                                struct authority_leaf *leaf)
{
    leaf->issued_at_s = clock_wall_s();
    leaf->not_before_s = leaf->issued_at_s - AUTHORITY_BACKDATE_S;
    leaf->not_after_s = leaf->issued_at_s + request->lifetime_s;
    if (request->not_after_s != 0) {
        leaf->not_before_s = request->not_before_s;
        leaf->not_after_s = request->not_after_s;
    }
    if (leaf->not_after_s > authority->intermediate.not_after_s) {
        leaf->not_after_s = authority->intermediate.not_after_s;
    }
    memcpy(leaf->issuer_key_id, authority->intermediate.key_id, sizeof leaf->issuer_key_id);
    return leaf->not_after_s > leaf->issued_at_s ? RM_OK : RM_ERR_EXPIRED;
}

// Takes the request's members in any case.
static enum rm_err signing_new(struct authority *authority, struct authority_leaf_request *request,
                               struct signing **out)
{
    struct signing *signing = rm_calloc(1, sizeof *signing);
    if (signing == NULL) {
        request_deinit(request);
        return RM_ERR_NO_MEMORY;
    }
    signing->authority = authority;
    signing->request = *request;
    *request = (struct authority_leaf_request){0};
    signing->issuer = issuer_ref(authority->intermediate.issuer);
    enum rm_err result =
        record_bytes_dup(authority->intermediate.der.bytes, authority->intermediate.der.length,
                         &signing->intermediate);
    if (result == RM_OK) {
        result = choose_dates(authority, &signing->request, &signing->leaf);
    }
    if (result != RM_OK) {
        signing_free(signing);
        return result;
    }
    *out = signing;
    return RM_OK;
}

enum rm_err authority_sign(struct authority *authority, struct authority_leaf_request *request,
                           authority_sign_fn on_done, void *context)
{
    struct signing *signing = NULL;
    if (authority->is_closed || authority->pending_count >= AUTHORITY_SIGN_PENDING_MAX) {
        request_deinit(request);
        return authority->is_closed ? RM_ERR_CLOSED : RM_ERR_BUSY;
    }
    RM_TRY(signing_new(authority, request, &signing));
    signing->on_signed = on_done;
    signing->context = context;
    enum rm_err result = loop_work(authority->loop, sign, on_signed, signing);
    if (result != RM_OK) {
        signing_free(signing);
        return result;
    }
    authority->pending_count++;
    return RM_OK;
}

static enum rm_err own_chain(struct authority *authority, const struct leaf_request *request,
                             struct chain *chain)
{
    uint8_t *der = NULL;
    size_t length = 0;
    *chain = (struct chain){0};
    RM_TRY(issue_leaf(authority->intermediate.issuer, request, &der, &length));
    enum rm_err result = chain_append(chain, der, length);
    rm_free(der);
    if (result == RM_OK) {
        result = chain_append(chain, authority->intermediate.der.bytes,
                              authority->intermediate.der.length);
    }
    if (result == RM_OK) {
        result = chain_append(chain, authority->root.der.bytes, authority->root.der.length);
    }
    if (result != RM_OK) {
        chain_deinit(chain);
    }
    return result;
}

static enum rm_err own_request(const struct authority *authority, int64_t lifetime_s,
                               const struct private_key *key, struct leaf_request *request)
{
    key_spki(key, &request->spki, &request->spki_length);
    request->not_before_s = clock_wall_s() - AUTHORITY_BACKDATE_S;
    request->not_after_s = clock_wall_s() + lifetime_s;
    if (request->not_after_s > authority->intermediate.not_after_s) {
        request->not_after_s = authority->intermediate.not_after_s;
    }
    RM_TRY(authority_random_lineage(request->serial));
    return random_bytes(request->serial + LINEAGE_BYTES, ISSUE_SERIAL_BYTES - LINEAGE_BYTES);
}

enum rm_err authority_own_identity(struct authority *authority, const char *const *dns_names,
                                   size_t dns_count, int64_t lifetime_s, struct tls_identity **out,
                                   struct rm_error *error)
{
    struct private_key *key = NULL;
    struct chain chain = {0};
    char *id = spiffe_control_id(authority->trust_domain);
    struct leaf_request request = {.spiffe_id = id, .dns_names = dns_names, .dns_count = dns_count};
    *out = NULL;
    enum rm_err result = id != NULL ? key_generate(&key) : RM_ERR_NO_MEMORY;
    if (result == RM_OK) {
        result = own_request(authority, lifetime_s, key, &request);
    }
    if (result == RM_OK) {
        result = own_chain(authority, &request, &chain);
    }
    if (result == RM_OK) {
        result = tls_identity_new(&chain, key, out, error);
    } else if (result == RM_ERR_DENIED) {
        rm_error_set(error, result,
                     "the certificate authority in the data folder may not sign for '%s': it "
                     "belongs to another trust domain; correct 'trust_domain' or 'data_dir'",
                     id);
    } else {
        ca_explain(error, result, "the control plane's own certificate cannot be made");
    }
    rm_free(id);
    key_unref(key);
    return result;
}
