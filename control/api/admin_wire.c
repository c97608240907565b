// SPDX-License-Identifier: GPL-3.0-or-later
#include "api/admin_wire.h"

#include "base/alloc.h"
#include "pb/pb.h"
#include "remora/admin/v1/admin.pb-c.h"
#include "rpc/rpc.h"
#include "store/store.h"

// --- Requests.

static struct admin_texts texts(char *const *items, size_t count)
{
    return (struct admin_texts){items, count};
}

static enum rm_err read_create_service(const void *message, struct admin_request *out,
                                       struct rm_error *error)
{
    const Remora__Admin__V1__Service *service =
        ((const Remora__Admin__V1__CreateServiceRequest *)message)->service;
    if (service == NULL) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the request names no service");
    }
    out->of.create_service = (struct admin_create_service){
        .name = service->name,
        .port = service->port,
        .identities = texts(service->identities, service->n_identities),
        .allow = texts(service->allow, service->n_allow),
        .dns_names = texts(service->dns_names, service->n_dns_names),
        .is_guarded = service->guarded != 0,
    };
    return RM_OK;
}

static enum rm_err read_update_service(const void *message, struct admin_request *out,
                                       struct rm_error *error)
{
    const Remora__Admin__V1__UpdateServiceRequest *update = message;
    (void)error;
    out->of.update_service = (struct admin_update_service){
        .name = update->name,
        .add_identities = texts(update->add_identities, update->n_add_identities),
        .remove_identities = texts(update->remove_identities, update->n_remove_identities),
        .add_allow = texts(update->add_allow, update->n_add_allow),
        .remove_allow = texts(update->remove_allow, update->n_remove_allow),
        .add_dns_names = texts(update->add_dns_names, update->n_add_dns_names),
        .remove_dns_names = texts(update->remove_dns_names, update->n_remove_dns_names),
        .clear_guard = update->clear_guard != 0,
    };
    return RM_OK;
}

static enum rm_err read_delete_service(const void *message, struct admin_request *out,
                                       struct rm_error *error)
{
    (void)error;
    out->of.name = ((const Remora__Admin__V1__DeleteServiceRequest *)message)->name;
    return RM_OK;
}

static enum rm_err read_create_token(const void *message, struct admin_request *out,
                                     struct rm_error *error)
{
    const Remora__Admin__V1__CreateTokenRequest *token = message;
    (void)error;
    out->of.create_token = (struct admin_create_token){
        .identity = token->identity,
        .services = texts(token->services, token->n_services),
        .address_ranges = texts(token->address_ranges, token->n_address_ranges),
        .lifetime_s = token->lifetime_s,
    };
    return RM_OK;
}

static enum rm_err read_delete_token(const void *message, struct admin_request *out,
                                     struct rm_error *error)
{
    (void)error;
    out->of.name = ((const Remora__Admin__V1__DeleteTokenRequest *)message)->id;
    return RM_OK;
}

static enum rm_err read_list_certificates(const void *message, struct admin_request *out,
                                          struct rm_error *error)
{
    const Remora__Admin__V1__ListCertificatesRequest *list = message;
    (void)error;
    out->of.list_certificates = (struct admin_list_certificates){
        .identity = list->identity,
        .include_expired = list->include_expired != 0,
    };
    return RM_OK;
}

static enum rm_err read_revoke_certificate(const void *message, struct admin_request *out,
                                           struct rm_error *error)
{
    const Remora__Admin__V1__RevokeCertificateRequest *revocation = message;
    (void)error;
    out->of.revoke_certificate = (struct admin_revoke_certificate){
        .serial = revocation->serial.data,
        .serial_length = revocation->serial.len,
        .reason = revocation->reason,
    };
    return RM_OK;
}

static const struct {
    const ProtobufCMessageDescriptor *type; // of the request
    // Fills the plain struct; NULL: nothing is in it.
    enum rm_err (*read)(const void *message, struct admin_request *out, struct rm_error *error);
} requests[] = {
    [ADMIN_GET_STATUS] = {&remora__admin__v1__get_status_request__descriptor, NULL},
    [ADMIN_CREATE_SERVICE] = {&remora__admin__v1__create_service_request__descriptor,
                              read_create_service},
    [ADMIN_UPDATE_SERVICE] = {&remora__admin__v1__update_service_request__descriptor,
                              read_update_service},
    [ADMIN_DELETE_SERVICE] = {&remora__admin__v1__delete_service_request__descriptor,
                              read_delete_service},
    [ADMIN_LIST_SERVICES] = {&remora__admin__v1__list_services_request__descriptor, NULL},
    [ADMIN_CREATE_TOKEN] = {&remora__admin__v1__create_token_request__descriptor,
                            read_create_token},
    [ADMIN_DELETE_TOKEN] = {&remora__admin__v1__delete_token_request__descriptor,
                            read_delete_token},
    [ADMIN_LIST_TOKENS] = {&remora__admin__v1__list_tokens_request__descriptor, NULL},
    [ADMIN_LIST_IDENTITIES] = {&remora__admin__v1__list_identities_request__descriptor, NULL},
    [ADMIN_LIST_CERTIFICATES] = {&remora__admin__v1__list_certificates_request__descriptor,
                                 read_list_certificates},
    [ADMIN_REVOKE_CERTIFICATE] = {&remora__admin__v1__revoke_certificate_request__descriptor,
                                  read_revoke_certificate},
    [ADMIN_GET_BUNDLE] = {&remora__admin__v1__get_bundle_request__descriptor, NULL},
    [ADMIN_BACKUP] = {&remora__admin__v1__backup_request__descriptor, NULL},
};
_Static_assert(sizeof requests / sizeof *requests == ADMIN_METHOD_COUNT, "one row for each method");

