// SPDX-License-Identifier: GPL-3.0-or-later
//
//   accept -> WAITING -> DIALLING -> HANDSHAKE -> REPLY -> RELAY -> done
//                ^          ^  |         |          |
//                |          |  v         v          v
//                |          +-(another endpoint)<---+
//                +- before the first view            \-> CLOSING: the application is reset
#include "outbound/outbound_internal.h"

#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "metrics_catalogue.h"

static const struct sm_state states[] = {
    [OUTBOUND_WAITING] = {"waiting", SM_BIT(OUTBOUND_DIALLING) | SM_BIT(OUTBOUND_CLOSING)},
    [OUTBOUND_DIALLING] = {"dialling", SM_BIT(OUTBOUND_WAITING) | SM_BIT(OUTBOUND_HANDSHAKE) |
                                           SM_BIT(OUTBOUND_CLOSING)},
    [OUTBOUND_HANDSHAKE] = {"handshake", SM_BIT(OUTBOUND_WAITING) | SM_BIT(OUTBOUND_REPLY) |
                                             SM_BIT(OUTBOUND_CLOSING)},
    [OUTBOUND_REPLY] = {"reply", SM_BIT(OUTBOUND_WAITING) | SM_BIT(OUTBOUND_RELAY) |
                                     SM_BIT(OUTBOUND_CLOSING)},
    [OUTBOUND_RELAY] = {"relay", 0},
    [OUTBOUND_CLOSING] = {"closing", 0},
};

static void try_next(struct outbound *outbound);

static void outbound_free(struct outbound *outbound)
{
    timer_stop(&outbound->deadline);
    waiting_leave(&outbound->waiting);
    endpoint_end(&outbound->endpoint);
    connection_end(&outbound->base);
    snapshot_unref(outbound->snapshot);
    for (size_t i = 0; i < outbound->tried_count; i++) {
        rm_free(outbound->tried[i]);
    }
    rm_free(outbound->fixed_endpoint);
    rm_free(outbound->expected_id);
    rm_free(outbound->early);
    rm_free(outbound->reply);
    rm_free(outbound->last_detail);
    rm_free(outbound);
}

static void outbound_on_closed(void *context)
{
    outbound_free(context);
}

// Lets go of everything an attempt holds; the application stays.
static void drop_attempt(struct outbound *outbound)
{
    timer_stop(&outbound->deadline);
    waiting_leave(&outbound->waiting);
    if (outbound->lookup != NULL) {
        resolver_cancel(outbound->lookup);
        outbound->lookup = NULL;
    }
    if (outbound->connecting != NULL) {
        socket_connect_cancel(outbound->connecting);
        outbound->connecting = NULL;
    }
    if (outbound->tunnel != NULL) {
        stream_close(outbound->tunnel, STREAM_CLOSE_ABORT, NULL, NULL);
        outbound->tunnel = NULL;
    }
    connection_pledge(&outbound->base, true);
    lane_leave(outbound->base.worker->loop, &outbound->lane);
    endpoint_end(&outbound->endpoint);
    rm_free(outbound->reply);
    outbound->reply = NULL;
    outbound->reply_length = 0;
}

void outbound_give_up(struct outbound *outbound, enum fault result, const char *detail)
{
    static struct log_limit limit;
    uint64_t suppressed = 0;
    connection_fail(&outbound->base, result, detail);
    if (log_limit_pass(&limit, &suppressed)) {
        log_warn(LOG_OUTBOUND, "refused", LOG_STR("reason", fault_name(result)),
                 LOG_STR("detail", detail), LOG_STR("text", fault_sentence(result)),
                 LOG_STR("service", outbound->base.service),
                 LOG_STR("wanted_identity", outbound->expected_id),
                 LOG_U64("suppressed", suppressed));
    }
    drop_attempt(outbound);
    sm_move(&outbound->sm, OUTBOUND_CLOSING);
    stream_close(outbound->application, STREAM_CLOSE_ABORT, outbound_on_closed, outbound);
}

