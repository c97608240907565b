// SPDX-License-Identifier: GPL-3.0-or-later
//
//   accept -> HANDSHAKE -> PREFACE -> TARGET -> RELAY -> done
//                 |           |         |
//                 v           v         v
//              CLOSING <- refused with a Reply (edge: with a reset)
//
// An edge connection goes from HANDSHAKE straight to TARGET.
#include "inbound/inbound.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/machine.h"
#include "crypto/crypto.h"
#include "metrics_catalogue.h"
#include "stream/relay.h"
#include "stream/socket.h"
#include "tls/tls.h"
#include "tunnel/tunnel.h"
#include "worker/connection.h"
#include "worker/contexts.h"

#define PREFACE_BYTES (TUNNEL_PREFIX_BYTES + TUNNEL_MAX_MESSAGE_BYTES)

enum inbound_state {
    INBOUND_HANDSHAKE,
    INBOUND_PREFACE,
    INBOUND_TARGET,
    INBOUND_RELAY,
    INBOUND_CLOSING,
};

static const struct sm_state states[] = {
    [INBOUND_HANDSHAKE] = {"handshake", SM_BIT(INBOUND_PREFACE) | SM_BIT(INBOUND_TARGET) |
                                            SM_BIT(INBOUND_CLOSING)},
    [INBOUND_PREFACE] = {"preface", SM_BIT(INBOUND_TARGET) | SM_BIT(INBOUND_CLOSING)},
    [INBOUND_TARGET] = {"target", SM_BIT(INBOUND_RELAY) | SM_BIT(INBOUND_CLOSING)},
    [INBOUND_RELAY] = {"relay", 0},
    [INBOUND_CLOSING] = {"closing", 0},
};

struct inbound {
    struct connection base;            // first
    struct sm sm;                      // enum inbound_state
    struct stream *tunnel;             // the peer's side; the relay's while it runs
    struct socket_connect *connecting; // to the target; NULL otherwise
    struct timer deadline;             // of the preface
    struct gate_entry gate;            // inside during the handshake
    struct snapshot *snapshot;         // shares: what the handshake was made with; NULL in RELAY
    size_t service;                    // number of the hosted service, from PREFACE's end
    bool is_edge;                      // no preface, no Reply
    uint8_t *preface;                  // owned; bytes read before the relay; NULL for an edge
    size_t preface_length;             // of preface
    size_t preface_consumed; // of preface: the Connect message; the rest is the application's
};

static void leave_gate(struct inbound *inbound)
{
    struct worker *worker = inbound->base.worker;
    if (inbound->gate.source != NULL) {
        gate_leave(&worker->gate, &inbound->gate);
        metric_gauge_add(worker->metrics, SIDECAR_METRIC_HANDSHAKES_UNDER_WAY, NULL, -1);
    }
}

static void inbound_free(struct inbound *inbound)
{
    leave_gate(inbound);
    timer_stop(&inbound->deadline);
    connection_end(&inbound->base);
    snapshot_unref(inbound->snapshot);
    rm_free(inbound->preface);
    rm_free(inbound);
}

static void inbound_on_closed(void *context)
{
    inbound_free(context);
}

static void inbound_close(struct inbound *inbound, enum stream_close_mode mode)
{
    sm_move(&inbound->sm, INBOUND_CLOSING);
    leave_gate(inbound);
    timer_stop(&inbound->deadline);
    if (inbound->connecting != NULL) {
        socket_connect_cancel(inbound->connecting);
        inbound->connecting = NULL;
    }
    stream_close(inbound->tunnel, mode, inbound_on_closed, inbound);
}

// Sends the Reply as one write; false when the tunnel did not take it whole.
static bool send_reply(struct inbound *inbound, enum tunnel_status status, const char *reason)
{
    struct tunnel_reply reply = {.status = status};
    uint8_t bytes[TUNNEL_PREFIX_BYTES + TUNNEL_MAX_MESSAGE_BYTES];
    size_t length = 0;
    size_t written = 0;
    size_t reason_length = strnlen(reason, TUNNEL_MAX_REASON_BYTES);
    memcpy(reply.reason, reason, reason_length);
    return tunnel_encode_reply(&reply, bytes, &length) == RM_OK &&
           stream_write_bytes(inbound->tunnel, bytes, length, &written) == RM_OK &&
           written == length;
}