enum rm_err admin_wire_decode(enum admin_method method, const uint8_t *bytes, size_t length,
                              struct admin_request *out, struct rm_error *error)
{
    *out = (struct admin_request){0};
    ProtobufCMessage *message = NULL;
    RM_TRY(pb_unpack(requests[method].type, bytes, length, RPC_MAX_MESSAGE_BYTES, &message, error));
    enum rm_err result =
        requests[method].read == NULL ? RM_OK : requests[method].read(message, out, error);
    if (result != RM_OK) {
        pb_free(message);
        return result;
    }
    out->message = message;
    return RM_OK;
}

void admin_request_deinit(struct admin_request *request)
{
    pb_free(request->message);
    *request = (struct admin_request){0};
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
    rm_free_wiped(bytes, length);
    return result;
}

enum rm_err admin_wire_status(struct buffer *out, const struct admin_status *status)
{
    Remora__Admin__V1__Authority authorities[4];
    Remora__Admin__V1__Authority *pointers[4];
    Remora__Admin__V1__GetStatusResponse message = REMORA__ADMIN__V1__GET_STATUS_RESPONSE__INIT;
    for (size_t i = 0; i < status->authority_count && i < 4; i++) {
        const struct admin_authority *authority = &status->authorities[i];
        remora__admin__v1__authority__init(&authorities[i]);
        authorities[i].kind = text(authority->kind);
        authorities[i].subject = text(authority->subject);
        authorities[i].key_id = binary(authority->key_id, sizeof authority->key_id);
        authorities[i].not_after_s = authority->not_after_s;
        pointers[message.n_authorities++] = &authorities[i];
    }
    message.authorities = pointers;
    message.version = text(status->version);
    message.trust_domain = text(status->trust_domain);
    message.mode = text(status->mode);
    message.mode_warning = text(status->mode_warning);
    message.started_at_s = status->started_at_s;
    message.now_ms = status->now_ms;
    message.store_id = binary(status->store_id, STORE_ID_BYTES);
    message.store_version = status->store_version;
    message.connected_sidecars = status->connected_sidecars;
    message.live_certificates = status->live_certificates;
    message.services = status->services;
    message.address = text(status->address);
    message.n_alarms = status->alarm_count;
    message.alarms = (char **)(uintptr_t)status->alarms;
    return append(out, &message.base);
}

static void write_endpoint(const struct admin_endpoint *endpoint,
                           Remora__Admin__V1__Endpoint *message)
{
    remora__admin__v1__endpoint__init(message);
    message->instance_id = text(endpoint->instance_id);
    message->identity = text(endpoint->identity);
    message->address = text(endpoint->address);
    message->zone = text(endpoint->zone);
    message->view_version = endpoint->view_version;
    if (endpoint->view_hash != NULL) {
        message->view_hash = binary(endpoint->view_hash, SHA256_BYTES);
    }
}

static enum rm_err append_service(struct buffer *out, Remora__Admin__V1__Service *message,
                                  bool is_listed)
{
    if (!is_listed) {
        return append(out, &message->base);
    }
    Remora__Admin__V1__ListServicesResponse list = REMORA__ADMIN__V1__LIST_SERVICES_RESPONSE__INIT;
    list.n_services = 1;
    list.services = &message;
    return append(out, &list.base);
}

enum rm_err admin_wire_service(struct buffer *out, const struct admin_service *service,
                               bool is_listed)
{
    Remora__Admin__V1__Service message = REMORA__ADMIN__V1__SERVICE__INIT;
    Remora__Admin__V1__Endpoint *endpoints =
        rm_calloc(service->endpoint_count + 1, sizeof *endpoints);
    Remora__Admin__V1__Endpoint **pointers =
        rm_calloc(service->endpoint_count + 1, sizeof *pointers);
    enum rm_err result = RM_ERR_NO_MEMORY;
    if (endpoints != NULL && pointers != NULL) {
        for (size_t i = 0; i < service->endpoint_count; i++) {
            write_endpoint(&service->endpoints[i], &endpoints[i]);
            pointers[i] = &endpoints[i];
        }
        message.name = text(service->name);
        message.port = service->port;
        message.guarded = service->is_guarded;
        message.n_identities = service->identities->count;
        message.identities = service->identities->items;
        message.n_allow = service->allow->count;
        message.allow = service->allow->items;
        message.n_dns_names = service->dns_names->count;
        message.dns_names = service->dns_names->items;
        message.n_endpoints = service->endpoint_count;
        message.endpoints = pointers;
        result = append_service(out, &message, is_listed);
    }
    rm_free(endpoints);
    rm_free(pointers);
    return result;
}

