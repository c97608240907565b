// SPDX-License-Identifier: GPL-3.0-or-later
//
// The authority while it serves: what is in force, and its end.
#include "ca/authority.h"

#include "base/alloc.h"
#include "ca/authority_internal.h"

void authority_release(struct authority *authority)
{
    timer_stop(&authority->check);
    ca_deinit(&authority->root);
    ca_deinit(&authority->intermediate);
    trust_unref(authority->trust);
    secret_free(&authority->kek);
    rm_free(authority->trust_domain);
    rm_free(authority);
}

void authority_close(struct authority *authority)
{
    if (authority == NULL) {
        return;
    }
    authority->is_closed = true;
    timer_stop(&authority->check);
    if (authority->pending_count == 0) {
        authority_release(authority);
    }
}

void authority_answer_ready(struct authority *authority, enum rm_err result,
                            const struct rm_error *error)
{
    authority_ready_fn on_ready = authority->on_ready;
    authority->on_ready = NULL;
    if (on_ready == NULL) {
        return;
    }
    void *context = authority->ready_context;
    if (result != RM_OK) {
        authority_close(authority);
        authority = NULL;
    }
    on_ready(context, result, authority, error);
}

enum authority_mode authority_mode_of(const struct authority *authority)
{
    return authority->mode;
}

struct trust_snapshot *authority_trust(const struct authority *authority)
{
    return authority->trust;
}

const struct der *authority_intermediate(const struct authority *authority)
{
    return &authority->intermediate_der;
}

const struct der *authority_root(const struct authority *authority)
{
    return &authority->root_der;
}

void authority_on_renewed(struct authority *authority, void (*on_renewed)(void *context),
                          void *context)
{
    authority->on_renewed = on_renewed;
    authority->renewed_context = context;
}
