// SPDX-License-Identifier: GPL-3.0-or-later
//
// A call to one place of a service, by the rules that every call goes by, ended after the Reply:
//
//   resolve -> connect -> handshake -> Connect, Reply -> service_place_done()
//      |          |           |              ^
//      +----------+-----------+--------------+
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "diagnose/diagnose_service_internal.h"
#include "identity/spiffe.h"

static void tell_tunnel(struct diagnosis *diagnosis, enum diagnose_outcome outcome,
                        const char *status, const char *reason)
{
    struct service_run *run = diagnosis->service;
    struct diagnose_step step = step_new("tunnel", outcome);
    step.took_us = (clock_mono_ns() - run->started_ns) / 1000;
    step_add(&step, "status", "%s", status);
    step_add(&step, "reason", "%s", reason);
    step_say(&step, "%s%s%s", status, reason[0] != '\0' ? ": " : "", reason);
    step_tell(diagnosis, &step);
}

void call_cancel(struct service_run *run)
{
    timer_stop(&run->reply_timer);
    if (run->tunnel != NULL) {
        stream_close(run->tunnel, STREAM_CLOSE_ABORT, NULL, NULL);
        run->tunnel = NULL;
    }
}

static void call_leave(struct diagnosis *diagnosis)
{
    call_cancel(diagnosis->service);
    service_place_done(diagnosis);
}

static void read_reply(struct diagnosis *diagnosis, const struct tunnel_reply *reply)
{
    const char *address = place_in_hand(diagnosis->service)->address;
    const char *status = tunnel_status_name(reply->status);
    if (reply->status == TUNNEL_OK) {
        tell_tunnel(diagnosis, DIAGNOSE_PASSED, status, "");
        return;
    }
    tell_tunnel(diagnosis, DIAGNOSE_FAILED, status, reply->reason);
    enum fault fault = reply->status == TUNNEL_DENIED        ? FAULT_DENIED_BY_PEER
                       : reply->status == TUNNEL_UNREACHABLE ? FAULT_UNREACHABLE
                                                             : FAULT_DRAINING;
    enum fault exact;
    if (fault_find(reply->reason, &exact) && exact != FAULT_OK) {
        fault = exact;
    }
    finding_add(diagnosis, fault, "said by %s: %.200s", address, reply->reason);
}

// The other end's refusal of our certificate comes here, too: it is done after us.
static void read_tunnel_end(struct diagnosis *diagnosis, enum rm_err result)
{
    struct service_run *run = diagnosis->service;
    const struct tls_failure *failure = tls_stream_failure(run->tunnel);
    if (failure != NULL && failure->fault != FAULT_OK) {
        tell_tunnel(diagnosis, DIAGNOSE_FAILED, tls_failure_name(failure), failure->detail);
        finding_add_failure(diagnosis, failure);
    } else {
        tell_tunnel(diagnosis, DIAGNOSE_FAILED, "failed", rm_err_text(result));
        finding_add(diagnosis,
                    result == RM_ERR_TIMEOUT ? FAULT_REPLY_TIMEOUT
                    : result == RM_ERR_MALFORMED || result == RM_ERR_TOO_LARGE
                        ? FAULT_REPLY_MALFORMED
                        : FAULT_TUNNEL_RESET,
                    "%s: %s", place_in_hand(run)->address, rm_err_text(result));
    }
}

static void call_on_event(void *context, unsigned events)
{
    struct diagnosis *diagnosis = context;
    struct service_run *run = diagnosis->service;
    struct tunnel_reply reply;
    size_t length = 0;
    size_t consumed = 0;
    (void)events;
    enum rm_err result = stream_read(run->tunnel, run->reply + run->reply_length,
                                     sizeof(run->reply) - run->reply_length, &length);
    if (result == RM_OK) {
        run->reply_length += length;
        result = tunnel_decode_reply(run->reply, run->reply_length, &reply, &consumed);
    }
    if (result == RM_ERR_WOULD_BLOCK) {
        return;
    }
    if (result == RM_OK) {
        read_reply(diagnosis, &reply);
    } else {
        read_tunnel_end(diagnosis, result);
    }
    call_leave(diagnosis);
}

static void call_on_reply_timer(void *context)
{
    struct diagnosis *diagnosis = context;
    read_tunnel_end(diagnosis, RM_ERR_TIMEOUT);
    call_leave(diagnosis);
}

static enum rm_err ask(struct service_run *run)
{
    struct tunnel_connect connect = {.port = run->port};
    uint8_t bytes[DIAGNOSE_REPLY_BYTES];
    size_t length = 0;
    size_t written = 0;
    snprintf(connect.service, sizeof(connect.service), "%s", run->name);
    RM_TRY(random_bytes(connect.connection_id, sizeof(connect.connection_id)));
    RM_TRY(tunnel_encode_connect(&connect, bytes, &length));
    RM_TRY(stream_write_bytes(run->tunnel, bytes, length, &written));
    return written == length ? timer_start(&run->reply_timer, DIAGNOSE_REPLY_MS) : RM_ERR_INTERNAL;
}

