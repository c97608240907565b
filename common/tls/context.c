// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "crypto/link_cache.h"
#include "identity/spiffe.h"
#include "tls/tls_internal.h"

// Hybrid first: it is the key share that clients send. RFC 8446 4.2.7, draft-ietf-tls-ecdhe-mlkem.
static const int context_groups[] = {WOLFSSL_X25519MLKEM768, WOLFSSL_ECC_X25519,
                                     WOLFSSL_ECC_SECP256R1};

// --- Small copies --------------------------------------------------------------------------------

static bool context_alpn_is_valid(const char *name)
{
    size_t length = name == NULL ? 0 : strlen(name);
    // wolfSSL takes a comma-separated list; the facts keep a name in a small array.
    return length > 0 && length < sizeof(((struct tls_facts *)0)->alpn) &&
           strchr(name, ',') == NULL;
}

static enum rm_err context_copy_alpn(struct tls_context *context, const char *const *alpn,
                                     size_t count, struct rm_error *error)
{
    if ((count == 0 && context->is_alpn_required) || count > TLS_ALPN_MAX) {
        return rm_error_set(error, RM_ERR_CONFIG, "1 to %d application protocols, not %zu",
                            TLS_ALPN_MAX, count);
    }
    for (size_t i = 0; i < count; i++) {
        if (!context_alpn_is_valid(alpn[i])) {
            return rm_error_set(error, RM_ERR_CONFIG, "application protocol %zu is not valid", i);
        }
        context->alpn[i] = rm_strdup(alpn[i]);
        if (context->alpn[i] == NULL) {
            return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
        }
        context->alpn_count++;
    }
    return RM_OK;
}

static enum rm_err context_copy_names(struct tls_context *context, const char *const *names,
                                      size_t count, struct rm_error *error)
{
    if (count == 0) {
        return RM_OK;
    }
    context->own_names = rm_calloc(count, sizeof(*context->own_names));
    for (size_t i = 0; context->own_names != NULL && i < count; i++) {
        context->own_names[i] = rm_strdup(names[i]);
        if (context->own_names[i] == NULL) {
            break;
        }
        context->own_name_count++;
    }
    return context->own_name_count == count
               ? RM_OK
               : rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
}

static enum rm_err context_take_siblings(struct tls_context *context,
                                         struct tls_context *const *siblings, size_t count,
                                         struct rm_error *error)
{
    if (count == 0) {
        return RM_OK;
    }
    context->siblings = rm_calloc(count, sizeof(*context->siblings));
    if (context->siblings == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        context->siblings[i] = tls_context_ref(siblings[i]);
    }
    context->sibling_count = count;
    return RM_OK;
}

// --- wolfSSL's part ------------------------------------------------------------------------------

static enum rm_err context_load_identity(WOLFSSL_CTX *library, const struct tls_identity *identity,
                                         struct rm_error *error)
{
    uint8_t *chain = rm_malloc(TLS_IDENTITY_MAX_BYTES);
    size_t length = 0;
    if (chain == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < identity->chain.count; i++) { // its sum was checked when it was made
        memcpy(chain + length, identity->chain.certificates[i].bytes,
               identity->chain.certificates[i].length);
        length += identity->chain.certificates[i].length;
    }
    const struct secret *key = key_pkcs8(identity->key);
    int loaded = wolfSSL_CTX_use_certificate_chain_buffer_format(library, chain, (long)length,
                                                                 WOLFSSL_FILETYPE_ASN1);
    rm_free(chain);
    if (loaded == WOLFSSL_SUCCESS) {
        loaded = wolfSSL_CTX_use_PrivateKey_buffer(library, key->bytes, (long)key->length,
                                                   WOLFSSL_FILETYPE_ASN1);
    }
    if (loaded == WOLFSSL_SUCCESS) {
        return RM_OK;
    }
    return tls_library_error_is_memory(loaded)
               ? rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory")
               : rm_error_set(error, RM_ERR_CRYPTO,
                              "wolfSSL does not take our certificate and key (error %d)", loaded);
}

// Dates of roots are judged with the chain, at each handshake: a root that is not valid today may
// be tomorrow. A root that cannot be read anchors nothing, and says so once per context.
static enum rm_err context_load_root(WOLFSSL_CTX *library, const struct trust_domain *domain,
                                     const struct trust_root *root)
{
    int loaded = wolfSSL_CTX_load_verify_buffer_ex(library, root->der, (long)root->der_length,
                                                   WOLFSSL_FILETYPE_ASN1, 0,
                                                   WOLFSSL_LOAD_FLAG_DATE_ERR_OKAY);
    if (tls_library_error_is_memory(loaded)) {
        return RM_ERR_NO_MEMORY;
    }
    if (loaded != WOLFSSL_SUCCESS) {
        log_warn(LOG_TLS, "root_unusable", LOG_STR("trust_domain", domain->name),
                 LOG_I64("library_error", loaded));
    }
    return RM_OK;
}

