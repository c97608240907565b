// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli_wire.h"

#include <string.h>

#include "base/alloc.h"
#include "pb/pb.h"
#include "remora/admin/v1/admin.pb-c.h"

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

enum rm_err wire_create_service(const struct wire_create_service *request, struct wire_bytes *out)
{
    Remora__Admin__V1__Service service = REMORA__ADMIN__V1__SERVICE__INIT;
    Remora__Admin__V1__CreateServiceRequest message =
        REMORA__ADMIN__V1__CREATE_SERVICE_REQUEST__INIT;
    service.name = text(request->name);
    service.port = request->port;
    service.n_identities = request->identities.count;
    service.identities = request->identities.items;
    service.n_allow = request->allow.count;
    service.allow = request->allow.items;
    service.n_dns_names = request->dns_names.count;
    service.dns_names = request->dns_names.items;
    message.service = &service;
    return pack(&message.base, out);
}

enum rm_err wire_update_service(const struct wire_update_service *request, struct wire_bytes *out)
{
    Remora__Admin__V1__UpdateServiceRequest message =
        REMORA__ADMIN__V1__UPDATE_SERVICE_REQUEST__INIT;
    message.name = text(request->name);
    message.n_add_identities = request->add_identities.count;
    message.add_identities = request->add_identities.items;
    message.n_remove_identities = request->remove_identities.count;
    message.remove_identities = request->remove_identities.items;
    message.n_add_allow = request->add_allow.count;
    message.add_allow = request->add_allow.items;
    message.n_remove_allow = request->remove_allow.count;
    message.remove_allow = request->remove_allow.items;
    message.n_add_dns_names = request->add_dns_names.count;
    message.add_dns_names = request->add_dns_names.items;
    message.n_remove_dns_names = request->remove_dns_names.count;
    message.remove_dns_names = request->remove_dns_names.items;
    message.clear_guard = request->clear_guard;
    return pack(&message.base, out);
}

enum rm_err wire_delete_service(const char *name, struct wire_bytes *out)
{
    Remora__Admin__V1__DeleteServiceRequest message =
        REMORA__ADMIN__V1__DELETE_SERVICE_REQUEST__INIT;
    message.name = text(name);
    return pack(&message.base, out);
}

enum rm_err wire_create_token(const struct wire_create_token *request, struct wire_bytes *out)
{
    Remora__Admin__V1__CreateTokenRequest message = REMORA__ADMIN__V1__CREATE_TOKEN_REQUEST__INIT;
    message.identity = text(request->identity);
    message.n_services = request->services.count;
    message.services = request->services.items;
    message.n_address_ranges = request->address_ranges.count;
    message.address_ranges = request->address_ranges.items;
    message.lifetime_s = request->lifetime_s;
    return pack(&message.base, out);
}

enum rm_err wire_delete_token(const char *id, struct wire_bytes *out)
{
    Remora__Admin__V1__DeleteTokenRequest message = REMORA__ADMIN__V1__DELETE_TOKEN_REQUEST__INIT;
    message.id = text(id);
    return pack(&message.base, out);
}

enum rm_err wire_list_certificates(bool include_expired, const char *identity,
                                   struct wire_bytes *out)
{
    Remora__Admin__V1__ListCertificatesRequest message =
        REMORA__ADMIN__V1__LIST_CERTIFICATES_REQUEST__INIT;
    message.include_expired = include_expired;
    message.identity = text(identity);
    return pack(&message.base, out);
}

enum rm_err wire_revoke_certificate(const uint8_t *serial, size_t serial_length, const char *reason,
                                    struct wire_bytes *out)
{
    Remora__Admin__V1__RevokeCertificateRequest message =
        REMORA__ADMIN__V1__REVOKE_CERTIFICATE_REQUEST__INIT;
    message.serial.data = (uint8_t *)(uintptr_t)serial;
    message.serial.len = serial_length;
    message.reason = text(reason);
    return pack(&message.base, out);
}

// --- Answers.

static enum rm_err unpack(const ProtobufCMessageDescriptor *type, const uint8_t *bytes,
                          size_t length, ProtobufCMessage **out)
{
    return pb_unpack(type, bytes, length, WIRE_MAX_BYTES, out, NULL);
}