enum rm_err admin_wire_created_token(struct buffer *out, const char *token, const char *id,
                                     int64_t expires_at_s)
{
    Remora__Admin__V1__CreateTokenResponse message = REMORA__ADMIN__V1__CREATE_TOKEN_RESPONSE__INIT;
    message.token = text(token);
    message.id = text(id);
    message.expires_at_s = expires_at_s;
    return append(out, &message.base);
}

enum rm_err admin_wire_token(struct buffer *out, const struct admin_token *token)
{
    Remora__Admin__V1__Token message = REMORA__ADMIN__V1__TOKEN__INIT;
    Remora__Admin__V1__Token *pointer = &message;
    Remora__Admin__V1__ListTokensResponse list = REMORA__ADMIN__V1__LIST_TOKENS_RESPONSE__INIT;
    message.id = text(token->id);
    message.identity = text(token->identity);
    message.n_services = token->services->count;
    message.services = token->services->items;
    message.expires_at_s = token->expires_at_s;
    message.used_at_s = token->used_at_s;
    list.n_tokens = 1;
    list.tokens = &pointer;
    return append(out, &list.base);
}

enum rm_err admin_wire_identity(struct buffer *out, const struct admin_identity *identity)
{
    Remora__Admin__V1__IdentityRecord message = REMORA__ADMIN__V1__IDENTITY_RECORD__INIT;
    Remora__Admin__V1__IdentityRecord *pointer = &message;
    Remora__Admin__V1__ListIdentitiesResponse list =
        REMORA__ADMIN__V1__LIST_IDENTITIES_RESPONSE__INIT;
    message.identity = text(identity->identity);
    message.n_services = identity->service_count;
    message.services = (char **)(uintptr_t)identity->services;
    message.live_certificates = identity->live_certificates;
    message.connected_instances = identity->connected_instances;
    list.n_identities = 1;
    list.identities = &pointer;
    return append(out, &list.base);
}

enum rm_err admin_wire_certificate(struct buffer *out, const struct admin_certificate *certificate)
{
    Remora__Admin__V1__Certificate message = REMORA__ADMIN__V1__CERTIFICATE__INIT;
    Remora__Admin__V1__Certificate *pointer = &message;
    Remora__Admin__V1__ListCertificatesResponse list =
        REMORA__ADMIN__V1__LIST_CERTIFICATES_RESPONSE__INIT;
    message.serial = binary(certificate->serial, sizeof certificate->serial);
    message.lineage = binary(certificate->lineage, sizeof certificate->lineage);
    message.identity = text(certificate->identity);
    message.state = text(certificate->state);
    message.last_error = text(certificate->last_error);
    message.not_before_s = certificate->not_before_s;
    message.not_after_s = certificate->not_after_s;
    message.next_renewal_s = certificate->next_renewal_s;
    list.n_certificates = 1;
    list.certificates = &pointer;
    return append(out, &list.base);
}

enum rm_err admin_wire_revoked(struct buffer *out, const uint8_t lineage[LINEAGE_BYTES],
                               const char *identity, uint32_t certificate_count)
{
    Remora__Admin__V1__RevokeCertificateResponse message =
        REMORA__ADMIN__V1__REVOKE_CERTIFICATE_RESPONSE__INIT;
    message.lineage = binary(lineage, LINEAGE_BYTES);
    message.identity = text(identity);
    message.certificates = certificate_count;
    return append(out, &message.base);
}

enum rm_err admin_wire_bundle_domain(struct buffer *out, const char *trust_domain)
{
    Remora__Admin__V1__GetBundleResponse message = REMORA__ADMIN__V1__GET_BUNDLE_RESPONSE__INIT;
    message.trust_domain = text(trust_domain);
    return append(out, &message.base);
}

enum rm_err admin_wire_bundle_root(struct buffer *out, const uint8_t *der, size_t length)
{
    Remora__Admin__V1__GetBundleResponse message = REMORA__ADMIN__V1__GET_BUNDLE_RESPONSE__INIT;
    ProtobufCBinaryData root = binary(der, length);
    message.n_roots = 1;
    message.roots = &root;
    return append(out, &message.base);
}

enum rm_err admin_wire_backup_chunk(struct buffer *out, const uint8_t *bytes, size_t length)
{
    Remora__Admin__V1__BackupChunk message = REMORA__ADMIN__V1__BACKUP_CHUNK__INIT;
    message.data = binary(bytes, length);
    return append(out, &message.base);
}
