// SPDX-License-Identifier: GPL-3.0-or-later
//
//   accept -> WAITING -> DIALLING -> HANDSHAKE -> REPLY -> RELAY -> done
//                ^          ^  |         |          |
//                |          |  v         v          v
//                |          +-(another endpoint)<---+
//                +- before the first view            \-> CLOSING: the application is reset
#include "outbound/outbound.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/machine.h"
#include "crypto/crypto.h"
#include "identity/spiffe.h"
#include "metrics_catalogue.h"
#include "stream/relay.h"
#include "stream/socket.h"
#include "tls/tls.h"
#include "tunnel/tunnel.h"
#include "worker/connection.h"
#include "worker/endpoints.h"
#include "worker/waiting.h"

// Application bytes that ride in the first flight and are kept until the Reply: sent again to
// another endpoint if need be.
#define EARLY_BYTES 16384
#define REPLY_ROOM (TUNNEL_PREFIX_BYTES + TUNNEL_MAX_MESSAGE_BYTES)
#define REPLY_TIMEOUT_MS 15000 // the other sidecar's own connect to its application included

enum outbound_state {
    OUTBOUND_WAITING,
    OUTBOUND_DIALLING,
    OUTBOUND_HANDSHAKE,
    OUTBOUND_REPLY,
    OUTBOUND_RELAY,
    OUTBOUND_CLOSING,
};

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

struct outbound {
    struct connection base;            // first
    struct sm sm;                      // enum outbound_state
    struct stream *application;        // the relay's while it runs
    struct stream *tunnel;             // NULL until HANDSHAKE; the relay's while it runs
    struct socket_connect *connecting; // NULL unless DIALLING
    struct resolver_lookup *lookup;    // NULL unless DIALLING a fixed name
    struct relay *relay;               // NULL before RELAY
    struct timer deadline;             // of WAITING, or of the Reply
    struct waiting waiting;            // for the first view
    struct snapshot *snapshot;         // shares: what this attempt works from; NULL in RELAY
    char *fixed_endpoint;              // owned; NULL: the view's endpoints
    char *expected_id;                 // owned: what the peer must prove; of this attempt
    struct endpoint_state *endpoint;   // of this attempt; borrowed from the worker; NULL: none
    char *tried[ENDPOINT_MAX_TRIED];   // owned: addresses that were dialled
    size_t tried_count;                // of tried
    uint8_t *early;                    // owned: application bytes kept until the Reply; NULL: none
    size_t early_length;               // of early
    uint8_t *reply;                    // owned: bytes of the Reply so far; NULL before REPLY
    size_t reply_length;               // of reply
    const char *last_result;           // why the last attempt failed; static; NULL: none failed
    char *last_detail;                 // owned sentence; may be NULL
};

static void try_next(struct outbound *outbound);

static void outbound_free(struct outbound *outbound)
{
    timer_stop(&outbound->deadline);
    waiting_leave(&outbound->waiting);
    if (outbound->endpoint != NULL) {
        outbound->endpoint->open_count--;
    }
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
    if (outbound->endpoint != NULL) {
        outbound->endpoint->open_count--;
        outbound->endpoint = NULL;
    }
    rm_free(outbound->reply);
    outbound->reply = NULL;
    outbound->reply_length = 0;
}

// The application is reset: it must never mistake a refusal for an orderly end.
static void give_up(struct outbound *outbound, const char *result, const char *detail)
{
    static struct log_limit limit;
    uint64_t suppressed = 0;
    connection_fail(&outbound->base, result, detail);
    if (log_limit_pass(&limit, &suppressed)) {
        log_warn(LOG_OUTBOUND, "refused", LOG_STR("reason", result), LOG_STR("detail", detail),
                 LOG_STR("service", outbound->base.service),
                 LOG_STR("wanted_identity", outbound->expected_id),
                 LOG_U64("suppressed", suppressed));
    }
    drop_attempt(outbound);
    sm_move(&outbound->sm, OUTBOUND_CLOSING);
    stream_close(outbound->application, STREAM_CLOSE_ABORT, outbound_on_closed, outbound);
}

// This attempt failed before any application byte can have been consumed.
static void attempt_failed(struct outbound *outbound, const char *result, const char *detail)
{
    if (outbound->endpoint != NULL) {
        endpoint_note_failure(outbound->endpoint, loop_now_ms(outbound->base.worker->loop));
    }
    outbound->last_result = result;
    rm_free(outbound->last_detail);
    outbound->last_detail = detail != NULL ? rm_strdup(detail) : NULL;
    drop_attempt(outbound);
    sm_move(&outbound->sm, OUTBOUND_WAITING);
    try_next(outbound);
}