static void refuse(struct inbound *inbound, enum tunnel_status status, enum fault reason,
                   const char *detail)
{
    static struct log_limit limit;
    uint64_t suppressed = 0;
    connection_fail(&inbound->base, reason, detail);
    const struct peer *peer = inbound->base.peer;
    if (log_limit_pass(&limit, &suppressed)) {
        log_warn(LOG_INBOUND, "refused", LOG_STR("reason", fault_name(reason)),
                 LOG_STR("detail", detail), LOG_STR("text", fault_sentence(reason)),
                 LOG_STR("peer_identity", peer != NULL ? peer->spiffe_id : NULL),
                 LOG_STR("service", inbound->base.service), LOG_U64("suppressed", suppressed));
    }
    bool is_told = !inbound->is_edge && send_reply(inbound, status, fault_name(reason));
    inbound_close(inbound, is_told ? STREAM_CLOSE_ORDERLY : STREAM_CLOSE_ABORT);
}

static void inbound_on_relay_done(void *context, const struct relay_result *result)
{
    struct inbound *inbound = context;
    connection_note_relay(&inbound->base, result, RELAY_A);
    inbound_free(inbound);
}

static enum fault inbound_judge(struct connection *connection)
{
    struct inbound *inbound = (struct inbound *)(void *)connection;
    enum fault reason = connection_judge_peer(connection, NULL, 0);
    if (reason != FAULT_OK) {
        return reason;
    }
    const struct snapshot *now = connection->worker->snapshot;
    const struct sidecar_inbound_service *services = now->config->services.items;
    for (size_t i = 0; i < now->config->services.count; i++) {
        if (strcmp(services[i].name, connection->service) == 0 &&
            services[i].port == connection->port &&
            services[i].own_index == connection->own_index) {
            inbound->service = i;
            return snapshot_decide(now, i, connection->peer->spiffe_id,
                                   connection->peer->spiffe_id_length);
        }
    }
    return FAULT_SERVICE_WITHDRAWN;
}

static void inbound_cut(struct connection *connection, enum fault reason)
{
    struct inbound *inbound = (struct inbound *)(void *)connection;
    if (inbound->base.relay != NULL && relay_is_closing(inbound->base.relay)) {
        return; // over already; one of its streams may linger, the other be gone
    }
    connection_fail(connection, reason, "ended by the mesh");
    if (inbound->base.relay != NULL) {
        tls_stream_cancel(inbound->tunnel);
        relay_abort(inbound->base.relay, RM_ERR_DENIED);
    } else if (!sm_is(&inbound->sm, INBOUND_CLOSING)) {
        inbound_close(inbound, STREAM_CLOSE_ABORT);
    }
}

static struct connection_progress inbound_progress(const struct connection *connection)
{
    const struct inbound *inbound = (const struct inbound *)(const void *)connection;
    return connection_progress_of(&inbound->sm, inbound->base.relay, RELAY_A);
}

static void start_relay(struct inbound *inbound, struct stream *target)
{
    const struct sidecar_config *config = inbound->snapshot->config;
    struct relay_options options = {
        .idle_timeout_ms = (uint32_t)config->idle_timeout_ms,
        .from_a = {inbound->preface + inbound->preface_consumed,
                   inbound->preface_length - inbound->preface_consumed},
    };
    // The application's own log knows this connection by our end's port; a Unix socket has none.
    const struct stream_address local = stream_local(target);
    if (local.address.ss_family != AF_UNIX) {
        inbound->base.application = local;
    }
    if (relay_start(inbound->tunnel, target, &options, inbound_on_relay_done, inbound,
                    &inbound->base.relay) != RM_OK) {
        connection_fail(&inbound->base, FAULT_NO_MEMORY, NULL);
        stream_close(target, STREAM_CLOSE_ABORT, NULL, NULL);
        inbound_close(inbound, STREAM_CLOSE_ABORT);
        return;
    }
    sm_move(&inbound->sm, INBOUND_RELAY);
    inbound->base.is_established = true;
    rm_free(inbound->preface);
    inbound->preface = NULL;
    // A long connection must not keep an old view alive; from now on the worker's snapshot judges.
    snapshot_unref(inbound->snapshot);
    inbound->snapshot = NULL;
}

