// SPDX-License-Identifier: GPL-3.0-or-later
//
// Records to bytes and back. Encode: *bytes is the caller's (rm_free). Errors: RM_ERR_TOO_LARGE,
// RM_ERR_NO_MEMORY. Decode: fills `out`, to free with <noun>_deinit(); on an error `out` is empty.
// Errors: RM_ERR_MALFORMED (also: a hash, lineage or serial of the wrong length), RM_ERR_TOO_LARGE,
// RM_ERR_NO_MEMORY.
#pragma once

#include "records/records.h"

RM_NODISCARD enum rm_err authority_record_encode(const struct authority_record *record,
                                                 uint8_t **bytes, size_t *length);
RM_NODISCARD enum rm_err authority_record_decode(const uint8_t *bytes, size_t length,
                                                 struct authority_record *out);
RM_NODISCARD enum rm_err served_record_encode(const struct served_record *record, uint8_t **bytes,
                                              size_t *length);
RM_NODISCARD enum rm_err served_record_decode(const uint8_t *bytes, size_t length,
                                              struct served_record *out);
RM_NODISCARD enum rm_err token_record_encode(const struct token_record *record, uint8_t **bytes,
                                             size_t *length);
RM_NODISCARD enum rm_err token_record_decode(const uint8_t *bytes, size_t length,
                                             struct token_record *out);
RM_NODISCARD enum rm_err lineage_record_encode(const struct lineage_record *record, uint8_t **bytes,
                                               size_t *length);
RM_NODISCARD enum rm_err lineage_record_decode(const uint8_t *bytes, size_t length,
                                               struct lineage_record *out);
RM_NODISCARD enum rm_err certificate_record_encode(const struct certificate_record *record,
                                                   uint8_t **bytes, size_t *length);
RM_NODISCARD enum rm_err certificate_record_decode(const uint8_t *bytes, size_t length,
                                                   struct certificate_record *out);
RM_NODISCARD enum rm_err service_record_encode(const struct service_record *record, uint8_t **bytes,
                                               size_t *length);
RM_NODISCARD enum rm_err service_record_decode(const uint8_t *bytes, size_t length,
                                               struct service_record *out);
RM_NODISCARD enum rm_err endpoint_record_encode(const struct endpoint_record *record,
                                                uint8_t **bytes, size_t *length);
RM_NODISCARD enum rm_err endpoint_record_decode(const uint8_t *bytes, size_t length,
                                                struct endpoint_record *out);
RM_NODISCARD enum rm_err withdrawal_record_encode(const struct withdrawal_record *record,
                                                  uint8_t **bytes, size_t *length);
RM_NODISCARD enum rm_err withdrawal_record_decode(const uint8_t *bytes, size_t length,
                                                  struct withdrawal_record *out);
RM_NODISCARD enum rm_err rejoin_record_encode(const struct rejoin_record *record, uint8_t **bytes,
                                              size_t *length);
RM_NODISCARD enum rm_err rejoin_record_decode(const uint8_t *bytes, size_t length,
                                              struct rejoin_record *out);
RM_NODISCARD enum rm_err audit_record_encode(const struct audit_record *record, uint8_t **bytes,
                                             size_t *length);
RM_NODISCARD enum rm_err audit_record_decode(const uint8_t *bytes, size_t length,
                                             struct audit_record *out);
