// SPDX-License-Identifier: GPL-3.0-or-later
//
// The trust snapshot of a view: shared with the view before it while nothing that it is made of
// changed. Revocations outlive the store that made them: a control plane that lost its store must
// not bring revoked certificates back to life. They are carried beside the view's own withdrawals,
// so the canonical bytes still agree with the new store's. One that has expired covers no living
// certificate and does no harm.
#include <string.h>

#include "base/alloc.h"
#include "mesh/view_internal.h"

static bool is_revocation(const struct mesh_resource *resource)
{
    return resource->of.withdrawal.kind != TRUST_LAPSED_LINEAGE;
}

static size_t count_revocations(const struct mesh_set *withdrawals)
{
    size_t count = 0;
    for (size_t i = 0; i < withdrawals->count; i++) {
        count += is_revocation(withdrawals->items[i]);
    }
    return count;
}

// A store that changes twice may carry one withdrawal twice; the trust builder drops the repeated.
static enum rm_err carry(const struct mesh_view *base, struct mesh_view *view)
{
    const struct mesh_set *old = base->sets[MESH_WITHDRAWAL];
    bool is_same_store =
        memcmp(base->version.store_id, view->version.store_id, MESH_STORE_ID_BYTES) == 0;
    size_t added = is_same_store ? 0 : count_revocations(old);
    if (added == 0) {
        view->carried = mesh_set_ref(base->carried);
        return RM_OK;
    }
    if (base->carried->count + added > MESH_MAX_RESOURCES) {
        return RM_ERR_LIMIT;
    }
    view->carried = mesh_set_new(base->carried->count + added);
    if (view->carried == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < base->carried->count; i++) {
        view->carried->items[view->carried->count++] = mesh_resource_ref(base->carried->items[i]);
    }
    for (size_t i = 0; i < old->count; i++) {
        if (is_revocation(old->items[i])) {
            view->carried->items[view->carried->count++] = mesh_resource_ref(old->items[i]);
        }
    }
    return RM_OK;
}

static enum rm_err add_bundles(struct trust_builder *builder, const struct mesh_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct mesh_bundle *bundle = &set->items[i]->of.bundle;
        for (size_t j = 0; j < bundle->root_count; j++) {
            RM_TRY(trust_builder_add_root(builder, set->items[i]->key, bundle->roots[j].bytes,
                                          bundle->roots[j].length, bundle->key_ids[j]));
        }
    }
    return RM_OK;
}

static enum rm_err add_withdrawals(struct trust_builder *builder, const struct mesh_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct mesh_withdrawal *withdrawal = &set->items[i]->of.withdrawal;
        RM_TRY(trust_builder_withdraw(builder, withdrawal->kind, withdrawal->key.bytes,
                                      withdrawal->key.length, withdrawal->before_s));
    }
    return RM_OK;
}

static enum rm_err build_trust(struct mesh_view *view)
{
    struct trust_builder *builder = trust_builder_new();
    if (builder == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    enum rm_err err = add_bundles(builder, view->sets[MESH_BUNDLE]);
    if (err == RM_OK) {
        err = add_withdrawals(builder, view->sets[MESH_WITHDRAWAL]);
    }
    if (err == RM_OK) {
        err = add_withdrawals(builder, view->carried);
    }
    if (err != RM_OK) {
        trust_builder_free(builder);
        return err;
    }
    view->trust = trust_builder_finish(builder);
    return view->trust == NULL ? RM_ERR_NO_MEMORY : RM_OK;
}

enum rm_err mesh_view_set_trust(const struct mesh_view *base, struct mesh_view *view,
                                struct rm_error *error)
{
    enum rm_err err = carry(base, view);
    if (err != RM_OK) {
        return rm_error_set(error, err, "the revocations of the old store cannot be kept: %s",
                            rm_err_text(err));
    }
    // What came to be carried was in the old withdrawals, so it need not be asked for.
    if (view->sets[MESH_BUNDLE] == base->sets[MESH_BUNDLE] &&
        view->sets[MESH_WITHDRAWAL] == base->sets[MESH_WITHDRAWAL]) {
        view->trust = trust_ref(base->trust);
        return RM_OK;
    }
    err = build_trust(view);
    return err == RM_OK ? RM_OK
                        : rm_error_set(error, err, "the bundles and withdrawals make no trust: %s",
                                       rm_err_text(err));
}
