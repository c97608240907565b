// SPDX-License-Identifier: GPL-3.0-or-later
#include "local/local_wire.h"

#include <string.h>

#include "base/alloc.h"
#include "pb/pb.h"
#include "remora/sidecar/v1/local.pb-c.h"

#define REQUEST_MAX_BYTES 16384 // two names; far below

// --- Requests.

static void read_list_connections(const void *message, struct local_request *out)
{
    const Remora__Sidecar__V1__ListConnectionsRequest *list = message;
    out->of.list_connections.service = list->service;
    out->of.list_connections.peer_identity = list->peer_identity;
}

static void read_set_log_level(const void *message, struct local_request *out)
{
    const Remora__Sidecar__V1__SetLogLevelRequest *set = message;
    out->of.set_log_level.level = set->level;
    out->of.set_log_level.duration_s = set->duration_s;
}

static void read_renew(const void *message, struct local_request *out)
{
    out->of.renew.name = ((const Remora__Sidecar__V1__RenewRequest *)message)->name;
}

// proto3 knows no absence of a text; an empty one is none.
static const char *text_or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static void read_diagnose(const void *message, struct local_request *out)
{
    const Remora__Sidecar__V1__DiagnoseRequest *request = message;
    out->of.diagnose.target = text_or_null(request->target);
    out->of.diagnose.service = text_or_null(request->service);
    out->of.diagnose.expected = text_or_null(request->expected_identity);
    out->of.diagnose.sni = text_or_null(request->sni);
    out->of.diagnose.alpn = text_or_null(request->alpn);
}

static const struct {
    const ProtobufCMessageDescriptor *type;                       // of the request
    void (*read)(const void *message, struct local_request *out); // NULL: nothing is in it
} requests[] = {
    [LOCAL_GET_STATUS] = {&remora__sidecar__v1__get_status_request__descriptor, NULL},
    [LOCAL_GET_VIEW] = {&remora__sidecar__v1__get_view_request__descriptor, NULL},
    [LOCAL_LIST_CONNECTIONS] = {&remora__sidecar__v1__list_connections_request__descriptor,
                                read_list_connections},
    [LOCAL_LIST_CERTIFICATES] = {&remora__sidecar__v1__list_certificates_request__descriptor, NULL},
    [LOCAL_SET_LOG_LEVEL] = {&remora__sidecar__v1__set_log_level_request__descriptor,
                             read_set_log_level},
    [LOCAL_RENEW] = {&remora__sidecar__v1__renew_request__descriptor, read_renew},
    [LOCAL_DIAGNOSE] = {&remora__sidecar__v1__diagnose_request__descriptor, read_diagnose},
};
_Static_assert(sizeof requests / sizeof *requests == LOCAL_METHOD_COUNT, "one row for each method");

enum rm_err local_wire_decode(enum local_method method, const uint8_t *bytes, size_t length,
                              struct local_request *out, struct rm_error *error)
{
    ProtobufCMessage *message = NULL;
    *out = (struct local_request){0};
    RM_TRY(pb_unpack(requests[method].type, bytes, length, REQUEST_MAX_BYTES, &message, error));
    if (requests[method].read != NULL) {
        requests[method].read(message, out);
    }
    out->message = message;
    return RM_OK;
}

void local_request_deinit(struct local_request *request)
{
    pb_free(request->message);
    *request = (struct local_request){0};
}

// --- Answers.

// protobuf-c's structs are not const-correct; packing only reads.
static char *text(const char *borrowed)
{
    return (char *)(uintptr_t)(borrowed != NULL ? borrowed : "");
}

static ProtobufCBinaryData binary(const uint8_t *bytes, size_t length)
{
    return (ProtobufCBinaryData){.len = length, .data = (uint8_t *)(uintptr_t)bytes};
}