static void inbound_on_target(void *context, enum rm_err result, struct stream *target)
{
    struct inbound *inbound = context;
    inbound->connecting = NULL;
    // Trust or policy may have changed since the handshake: judged before a byte passes.
    enum fault refusal = inbound_judge(&inbound->base);
    if (refusal != FAULT_OK) {
        if (result == RM_OK) {
            stream_close(target, STREAM_CLOSE_ABORT, NULL, NULL);
        }
        refuse(inbound, TUNNEL_DENIED, refusal, NULL);
        return;
    }
    if (result != RM_OK) {
        char detail[STREAM_ADDRESS_TEXT_BYTES + 64];
        char text[STREAM_ADDRESS_TEXT_BYTES];
        stream_address_text(&inbound->base.application, text);
        snprintf(detail, sizeof detail, "the application at %s: %s", text, rm_err_text(result));
        refuse(inbound, TUNNEL_UNREACHABLE, FAULT_APPLICATION_UNREACHABLE, detail);
        return;
    }
    if (!inbound->is_edge && !send_reply(inbound, TUNNEL_OK, "")) {
        connection_fail(&inbound->base, FAULT_TUNNEL_RESET, "the Reply could not be sent");
        stream_close(target, STREAM_CLOSE_ABORT, NULL, NULL);
        inbound_close(inbound, STREAM_CLOSE_ABORT);
        return;
    }
    start_relay(inbound, target);
}

static void connect_target(struct inbound *inbound)
{
    const struct sidecar_config *config = inbound->snapshot->config;
    const struct sidecar_inbound_service *services = config->services.items;
    const struct sidecar_inbound_service *service = &services[inbound->service];
    enum fault refusal =
        snapshot_decide(inbound->snapshot, inbound->service, inbound->base.peer->spiffe_id,
                        inbound->base.peer->spiffe_id_length);
    if (refusal != FAULT_OK) {
        // Without a view we cannot say yes; another endpoint of the service may have one.
        bool is_passing = refusal == FAULT_VIEW_MISSING;
        refuse(inbound, is_passing ? TUNNEL_UNREACHABLE : TUNNEL_DENIED, refusal, NULL);
        return;
    }
    inbound->base.application = service->target_address;
    sm_move(&inbound->sm, INBOUND_TARGET);
    stream_want(inbound->tunnel, 0);
    timer_stop(&inbound->deadline);
    enum rm_err result = socket_connect(inbound->base.worker->loop, &service->target_address,
                                        (uint32_t)config->connect_timeout_ms, inbound_on_target,
                                        inbound, &inbound->connecting);
    if (result != RM_OK) {
        refuse(inbound, TUNNEL_UNREACHABLE, FAULT_APPLICATION_UNREACHABLE, rm_err_text(result));
        return;
    }
    connection_pledge(&inbound->base, false);
}

// Service and port must both be declared here, for the identity that this handshake presented;
// which of them is wrong is nobody else's business.
static bool find_service(struct inbound *inbound, const struct tunnel_connect *connect)
{
    const struct sidecar_config *config = inbound->snapshot->config;
    const struct sidecar_inbound_service *services = config->services.items;
    for (size_t i = 0; i < config->services.count; i++) {
        if (strcmp(services[i].name, connect->service) == 0 && services[i].port == connect->port &&
            services[i].own_index == inbound->base.own_index) {
            inbound->service = i;
            return true;
        }
    }
    return false;
}

static void inbound_on_connect(struct inbound *inbound, const struct tunnel_connect *connect)
{
    struct connection *base = &inbound->base;
    memcpy(base->id, connect->connection_id, sizeof base->id);
    base->port = connect->port;
    if (base->worker->is_draining) {
        refuse(inbound, TUNNEL_DRAINING, FAULT_DRAINING, NULL);
        return;
    }
    if (!find_service(inbound, connect)) {
        refuse(inbound, TUNNEL_DENIED, FAULT_SERVICE_NOT_EXPOSED, NULL);
        return;
    }
    base->service = rm_strdup(connect->service);
    if (base->service == NULL) {
        refuse(inbound, TUNNEL_UNREACHABLE, FAULT_NO_MEMORY, NULL);
        return;
    }
    connect_target(inbound);
}