void outbound_attempt_failed(struct outbound *outbound, enum fault result, const char *detail)
{
    outbound->last_result = result;
    rm_free(outbound->last_detail);
    outbound->last_detail = detail != NULL ? rm_strdup(detail) : NULL;
    drop_attempt(outbound);
    sm_move(&outbound->sm, OUTBOUND_WAITING);
    try_next(outbound);
}

void outbound_blame_endpoint(struct outbound *outbound)
{
    if (outbound->endpoint.state != NULL) {
        const char *labels[] = {outbound->base.service};
        metric_add(outbound->base.worker->metrics, SIDECAR_METRIC_ENDPOINT_FAILURES_TOTAL, labels,
                   1);
        endpoint_note_failure(&outbound->endpoint, loop_now_ms(outbound->base.worker->loop));
    }
}

void outbound_endpoint_failed(struct outbound *outbound, enum fault result, const char *detail)
{
    outbound_blame_endpoint(outbound);
    outbound_attempt_failed(outbound, result, detail);
}

static void outbound_on_relay_done(void *context, const struct relay_result *result)
{
    struct outbound *outbound = context;
    connection_note_relay(&outbound->base, result, RELAY_B);
    outbound->base.sent_bytes += outbound->early_length;
    outbound_free(outbound);
}

// The service may have been given to another identity since this connection began. A service that
// the view no longer has (we may just not ask for it any more) says nothing.
static bool has_lost_service(const struct outbound *outbound)
{
    const struct mesh_resource *service =
        mesh_view_find(outbound->base.worker->snapshot->view, MESH_SERVICE, outbound->base.service);
    return outbound->fixed_endpoint == NULL && service != NULL &&
           !mesh_service_has_identity(&service->of.service, outbound->expected_id,
                                      strlen(outbound->expected_id));
}

static enum fault outbound_judge(struct connection *connection)
{
    struct outbound *outbound = (struct outbound *)(void *)connection;
    const char *expected[] = {outbound->expected_id};
    enum fault reason = connection_judge_peer(connection, expected, 1);
    return reason == FAULT_OK && has_lost_service(outbound) ? FAULT_SERVICE_NOT_OWNED : reason;
}

static void outbound_cut(struct connection *connection, enum fault reason)
{
    struct outbound *outbound = (struct outbound *)(void *)connection;
    if (outbound->base.relay != NULL && relay_is_closing(outbound->base.relay)) {
        return; // over already; one of its streams may linger, the other be gone
    }
    if (outbound->base.relay != NULL) {
        connection_fail(connection, reason, "ended by the mesh");
        tls_stream_cancel(outbound->tunnel);
        relay_abort(outbound->base.relay, RM_ERR_DENIED);
    } else if (!sm_is(&outbound->sm, OUTBOUND_CLOSING)) {
        outbound_give_up(outbound, reason, "ended by the mesh");
    }
}

static struct connection_progress outbound_progress(const struct connection *connection)
{
    const struct outbound *outbound = (const struct outbound *)(const void *)connection;
    struct connection_progress progress =
        connection_progress_of(&outbound->sm, outbound->base.relay, RELAY_B);
    progress.sent_bytes += outbound->base.relay != NULL ? outbound->early_length : 0;
    return progress;
}

void outbound_start_relay(struct outbound *outbound, size_t reply_consumed)
{
    struct relay_options options = {
        .idle_timeout_ms = (uint32_t)outbound->snapshot->config->idle_timeout_ms,
        .from_b = {outbound->reply + reply_consumed, outbound->reply_length - reply_consumed},
    };
    // Trust may have changed since the handshake: judged before a byte passes.
    enum fault refusal = outbound_judge(&outbound->base);
    if (refusal != FAULT_OK) {
        outbound_give_up(outbound, refusal, "it changed while the tunnel was made");
        return;
    }
    timer_stop(&outbound->deadline);
    if (relay_start(outbound->application, outbound->tunnel, &options, outbound_on_relay_done,
                    outbound, &outbound->base.relay) != RM_OK) {
        outbound_give_up(outbound, FAULT_NO_MEMORY, NULL);
        return;
    }
    sm_move(&outbound->sm, OUTBOUND_RELAY);
    outbound->base.is_established = true;
    rm_free(outbound->early);
    rm_free(outbound->reply);
    outbound->early = NULL;
    outbound->reply = NULL;
    // A long connection must not keep an old view alive; from now on the worker's snapshot judges.
    snapshot_unref(outbound->snapshot);
    outbound->snapshot = NULL;
}

