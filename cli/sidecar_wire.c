// SPDX-License-Identifier: GPL-3.0-or-later
#include "sidecar_wire.h"

#include "pb/pb.h"
#include "remora/sidecar/v1/local.pb-c.h"

// --- Requests.

// protobuf-c's structs are not const-correct; packing only reads.
static char *text(const char *borrowed)
{
    return (char *)(uintptr_t)borrowed;
}

static enum rm_err pack(const ProtobufCMessage *message, struct wire_bytes *out)
{
    return pb_pack(message, WIRE_MAX_BYTES, &out->bytes, &out->length);
}

enum rm_err wire_list_connections(const char *service, const char *peer_identity,
                                  struct wire_bytes *out)
{
    Remora__Sidecar__V1__ListConnectionsRequest message =
        REMORA__SIDECAR__V1__LIST_CONNECTIONS_REQUEST__INIT;
    message.service = text(service);
    message.peer_identity = text(peer_identity);
    return pack(&message.base, out);
}

enum rm_err wire_set_log_level(const char *level, uint32_t duration_s, struct wire_bytes *out)
{
    Remora__Sidecar__V1__SetLogLevelRequest message =
        REMORA__SIDECAR__V1__SET_LOG_LEVEL_REQUEST__INIT;
    message.level = text(level);
    message.duration_s = duration_s;
    return pack(&message.base, out);
}

enum rm_err wire_renew(const char *name, struct wire_bytes *out)
{
    Remora__Sidecar__V1__RenewRequest message = REMORA__SIDECAR__V1__RENEW_REQUEST__INIT;
    message.name = text(name);
    return pack(&message.base, out);
}

// --- Answers.

static enum rm_err unpack(const ProtobufCMessageDescriptor *type, const uint8_t *bytes,
                          size_t length, ProtobufCMessage **out)
{
    return pb_unpack(type, bytes, length, WIRE_MAX_BYTES, out, NULL);
}

static struct wire_binary binary(const ProtobufCBinaryData *data)
{
    return (struct wire_binary){data->data, data->len};
}

static struct wire_log_level read_level(const Remora__Sidecar__V1__LogLevel *message)
{
    if (message == NULL) {
        return (struct wire_log_level){.level = "", .configured = ""};
    }
    return (struct wire_log_level){message->level, message->configured, message->falls_back_at_s};
}

static struct wire_view_version read_version(const Remora__Sidecar__V1__ViewVersion *message)
{
    return (struct wire_view_version){
        .is_complete = message->complete != 0,
        .store_id = binary(&message->store_id),
        .number = message->number,
        .hash = binary(&message->hash),
        .last_heard_ago_ms = message->last_heard_ago_ms,
        .service_count = message->services,
        .endpoint_count = message->endpoints,
        .withdrawal_count = message->withdrawals,
    };
}

static struct wire_bundle read_bundle(const Remora__Sidecar__V1__Bundle *message)
{
    return (struct wire_bundle){
        .trust_domain = message->trust_domain,
        .own_name = message->own_name,
        .key_id_count = message->n_key_ids,
        .message = message,
    };
}

struct wire_binary wire_bundle_key_id(const struct wire_bundle *bundle, size_t index)
{
    const Remora__Sidecar__V1__Bundle *message = bundle->message;
    return binary(&message->key_ids[index]);
}

struct wire_bundle wire_status_bundle(const struct wire_sidecar_status *status, size_t index)
{
    const Remora__Sidecar__V1__GetStatusResponse *message = status->message;
    return read_bundle(message->bundles[index]);
}

