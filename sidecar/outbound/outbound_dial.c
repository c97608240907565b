// SPDX-License-Identifier: GPL-3.0-or-later
//
// Which endpoint, and the TCP connection to it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "crypto/crypto.h"
#include "metrics_catalogue.h"
#include "outbound/outbound_internal.h"

// In line for an endpoint: so long without anybody arriving there, and so long in all.
#define DIAL_QUEUE_TIMEOUT_MS TLS_HANDSHAKE_TIMEOUT_MS
#define DIAL_QUEUE_MOST_MS 60000

static void outbound_on_dialled(void *context, enum rm_err result, struct stream *stream)
{
    struct outbound *outbound = context;
    outbound->connecting = NULL;
    if (result == RM_OK) {
        outbound_begin_handshake(outbound, stream);
        return;
    }
    char remote[STREAM_ADDRESS_TEXT_BYTES];
    char detail[STREAM_ADDRESS_TEXT_BYTES + 64];
    stream_address_text(&outbound->base.remote, remote);
    snprintf(detail, sizeof detail, "%s: %s", remote, rm_err_text(result));
    outbound_endpoint_failed(outbound, FAULT_ENDPOINT_UNREACHABLE, detail);
}

static enum fault fault_of_ours(enum rm_err result)
{
    if (result == RM_ERR_NO_DESCRIPTORS) {
        return FAULT_NO_DESCRIPTORS;
    }
    return result == RM_ERR_NO_MEMORY ? FAULT_NO_MEMORY : FAULT_INTERNAL;
}

// What fails at once fails for want of descriptors or memory of ours: the endpoint is innocent.
static void connect_now(struct outbound *outbound)
{
    enum rm_err result = socket_connect(outbound->base.worker->loop, &outbound->base.remote,
                                        (uint32_t)outbound->snapshot->config->connect_timeout_ms,
                                        outbound_on_dialled, outbound, &outbound->connecting);
    if (result != RM_OK) {
        outbound_attempt_failed(outbound, fault_of_ours(result), rm_err_text(result));
        return;
    }
    connection_pledge(&outbound->base, false);
}

void outbound_on_lane_turn(void *context)
{
    struct outbound *outbound = context;
    timer_stop(&outbound->deadline);
    connect_now(outbound);
}

void outbound_on_lane_deadline(struct outbound *outbound)
{
    uint64_t now_ms = loop_now_ms(outbound->base.worker->loop);
    bool is_moving = now_ms - outbound->lane.lane->arrived_ms < DIAL_QUEUE_TIMEOUT_MS;
    if (is_moving && now_ms - outbound->base.started_ms < DIAL_QUEUE_MOST_MS &&
        timer_start(&outbound->deadline, DIAL_QUEUE_TIMEOUT_MS) == RM_OK) {
        return;
    }
    outbound_attempt_failed(outbound, FAULT_ENDPOINT_BUSY, NULL);
}

static void dial_address(struct outbound *outbound, const struct stream_address *address)
{
    struct worker *worker = outbound->base.worker;
    outbound->base.remote = *address;
    if (lane_enter(&outbound->endpoint.state->lane, &outbound->lane)) {
        connect_now(outbound);
        return;
    }
    metric_add(worker->metrics, SIDECAR_METRIC_DIALS_QUEUED_TOTAL, NULL, 1);
    if (timer_start(&outbound->deadline, DIAL_QUEUE_TIMEOUT_MS) != RM_OK) {
        outbound_attempt_failed(outbound, FAULT_NO_MEMORY, NULL);
    }
}

static void outbound_on_resolved(void *context, enum rm_err result,
                                 const struct sockaddr_storage *addresses, size_t count)
{
    struct outbound *outbound = context;
    outbound->lookup = NULL;
    if (result != RM_OK || count == 0) {
        outbound_attempt_failed(outbound, FAULT_NAME_NOT_RESOLVED, outbound->fixed_endpoint);
        return;
    }
    struct stream_address address = {.address = addresses[random_u32() % count]};
    address.length = address.address.ss_family == AF_INET6 ? (socklen_t)sizeof(struct sockaddr_in6)
                                                           : (socklen_t)sizeof(struct sockaddr_in);
    dial_address(outbound, &address);
}

