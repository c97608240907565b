// SPDX-License-Identifier: GPL-3.0-or-later
#include "records/records_wire.h"

#include "records/records_wire_internal.h"
#include "remora/store/v1/store.pb-c.h"

enum rm_err service_record_encode(const struct service_record *record, uint8_t **bytes,
                                  size_t *length)
{
    Remora__Store__V1__ServiceRecord message = REMORA__STORE__V1__SERVICE_RECORD__INIT;
    message.port = record->port;
    message.identities = record->identities.items;
    message.n_identities = record->identities.count;
    message.allow = record->allow.items;
    message.n_allow = record->allow.count;
    message.guarded = record->is_guarded;
    message.dns_names = record->dns_names.items;
    message.n_dns_names = record->dns_names.count;
    return pb_pack(&message.base, RECORD_MAX_BYTES, bytes, length);
}

static enum rm_err take_service(const Remora__Store__V1__ServiceRecord *message,
                                struct service_record *out)
{
    enum rm_err failure = RM_OK;
    if (message->port == 0 || message->port > UINT16_MAX) {
        failure = RM_ERR_MALFORMED;
    }
    out->port = (uint16_t)message->port;
    out->identities = record_take_strings(message->identities, message->n_identities, &failure);
    out->allow = record_take_strings(message->allow, message->n_allow, &failure);
    out->is_guarded = message->guarded;
    out->dns_names = record_take_strings(message->dns_names, message->n_dns_names, &failure);
    return failure;
}

enum rm_err service_record_decode(const uint8_t *bytes, size_t length, struct service_record *out)
{
    *out = (struct service_record){0};
    ProtobufCMessage *message = NULL;
    RM_TRY(pb_unpack(&remora__store__v1__service_record__descriptor, bytes, length,
                     RECORD_MAX_BYTES, &message, NULL));
    enum rm_err result = take_service((const void *)message, out);
    pb_free(message);
    if (result != RM_OK) {
        service_record_deinit(out);
    }
    return result;
}

enum rm_err endpoint_record_encode(const struct endpoint_record *record, uint8_t **bytes,
                                   size_t *length)
{
    Remora__Store__V1__EndpointRecord message = REMORA__STORE__V1__ENDPOINT_RECORD__INIT;
    message.identity = record_wire_text(record->identity);
    message.address = record_wire_text(record->address);
    message.zone = record_wire_text(record->zone);
    message.lineage = record_wire_bytes(record->lineage, sizeof record->lineage);
    return pb_pack(&message.base, RECORD_MAX_BYTES, bytes, length);
}

static enum rm_err take_endpoint(const Remora__Store__V1__EndpointRecord *message,
                                 struct endpoint_record *out)
{
    enum rm_err failure = RM_OK;
    out->identity = record_take_text(message->identity, &failure);
    out->address = record_take_text(message->address, &failure);
    out->zone = record_take_text(message->zone, &failure);
    record_take_exact(message->lineage, out->lineage, sizeof out->lineage, &failure);
    return failure;
}

enum rm_err endpoint_record_decode(const uint8_t *bytes, size_t length, struct endpoint_record *out)
{
    *out = (struct endpoint_record){0};
    ProtobufCMessage *message = NULL;
    RM_TRY(pb_unpack(&remora__store__v1__endpoint_record__descriptor, bytes, length,
                     RECORD_MAX_BYTES, &message, NULL));
    enum rm_err result = take_endpoint((const void *)message, out);
    pb_free(message);
    if (result != RM_OK) {
        endpoint_record_deinit(out);
    }
    return result;
}

enum rm_err withdrawal_record_encode(const struct withdrawal_record *record, uint8_t **bytes,
                                     size_t *length)
{
    Remora__Store__V1__WithdrawalRecord message = REMORA__STORE__V1__WITHDRAWAL_RECORD__INIT;
    message.kind = (uint32_t)record->kind + 1; // the contract's 0 is "unspecified"
    message.subject = record_wire_bytes(record->subject.bytes, record->subject.length);
    message.before_s = record->before_s;
    message.expires_s = record->expires_s;
    message.reason = record_wire_text(record->reason);
    return pb_pack(&message.base, RECORD_MAX_BYTES, bytes, length);
}

static enum rm_err take_withdrawal(const Remora__Store__V1__WithdrawalRecord *message,
                                   struct withdrawal_record *out)
{
    enum rm_err failure = RM_OK;
    if (message->kind == 0 || message->kind > (uint32_t)TRUST_REVOKED_ISSUER + 1) {
        failure = RM_ERR_MALFORMED;
    } else {
        out->kind = (enum trust_withdrawal_kind)(message->kind - 1);
    }
    out->subject = record_take_bytes(message->subject, &failure);
    out->before_s = message->before_s;
    out->expires_s = message->expires_s;
    out->reason = record_take_text(message->reason, &failure);
    return failure;
}

enum rm_err withdrawal_record_decode(const uint8_t *bytes, size_t length,
                                     struct withdrawal_record *out)
{
    *out = (struct withdrawal_record){0};
    ProtobufCMessage *message = NULL;
    RM_TRY(pb_unpack(&remora__store__v1__withdrawal_record__descriptor, bytes, length,
                     RECORD_MAX_BYTES, &message, NULL));
    enum rm_err result = take_withdrawal((const void *)message, out);
    pb_free(message);
    if (result != RM_OK) {
        withdrawal_record_deinit(out);
    }
    return result;
}