static void outbound_on_deadline(void *context)
{
    struct outbound *outbound = context;
    if (sm_is(&outbound->sm, OUTBOUND_REPLY)) {
        outbound_on_reply_deadline(outbound);
        return;
    }
    if (sm_is(&outbound->sm, OUTBOUND_DIALLING)) {
        outbound_on_lane_deadline(outbound);
        return;
    }
    bool has_identity = outbound->base.worker->tunnel_tls != NULL;
    outbound_give_up(outbound, has_identity ? FAULT_VIEW_MISSING : FAULT_IDENTITY_MISSING, NULL);
}

static void outbound_on_resume(void *context)
{
    try_next(context);
}

static void wait_for_view(struct outbound *outbound)
{
    waiting_enter(outbound->base.worker, &outbound->waiting, outbound_on_resume, outbound);
    if (!timer_is_active(&outbound->deadline) &&
        timer_start(&outbound->deadline, (uint64_t)outbound->snapshot->config->view_wait_ms) !=
            RM_OK) {
        outbound_give_up(outbound, FAULT_NO_MEMORY, NULL);
    }
}

// From WAITING: the first attempt, the next one, or a wait for the first view.
static void try_next(struct outbound *outbound)
{
    struct worker *worker = outbound->base.worker;
    bool is_fixed = outbound->fixed_endpoint != NULL;
    snapshot_unref(outbound->snapshot);
    outbound->snapshot = snapshot_ref(worker->snapshot);
    if (is_fixed && outbound->last_result != FAULT_OK) {
        outbound_no_endpoint_left(outbound);
        return;
    }
    if (!worker_is_ready(worker, !is_fixed)) {
        wait_for_view(outbound);
        return;
    }
    timer_stop(&outbound->deadline);
    sm_move(&outbound->sm, OUTBOUND_DIALLING);
    outbound_dial(outbound);
}

static bool copy_target(struct outbound *outbound, const struct sidecar_outbound *target)
{
    outbound->base.service = rm_strdup(target->service);
    outbound->base.port = (uint16_t)target->port;
    if (target->endpoint != NULL) {
        outbound->fixed_endpoint = rm_strdup(target->endpoint);
        outbound->expected_id = rm_strdup(target->identity);
        if (outbound->fixed_endpoint == NULL || outbound->expected_id == NULL) {
            return false;
        }
    }
    return outbound->base.service != NULL &&
           random_bytes(outbound->base.id, sizeof outbound->base.id) == RM_OK;
}

void outbound_accept(struct worker *worker, struct stream *application,
                     const struct sidecar_outbound *target)
{
    struct outbound *outbound = rm_calloc(1, sizeof *outbound);
    if (outbound == NULL) {
        stream_close(application, STREAM_CLOSE_ABORT, NULL, NULL);
        return;
    }
    outbound->application = application;
    outbound->base.application = stream_remote(application);
    outbound->base.own_index = target->own_index;
    outbound->base.judge = outbound_judge;
    outbound->base.cut = outbound_cut;
    outbound->base.progress = outbound_progress;
    connection_begin(&outbound->base, worker, CONNECTION_OUTBOUND);
    timer_init(&outbound->deadline, worker->loop, outbound_on_deadline, outbound);
    lane_entry_init(&outbound->lane, outbound_on_lane_turn, outbound);
    sm_init(&outbound->sm, "outbound", outbound->base.started_ms, states, OUTBOUND_WAITING);
    if (!copy_target(outbound, target)) {
        outbound_give_up(outbound, FAULT_NO_MEMORY, NULL);
        return;
    }
    try_next(outbound);
}
