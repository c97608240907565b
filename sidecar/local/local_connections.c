// SPDX-License-Identifier: GPL-3.0-or-later
//
// ListConnections: one worker after the other is asked for a page, by message, and the next page
// only when the caller took this one.
#include "base/alloc.h"
#include "local/local_internal.h"

struct list_work {
    size_t worker;          // asked
    size_t worker_count;    // of the process
    struct listing listing; // the worker's while it fills it
};

static void list_work_free(void *context)
{
    struct list_work *work = context;
    listing_deinit(&work->listing);
    rm_free(work);
}

static enum rm_err append_page(struct local_call *call)
{
    const struct list_work *work = call->work;
    const struct listing *listing = &work->listing;
    for (size_t i = 0; i < listing->count; i++) {
        RM_TRY(local_wire_connection(&call->response, &listing->records[i], work->worker));
    }
    return RM_OK;
}

static void on_page(void *context, enum rm_err result)
{
    struct local_call *call = context;
    struct list_work *work = call->work;
    if (!local_call_resume(call)) {
        return;
    }
    if (result == RM_OK) {
        result = append_page(call);
    }
    if (!work->listing.has_more) {
        work->worker++;
        listing_rewind(&work->listing);
    }
    local_call_send(call, result);
    local_call_go_on(call);
}

static void ask_next(struct local_call *call)
{
    struct list_work *work = call->work;
    const struct local_source *source = &call->local->source;
    if (work->worker == work->worker_count) {
        local_call_end(call);
        return;
    }
    enum rm_err result = source->list(source->context, work->worker, &work->listing, on_page, call);
    if (result != RM_OK) {
        local_call_refuse(call, rpc_status_from_err(result),
                          result == RM_ERR_CLOSED ? "the sidecar is stopping" : "out of memory");
        return;
    }
    local_call_wait(call);
}

void local_list_connections(struct local_call *call)
{
    struct local_state state = {0};
    struct list_work *work = rm_calloc(1, sizeof *work);
    if (!local_call_set_work(call, work, list_work_free)) {
        return;
    }
    call->local->source.look(call->local->source.context, &state);
    work->worker_count = state.worker_count;
    enum rm_err result = listing_init(&work->listing, call->request.of.list_connections.service,
                                      call->request.of.list_connections.peer_identity);
    if (result != RM_OK) {
        local_call_refuse(call, RPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    local_call_stream(call, ask_next);
}
