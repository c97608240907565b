// SPDX-License-Identifier: GPL-3.0-or-later
#include "records/records_wire.h"

#include "records/records_wire_internal.h"
#include "remora/store/v1/store.pb-c.h"

enum rm_err token_record_encode(const struct token_record *record, uint8_t **bytes, size_t *length)
{
    Remora__Store__V1__TokenRecord message = REMORA__STORE__V1__TOKEN_RECORD__INIT;
    message.secret_hash = record_wire_bytes(record->secret_hash, sizeof record->secret_hash);
    message.identity = record_wire_text(record->identity);
    message.services = record->services.items;
    message.n_services = record->services.count;
    message.address_ranges = record->address_ranges.items;
    message.n_address_ranges = record->address_ranges.count;
    message.created_at_s = record->created_at_s;
    message.expires_at_s = record->expires_at_s;
    message.used_at_s = record->used_at_s;
    if (record->used_at_s != 0) {
        message.used_key_hash =
            record_wire_bytes(record->used_key_hash, sizeof record->used_key_hash);
        message.lineage = record_wire_bytes(record->lineage, sizeof record->lineage);
    }
    return pb_pack(&message.base, RECORD_MAX_BYTES, bytes, length);
}

static enum rm_err take_token(const Remora__Store__V1__TokenRecord *message,
                              struct token_record *out)
{
    enum rm_err failure = RM_OK;
    record_take_exact(message->secret_hash, out->secret_hash, sizeof out->secret_hash, &failure);
    out->identity = record_take_text(message->identity, &failure);
    out->services = record_take_strings(message->services, message->n_services, &failure);
    out->address_ranges =
        record_take_strings(message->address_ranges, message->n_address_ranges, &failure);
    out->created_at_s = message->created_at_s;
    out->expires_at_s = message->expires_at_s;
    out->used_at_s = message->used_at_s;
    if (message->used_at_s != 0) {
        record_take_exact(message->used_key_hash, out->used_key_hash, sizeof out->used_key_hash,
                          &failure);
        record_take_exact(message->lineage, out->lineage, sizeof out->lineage, &failure);
    }
    return failure;
}

enum rm_err token_record_decode(const uint8_t *bytes, size_t length, struct token_record *out)
{
    *out = (struct token_record){0};
    ProtobufCMessage *message = NULL;
    RM_TRY(pb_unpack(&remora__store__v1__token_record__descriptor, bytes, length, RECORD_MAX_BYTES,
                     &message, NULL));
    enum rm_err result = take_token((const void *)message, out);
    pb_free(message);
    if (result != RM_OK) {
        token_record_deinit(out);
    }
    return result;
}

static enum lineage_state take_state(Remora__Store__V1__LineageRecord__State state,
                                     enum rm_err *failure)
{
    if (state < REMORA__STORE__V1__LINEAGE_RECORD__STATE__LIVE ||
        state > REMORA__STORE__V1__LINEAGE_RECORD__STATE__REVOKED) {
        *failure = RM_ERR_MALFORMED;
        return LINEAGE_REVOKED;
    }
    return (enum lineage_state)state;
}

enum rm_err lineage_record_encode(const struct lineage_record *record, uint8_t **bytes,
                                  size_t *length)
{
    Remora__Store__V1__LineageRecord message = REMORA__STORE__V1__LINEAGE_RECORD__INIT;
    message.identity = record_wire_text(record->identity);
    message.services = record->services.items;
    message.n_services = record->services.count;
    message.address_ranges = record->address_ranges.items;
    message.n_address_ranges = record->address_ranges.count;
    message.attested_at_s = record->attested_at_s;
    message.serial = record_wire_bytes(record->serial, sizeof record->serial);
    message.key_hash = record_wire_bytes(record->key_hash, sizeof record->key_hash);
    if (record->has_previous) {
        message.previous_serial =
            record_wire_bytes(record->previous_serial, sizeof record->previous_serial);
    }
    message.not_after_s = record->not_after_s;
    message.state = (Remora__Store__V1__LineageRecord__State)record->state;
    message.evidence = record_wire_text(record->evidence);
    message.rejoin_key = record_wire_bytes(record->rejoin_key.bytes, record->rejoin_key.length);
    return pb_pack(&message.base, RECORD_MAX_BYTES, bytes, length);
}

static enum rm_err take_lineage(const Remora__Store__V1__LineageRecord *message,
                                struct lineage_record *out)
{
    enum rm_err failure = RM_OK;
    out->identity = record_take_text(message->identity, &failure);
    out->services = record_take_strings(message->services, message->n_services, &failure);
    out->address_ranges =
        record_take_strings(message->address_ranges, message->n_address_ranges, &failure);
    out->attested_at_s = message->attested_at_s;
    record_take_exact(message->serial, out->serial, sizeof out->serial, &failure);
    record_take_exact(message->key_hash, out->key_hash, sizeof out->key_hash, &failure);
    out->has_previous = message->previous_serial.len > 0;
    if (out->has_previous) {
        record_take_exact(message->previous_serial, out->previous_serial,
                          sizeof out->previous_serial, &failure);
    }
    out->not_after_s = message->not_after_s;
    out->state = take_state(message->state, &failure);
    out->evidence = record_take_text(message->evidence, &failure);
    out->rejoin_key = record_take_bytes(message->rejoin_key, &failure);
    return failure;
}

