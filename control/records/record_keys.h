// SPDX-License-Identifier: GPL-3.0-or-later
//
// Keys of the control plane's records in its store. Each function writes a NUL-terminated key.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "crypto/issue.h"
#include "identity/peer.h"
#include "identity/trust.h"
#include "store/store.h"

#define RECORD_KEY_BYTES (STORE_MAX_KEY_BYTES + 1)

#define RECORD_ROOT_KEY "ca/root"
#define RECORD_INTERMEDIATE_KEY "ca/intermediate"
#define RECORD_SERVED_KEY "served"
#define RECORD_TOKEN_PREFIX "token/"
#define RECORD_LINEAGE_PREFIX "lineage/"
#define RECORD_CERTIFICATE_PREFIX "certificate/"
#define RECORD_SERVICE_PREFIX "service/"
#define RECORD_ENDPOINT_PREFIX "endpoint/"
#define RECORD_WITHDRAWAL_PREFIX "withdrawal/"
#define RECORD_REJOIN_PREFIX "rejoin/"
#define RECORD_AUDIT_PREFIX "audit/"

void record_key_lineage(const uint8_t lineage[LINEAGE_BYTES], char out[RECORD_KEY_BYTES]);
void record_key_certificate(const uint8_t serial[ISSUE_SERIAL_BYTES], char out[RECORD_KEY_BYTES]);
// Prefix of all certificates of one lineage: their serials begin with it.
void record_key_lineage_certificates(const uint8_t lineage[LINEAGE_BYTES],
                                     char out[RECORD_KEY_BYTES]);
// `key_hash` is SHA-256 of the SPKI.
void record_key_rejoin(const uint8_t key_hash[KEY_ID_BYTES], char out[RECORD_KEY_BYTES]);
// The kind is the contract's number (remora.mesh.v1.WithdrawalKind). Of a subject longer than 32
// bytes (a SPIFFE ID) its SHA-256 stands in the key.
void record_key_withdrawal(enum trust_withdrawal_kind kind, const void *subject, size_t length,
                           char out[RECORD_KEY_BYTES]);
// Now, and random: unique, in order of time.
void record_key_audit(int64_t wall_ms, uint32_t random, char out[RECORD_KEY_BYTES]);
// Errors: RM_ERR_TOO_LARGE (the name is too long for a key).
RM_NODISCARD enum rm_err record_key_token(const char *id, char out[RECORD_KEY_BYTES]);
RM_NODISCARD enum rm_err record_key_service(const char *name, char out[RECORD_KEY_BYTES]);
RM_NODISCARD enum rm_err record_key_endpoint(const char *service, const char *instance_id,
                                             char out[RECORD_KEY_BYTES]);
// The lineage in a key "lineage/<16 hex digits>". Errors: RM_ERR_MALFORMED.
RM_NODISCARD enum rm_err record_key_read_lineage(const char *key, uint8_t out[LINEAGE_BYTES]);
// The serial in a key "certificate/<32 hex digits>". Errors: RM_ERR_MALFORMED.
RM_NODISCARD enum rm_err record_key_read_certificate(const char *key,
                                                     uint8_t out[ISSUE_SERIAL_BYTES]);