static enum rm_err append(struct buffer *out, const ProtobufCMessage *message)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    RM_TRY(pb_pack(message, out->max_bytes, &bytes, &length));
    enum rm_err result = buffer_append(out, bytes, length);
    rm_free(bytes);
    return result;
}

static void write_level(const struct local_level *level, Remora__Sidecar__V1__LogLevel *message)
{
    remora__sidecar__v1__log_level__init(message);
    message->level = text(level->level);
    message->configured = text(level->configured);
    message->falls_back_at_s = level->falls_back_at_s;
}

static void write_version(const struct local_view_version *version,
                          Remora__Sidecar__V1__ViewVersion *message)
{
    remora__sidecar__v1__view_version__init(message);
    message->last_heard_ago_ms = version->last_heard_ago_ms;
    if (!version->is_complete) {
        return;
    }
    message->complete = 1;
    message->store_id = binary(version->version.store_id, sizeof version->version.store_id);
    message->number = version->version.number;
    message->hash = binary(version->hash, version->hash_length);
    message->services = (uint32_t)version->counts[MESH_SERVICE];
    message->endpoints = (uint32_t)version->counts[MESH_ENDPOINT];
    message->withdrawals = (uint32_t)version->counts[MESH_WITHDRAWAL];
}

enum rm_err local_wire_status(struct buffer *out, const struct local_status *status)
{
    Remora__Sidecar__V1__GetStatusResponse message = REMORA__SIDECAR__V1__GET_STATUS_RESPONSE__INIT;
    Remora__Sidecar__V1__LogLevel level;
    Remora__Sidecar__V1__ViewVersion view;
    Remora__Sidecar__V1__Control control = REMORA__SIDECAR__V1__CONTROL__INIT;
    message.version = text(status->version);
    message.started_at_s = status->started_at_s;
    message.now_ms = status->now_ms;
    message.ready = status->is_ready;
    message.waits_for = text(status->waits_for);
    message.config_path = text(status->config_path);
    message.identity = text(status->identity);
    message.workers = (uint32_t)status->worker_count;
    write_level(&status->level, &level);
    message.log_level = &level;
    if (status->control_address != NULL) {
        control.address = text(status->control_address);
        control.connected = status->is_connected;
        control.clock_offset_ms = status->clock_offset_ms;
        message.control = &control;
        write_version(&status->view, &view);
        message.view = &view;
    }
    return append(out, &message.base);
}

enum rm_err local_wire_bundle(struct buffer *out, const struct trust_domain *domain,
                              const char *own_name, bool is_view)
{
    Remora__Sidecar__V1__Bundle bundle = REMORA__SIDECAR__V1__BUNDLE__INIT;
    Remora__Sidecar__V1__Bundle *pointer = &bundle;
    ProtobufCBinaryData key_ids[TRUST_MAX_ROOTS_PER_DOMAIN];
    for (size_t i = 0; i < domain->root_count && i < TRUST_MAX_ROOTS_PER_DOMAIN; i++) {
        key_ids[bundle.n_key_ids++] = binary(domain->roots[i].key_id, KEY_ID_BYTES);
    }
    bundle.own_name = text(own_name);
    bundle.trust_domain = text(domain->name);
    bundle.key_ids = key_ids;
    if (is_view) {
        Remora__Sidecar__V1__GetViewResponse view = REMORA__SIDECAR__V1__GET_VIEW_RESPONSE__INIT;
        view.n_bundles = 1;
        view.bundles = &pointer;
        return append(out, &view.base);
    }
    Remora__Sidecar__V1__GetStatusResponse status = REMORA__SIDECAR__V1__GET_STATUS_RESPONSE__INIT;
    status.n_bundles = 1;
    status.bundles = &pointer;
    return append(out, &status.base);
}

enum rm_err local_wire_view_version(struct buffer *out, const struct local_view_version *version)
{
    Remora__Sidecar__V1__GetViewResponse view = REMORA__SIDECAR__V1__GET_VIEW_RESPONSE__INIT;
    Remora__Sidecar__V1__ViewVersion message;
    write_version(version, &message);
    view.version = &message;
    return append(out, &view.base);
}