static void tell_handshake(struct diagnosis *diagnosis, const struct tls_failure *failure)
{
    struct service_run *run = diagnosis->service;
    bool is_good = failure->fault == FAULT_OK;
    struct diagnose_step step = step_new("handshake", is_good ? DIAGNOSE_PASSED : DIAGNOSE_FAILED);
    step.took_us = (clock_mono_ns() - run->started_ns) / 1000;
    if (is_good) {
        const struct tls_facts *facts = tls_stream_facts(run->tunnel);
        step_say(&step, "%s, %s, %s; it proved %s", facts->version, facts->suite, facts->group,
                 place_in_hand(run)->identity);
        step_add(&step, "version", "%s", facts->version);
        step_add(&step, "suite", "%s", facts->suite);
        step_add(&step, "group", "%s", facts->group);
    } else {
        step_say(&step, "%s: %s", tls_failure_name(failure), failure->detail);
        step_add(&step, "error", "%s", tls_failure_name(failure));
        finding_add_failure(diagnosis, failure);
    }
    step_tell(diagnosis, &step);
}

static void call_on_ready(void *context, enum rm_err result, const struct tls_failure *failure)
{
    struct diagnosis *diagnosis = context;
    struct service_run *run = diagnosis->service;
    tell_handshake(diagnosis, failure);
    run->started_ns = clock_mono_ns();
    run->reply_length = 0;
    if (result != RM_OK) {
        call_leave(diagnosis);
        return;
    }
    stream_own(run->tunnel, call_on_event, diagnosis);
    stream_want(run->tunnel, STREAM_READ);
    result = ask(run);
    if (result != RM_OK) {
        read_tunnel_end(diagnosis, result);
        call_leave(diagnosis);
    }
}

static enum rm_err begin_handshake(struct diagnosis *diagnosis, struct stream *stream)
{
    struct service_run *run = diagnosis->service;
    struct spiffe_id id;
    uint8_t digest[SHA256_BYTES];
    char sni[SPIFFE_SNI_BYTES];
    const char *const expected[] = {place_in_hand(run)->identity};
    enum rm_err result = spiffe_id_parse(expected[0], strlen(expected[0]), &id, NULL);
    if (result != RM_OK) {
        stream_close(stream, STREAM_CLOSE_ABORT, NULL, NULL);
        return result;
    }
    sha256(id.text, id.length, digest);
    spiffe_sni(&id, digest, sni);
    struct tls_session_options options = {
        .tls = run->tls,
        .sni = sni,
        .expected_ids = expected,
        .expected_count = 1,
        .timeout_ms = DIAGNOSE_HANDSHAKE_MS,
    };
    run->started_ns = clock_mono_ns();
    return tls_connect(stream, &options, call_on_ready, diagnosis, &run->tunnel);
}

static void call_on_connected(void *context, enum rm_err result, struct stream *stream,
                              uint64_t took_us)
{
    struct diagnosis *diagnosis = context;
    struct service_run *run = diagnosis->service;
    char address[STREAM_ADDRESS_TEXT_BYTES];
    struct diagnose_step step =
        step_new("connect", result == RM_OK ? DIAGNOSE_PASSED : DIAGNOSE_FAILED);
    dial_address_text(&diagnosis->dial, address);
    step.took_us = took_us;
    step_add(&step, "address", "%s", address);
    step_say(&step, "%s%s%s", address, result == RM_OK ? "" : ": ",
             result == RM_OK ? "" : rm_err_text(result));
    step_tell(diagnosis, &step);
    if (result != RM_OK) {
        finding_add(diagnosis, FAULT_ENDPOINT_UNREACHABLE, "%s: %s", address, rm_err_text(result));
    }
    if (result != RM_OK || begin_handshake(diagnosis, stream) != RM_OK) {
        run->tunnel = NULL;
        call_leave(diagnosis);
    }
}

static void call_on_resolved(void *context, enum rm_err result, uint64_t took_us)
{
    struct diagnosis *diagnosis = context;
    (void)took_us;
    if (result != RM_OK) {
        finding_add(diagnosis, FAULT_NAME_NOT_RESOLVED, "%s: %s", diagnosis->dial.host,
                    rm_err_text(result));
        call_leave(diagnosis);
        return;
    }
    dial_connect(&diagnosis->dial);
}

void call_prepare(struct diagnosis *diagnosis)
{
    timer_init(&diagnosis->service->reply_timer, diagnosis->dial.loop, call_on_reply_timer,
               diagnosis);
    diagnosis->dial.on_resolved = call_on_resolved;
    diagnosis->dial.on_connected = call_on_connected;
}

enum rm_err call_begin(struct diagnosis *diagnosis)
{
    RM_TRY(dial_parse(&diagnosis->dial, place_in_hand(diagnosis->service)->address));
    dial_resolve(&diagnosis->dial);
    return RM_OK;
}
