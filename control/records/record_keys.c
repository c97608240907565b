// SPDX-License-Identifier: GPL-3.0-or-later
#include "records/record_keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "crypto/crypto.h"

static void key_of_hex(const char *prefix, const uint8_t *bytes, size_t length, char *out)
{
    size_t prefix_length = strlen(prefix);
    memcpy(out, prefix, prefix_length);
    hex_encode(bytes, length, out + prefix_length);
}

void record_key_lineage(const uint8_t lineage[LINEAGE_BYTES], char out[RECORD_KEY_BYTES])
{
    key_of_hex(RECORD_LINEAGE_PREFIX, lineage, LINEAGE_BYTES, out);
}

void record_key_certificate(const uint8_t serial[ISSUE_SERIAL_BYTES], char out[RECORD_KEY_BYTES])
{
    key_of_hex(RECORD_CERTIFICATE_PREFIX, serial, ISSUE_SERIAL_BYTES, out);
}

void record_key_lineage_certificates(const uint8_t lineage[LINEAGE_BYTES],
                                     char out[RECORD_KEY_BYTES])
{
    key_of_hex(RECORD_CERTIFICATE_PREFIX, lineage, LINEAGE_BYTES, out);
}

void record_key_rejoin(const uint8_t key_hash[KEY_ID_BYTES], char out[RECORD_KEY_BYTES])
{
    key_of_hex(RECORD_REJOIN_PREFIX, key_hash, KEY_ID_BYTES, out);
}

void record_key_withdrawal(enum trust_withdrawal_kind kind, const void *subject, size_t length,
                           char out[RECORD_KEY_BYTES])
{
    uint8_t digest[SHA256_BYTES];
    if (length > KEY_ID_BYTES) {
        sha256(subject, length, digest);
        subject = digest;
        length = sizeof digest;
    }
    int prefix_length =
        snprintf(out, RECORD_KEY_BYTES, RECORD_WITHDRAWAL_PREFIX "%d:", (int)kind + 1);
    hex_encode(subject, length, out + prefix_length);
}

void record_key_audit(int64_t wall_ms, uint32_t random, char out[RECORD_KEY_BYTES])
{
    snprintf(out, RECORD_KEY_BYTES, RECORD_AUDIT_PREFIX "%016" PRIx64 "-%08" PRIx32,
             (uint64_t)wall_ms, random);
}

static enum rm_err check_length(int length)
{
    return length > 0 && length < RECORD_KEY_BYTES ? RM_OK : RM_ERR_TOO_LARGE;
}

enum rm_err record_key_token(const char *id, char out[RECORD_KEY_BYTES])
{
    return check_length(snprintf(out, RECORD_KEY_BYTES, RECORD_TOKEN_PREFIX "%s", id));
}

enum rm_err record_key_service(const char *name, char out[RECORD_KEY_BYTES])
{
    return check_length(snprintf(out, RECORD_KEY_BYTES, RECORD_SERVICE_PREFIX "%s", name));
}

enum rm_err record_key_endpoint(const char *service, const char *instance_id,
                                char out[RECORD_KEY_BYTES])
{
    return check_length(
        snprintf(out, RECORD_KEY_BYTES, RECORD_ENDPOINT_PREFIX "%s/%s", service, instance_id));
}

static enum rm_err read_hex_key(const char *key, const char *prefix, uint8_t *out, size_t length)
{
    size_t prefix_length = strlen(prefix);
    if (strncmp(key, prefix, prefix_length) != 0) {
        return RM_ERR_MALFORMED;
    }
    return hex_decode(key + prefix_length, strlen(key + prefix_length), out, length);
}

enum rm_err record_key_read_lineage(const char *key, uint8_t out[LINEAGE_BYTES])
{
    return read_hex_key(key, RECORD_LINEAGE_PREFIX, out, LINEAGE_BYTES);
}

enum rm_err record_key_read_certificate(const char *key, uint8_t out[ISSUE_SERIAL_BYTES])
{
    return read_hex_key(key, RECORD_CERTIFICATE_PREFIX, out, ISSUE_SERIAL_BYTES);
}