static enum rm_err context_load_roots(WOLFSSL_CTX *library, const struct trust_snapshot *trust,
                                      struct rm_error *error)
{
    for (size_t i = 0; i < trust_domain_count(trust); i++) {
        const struct trust_domain *domain = trust_domain_at(trust, i);
        for (size_t j = 0; j < domain->root_count; j++) {
            if (context_load_root(library, domain, &domain->roots[j]) != RM_OK) {
                return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
            }
        }
    }
    return RM_OK;
}

static bool context_restrict(WOLFSSL_CTX *library)
{
    int groups[sizeof(context_groups) / sizeof(context_groups[0])];
    memcpy(groups, context_groups, sizeof(groups));
    wolfSSL_CTX_set_verify_depth(library, CHAIN_MAX_CERTIFICATES);
    wolfSSL_CTX_SetIORecv(library, tls_bytes_receive);
    wolfSSL_CTX_SetIOSend(library, tls_bytes_send);
    (void)wolfSSL_CTX_set_session_cache_mode(library, WOLFSSL_SESS_CACHE_OFF);
    // psk_ke has no forward secrecy (wolfssl.md 0.10); 0: done.
    return wolfSSL_CTX_set_cipher_list(library, tls_library_suites()) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_set_groups(library, groups, (int)(sizeof(groups) / sizeof(groups[0]))) ==
               WOLFSSL_SUCCESS &&
           wolfSSL_CTX_only_dhe_psk(library) == 0;
}

// wolfSSL has no keys of its own (deploy/install-deps.sh): without this there are no tickets.
static bool context_set_tickets(const struct tls_context *context, WOLFSSL_CTX *library)
{
    if (context->ticket_keys == NULL) {
        return wolfSSL_CTX_no_ticket_TLSv13(library) == 0;
    }
    return wolfSSL_CTX_set_TicketEncCb(library, tls_ticket_on_library) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_set_TicketHint(library, TLS_TICKET_PERIOD_S) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_set_timeout(library, TLS_TICKET_PERIOD_S) == WOLFSSL_SUCCESS;
}

static int context_verify_mode(const struct tls_context *context, bool is_server)
{
    return is_server && !context->is_certificate_required
               ? WOLFSSL_VERIFY_PEER
               : WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT;
}

static enum rm_err context_fill_library(const struct tls_context *context, WOLFSSL_CTX *library,
                                        bool is_server, struct rm_error *error)
{
    if (!context_restrict(library)) {
        return rm_error_set(error, RM_ERR_CRYPTO,
                            "wolfSSL did not take our cipher suites and groups");
    }
    wolfSSL_CTX_set_verify(library, context_verify_mode(context, is_server),
                           context->pins != NULL ? tls_verify_pinned : tls_verify_spiffe);
    if (is_server) {
        wolfSSL_CTX_set_servername_callback(library, tls_hello_on_client);
        if (!context_set_tickets(context, library)) {
            return rm_error_set(error, RM_ERR_CRYPTO, "wolfSSL did not take our rules for tickets");
        }
    }
    if (context->trust != NULL) {
        RM_TRY(context_load_roots(library, context->trust, error));
    }
    return context->identity == NULL ? RM_OK
                                     : context_load_identity(library, context->identity, error);
}

