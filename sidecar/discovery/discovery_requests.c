// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a session tells the control plane.
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/version.h"
#include "discovery/discovery_internal.h"

static void send_request(struct session *session, const struct mesh_request *request)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    struct rm_error error = {0};
    if (session->call == NULL) {
        return;
    }
    enum rm_err result = mesh_wire_encode_request(request, &bytes, &length, &error);
    if (result == RM_OK) {
        result = rpc_call_send(session->call, bytes, length);
    }
    rm_free(bytes);
    if (result != RM_OK) {
        log_warn(LOG_DISCOVERY, "message_not_sent", LOG_ERR(result),
                 LOG_STR("text", rm_error_message(&error)));
        link_close(session->link);
    }
}

// Services that the configuration calls by name; those with a fixed endpoint need no view.
static size_t collect_services(const struct sidecar_config *config, char **out)
{
    size_t count = 0;
    const struct sidecar_outbound *outbound = config->outbound.items;
    for (size_t i = 0; i < config->outbound.count; i++) {
        if (outbound[i].endpoint == NULL) {
            out[count++] = outbound[i].service;
        }
    }
    return count;
}

// The tunnel port with the host that peers can dial; without a host it means "where I come from".
static void tunnel_address(const struct sidecar_config *config, char out[STREAM_ADDRESS_TEXT_BYTES])
{
    char text[STREAM_ADDRESS_TEXT_BYTES];
    stream_address_text(&config->inbound_address, text);
    const char *colon = strrchr(text, ':');
    bool is_any = strncmp(text, "0.0.0.0:", 8) == 0 || strncmp(text, "[::]:", 5) == 0;
    snprintf(out, STREAM_ADDRESS_TEXT_BYTES, "%s", is_any && colon != NULL ? colon : text);
}

void session_send_hello(struct session *session)
{
    struct discovery *discovery = session->discovery;
    const struct sidecar_config *config = discovery->config;
    const struct sidecar_inbound_service *hosted = config->services.items;
    char address[STREAM_ADDRESS_TEXT_BYTES];
    char software[] = "remora-sidecar/" REMORA_VERSION;
    char **services = rm_calloc(config->outbound.count + 1, sizeof *services);
    char **exposes = rm_calloc(config->services.count + 1, sizeof *exposes);
    if (services == NULL || exposes == NULL) {
        rm_free(services);
        rm_free(exposes);
        link_close(session->link);
        return;
    }
    for (size_t i = 0; i < config->services.count; i++) {
        exposes[i] = hosted[i].name;
    }
    tunnel_address(config, address);
    struct mesh_request request = {.kind = MESH_REQUEST_HELLO};
    struct mesh_hello *hello = &request.of.hello;
    memcpy(hello->instance_id, discovery->instance_id, sizeof hello->instance_id);
    hello->services = services;
    hello->service_count = collect_services(config, services);
    hello->exposes = exposes;
    hello->expose_count = config->services.count;
    hello->has_resume = mesh_view_is_complete(discovery->view) && !discovery->must_resync;
    hello->resume = mesh_view_version(discovery->view);
    hello->software = software;
    hello->zone = config->zone;
    hello->tunnel_address = config->services.count > 0 ? address : NULL;
    send_request(session, &request);
    rm_free(services);
    rm_free(exposes);
}

void session_send_status(struct session *session)
{
    struct certs_status *status = &session->discovery->status;
    struct mesh_request request = {.kind = MESH_REQUEST_STATUS};
    request.of.status.not_after_s = status->not_after_s;
    request.of.status.next_renewal_s = status->next_renewal_s;
    request.of.status.last_error = status->last_error;
    request.of.status.serial_length = status->serial_length;
    memcpy(request.of.status.serial, status->serial, status->serial_length);
    send_request(session, &request);
}

static void hash_piece(void *context, const void *bytes, size_t length)
{
    sha256_stream_update(context, bytes, length);
}

bool discovery_hash_view(const struct mesh_view *view, uint8_t out[SHA256_BYTES])
{
    struct sha256_stream *stream = sha256_stream_new();
    if (stream == NULL) {
        return false;
    }
    mesh_view_canonical(view, hash_piece, stream);
    sha256_stream_finish(stream, out);
    return true;
}

// `error` NULL: applied.
void session_send_ack(struct session *session, struct mesh_version version, const char *error)
{
    char text[RM_ERROR_MESSAGE_BYTES];
    struct mesh_request request = {.kind = MESH_REQUEST_ACK};
    request.of.ack.version = version;
    if (error != NULL) {
        snprintf(text, sizeof text, "%s", error);
        request.of.ack.error = text;
    }
    if (discovery_hash_view(session->discovery->view, request.of.ack.view_hash)) {
        send_request(session, &request);
    } else {
        link_close(session->link);
    }
}

void session_send_goodbye(struct session *session)
{
    struct mesh_request request = {.kind = MESH_REQUEST_GOODBYE};
    send_request(session, &request);
}
