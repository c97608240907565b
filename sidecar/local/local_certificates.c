// SPDX-License-Identifier: GPL-3.0-or-later
//
// ListCertificates and Renew.
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/utf8.h"
#include "local/local_internal.h"

const char *local_own_name(const struct snapshot *snapshot, size_t index)
{
    const struct sidecar_more_identity *more = snapshot->config->more_identities.items;
    return index > 0 ? more[index - 1].name : "";
}

static enum rm_err append_certificate(struct local_call *call, const struct local_state *state,
                                      size_t index, bool is_listed)
{
    const struct tls_identity *identity = snapshot_own(state->snapshot, index).identity;
    const struct certs_status *certs = state->certs[index];
    bool is_by_control = index == 0 && state->snapshot->config->control.address != NULL;
    char last_error[sizeof certs->last_error];
    snprintf(last_error, sizeof last_error, "%s", certs->last_error);
    utf8_repair(last_error); // it may quote a peer, and a text on the wire must be UTF-8
    struct local_certificate certificate = {
        .name = local_own_name(state->snapshot, index),
        .next_renewal_s = certs->next_renewal_s,
        .last_error = last_error,
        .source = is_by_control ? "control" : "files",
    };
    if (identity != NULL) {
        certificate.identity = identity->spiffe_id;
        certificate.serial = identity->serial;
        certificate.serial_length = identity->serial_length;
        certificate.not_before_s = identity->not_before_s;
        certificate.not_after_s = identity->not_after_s;
    }
    return local_wire_certificate(&call->response, &certificate, is_listed);
}

void local_list_certificates(struct local_call *call)
{
    struct local_state state = {0};
    enum rm_err result = RM_OK;
    call->local->source.look(call->local->source.context, &state);
    for (size_t i = 0; i < snapshot_own_count(state.snapshot) && result == RM_OK; i++) {
        result = append_certificate(call, &state, i, true);
    }
    local_call_answer(call, result);
}

// --- Renewal.

struct renew_work {
    struct certs_renewal renewal; // first
    size_t own_index;             // of the identity
};

static void on_renewed(void *context, enum rm_err result)
{
    struct local_call *call = context;
    struct local_state state = {0};
    if (!local_call_resume(call)) {
        return;
    }
    const struct renew_work *work = call->work;
    call->local->source.look(call->local->source.context, &state);
    if (result == RM_OK) {
        local_call_answer(call, append_certificate(call, &state, work->own_index, false));
        return;
    }
    const struct certs_status *certs = state.certs[work->own_index];
    char text[sizeof certs->last_error];
    snprintf(text, sizeof text, "%s",
             result == RM_ERR_CANCELLED ? "the sidecar is stopping" : certs->last_error);
    utf8_repair(text);
    local_call_refuse(call, RPC_UNAVAILABLE, "%s", text);
}

// The caller is gone: nobody waits for the outcome any more.
static bool cancel_renewal(void *context)
{
    struct renew_work *work = context;
    certs_renew_cancel(&work->renewal);
    return true;
}

static bool find_own(const struct snapshot *snapshot, const char *name, size_t *index)
{
    for (*index = 0; *index < snapshot_own_count(snapshot); (*index)++) {
        if (strcmp(local_own_name(snapshot, *index), name) == 0) {
            return true;
        }
    }
    return false;
}

void local_renew(struct local_call *call)
{
    const struct local_source *source = &call->local->source;
    const char *name = call->request.of.renew.name;
    struct local_state state = {0};
    struct renew_work *work = rm_calloc(1, sizeof *work);
    if (!local_call_set_work(call, work, rm_free)) {
        return;
    }
    source->look(source->context, &state);
    if (!find_own(state.snapshot, name, &work->own_index)) {
        local_call_refuse(call, RPC_NOT_FOUND,
                          "'%.64s' is none of this sidecar's 'identities' (without a name: its "
                          "'identity')",
                          name);
        return;
    }
    work->renewal.done = on_renewed;
    work->renewal.context = call;
    enum rm_err result = source->renew(source->context, work->own_index, &work->renewal);
    if (result != RM_OK) {
        local_call_refuse(call, rpc_status_from_err(result), "the sidecar is stopping");
        return;
    }
    log_info(LOG_LOCAL, "renewal_asked", LOG_STR("name", name));
    call->work_cancel = cancel_renewal;
    local_call_wait(call);
}