static enum rm_err context_make_library(struct tls_context *context, bool is_server,
                                        struct rm_error *error)
{
    WOLFSSL_CTX *library =
        wolfSSL_CTX_new(is_server ? wolfTLSv1_3_server_method() : wolfTLSv1_3_client_method());
    if (library == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    *(is_server ? &context->server : &context->client) = library;
    return context_fill_library(context, library, is_server, error);
}

// --- The two profiles ----------------------------------------------------------------------------

static struct tls_context *context_new(struct rm_error *error)
{
    tls_library_prepare();
    struct tls_context *context = rm_calloc(1, sizeof(*context));
    if (context == NULL) {
        (void)rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
        return NULL;
    }
    context->ref_count = 1;
    context->is_certificate_required = true;
    return context;
}

static enum rm_err context_use_tickets(struct tls_context *context, struct tls_ticket_keys *keys,
                                       struct rm_error *error)
{
    if (keys == NULL) {
        return RM_OK;
    }
    context->ticket_keys = tls_ticket_keys_ref(keys);
    context->resumables = tls_resumables_new();
    tls_ticket_bind(context);
    return context->resumables != NULL ? RM_OK
                                       : rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
}

static enum rm_err context_fill_spiffe(struct tls_context *context,
                                       const struct tls_spiffe_profile *profile,
                                       struct rm_error *error)
{
    if (profile->trust == NULL) {
        return rm_error_set(error, RM_ERR_CONFIG, "a TLS context needs roots to trust");
    }
    context->trust = trust_ref(profile->trust);
    context->identity = profile->identity == NULL ? NULL : tls_identity_ref(profile->identity);
    context->is_alpn_required = profile->is_alpn_required;
    context->is_certificate_required = profile->is_client_certificate_required;
    context->is_sni_strict = profile->is_sni_strict;
    RM_TRY(context_use_tickets(context, profile->ticket_keys, error));
    context->links = link_cache_new();
    if (context->links == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    RM_TRY(context_copy_alpn(context, profile->alpn, profile->alpn_count, error));
    RM_TRY(context_copy_names(context, profile->own_names, profile->own_name_count, error));
    RM_TRY(context_take_siblings(context, profile->siblings, profile->sibling_count, error));
    RM_TRY(context_make_library(context, false, error));
    return context->identity == NULL ? RM_OK : context_make_library(context, true, error);
}

enum rm_err tls_context_new_spiffe(const struct tls_spiffe_profile *profile,
                                   struct tls_context **out, struct rm_error *error)
{
    struct tls_context *context = context_new(error);
    if (context == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    enum rm_err result = context_fill_spiffe(context, profile, error);
    if (result != RM_OK) {
        tls_context_unref(context);
        return result;
    }
    *out = context;
    return RM_OK;
}

static enum rm_err context_copy_pins(struct tls_context *context, const char *control_id,
                                     const uint8_t (*pins)[KEY_ID_BYTES], size_t count,
                                     struct rm_error *error)
{
    struct spiffe_id id;
    if (count == 0) {
        return rm_error_set(error, RM_ERR_CONFIG, "no root key hash to trust the control plane by");
    }
    RM_TRY(spiffe_id_parse(control_id, strlen(control_id), &id, error));
    struct tls_pins *copy = rm_calloc(1, sizeof(*copy));
    if (copy == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    context->pins = copy;
    copy->count = count;
    copy->control_id = rm_strdup(control_id);
    copy->trust_domain = rm_strndup(id.trust_domain, id.trust_domain_length);
    copy->key_ids = rm_memdup(pins, count * sizeof(*pins));
    if (copy->control_id == NULL || copy->trust_domain == NULL || copy->key_ids == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    return RM_OK;
}

static enum rm_err context_fill_pinned(struct tls_context *context, const char *control_id,
                                       const uint8_t (*pins)[KEY_ID_BYTES], size_t pin_count,
                                       struct rm_error *error)
{
    static const char *const alpn[] = {"h2"};
    context->is_alpn_required = true;
    RM_TRY(context_copy_pins(context, control_id, pins, pin_count, error));
    RM_TRY(context_copy_alpn(context, alpn, 1, error));
    return context_make_library(context, false, error);
}

enum rm_err tls_context_new_pinned(const char *control_id, const uint8_t (*pins)[KEY_ID_BYTES],
                                   size_t pin_count, struct tls_context **out,
                                   struct rm_error *error)
{
    struct tls_context *context = context_new(error);
    if (context == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    enum rm_err result = context_fill_pinned(context, control_id, pins, pin_count, error);
    if (result != RM_OK) {
        tls_context_unref(context);
        return result;
    }
    *out = context;
    return RM_OK;
}

// --- Life ----------------------------------------------------------------------------------------

struct tls_context *tls_context_ref(struct tls_context *context)
{
    context->ref_count++;
    return context;
}

void tls_context_set_trust(struct tls_context *context, struct trust_snapshot *trust)
{
    struct trust_snapshot *before = context->trust;
    context->trust = trust_ref(trust);
    trust_unref(before);
}

void tls_context_retire(struct tls_context *context)
{
    if (context != NULL && context->resumables != NULL) {
        tls_resumables_clear(context->resumables);
    }
}

static void context_free_pins(struct tls_pins *pins)
{
    if (pins != NULL) {
        rm_free(pins->control_id);
        rm_free(pins->trust_domain);
        rm_free(pins->key_ids);
        rm_free(pins);
    }
}

void tls_context_unref(struct tls_context *context)
{
    if (context == NULL || --context->ref_count > 0) {
        return;
    }
    wolfSSL_CTX_free(context->client);
    wolfSSL_CTX_free(context->server);
    tls_resumables_free(context->resumables);
    tls_ticket_keys_unref(context->ticket_keys);
    tls_identity_unref(context->identity);
    trust_unref(context->trust);
    context_free_pins(context->pins);
    for (size_t i = 0; i < context->alpn_count; i++) {
        rm_free(context->alpn[i]);
    }
    for (size_t i = 0; i < context->own_name_count; i++) {
        rm_free(context->own_names[i]);
    }
    rm_free(context->own_names);
    for (size_t i = 0; i < context->sibling_count; i++) {
        tls_context_unref(context->siblings[i]);
    }
    rm_free(context->siblings);
    rm_free(context->links);
    rm_free(context);
}