enum rm_err lineage_record_decode(const uint8_t *bytes, size_t length, struct lineage_record *out)
{
    *out = (struct lineage_record){0};
    ProtobufCMessage *message = NULL;
    RM_TRY(pb_unpack(&remora__store__v1__lineage_record__descriptor, bytes, length,
                     RECORD_MAX_BYTES, &message, NULL));
    enum rm_err result = take_lineage((const void *)message, out);
    pb_free(message);
    if (result != RM_OK) {
        lineage_record_deinit(out);
    }
    return result;
}

_Static_assert((int)LINEAGE_LIVE == (int)REMORA__STORE__V1__LINEAGE_RECORD__STATE__LIVE &&
                   (int)LINEAGE_LAPSED == (int)REMORA__STORE__V1__LINEAGE_RECORD__STATE__LAPSED &&
                   (int)LINEAGE_REVOKED == (int)REMORA__STORE__V1__LINEAGE_RECORD__STATE__REVOKED,
               "lineage_state and the contract's State share their numbers");

enum rm_err certificate_record_encode(const struct certificate_record *record, uint8_t **bytes,
                                      size_t *length)
{
    Remora__Store__V1__CertificateRecord message = REMORA__STORE__V1__CERTIFICATE_RECORD__INIT;
    message.identity = record_wire_text(record->identity);
    message.lineage = record_wire_bytes(record->lineage, sizeof record->lineage);
    message.not_before_s = record->not_before_s;
    message.not_after_s = record->not_after_s;
    message.issuer_key_id = record_wire_bytes(record->issuer_key_id, sizeof record->issuer_key_id);
    return pb_pack(&message.base, RECORD_MAX_BYTES, bytes, length);
}

static enum rm_err take_certificate(const Remora__Store__V1__CertificateRecord *message,
                                    struct certificate_record *out)
{
    enum rm_err failure = RM_OK;
    out->identity = record_take_text(message->identity, &failure);
    record_take_exact(message->lineage, out->lineage, sizeof out->lineage, &failure);
    out->not_before_s = message->not_before_s;
    out->not_after_s = message->not_after_s;
    record_take_exact(message->issuer_key_id, out->issuer_key_id, sizeof out->issuer_key_id,
                      &failure);
    return failure;
}

enum rm_err certificate_record_decode(const uint8_t *bytes, size_t length,
                                      struct certificate_record *out)
{
    *out = (struct certificate_record){0};
    ProtobufCMessage *message = NULL;
    RM_TRY(pb_unpack(&remora__store__v1__certificate_record__descriptor, bytes, length,
                     RECORD_MAX_BYTES, &message, NULL));
    enum rm_err result = take_certificate((const void *)message, out);
    pb_free(message);
    if (result != RM_OK) {
        certificate_record_deinit(out);
    }
    return result;
}

enum rm_err rejoin_record_encode(const struct rejoin_record *record, uint8_t **bytes,
                                 size_t *length)
{
    Remora__Store__V1__RejoinRecord message = REMORA__STORE__V1__REJOIN_RECORD__INIT;
    message.identity = record_wire_text(record->identity);
    message.public_key = record_wire_bytes(record->public_key.bytes, record->public_key.length);
    message.lineage = record_wire_bytes(record->lineage, sizeof record->lineage);
    message.expires_s = record->expires_s;
    return pb_pack(&message.base, RECORD_MAX_BYTES, bytes, length);
}

static enum rm_err take_rejoin(const Remora__Store__V1__RejoinRecord *message,
                               struct rejoin_record *out)
{
    enum rm_err failure = RM_OK;
    out->identity = record_take_text(message->identity, &failure);
    out->public_key = record_take_bytes(message->public_key, &failure);
    record_take_exact(message->lineage, out->lineage, sizeof out->lineage, &failure);
    out->expires_s = message->expires_s;
    return failure;
}

enum rm_err rejoin_record_decode(const uint8_t *bytes, size_t length, struct rejoin_record *out)
{
    *out = (struct rejoin_record){0};
    ProtobufCMessage *message = NULL;
    RM_TRY(pb_unpack(&remora__store__v1__rejoin_record__descriptor, bytes, length, RECORD_MAX_BYTES,
                     &message, NULL));
    enum rm_err result = take_rejoin((const void *)message, out);
    pb_free(message);
    if (result != RM_OK) {
        rejoin_record_deinit(out);
    }
    return result;
}