static void outbound_on_relay_done(void *context, const struct relay_result *result)
{
    struct outbound *outbound = context;
    connection_note_relay(&outbound->base, result, RELAY_B);
    outbound->base.sent_bytes += outbound->early_length;
    outbound_free(outbound);
}

static const char *outbound_judge(struct connection *connection)
{
    struct outbound *outbound = (struct outbound *)(void *)connection;
    const char *expected[] = {outbound->expected_id};
    return connection_judge_peer(connection, expected, 1);
}

static void outbound_cut(struct connection *connection, const char *reason)
{
    struct outbound *outbound = (struct outbound *)(void *)connection;
    if (outbound->relay != NULL && relay_is_closing(outbound->relay)) {
        return; // over already; one of its streams may linger, the other be gone
    }
    if (outbound->relay != NULL) {
        connection_fail(connection, reason, "ended by the mesh");
        tls_stream_cancel(outbound->tunnel);
        relay_abort(outbound->relay, RM_ERR_DENIED);
    } else if (!sm_is(&outbound->sm, OUTBOUND_CLOSING)) {
        give_up(outbound, reason, "ended by the mesh");
    }
}

static void start_relay(struct outbound *outbound, size_t reply_consumed)
{
    struct relay_options options = {
        .idle_timeout_ms = (uint32_t)outbound->snapshot->config->idle_timeout_ms,
        .from_b = {outbound->reply + reply_consumed, outbound->reply_length - reply_consumed},
    };
    timer_stop(&outbound->deadline);
    if (relay_start(outbound->application, outbound->tunnel, &options, outbound_on_relay_done,
                    outbound, &outbound->relay) != RM_OK) {
        give_up(outbound, "no_memory", NULL);
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

static void outbound_on_reply(struct outbound *outbound, const struct tunnel_reply *reply,
                              size_t consumed)
{
    switch (reply->status) {
    case TUNNEL_OK:
        if (outbound->endpoint != NULL) {
            endpoint_note_success(outbound->endpoint);
        }
        start_relay(outbound, consumed);
        return;
    case TUNNEL_DENIED:
        // Every endpoint of a service has the same rules: asking the next one would only be noise.
        give_up(outbound, "denied_by_peer", reply->reason);
        return;
    case TUNNEL_UNREACHABLE:
    case TUNNEL_DRAINING:
        attempt_failed(outbound, tunnel_status_name(reply->status), reply->reason);
        return;
    case TUNNEL_STATUS_INVALID:
        break;
    }
    give_up(outbound, "reply_malformed", NULL);
}

// A TLS 1.3 server judges our certificate after we are done: its refusal comes where the Reply was
// expected, and then nothing was delivered. user_canceled is different: it ends a standing tunnel.
static bool is_handshake_refusal(const struct tls_failure *failure)
{
    return failure != NULL && failure->fault == TLS_FAULT_REFUSED_BY_PEER &&
           failure->alert_received != TLS_ALERT_USER_CANCELED;
}

static void tunnel_failed(struct outbound *outbound, enum rm_err result)
{
    const struct tls_failure *failure = tls_stream_failure(outbound->tunnel);
    char text[1024];
    const char *name = "tunnel_reset";
    snprintf(text, sizeof text, "%s", rm_err_text(result));
    if (failure != NULL && failure->fault != TLS_FAULT_NONE) {
        name = tls_failure_name(failure);
        tls_failure_text(failure, text, sizeof text);
    }
    // The Reply may have been lost on the way back, after the application got its first bytes.
    bool may_be_consumed = outbound->early_length > 0 && !is_handshake_refusal(failure);
    if (may_be_consumed) {
        give_up(outbound, name, text);
    } else {
        attempt_failed(outbound, name, text);
    }
}

static void outbound_on_tunnel_event(void *context, unsigned events)
{
    struct outbound *outbound = context;
    (void)events;
    size_t length = 0;
    enum rm_err result = stream_read(outbound->tunnel, outbound->reply + outbound->reply_length,
                                     REPLY_ROOM - outbound->reply_length, &length);
    if (result == RM_ERR_WOULD_BLOCK) {
        return;
    }
    if (result != RM_OK) {
        tunnel_failed(outbound, result);
        return;
    }
    outbound->reply_length += length;
    struct tunnel_reply reply;
    size_t consumed = 0;
    result = tunnel_decode_reply(outbound->reply, outbound->reply_length, &reply, &consumed);
    if (result == RM_OK) {
        outbound_on_reply(outbound, &reply, consumed);
    } else if (result != RM_ERR_WOULD_BLOCK) {
        give_up(outbound, "reply_malformed", rm_err_text(result));
    }
}

// What the application has said so far goes into the same flight as the Connect. At the first
// attempt it is read; later attempts send what was kept.
static enum rm_err read_early(struct outbound *outbound)
{
    if (outbound->early != NULL) {
        return RM_OK;
    }
    uint8_t *bytes = rm_malloc(EARLY_BYTES);
    size_t length = 0;
    if (bytes == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    enum rm_err result = stream_read(outbound->application, bytes, EARLY_BYTES, &length);
    if (result == RM_OK) {
        outbound->early = bytes;
        outbound->early_length = length;
        return RM_OK;
    }
    rm_free(bytes);
    // An orderly end comes again when the relay reads.
    return result == RM_ERR_WOULD_BLOCK || result == RM_ERR_EOF ? RM_OK : result;
}

static enum rm_err send_connect(struct outbound *outbound)
{
    struct tunnel_connect connect = {.port = outbound->base.port};
    uint8_t bytes[TUNNEL_PREFIX_BYTES + TUNNEL_MAX_MESSAGE_BYTES];
    size_t length = 0;
    size_t written = 0;
    snprintf(connect.service, sizeof connect.service, "%s", outbound->base.service);
    memcpy(connect.connection_id, outbound->base.id, sizeof connect.connection_id);
    RM_TRY(tunnel_encode_connect(&connect, bytes, &length));
    struct iovec parts[] = {
        {bytes, length},
        {outbound->early, outbound->early_length},
    };
    RM_TRY(stream_write(outbound->tunnel, parts, outbound->early != NULL ? 2 : 1, &written));
    // A fresh session takes far more than this at once.
    return written == length + outbound->early_length ? RM_OK : RM_ERR_INTERNAL;
}

static void outbound_on_reply_deadline(struct outbound *outbound)
{
    // The application may be at work on what it got: no second attempt.
    give_up(outbound, "reply_timeout", NULL);
}

static void outbound_on_established(struct outbound *outbound)
{
    const char *labels[] = {"client", "ok"};
    metric_add(outbound->base.worker->metrics, SIDECAR_METRIC_HANDSHAKES_TOTAL, labels, 1);
    peer_unref(outbound->base.peer);
    outbound->base.peer = NULL;
    connection_note_tls(&outbound->base, outbound->tunnel);
    enum rm_err result = read_early(outbound);
    if (result != RM_OK) {
        give_up(outbound, "application_reset", rm_err_text(result));
        return;
    }
    result = send_connect(outbound);
    outbound->reply = rm_malloc(REPLY_ROOM);
    if (result != RM_OK || outbound->reply == NULL ||
        timer_start(&outbound->deadline, REPLY_TIMEOUT_MS) != RM_OK) {
        give_up(outbound, "internal", rm_err_text(result));
        return;
    }
    sm_move(&outbound->sm, OUTBOUND_REPLY);
    stream_own(outbound->tunnel, outbound_on_tunnel_event, outbound);
    stream_want(outbound->tunnel, STREAM_READ);
}

static void outbound_on_ready(void *context, enum rm_err result, const struct tls_failure *failure)
{
    struct outbound *outbound = context;
    if (result == RM_OK) {
        outbound_on_established(outbound);
        return;
    }
    static struct log_limit limit;
    uint64_t suppressed = 0;
    char text[1024];
    const char *name = tls_failure_name(failure);
    const char *labels[] = {"client", name};
    tls_failure_text(failure, text, sizeof text);
    metric_add(outbound->base.worker->metrics, SIDECAR_METRIC_HANDSHAKES_TOTAL, labels, 1);
    if (log_limit_pass(&limit, &suppressed)) {
        char remote[STREAM_ADDRESS_TEXT_BYTES];
        stream_address_text(&outbound->base.remote, remote);
        log_warn(LOG_OUTBOUND, "handshake_failed", LOG_STR("error", name),
                 LOG_STR("remote", remote), LOG_STR("wanted_identity", outbound->expected_id),
                 LOG_STR("text", text), LOG_U64("suppressed", suppressed));
    }
    attempt_failed(outbound, name, text);
}

static void begin_handshake(struct outbound *outbound, struct stream *lower)
{
    struct spiffe_id id;
    uint8_t digest[SHA256_BYTES];
    char sni[SPIFFE_SNI_BYTES];
    const char *expected[] = {outbound->expected_id};
    if (spiffe_id_parse(outbound->expected_id, strlen(outbound->expected_id), &id, NULL) != RM_OK ||
        outbound->base.worker->tunnel_tls == NULL) {
        stream_close(lower, STREAM_CLOSE_ABORT, NULL, NULL);
        attempt_failed(outbound, "identity_missing", "this sidecar has no certificate in force");
        return;
    }
    sha256(id.text, id.length, digest);
    spiffe_sni(&id, digest, sni);
    struct tls_session_options options = {
        .tls = outbound->base.worker->tunnel_tls,
        .sni = sni,
        .expected_ids = expected,
        .expected_count = 1,
    };
    sm_move(&outbound->sm, OUTBOUND_HANDSHAKE);
    if (tls_connect(lower, &options, outbound_on_ready, outbound, &outbound->tunnel) != RM_OK) {
        outbound->tunnel = NULL;
        attempt_failed(outbound, "no_memory", NULL);
    }
}

static void outbound_on_dialled(void *context, enum rm_err result, struct stream *stream)
{
    struct outbound *outbound = context;
    outbound->connecting = NULL;
    if (result == RM_OK) {
        begin_handshake(outbound, stream);
        return;
    }
    char remote[STREAM_ADDRESS_TEXT_BYTES];
    char detail[STREAM_ADDRESS_TEXT_BYTES + 64];
    stream_address_text(&outbound->base.remote, remote);
    snprintf(detail, sizeof detail, "%s: %s", remote, rm_err_text(result));
    attempt_failed(outbound, "endpoint_unreachable", detail);
}

static void dial(struct outbound *outbound, const struct stream_address *address)
{
    outbound->base.remote = *address;
    enum rm_err result = socket_connect(outbound->base.worker->loop, address,
                                        (uint32_t)outbound->snapshot->config->connect_timeout_ms,
                                        outbound_on_dialled, outbound, &outbound->connecting);
    if (result != RM_OK) {
        attempt_failed(outbound, "endpoint_unreachable", rm_err_text(result));
    }
}

static void outbound_on_resolved(void *context, enum rm_err result,
                                 const struct sockaddr_storage *addresses, size_t count)
{
    struct outbound *outbound = context;
    outbound->lookup = NULL;
    if (result != RM_OK || count == 0) {
        attempt_failed(outbound, "name_not_resolved", outbound->fixed_endpoint);
        return;
    }
    struct stream_address address = {.address = addresses[random_u32() % count]};
    address.length = address.address.ss_family == AF_INET6 ? (socklen_t)sizeof(struct sockaddr_in6)
                                                           : (socklen_t)sizeof(struct sockaddr_in);
    dial(outbound, &address);
}

// "host:port" of a fixed endpoint; numeric ones need no resolver.
static void dial_fixed(struct outbound *outbound)
{
    struct stream_address address;
    if (socket_address_parse(outbound->fixed_endpoint, &address, NULL) == RM_OK) {
        dial(outbound, &address);
        return;
    }
    char host[256];
    const char *colon = strrchr(outbound->fixed_endpoint, ':');
    size_t length = colon != NULL ? (size_t)(colon - outbound->fixed_endpoint) : 0;
    unsigned long port = colon != NULL ? strtoul(colon + 1, NULL, 10) : 0;
    if (length == 0 || length >= sizeof host || port == 0 || port > 65535) {
        give_up(outbound, "endpoint_malformed", outbound->fixed_endpoint);
        return;
    }
    memcpy(host, outbound->fixed_endpoint, length);
    host[length] = '\0';
    if (resolver_lookup(outbound->base.worker->resolver, host, (uint16_t)port, outbound_on_resolved,
                        outbound, &outbound->lookup) != RM_OK) {
        attempt_failed(outbound, "name_not_resolved", outbound->fixed_endpoint);
    }
}

static bool remember_tried(struct outbound *outbound, const char *address)
{
    char *copy = rm_strdup(address);
    if (copy == NULL) {
        return false;
    }
    outbound->tried[outbound->tried_count++] = copy;
    return true;
}

static bool is_owner(const struct mesh_service *service, const char *identity)
{
    for (size_t i = 0; i < service->identity_count; i++) {
        if (strcmp(service->identities[i], identity) == 0) {
            return true;
        }
    }
    return false;
}

// Takes what the chosen endpoint's record says; the identity must be one of the service record's.
static bool adopt_endpoint(struct outbound *outbound, const struct mesh_service *service,
                           const struct mesh_endpoint *endpoint, struct stream_address *address)
{
    struct worker *worker = outbound->base.worker;
    if (!is_owner(service, endpoint->identity) ||
        socket_address_parse(endpoint->address, address, NULL) != RM_OK ||
        !remember_tried(outbound, endpoint->address)) {
        return false;
    }
    rm_free(outbound->expected_id);
    outbound->expected_id = rm_strdup(endpoint->identity);
    outbound->endpoint = endpoint_state_get(worker->endpoints, endpoint->address);
    if (outbound->expected_id == NULL || outbound->endpoint == NULL) {
        outbound->endpoint = NULL;
        return false;
    }
    outbound->endpoint->open_count++;
    outbound->base.port = service->port;
    return true;
}

static void no_endpoint_left(struct outbound *outbound)
{
    if (outbound->last_result != NULL) {
        give_up(outbound, outbound->last_result, outbound->last_detail);
    } else {
        give_up(outbound, "no_endpoint", "the service has no endpoint in the view");
    }
}

static void dial_view(struct outbound *outbound)
{
    struct worker *worker = outbound->base.worker;
    const struct mesh_view *view = outbound->snapshot->view;
    const struct mesh_resource *service =
        mesh_view_find(view, MESH_SERVICE, outbound->base.service);
    if (service == NULL) {
        give_up(outbound, "service_unknown", "the view has no such service");
        return;
    }
    struct endpoint_question question = {
        .view = view,
        .service = outbound->base.service,
        .zone = outbound->snapshot->config->zone,
        .tried = (const char *const *)outbound->tried,
        .tried_count = outbound->tried_count,
        .now_ms = loop_now_ms(worker->loop),
        .random = random_u32(),
    };
    const struct mesh_resource *endpoint = outbound->tried_count < ENDPOINT_MAX_TRIED
                                               ? endpoint_choose(&question, worker->endpoints)
                                               : NULL;
    struct stream_address address;
    if (endpoint == NULL) {
        no_endpoint_left(outbound);
    } else if (!adopt_endpoint(outbound, &service->of.service, &endpoint->of.endpoint, &address)) {
        give_up(outbound, "endpoint_unusable", endpoint->of.endpoint.address);
    } else {
        dial(outbound, &address);
    }
}

static void outbound_on_deadline(void *context)
{
    struct outbound *outbound = context;
    if (sm_is(&outbound->sm, OUTBOUND_REPLY)) {
        outbound_on_reply_deadline(outbound);
        return;
    }
    bool has_identity = outbound->base.worker->tunnel_tls != NULL;
    give_up(outbound, has_identity ? "view_missing" : "identity_missing",
            has_identity ? "the control plane has sent no complete view yet"
                         : "this sidecar has no certificate in force");
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
        give_up(outbound, "no_memory", NULL);
    }
}

// From WAITING: the first attempt, the next one, or a wait for the first view.
static void try_next(struct outbound *outbound)
{
    struct worker *worker = outbound->base.worker;
    bool is_fixed = outbound->fixed_endpoint != NULL;
    snapshot_unref(outbound->snapshot);
    outbound->snapshot = snapshot_ref(worker->snapshot);
    if (is_fixed && outbound->last_result != NULL) {
        no_endpoint_left(outbound);
        return;
    }
    if (!worker_is_ready(worker, !is_fixed)) {
        wait_for_view(outbound);
        return;
    }
    timer_stop(&outbound->deadline);
    sm_move(&outbound->sm, OUTBOUND_DIALLING);
    if (is_fixed) {
        dial_fixed(outbound);
    } else {
        dial_view(outbound);
    }
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
    const struct stream_address *remote = stream_remote(application);
    outbound->application = application;
    outbound->base.application = remote != NULL ? *remote : (struct stream_address){0};
    outbound->base.judge = outbound_judge;
    outbound->base.cut = outbound_cut;
    connection_begin(&outbound->base, worker, CONNECTION_OUTBOUND);
    timer_init(&outbound->deadline, worker->loop, outbound_on_deadline, outbound);
    sm_init(&outbound->sm, "outbound", outbound->base.started_ms, states, OUTBOUND_WAITING);
    if (!copy_target(outbound, target)) {
        give_up(outbound, "no_memory", NULL);
        return;
    }
    try_next(outbound);
}