static enum rm_err visit_service(const Remora__Admin__V1__Service *message, wire_service_fn visit,
                                 void *context)
{
    struct wire_service service = {
        .name = message->name,
        .port = message->port,
        .identities = {message->identities, message->n_identities},
        .allow = {message->allow, message->n_allow},
        .dns_names = {message->dns_names, message->n_dns_names},
        .is_guarded = message->guarded != 0,
        .endpoint_count = message->n_endpoints,
        .message = message,
    };
    return visit(context, &service);
}

struct wire_endpoint wire_service_endpoint(const struct wire_service *service, size_t index)
{
    const Remora__Admin__V1__Service *message = service->message;
    const Remora__Admin__V1__Endpoint *endpoint = message->endpoints[index];
    return (struct wire_endpoint){
        .instance_id = endpoint->instance_id,
        .identity = endpoint->identity,
        .address = endpoint->address,
        .zone = endpoint->zone,
        .view_hash = endpoint->view_hash.data,
        .view_hash_length = endpoint->view_hash.len,
        .view_version = endpoint->view_version,
    };
}

enum rm_err wire_read_services(const uint8_t *bytes, size_t length, bool is_list,
                               wire_service_fn visit, void *context)
{
    ProtobufCMessage *message = NULL;
    RM_TRY(unpack(is_list ? &remora__admin__v1__list_services_response__descriptor
                          : &remora__admin__v1__service__descriptor,
                  bytes, length, &message));
    enum rm_err result = RM_OK;
    if (is_list) {
        const Remora__Admin__V1__ListServicesResponse *list = (const void *)message;
        for (size_t i = 0; i < list->n_services && result == RM_OK; i++) {
            result = visit_service(list->services[i], visit, context);
        }
    } else {
        result = visit_service((const void *)message, visit, context);
    }
    pb_free(message);
    return result;
}

enum rm_err wire_read_created_token(const uint8_t *bytes, size_t length, wire_token_fn visit,
                                    void *context)
{
    ProtobufCMessage *message = NULL;
    RM_TRY(unpack(&remora__admin__v1__create_token_response__descriptor, bytes, length, &message));
    const Remora__Admin__V1__CreateTokenResponse *created = (const void *)message;
    struct wire_token token = {
        .secret = created->token, .id = created->id, .expires_at_s = created->expires_at_s};
    enum rm_err result = visit(context, &token);
    rm_wipe(created->token, strlen(created->token));
    pb_free(message);
    return result;
}

enum rm_err wire_read_tokens(const uint8_t *bytes, size_t length, wire_token_fn visit,
                             void *context)
{
    ProtobufCMessage *message = NULL;
    RM_TRY(unpack(&remora__admin__v1__list_tokens_response__descriptor, bytes, length, &message));
    const Remora__Admin__V1__ListTokensResponse *list = (const void *)message;
    enum rm_err result = RM_OK;
    for (size_t i = 0; i < list->n_tokens && result == RM_OK; i++) {
        const Remora__Admin__V1__Token *entry = list->tokens[i];
        struct wire_token token = {
            .id = entry->id,
            .identity = entry->identity,
            .services = {entry->services, entry->n_services},
            .expires_at_s = entry->expires_at_s,
            .used_at_s = entry->used_at_s,
        };
        result = visit(context, &token);
    }
    pb_free(message);
    return result;
}

enum rm_err wire_read_identities(const uint8_t *bytes, size_t length, wire_identity_fn visit,
                                 void *context)
{
    ProtobufCMessage *message = NULL;
    RM_TRY(
        unpack(&remora__admin__v1__list_identities_response__descriptor, bytes, length, &message));
    const Remora__Admin__V1__ListIdentitiesResponse *list = (const void *)message;
    enum rm_err result = RM_OK;
    for (size_t i = 0; i < list->n_identities && result == RM_OK; i++) {
        const Remora__Admin__V1__IdentityRecord *record = list->identities[i];
        struct wire_identity identity = {
            .identity = record->identity,
            .services = {record->services, record->n_services},
            .live_certificates = record->live_certificates,
            .connected_instances = record->connected_instances,
        };
        result = visit(context, &identity);
    }
    pb_free(message);
    return result;
}