static enum rm_err append_service(struct buffer *out, const struct mesh_resource *resource)
{
    const struct mesh_service *service = &resource->of.service;
    Remora__Sidecar__V1__GetViewResponse view = REMORA__SIDECAR__V1__GET_VIEW_RESPONSE__INIT;
    Remora__Sidecar__V1__Service message = REMORA__SIDECAR__V1__SERVICE__INIT;
    Remora__Sidecar__V1__Service *pointer = &message;
    message.name = text(resource->key);
    message.port = service->port;
    message.n_identities = service->identity_count;
    message.identities = service->identities;
    message.n_allow = service->allow_count;
    message.allow = service->allow;
    message.guarded = service->is_guarded;
    view.n_services = 1;
    view.services = &pointer;
    return append(out, &view.base);
}

// The key is the service's name, '/', the instance id.
static enum rm_err append_endpoint(struct buffer *out, const struct mesh_resource *resource)
{
    const struct mesh_endpoint *endpoint = &resource->of.endpoint;
    const char *slash = strchr(resource->key, '/');
    char service[MESH_MAX_NAME_BYTES + 1];
    size_t length = slash != NULL ? (size_t)(slash - resource->key) : 0;
    if (length == 0 || length >= sizeof service) {
        return RM_ERR_INTERNAL;
    }
    memcpy(service, resource->key, length);
    service[length] = '\0';
    Remora__Sidecar__V1__GetViewResponse view = REMORA__SIDECAR__V1__GET_VIEW_RESPONSE__INIT;
    Remora__Sidecar__V1__Endpoint message = REMORA__SIDECAR__V1__ENDPOINT__INIT;
    Remora__Sidecar__V1__Endpoint *pointer = &message;
    message.service = service;
    message.instance_id = text(slash + 1);
    message.address = endpoint->address;
    message.identity = endpoint->identity;
    message.zone = endpoint->zone;
    message.ready = endpoint->is_ready;
    view.n_endpoints = 1;
    view.endpoints = &pointer;
    return append(out, &view.base);
}

static const char *withdrawal_kind_name(enum trust_withdrawal_kind kind)
{
    switch (kind) {
    case TRUST_REVOKED_LINEAGE:
        return "revoked_lineage";
    case TRUST_LAPSED_LINEAGE:
        return "lapsed_lineage";
    case TRUST_REVOKED_IDENTITY:
        return "revoked_identity";
    case TRUST_REVOKED_ISSUER:
        break;
    }
    return "revoked_issuer";
}

// The key is a digit, ':', the subject.
static enum rm_err append_withdrawal(struct buffer *out, const struct mesh_resource *resource)
{
    const struct mesh_withdrawal *withdrawal = &resource->of.withdrawal;
    Remora__Sidecar__V1__GetViewResponse view = REMORA__SIDECAR__V1__GET_VIEW_RESPONSE__INIT;
    Remora__Sidecar__V1__Withdrawal message = REMORA__SIDECAR__V1__WITHDRAWAL__INIT;
    Remora__Sidecar__V1__Withdrawal *pointer = &message;
    const char *colon = strchr(resource->key, ':');
    message.kind = text(withdrawal_kind_name(withdrawal->kind));
    message.subject = text(colon != NULL ? colon + 1 : resource->key);
    message.expires_s = withdrawal->expires_s;
    view.n_withdrawals = 1;
    view.withdrawals = &pointer;
    return append(out, &view.base);
}

enum rm_err local_wire_resource(struct buffer *out, const struct mesh_resource *resource)
{
    switch (resource->kind) {
    case MESH_SERVICE:
        return append_service(out, resource);
    case MESH_ENDPOINT:
        return append_endpoint(out, resource);
    case MESH_WITHDRAWAL:
        return append_withdrawal(out, resource);
    case MESH_BUNDLE:
    case MESH_KIND_COUNT:
        break;
    }
    return RM_ERR_INTERNAL;
}

