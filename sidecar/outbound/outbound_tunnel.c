// SPDX-License-Identifier: GPL-3.0-or-later
//
// The tunnel: handshake, Connect with the application's first bytes, Reply.
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "identity/spiffe.h"
#include "metrics_catalogue.h"
#include "outbound/outbound_internal.h"
#include "worker/contexts.h"

#define REPLY_ROOM (TUNNEL_PREFIX_BYTES + TUNNEL_MAX_MESSAGE_BYTES)

// The other sidecar's name for what went wrong, with the words that belong to it.
static void explain_reply(const struct tunnel_reply *reply, char *out, size_t out_bytes)
{
    enum fault fault;
    if (fault_find(reply->reason, &fault)) {
        snprintf(out, out_bytes, "%s: %s", fault_name(fault), fault_sentence(fault));
    } else {
        snprintf(out, out_bytes, "%s", reply->reason);
    }
}

static void outbound_on_reply(struct outbound *outbound, const struct tunnel_reply *reply,
                              size_t consumed)
{
    char detail[TUNNEL_MAX_REASON_BYTES + TLS_FAILURE_TEXT_BYTES];
    explain_reply(reply, detail, sizeof detail);
    switch (reply->status) {
    case TUNNEL_OK:
        endpoint_note_success(&outbound->endpoint);
        outbound_start_relay(outbound, consumed);
        return;
    case TUNNEL_DENIED:
        // Every endpoint of a service has the same rules: asking the next one would only be noise.
        outbound_give_up(outbound, FAULT_DENIED_BY_PEER, detail);
        return;
    case TUNNEL_UNREACHABLE:
        outbound_endpoint_failed(outbound, FAULT_UNREACHABLE, detail);
        return;
    case TUNNEL_DRAINING:
        outbound_endpoint_failed(outbound, FAULT_DRAINING, detail);
        return;
    case TUNNEL_STATUS_INVALID:
        break;
    }
    outbound_blame_endpoint(outbound);
    outbound_give_up(outbound, FAULT_REPLY_MALFORMED, NULL);
}

// A TLS 1.3 server judges our certificate after we are done: its refusal comes where the Reply was
// expected, and then nothing was delivered. user_canceled is different: it ends a standing tunnel.
static bool is_handshake_refusal(const struct tls_failure *failure)
{
    return failure != NULL && failure->fault == FAULT_REFUSED_BY_PEER &&
           failure->alert_received != TLS_ALERT_USER_CANCELED;
}

static void tunnel_failed(struct outbound *outbound, enum rm_err result)
{
    const struct tls_failure *failure = tls_stream_failure(outbound->tunnel);
    enum fault fault = FAULT_TUNNEL_RESET;
    char detail[sizeof failure->detail];
    snprintf(detail, sizeof detail, "%s", rm_err_text(result));
    if (failure != NULL && failure->fault != FAULT_OK) {
        fault = failure->fault;
        memcpy(detail, failure->detail, sizeof detail);
    }
    // The Reply may have been lost on the way back, after the application got its first bytes.
    bool may_be_consumed = outbound->early_length > 0 && !is_handshake_refusal(failure);
    outbound_blame_endpoint(outbound);
    if (may_be_consumed) {
        outbound_give_up(outbound, fault, detail);
    } else {
        outbound_attempt_failed(outbound, fault, detail);
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
        outbound_blame_endpoint(outbound);
        outbound_give_up(outbound, FAULT_REPLY_MALFORMED, rm_err_text(result));
    }
}

// What the application has said so far goes into the same flight as the Connect. At the first
// attempt it is read; later attempts send what was kept.
static enum rm_err read_early(struct outbound *outbound)
{
    if (outbound->early != NULL) {
        return RM_OK;
    }
    uint8_t *bytes = rm_malloc(OUTBOUND_EARLY_BYTES);
    size_t length = 0;
    if (bytes == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    enum rm_err result = stream_read(outbound->application, bytes, OUTBOUND_EARLY_BYTES, &length);
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

void outbound_on_reply_deadline(struct outbound *outbound)
{
    // The application may be at work on what it got: no second attempt.
    outbound_blame_endpoint(outbound);
    outbound_give_up(outbound, FAULT_REPLY_TIMEOUT, NULL);
}

static void outbound_on_established(struct outbound *outbound)
{
    lane_arrive(outbound->base.worker->loop, &outbound->lane);
    const char *labels[] = {"client", "ok"};
    metric_add(outbound->base.worker->metrics, SIDECAR_METRIC_HANDSHAKES_TOTAL, labels, 1);
    peer_unref(outbound->base.peer);
    outbound->base.peer = NULL;
    connection_note_tls(&outbound->base, outbound->tunnel);
    enum rm_err result = read_early(outbound);
    if (result != RM_OK) {
        outbound_give_up(outbound, FAULT_APPLICATION_RESET, rm_err_text(result));
        return;
    }
    result = send_connect(outbound);
    outbound->reply = rm_malloc(REPLY_ROOM);
    if (result != RM_OK || outbound->reply == NULL ||
        timer_start(&outbound->deadline, OUTBOUND_REPLY_TIMEOUT_MS) != RM_OK) {
        outbound_give_up(outbound, FAULT_INTERNAL, rm_err_text(result));
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
    char text[TLS_FAILURE_TEXT_BYTES];
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
    outbound_endpoint_failed(outbound, failure->fault, failure->detail);
}

void outbound_begin_handshake(struct outbound *outbound, struct stream *lower)
{
    struct spiffe_id id;
    uint8_t digest[SHA256_BYTES];
    char sni[SPIFFE_SNI_BYTES];
    const char *expected[] = {outbound->expected_id};
    struct tls_context *tls = contexts_tunnel(outbound->base.worker, outbound->base.own_index);
    if (spiffe_id_parse(outbound->expected_id, strlen(outbound->expected_id), &id, NULL) != RM_OK ||
        tls == NULL) {
        stream_close(lower, STREAM_CLOSE_ABORT, NULL, NULL);
        outbound_attempt_failed(outbound, FAULT_IDENTITY_MISSING, NULL);
        return;
    }
    sha256(id.text, id.length, digest);
    spiffe_sni(&id, digest, sni);
    struct tls_session_options options = {
        .tls = tls,
        .sni = sni,
        .expected_ids = expected,
        .expected_count = 1,
        .pace = outbound->base.worker->pace,
        .resume_key = &outbound->base.remote.address,
        .resume_key_length = outbound->base.remote.length,
    };
    sm_move(&outbound->sm, OUTBOUND_HANDSHAKE);
    if (tls_connect(lower, &options, outbound_on_ready, outbound, &outbound->tunnel) != RM_OK) {
        outbound->tunnel = NULL;
        outbound_attempt_failed(outbound, FAULT_NO_MEMORY, NULL);
    }
}