// "host:port" of a fixed endpoint; numeric ones need no resolver.
static void dial_fixed(struct outbound *outbound)
{
    struct stream_address address;
    struct endpoint_state *state =
        endpoint_state_get(outbound->base.worker->endpoints, outbound->fixed_endpoint);
    if (state == NULL) {
        outbound_give_up(outbound, FAULT_NO_MEMORY, NULL);
        return;
    }
    endpoint_begin(&outbound->endpoint, state);
    if (socket_address_parse(outbound->fixed_endpoint, &address, NULL) == RM_OK) {
        dial_address(outbound, &address);
        return;
    }
    char host[256];
    const char *colon = strrchr(outbound->fixed_endpoint, ':');
    size_t length = colon != NULL ? (size_t)(colon - outbound->fixed_endpoint) : 0;
    unsigned long port = colon != NULL ? strtoul(colon + 1, NULL, 10) : 0;
    if (length == 0 || length >= sizeof host || port == 0 || port > 65535) {
        outbound_give_up(outbound, FAULT_ENDPOINT_MALFORMED, outbound->fixed_endpoint);
        return;
    }
    memcpy(host, outbound->fixed_endpoint, length);
    host[length] = '\0';
    if (resolver_lookup(outbound->base.worker->resolver, host, (uint16_t)port, outbound_on_resolved,
                        outbound, &outbound->lookup) != RM_OK) {
        outbound_attempt_failed(outbound, FAULT_NAME_NOT_RESOLVED, outbound->fixed_endpoint);
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

// Takes what the chosen endpoint's record says; the identity must be one of the service record's.
// On a refusal the endpoint counts as tried.
static bool adopt_endpoint(struct outbound *outbound, const struct mesh_service *service,
                           const struct mesh_endpoint *endpoint, struct stream_address *address)
{
    struct worker *worker = outbound->base.worker;
    if (!mesh_service_has_identity(service, endpoint->identity, strlen(endpoint->identity)) ||
        socket_address_parse(endpoint->address, address, NULL) != RM_OK) {
        return false;
    }
    rm_free(outbound->expected_id);
    outbound->expected_id = rm_strdup(endpoint->identity);
    struct endpoint_state *state = endpoint_state_get(worker->endpoints, endpoint->address);
    if (outbound->expected_id == NULL || state == NULL) {
        return false;
    }
    endpoint_begin(&outbound->endpoint, state);
    outbound->base.port = service->port;
    return true;
}

void outbound_no_endpoint_left(struct outbound *outbound)
{
    if (outbound->last_result != FAULT_OK) {
        outbound_give_up(outbound, outbound->last_result, outbound->last_detail);
    } else {
        outbound_give_up(outbound, FAULT_NO_ENDPOINT, NULL);
    }
}

static const struct mesh_endpoint *choose(const struct outbound *outbound)
{
    struct worker *worker = outbound->base.worker;
    struct endpoint_question question = {
        .view = outbound->snapshot->view,
        .service = outbound->base.service,
        .zone = outbound->snapshot->config->zone,
        .tried = (const char *const *)outbound->tried,
        .tried_count = outbound->tried_count,
        .now_ms = loop_now_ms(worker->loop),
        .random = random_u32(),
    };
    const struct mesh_resource *chosen = outbound->tried_count < ENDPOINT_MAX_TRIED
                                             ? endpoint_choose(&question, worker->endpoints)
                                             : NULL;
    return chosen != NULL ? &chosen->of.endpoint : NULL;
}

static void dial_view(struct outbound *outbound)
{
    const struct mesh_resource *service =
        mesh_view_find(outbound->snapshot->view, MESH_SERVICE, outbound->base.service);
    if (service == NULL) {
        outbound_give_up(outbound, FAULT_SERVICE_UNKNOWN, NULL);
        return;
    }
    const struct mesh_endpoint *endpoint = choose(outbound);
    struct stream_address address;
    if (endpoint == NULL) {
        outbound_no_endpoint_left(outbound);
    } else if (!remember_tried(outbound, endpoint->address)) {
        outbound_give_up(outbound, FAULT_NO_MEMORY, NULL);
    } else if (!adopt_endpoint(outbound, &service->of.service, endpoint, &address)) {
        // The others may be as they should.
        outbound_attempt_failed(outbound, FAULT_ENDPOINT_UNUSABLE, endpoint->address);
    } else {
        dial_address(outbound, &address);
    }
}

void outbound_dial(struct outbound *outbound)
{
    if (outbound->fixed_endpoint != NULL) {
        dial_fixed(outbound);
    } else {
        dial_view(outbound);
    }
}