static void write_peer(const struct listing_record *record,
                       Remora__Sidecar__V1__Connection *message)
{
    const struct peer *peer = record->peer;
    if (peer == NULL) {
        return;
    }
    message->peer_identity = text(peer->spiffe_id);
    message->peer_serial = binary(peer->serial, peer->serial_length);
    message->peer_not_after_s = peer->not_after_s;
}

enum rm_err local_wire_connection(struct buffer *out, const struct listing_record *record,
                                  size_t worker)
{
    static const uint8_t no_id[TUNNEL_CONNECTION_ID_BYTES];
    Remora__Sidecar__V1__ListConnectionsResponse list =
        REMORA__SIDECAR__V1__LIST_CONNECTIONS_RESPONSE__INIT;
    Remora__Sidecar__V1__Connection message = REMORA__SIDECAR__V1__CONNECTION__INIT;
    Remora__Sidecar__V1__Connection *pointer = &message;
    char remote[STREAM_ADDRESS_TEXT_BYTES] = "";
    char application[STREAM_ADDRESS_TEXT_BYTES] = "";
    if (memcmp(record->id, no_id, sizeof no_id) != 0) {
        message.id = binary(record->id, sizeof record->id);
    }
    if (record->remote.length > 0) {
        stream_address_text(&record->remote, remote);
    }
    if (record->application.length > 0) {
        stream_address_text(&record->application, application);
    }
    message.direction = text(connection_direction_name(record->direction));
    message.state = text(record->progress.state);
    message.service = text(record->service);
    message.port = record->port;
    message.local_identity = text(record->identity != NULL ? record->identity->spiffe_id : NULL);
    write_peer(record, &message);
    message.remote = remote;
    message.application = application;
    message.sent_bytes = record->progress.sent_bytes;
    message.received_bytes = record->progress.received_bytes;
    message.age_ms = record->age_ms;
    message.tls_version = text(record->suite != NULL ? "TLSv1.3" : NULL);
    message.suite = text(record->suite);
    message.group = text(record->group);
    message.resumed = record->is_resumed;
    message.handshake_ms = record->handshake_ms;
    message.worker = (uint32_t)worker;
    list.n_connections = 1;
    list.connections = &pointer;
    return append(out, &list.base);
}

enum rm_err local_wire_certificate(struct buffer *out, const struct local_certificate *certificate,
                                   bool is_listed)
{
    Remora__Sidecar__V1__ListCertificatesResponse list =
        REMORA__SIDECAR__V1__LIST_CERTIFICATES_RESPONSE__INIT;
    Remora__Sidecar__V1__Certificate message = REMORA__SIDECAR__V1__CERTIFICATE__INIT;
    Remora__Sidecar__V1__Certificate *pointer = &message;
    message.name = text(certificate->name);
    message.identity = text(certificate->identity);
    message.serial = binary(certificate->serial, certificate->serial_length);
    message.not_before_s = certificate->not_before_s;
    message.not_after_s = certificate->not_after_s;
    message.next_renewal_s = certificate->next_renewal_s;
    message.last_error = text(certificate->last_error);
    message.source = text(certificate->source);
    list.n_certificates = 1;
    list.certificates = &pointer;
    return append(out, is_listed ? &list.base : &message.base);
}

enum rm_err local_wire_level(struct buffer *out, const struct local_level *level,
                             const char *before)
{
    Remora__Sidecar__V1__SetLogLevelResponse message =
        REMORA__SIDECAR__V1__SET_LOG_LEVEL_RESPONSE__INIT;
    Remora__Sidecar__V1__LogLevel level_message;
    write_level(level, &level_message);
    message.log_level = &level_message;
    message.before = text(before);
    return append(out, &message.base);
}