enum rm_err wire_read_certificates(const uint8_t *bytes, size_t length, wire_certificate_fn visit,
                                   void *context)
{
    ProtobufCMessage *message = NULL;
    RM_TRY(unpack(&remora__admin__v1__list_certificates_response__descriptor, bytes, length,
                  &message));
    const Remora__Admin__V1__ListCertificatesResponse *list = (const void *)message;
    enum rm_err result = RM_OK;
    for (size_t i = 0; i < list->n_certificates && result == RM_OK; i++) {
        const Remora__Admin__V1__Certificate *entry = list->certificates[i];
        struct wire_certificate certificate = {
            .serial = entry->serial.data,
            .serial_length = entry->serial.len,
            .lineage = entry->lineage.data,
            .lineage_length = entry->lineage.len,
            .identity = entry->identity,
            .state = entry->state,
            .last_error = entry->last_error,
            .not_before_s = entry->not_before_s,
            .not_after_s = entry->not_after_s,
            .next_renewal_s = entry->next_renewal_s,
        };
        result = visit(context, &certificate);
    }
    pb_free(message);
    return result;
}

enum rm_err wire_read_revoked(const uint8_t *bytes, size_t length, wire_revoked_fn visit,
                              void *context)
{
    ProtobufCMessage *message = NULL;
    RM_TRY(unpack(&remora__admin__v1__revoke_certificate_response__descriptor, bytes, length,
                  &message));
    const Remora__Admin__V1__RevokeCertificateResponse *answer = (const void *)message;
    struct wire_revoked revoked = {
        .lineage = answer->lineage.data,
        .lineage_length = answer->lineage.len,
        .identity = answer->identity,
        .certificates = answer->certificates,
    };
    enum rm_err result = visit(context, &revoked);
    pb_free(message);
    return result;
}

struct wire_authority wire_status_authority(const struct wire_status *status, size_t index)
{
    const Remora__Admin__V1__GetStatusResponse *message = status->message;
    const Remora__Admin__V1__Authority *authority = message->authorities[index];
    return (struct wire_authority){
        .kind = authority->kind,
        .subject = authority->subject,
        .key_id = authority->key_id.data,
        .key_id_length = authority->key_id.len,
        .not_after_s = authority->not_after_s,
    };
}

enum rm_err wire_read_status(const uint8_t *bytes, size_t length, wire_status_fn visit,
                             void *context)
{
    ProtobufCMessage *message = NULL;
    RM_TRY(unpack(&remora__admin__v1__get_status_response__descriptor, bytes, length, &message));
    const Remora__Admin__V1__GetStatusResponse *answer = (const void *)message;
    struct wire_status status = {
        .version = answer->version,
        .trust_domain = answer->trust_domain,
        .mode = answer->mode,
        .mode_warning = answer->mode_warning,
        .address = answer->address,
        .started_at_s = answer->started_at_s,
        .now_ms = answer->now_ms,
        .store_id = answer->store_id.data,
        .store_id_length = answer->store_id.len,
        .store_version = answer->store_version,
        .connected_sidecars = answer->connected_sidecars,
        .live_certificates = answer->live_certificates,
        .services = answer->services,
        .alarms = {answer->alarms, answer->n_alarms},
        .authority_count = answer->n_authorities,
        .message = message,
    };
    enum rm_err result = visit(context, &status);
    pb_free(message);
    return result;
}

enum rm_err wire_read_bundle(const uint8_t *bytes, size_t length, wire_root_fn visit, void *context)
{
    ProtobufCMessage *message = NULL;
    RM_TRY(unpack(&remora__admin__v1__get_bundle_response__descriptor, bytes, length, &message));
    const Remora__Admin__V1__GetBundleResponse *bundle = (const void *)message;
    enum rm_err result = RM_OK;
    for (size_t i = 0; i < bundle->n_roots && result == RM_OK; i++) {
        result = visit(context, bundle->trust_domain, bundle->roots[i].data, bundle->roots[i].len);
    }
    pb_free(message);
    return result;
}