static void inbound_on_tunnel_event(void *context, unsigned events)
{
    struct inbound *inbound = context;
    (void)events;
    size_t length = 0;
    enum rm_err result = stream_read(inbound->tunnel, inbound->preface + inbound->preface_length,
                                     PREFACE_BYTES - inbound->preface_length, &length);
    if (result == RM_ERR_WOULD_BLOCK) {
        return;
    }
    if (result != RM_OK) {
        connection_fail(&inbound->base, FAULT_PREFACE_MISSING, rm_err_text(result));
        inbound_close(inbound, STREAM_CLOSE_ABORT);
        return;
    }
    inbound->preface_length += length;
    struct tunnel_connect connect;
    result = tunnel_decode_connect(inbound->preface, inbound->preface_length, &connect,
                                   &inbound->preface_consumed);
    if (result == RM_OK) {
        inbound_on_connect(inbound, &connect);
    } else if (result != RM_ERR_WOULD_BLOCK) {
        refuse(inbound, TUNNEL_DENIED, FAULT_PREFACE_MALFORMED, rm_err_text(result));
    }
}

static void inbound_on_deadline(void *context)
{
    struct inbound *inbound = context;
    connection_fail(&inbound->base, FAULT_PREFACE_TIMEOUT, NULL);
    inbound_close(inbound, STREAM_CLOSE_ABORT);
}

static void await_preface(struct inbound *inbound)
{
    sm_move(&inbound->sm, INBOUND_PREFACE);
    inbound->preface = rm_malloc(PREFACE_BYTES);
    if (inbound->preface == NULL ||
        timer_start(&inbound->deadline, TUNNEL_PREFACE_TIMEOUT_MS) != RM_OK) {
        connection_fail(&inbound->base, FAULT_NO_MEMORY, NULL);
        inbound_close(inbound, STREAM_CLOSE_ABORT);
        return;
    }
    stream_own(inbound->tunnel, inbound_on_tunnel_event, inbound);
    stream_want(inbound->tunnel, STREAM_READ);
}

static void begin_edge(struct inbound *inbound)
{
    const struct sidecar_inbound_service *services = inbound->snapshot->config->services.items;
    const struct sidecar_inbound_service *service = &services[inbound->service];
    const struct tls_facts *facts = tls_stream_facts(inbound->tunnel);
    if (facts == NULL || strcmp(facts->sni, "") == 0) {
        metric_add(inbound->base.worker->metrics, SIDECAR_METRIC_SNI_FALLBACK_TOTAL, NULL, 1);
    }
    inbound->base.service = rm_strdup(service->name);
    inbound->base.port = (uint16_t)service->port;
    if (inbound->base.service == NULL) {
        refuse(inbound, TUNNEL_UNREACHABLE, FAULT_NO_MEMORY, NULL);
        return;
    }
    if (inbound->base.worker->is_draining) {
        refuse(inbound, TUNNEL_DRAINING, FAULT_DRAINING, NULL);
        return;
    }
    connect_target(inbound);
}

static void note_handshake_failure(struct inbound *inbound, const struct tls_failure *failure)
{
    static struct log_limit limit;
    uint64_t suppressed = 0;
    char text[TLS_FAILURE_TEXT_BYTES];
    char remote[STREAM_ADDRESS_TEXT_BYTES];
    const char *name = tls_failure_name(failure);
    const char *labels[] = {"server", name};
    tls_failure_text(failure, text, sizeof text);
    stream_address_text(&inbound->base.remote, remote);
    metric_add(inbound->base.worker->metrics, SIDECAR_METRIC_HANDSHAKES_TOTAL, labels, 1);
    connection_fail(&inbound->base, failure->fault, failure->detail);
    if (log_limit_pass(&limit, &suppressed)) {
        log_warn(LOG_INBOUND, "handshake_failed", LOG_STR("error", name), LOG_STR("remote", remote),
                 LOG_STR("text", text), LOG_U64("suppressed", suppressed));
    }
}