enum rm_err wire_read_sidecar_status(const uint8_t *bytes, size_t length,
                                     wire_sidecar_status_fn visit, void *context)
{
    ProtobufCMessage *message = NULL;
    RM_TRY(unpack(&remora__sidecar__v1__get_status_response__descriptor, bytes, length, &message));
    const Remora__Sidecar__V1__GetStatusResponse *answer = (const void *)message;
    struct wire_sidecar_status status = {
        .version = answer->version,
        .started_at_s = answer->started_at_s,
        .now_ms = answer->now_ms,
        .is_ready = answer->ready != 0,
        .waits_for = answer->waits_for,
        .config_path = answer->config_path,
        .identity = answer->identity,
        .workers = answer->workers,
        .log_level = read_level(answer->log_level),
        .control_address = "",
        .bundle_count = answer->n_bundles,
        .message = message,
    };
    if (answer->control != NULL) {
        status.control_address = answer->control->address;
        status.is_connected = answer->control->connected != 0;
        status.clock_offset_ms = answer->control->clock_offset_ms;
    }
    if (answer->view != NULL) {
        status.has_view = true;
        status.view = read_version(answer->view);
    }
    enum rm_err result = visit(context, &status);
    pb_free(message);
    return result;
}

static enum rm_err visit_version(const Remora__Sidecar__V1__GetViewResponse *piece,
                                 const struct wire_view_visitor *visitor)
{
    if (piece->version == NULL || visitor->version == NULL) {
        return RM_OK;
    }
    const struct wire_view_version version = read_version(piece->version);
    return visitor->version(visitor->context, &version);
}

static enum rm_err visit_bundles(const Remora__Sidecar__V1__GetViewResponse *piece,
                                 const struct wire_view_visitor *visitor)
{
    for (size_t i = 0; i < piece->n_bundles && visitor->bundle != NULL; i++) {
        const struct wire_bundle bundle = read_bundle(piece->bundles[i]);
        RM_TRY(visitor->bundle(visitor->context, &bundle));
    }
    return RM_OK;
}

static enum rm_err visit_services(const Remora__Sidecar__V1__GetViewResponse *piece,
                                  const struct wire_view_visitor *visitor)
{
    for (size_t i = 0; i < piece->n_services && visitor->service != NULL; i++) {
        const Remora__Sidecar__V1__Service *message = piece->services[i];
        const struct wire_view_service service = {
            .name = message->name,
            .port = message->port,
            .identities = {message->identities, message->n_identities},
            .allow = {message->allow, message->n_allow},
            .is_guarded = message->guarded != 0,
        };
        RM_TRY(visitor->service(visitor->context, &service));
    }
    return RM_OK;
}

static enum rm_err visit_endpoints(const Remora__Sidecar__V1__GetViewResponse *piece,
                                   const struct wire_view_visitor *visitor)
{
    for (size_t i = 0; i < piece->n_endpoints && visitor->endpoint != NULL; i++) {
        const Remora__Sidecar__V1__Endpoint *message = piece->endpoints[i];
        const struct wire_view_endpoint endpoint = {
            .service = message->service,
            .instance_id = message->instance_id,
            .address = message->address,
            .identity = message->identity,
            .zone = message->zone,
            .is_ready = message->ready != 0,
        };
        RM_TRY(visitor->endpoint(visitor->context, &endpoint));
    }
    return RM_OK;
}

static enum rm_err visit_withdrawals(const Remora__Sidecar__V1__GetViewResponse *piece,
                                     const struct wire_view_visitor *visitor)
{
    for (size_t i = 0; i < piece->n_withdrawals && visitor->withdrawal != NULL; i++) {
        const Remora__Sidecar__V1__Withdrawal *message = piece->withdrawals[i];
        const struct wire_view_withdrawal withdrawal = {message->kind, message->subject,
                                                        message->expires_s};
        RM_TRY(visitor->withdrawal(visitor->context, &withdrawal));
    }
    return RM_OK;
}

