// SPDX-License-Identifier: GPL-3.0-or-later
#include "worker/contexts.h"

#include <string.h>

#include "base/log.h"
#include "crypto/crypto.h"
#include "identity/spiffe.h"
#include "tunnel/tunnel.h"

static const char *const tunnel_alpn[] = {TUNNEL_ALPN};

static struct tls_ticket_keys *ticket_keys_in_force(const struct worker *worker)
{
    return worker->snapshot->config->is_resuming ? worker->ticket_keys : NULL;
}

// The first identity's context answers at the port; the others are its siblings, chosen by SNI.
static enum rm_err make_tunnel(struct worker *worker, size_t own_index, struct rm_error *error)
{
    const struct snapshot_own own = snapshot_own(worker->snapshot, own_index);
    struct spiffe_id id;
    RM_TRY(spiffe_id_parse(own.identity->spiffe_id, strlen(own.identity->spiffe_id), &id, error));
    uint8_t digest[SHA256_BYTES];
    char sni[SPIFFE_SNI_BYTES];
    sha256(id.text, id.length, digest);
    spiffe_sni(&id, digest, sni);
    const char *own_names[] = {sni};
    struct tls_spiffe_profile profile = {
        .identity = own.identity,
        .trust = own.trust,
        .alpn = tunnel_alpn,
        .alpn_count = 1,
        .is_alpn_required = true,
        .is_client_certificate_required = true,
        .is_sni_strict = true,
        .own_names = own_names,
        .own_name_count = 1,
        .siblings = worker->more_tunnel_tls,
        .sibling_count = own_index == 0 ? worker->snapshot->more_count : 0,
        .ticket_keys = ticket_keys_in_force(worker),
    };
    struct tls_context **out =
        own_index == 0 ? &worker->tunnel_tls : &worker->more_tunnel_tls[own_index - 1];
    return tls_context_new_spiffe(&profile, out, error);
}

static enum rm_err make_edge(struct worker *worker, size_t own_index, struct rm_error *error)
{
    const struct snapshot_own own = snapshot_own(worker->snapshot, own_index);
    struct tls_spiffe_profile profile = {
        .identity = own.identity,
        .trust = own.trust,
        .is_client_certificate_required = true,
        .ticket_keys = ticket_keys_in_force(worker),
    };
    struct tls_context **out =
        own_index == 0 ? &worker->edge_tls : &worker->more_edge_tls[own_index - 1];
    return tls_context_new_spiffe(&profile, out, error);
}

static void drop(struct tls_context **context)
{
    tls_context_retire(*context);
    tls_context_unref(*context);
    *context = NULL;
}

void contexts_drop(struct worker *worker)
{
    drop(&worker->tunnel_tls);
    drop(&worker->edge_tls);
    for (size_t i = 0; i < SIDECAR_MORE_IDENTITIES_MAX; i++) {
        drop(&worker->more_tunnel_tls[i]);
        drop(&worker->more_edge_tls[i]);
    }
}

static bool has_all_identities(const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot_own_count(snapshot); i++) {
        const struct snapshot_own own = snapshot_own(snapshot, i);
        if (own.identity == NULL || own.trust == NULL) {
            return false;
        }
    }
    return true;
}

enum rm_err contexts_make(struct worker *worker, struct rm_error *error)
{
    const struct snapshot *snapshot = worker->snapshot;
    contexts_drop(worker);
    if (!has_all_identities(snapshot)) {
        return RM_OK;
    }
    for (size_t i = snapshot_own_count(snapshot); i > 0; i--) { // siblings before the first
        RM_TRY(make_tunnel(worker, i - 1, error));
        if (snapshot->config->edges.count > 0) {
            RM_TRY(make_edge(worker, i - 1, error));
        }
    }
    return RM_OK;
}

static bool is_same_own(const struct snapshot_own *before, const struct snapshot_own *now)
{
    bool has_roots = before->trust != NULL && now->trust != NULL;
    return before->identity == now->identity &&
           (before->trust == now->trust ||
            (has_roots && trust_same_roots(before->trust, now->trust)));
}

static bool needs_new(const struct snapshot *before, const struct snapshot *now)
{
    if (before->config != now->config || snapshot_own_count(before) != snapshot_own_count(now)) {
        return true;
    }
    for (size_t i = 0; i < snapshot_own_count(now); i++) {
        const struct snapshot_own old = snapshot_own(before, i);
        const struct snapshot_own new = snapshot_own(now, i);
        if (!is_same_own(&old, &new)) {
            return true;
        }
    }
    return false;
}

static void renew_trust(const struct worker *worker)
{
    for (size_t i = 0; i < snapshot_own_count(worker->snapshot); i++) {
        const struct snapshot_own own = snapshot_own(worker->snapshot, i);
        if (contexts_tunnel(worker, i) != NULL) {
            tls_context_set_trust(contexts_tunnel(worker, i), own.trust);
        }
        if (contexts_edge(worker, i) != NULL) {
            tls_context_set_trust(contexts_edge(worker, i), own.trust);
        }
    }
}

void contexts_adopt(struct worker *worker, const struct snapshot *before)
{
    struct rm_error error = {0};
    if (!needs_new(before, worker->snapshot)) {
        renew_trust(worker);
    } else if (contexts_make(worker, &error) != RM_OK) {
        contexts_drop(worker);
        log_error(LOG_TLS, "contexts_not_made", LOG_STR("error", rm_error_message(&error)));
    }
}

struct tls_context *contexts_tunnel(const struct worker *worker, size_t own_index)
{
    return own_index == 0 ? worker->tunnel_tls : worker->more_tunnel_tls[own_index - 1];
}

struct tls_context *contexts_edge(const struct worker *worker, size_t own_index)
{
    return own_index == 0 ? worker->edge_tls : worker->more_edge_tls[own_index - 1];
}