static void inbound_on_ready(void *context, enum rm_err result, const struct tls_failure *failure)
{
    struct inbound *inbound = context;
    leave_gate(inbound);
    if (result != RM_OK) {
        note_handshake_failure(inbound, failure);
        inbound_close(inbound, STREAM_CLOSE_ABORT);
        return;
    }
    const char *labels[] = {"server", "ok"};
    metric_add(inbound->base.worker->metrics, SIDECAR_METRIC_HANDSHAKES_TOTAL, labels, 1);
    connection_note_tls(&inbound->base, inbound->tunnel);
    if (inbound->base.peer == NULL) {
        // The contexts demand a certificate; this is the second lock on the same door.
        connection_fail(&inbound->base, FAULT_NO_CERTIFICATE, NULL);
        inbound_close(inbound, STREAM_CLOSE_ABORT);
    } else if (inbound->is_edge) {
        begin_edge(inbound);
    } else {
        await_preface(inbound);
    }
}

static bool is_waiting_for_peer(const struct gate_entry *entry)
{
    const struct inbound *inbound =
        (const struct inbound *)(const void *)((const char *)entry -
                                               offsetof(struct inbound, gate));
    return inbound->tunnel != NULL && !tls_stream_is_waiting(inbound->tunnel);
}

static void put_out(struct gate_entry *entry)
{
    struct inbound *inbound = list_entry(entry, struct inbound, gate);
    connection_fail(&inbound->base, FAULT_HANDSHAKE_PUT_OUT, "others needed its place");
    inbound_close(inbound, STREAM_CLOSE_ABORT);
}

static bool enter_gate(struct inbound *inbound)
{
    struct worker *worker = inbound->base.worker;
    inbound->gate.is_waiting_for_peer = is_waiting_for_peer;
    inbound->gate.put_out = put_out;
    if (gate_enter(&worker->gate, &inbound->gate, &inbound->base.remote) != RM_OK) {
        return false;
    }
    metric_gauge_add(worker->metrics, SIDECAR_METRIC_HANDSHAKES_UNDER_WAY, NULL, 1);
    return true;
}

// `tls` NULL: there is no identity yet, so nobody can be answered.
static void inbound_begin(struct worker *worker, struct stream *lower, struct tls_context *tls,
                          bool is_edge, size_t service)
{
    const struct stream_address remote = stream_remote(lower);
    bool is_admitted = tls != NULL && worker_admits(worker, &remote);
    struct inbound *inbound = is_admitted ? rm_calloc(1, sizeof *inbound) : NULL;
    if (inbound == NULL) {
        stream_close(lower, STREAM_CLOSE_ABORT, NULL, NULL);
        return;
    }
    inbound->base.remote = remote;
    inbound->base.judge = inbound_judge;
    inbound->base.cut = inbound_cut;
    inbound->base.progress = inbound_progress;
    inbound->is_edge = is_edge;
    inbound->service = service;
    inbound->snapshot = snapshot_ref(worker->snapshot);
    connection_begin(&inbound->base, worker, is_edge ? CONNECTION_EDGE : CONNECTION_INBOUND);
    timer_init(&inbound->deadline, worker->loop, inbound_on_deadline, inbound);
    sm_init(&inbound->sm, "inbound", inbound->base.started_ms, states, INBOUND_HANDSHAKE);
    if (is_edge && random_bytes(inbound->base.id, sizeof inbound->base.id) != RM_OK) {
        connection_fail(&inbound->base, FAULT_INTERNAL, "no randomness");
        sm_move(&inbound->sm, INBOUND_CLOSING);
        stream_close(lower, STREAM_CLOSE_ABORT, inbound_on_closed, inbound);
        return;
    }
    struct tls_session_options options = {.tls = tls, .pace = worker->pace};
    if (!enter_gate(inbound)) {
        connection_fail(&inbound->base, FAULT_NO_MEMORY, NULL);
        sm_move(&inbound->sm, INBOUND_CLOSING);
        stream_close(lower, STREAM_CLOSE_ABORT, inbound_on_closed, inbound);
        return;
    }
    if (tls_accept(lower, &options, inbound_on_ready, inbound, &inbound->tunnel) != RM_OK) {
        connection_fail(&inbound->base, FAULT_NO_MEMORY, NULL);
        inbound_free(inbound);
    }
}

void inbound_accept(struct worker *worker, struct stream *lower)
{
    inbound_begin(worker, lower, worker->tunnel_tls, false, 0);
}

void inbound_accept_edge(struct worker *worker, struct stream *lower, size_t service)
{
    const struct sidecar_inbound_service *services = worker->snapshot->config->services.items;
    inbound_begin(worker, lower, contexts_edge(worker, services[service].own_index), true, service);
}