enum rm_err wire_read_view(const uint8_t *bytes, size_t length,
                           const struct wire_view_visitor *visitor)
{
    ProtobufCMessage *message = NULL;
    RM_TRY(unpack(&remora__sidecar__v1__get_view_response__descriptor, bytes, length, &message));
    const Remora__Sidecar__V1__GetViewResponse *piece = (const void *)message;
    enum rm_err result = visit_version(piece, visitor);
    if (result == RM_OK) {
        result = visit_bundles(piece, visitor);
    }
    if (result == RM_OK) {
        result = visit_services(piece, visitor);
    }
    if (result == RM_OK) {
        result = visit_endpoints(piece, visitor);
    }
    if (result == RM_OK) {
        result = visit_withdrawals(piece, visitor);
    }
    pb_free(message);
    return result;
}

static struct wire_connection read_connection(const Remora__Sidecar__V1__Connection *message)
{
    return (struct wire_connection){
        .id = binary(&message->id),
        .direction = message->direction,
        .state = message->state,
        .service = message->service,
        .port = message->port,
        .local_identity = message->local_identity,
        .peer_identity = message->peer_identity,
        .peer_serial = binary(&message->peer_serial),
        .peer_not_after_s = message->peer_not_after_s,
        .remote = message->remote,
        .application = message->application,
        .sent_bytes = message->sent_bytes,
        .received_bytes = message->received_bytes,
        .age_ms = message->age_ms,
        .tls_version = message->tls_version,
        .suite = message->suite,
        .group = message->group,
        .is_resumed = message->resumed != 0,
        .handshake_ms = message->handshake_ms,
        .worker = message->worker,
    };
}

enum rm_err wire_read_connections(const uint8_t *bytes, size_t length, wire_connection_fn visit,
                                  void *context)
{
    ProtobufCMessage *message = NULL;
    RM_TRY(unpack(&remora__sidecar__v1__list_connections_response__descriptor, bytes, length,
                  &message));
    const Remora__Sidecar__V1__ListConnectionsResponse *list = (const void *)message;
    enum rm_err result = RM_OK;
    for (size_t i = 0; i < list->n_connections && result == RM_OK; i++) {
        const struct wire_connection connection = read_connection(list->connections[i]);
        result = visit(context, &connection);
    }
    pb_free(message);
    return result;
}

static enum rm_err visit_certificate(const Remora__Sidecar__V1__Certificate *message,
                                     wire_own_certificate_fn visit, void *context)
{
    const struct wire_own_certificate certificate = {
        .name = message->name,
        .identity = message->identity,
        .serial = binary(&message->serial),
        .not_before_s = message->not_before_s,
        .not_after_s = message->not_after_s,
        .next_renewal_s = message->next_renewal_s,
        .last_error = message->last_error,
        .source = message->source,
    };
    return visit(context, &certificate);
}

enum rm_err wire_read_own_certificates(const uint8_t *bytes, size_t length, bool is_list,
                                       wire_own_certificate_fn visit, void *context)
{
    ProtobufCMessage *message = NULL;
    RM_TRY(unpack(is_list ? &remora__sidecar__v1__list_certificates_response__descriptor
                          : &remora__sidecar__v1__certificate__descriptor,
                  bytes, length, &message));
    enum rm_err result = RM_OK;
    if (is_list) {
        const Remora__Sidecar__V1__ListCertificatesResponse *list = (const void *)message;
        for (size_t i = 0; i < list->n_certificates && result == RM_OK; i++) {
            result = visit_certificate(list->certificates[i], visit, context);
        }
    } else {
        result = visit_certificate((const void *)message, visit, context);
    }
    pb_free(message);
    return result;
}

enum rm_err wire_read_log_level(const uint8_t *bytes, size_t length, wire_log_level_fn visit,
                                void *context)
{
    ProtobufCMessage *message = NULL;
    RM_TRY(
        unpack(&remora__sidecar__v1__set_log_level_response__descriptor, bytes, length, &message));
    const Remora__Sidecar__V1__SetLogLevelResponse *answer = (const void *)message;
    const struct wire_log_level level = read_level(answer->log_level);
    enum rm_err result = visit(context, &level, answer->before);
    pb_free(message);
    return result;
}
