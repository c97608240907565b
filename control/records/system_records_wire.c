// SPDX-License-Identifier: GPL-3.0-or-later
#include "records/records_wire.h"

#include "records/records_wire_internal.h"
#include "remora/store/v1/store.pb-c.h"

enum rm_err authority_record_encode(const struct authority_record *record, uint8_t **bytes,
                                    size_t *length)
{
    Remora__Store__V1__AuthorityRecord message = REMORA__STORE__V1__AUTHORITY_RECORD__INIT;
    message.certificate = record_wire_bytes(record->certificate.bytes, record->certificate.length);
    message.sealed_key = record_wire_bytes(record->sealed_key.bytes, record->sealed_key.length);
    return pb_pack(&message.base, RECORD_MAX_BYTES, bytes, length);
}

static enum rm_err take_authority(const Remora__Store__V1__AuthorityRecord *message,
                                  struct authority_record *out)
{
    enum rm_err failure = RM_OK;
    out->certificate = record_take_bytes(message->certificate, &failure);
    out->sealed_key = record_take_bytes(message->sealed_key, &failure);
    return failure;
}

enum rm_err authority_record_decode(const uint8_t *bytes, size_t length,
                                    struct authority_record *out)
{
    *out = (struct authority_record){0};
    ProtobufCMessage *message = NULL;
    RM_TRY(pb_unpack(&remora__store__v1__authority_record__descriptor, bytes, length,
                     RECORD_MAX_BYTES, &message, NULL));
    enum rm_err result = take_authority((const void *)message, out);
    pb_free(message);
    if (result != RM_OK) {
        authority_record_deinit(out);
    }
    return result;
}

enum rm_err served_record_encode(const struct served_record *record, uint8_t **bytes,
                                 size_t *length)
{
    Remora__Store__V1__ServedRecord message = REMORA__STORE__V1__SERVED_RECORD__INIT;
    message.store_id = record_wire_bytes(record->store_id, STORE_ID_BYTES);
    message.replaced_at_s = record->replaced_at_s;
    return pb_pack(&message.base, RECORD_MAX_BYTES, bytes, length);
}

enum rm_err served_record_decode(const uint8_t *bytes, size_t length, struct served_record *out)
{
    *out = (struct served_record){0};
    ProtobufCMessage *message = NULL;
    RM_TRY(pb_unpack(&remora__store__v1__served_record__descriptor, bytes, length, RECORD_MAX_BYTES,
                     &message, NULL));
    const Remora__Store__V1__ServedRecord *record = (const void *)message;
    enum rm_err failure = RM_OK;
    out->replaced_at_s = record->replaced_at_s;
    record_take_exact(record->store_id, out->store_id, STORE_ID_BYTES, &failure);
    pb_free(message);
    if (failure != RM_OK) {
        served_record_deinit(out);
    }
    return failure;
}

enum rm_err audit_record_encode(const struct audit_record *record, uint8_t **bytes, size_t *length)
{
    Remora__Store__V1__AuditRecord message = REMORA__STORE__V1__AUDIT_RECORD__INIT;
    message.action = record_wire_text(record->action);
    message.actor = record_wire_text(record->actor);
    message.subject = record_wire_text(record->subject);
    message.detail = record_wire_text(record->detail);
    return pb_pack(&message.base, RECORD_MAX_BYTES, bytes, length);
}

static enum rm_err take_audit(const Remora__Store__V1__AuditRecord *message,
                              struct audit_record *out)
{
    enum rm_err failure = RM_OK;
    out->action = record_take_text(message->action, &failure);
    out->actor = record_take_text(message->actor, &failure);
    out->subject = record_take_text(message->subject, &failure);
    out->detail = record_take_text(message->detail, &failure);
    return failure;
}

enum rm_err audit_record_decode(const uint8_t *bytes, size_t length, struct audit_record *out)
{
    *out = (struct audit_record){0};
    ProtobufCMessage *message = NULL;
    RM_TRY(pb_unpack(&remora__store__v1__audit_record__descriptor, bytes, length, RECORD_MAX_BYTES,
                     &message, NULL));
    enum rm_err result = take_audit((const void *)message, out);
    pb_free(message);
    if (result != RM_OK) {
        audit_record_deinit(out);
    }
    return result;
}
