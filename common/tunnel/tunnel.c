// SPDX-License-Identifier: GPL-3.0-or-later
#include "tunnel/tunnel.h"

#include <string.h>

#include "tunnel/tunnel_internal.h"

#define MAX_LABEL_BYTES 63 // RFC 1035 2.3.4

static bool is_label_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool tunnel_service_is_valid(const char *name)
{
    size_t label_bytes = 0;
    size_t length = 0;
    for (; name[length] != '\0'; length++) {
        bool is_dot = name[length] == '.';
        if (is_dot ? label_bytes == 0 : !is_label_byte(name[length])) {
            return false;
        }
        label_bytes = is_dot ? 0 : label_bytes + 1;
        if (label_bytes > MAX_LABEL_BYTES) {
            return false;
        }
    }
    return label_bytes > 0 && length <= TUNNEL_MAX_SERVICE_BYTES;
}

bool tunnel_reason_is_valid(const char *reason)
{
    size_t length = 0;
    for (; reason[length] != '\0'; length++) {
        if (reason[length] < 0x20 || reason[length] > 0x7e) {
            return false;
        }
    }
    return length <= TUNNEL_MAX_REASON_BYTES;
}

static bool reply_status_is_known(enum tunnel_status status)
{
    return status >= TUNNEL_OK && status <= TUNNEL_DRAINING;
}

static void write_prefix(uint8_t *out, size_t message_bytes)
{
    out[0] = (uint8_t)(message_bytes >> 8);
    out[1] = (uint8_t)(message_bytes & 0xff);
}

// Decides on the prefix alone, before a byte of the message is looked at.
static enum rm_err read_prefix(const uint8_t *bytes, size_t length, size_t *message_bytes)
{
    if (length < TUNNEL_PREFIX_BYTES) {
        return RM_ERR_WOULD_BLOCK;
    }
    *message_bytes = ((size_t)bytes[0] << 8) | bytes[1];
    if (*message_bytes > TUNNEL_MAX_MESSAGE_BYTES) {
        return RM_ERR_TOO_LARGE;
    }
    if (*message_bytes == 0) {
        return RM_ERR_MALFORMED; // neither message has a valid empty form
    }
    return length - TUNNEL_PREFIX_BYTES < *message_bytes ? RM_ERR_WOULD_BLOCK : RM_OK;
}

enum rm_err tunnel_encode_connect(const struct tunnel_connect *connect, uint8_t *out,
                                  size_t *length)
{
    if (!tunnel_service_is_valid(connect->service) || connect->port == 0) {
        return RM_ERR_MALFORMED;
    }
    size_t message_bytes = 0;
    RM_TRY(tunnel_pack_connect(connect, out + TUNNEL_PREFIX_BYTES, &message_bytes));
    write_prefix(out, message_bytes);
    *length = TUNNEL_PREFIX_BYTES + message_bytes;
    return RM_OK;
}

enum rm_err tunnel_encode_reply(const struct tunnel_reply *reply, uint8_t *out, size_t *length)
{
    if (!reply_status_is_known(reply->status) || !tunnel_reason_is_valid(reply->reason)) {
        return RM_ERR_MALFORMED;
    }
    size_t message_bytes = 0;
    RM_TRY(tunnel_pack_reply(reply, out + TUNNEL_PREFIX_BYTES, &message_bytes));
    write_prefix(out, message_bytes);
    *length = TUNNEL_PREFIX_BYTES + message_bytes;
    return RM_OK;
}

enum rm_err tunnel_decode_connect(const uint8_t *bytes, size_t length, struct tunnel_connect *out,
                                  size_t *consumed)
{
    size_t message_bytes = 0;
    RM_TRY(read_prefix(bytes, length, &message_bytes));
    RM_TRY(tunnel_unpack_connect(bytes + TUNNEL_PREFIX_BYTES, message_bytes, out));
    *consumed = TUNNEL_PREFIX_BYTES + message_bytes;
    return RM_OK;
}

enum rm_err tunnel_decode_reply(const uint8_t *bytes, size_t length, struct tunnel_reply *out,
                                size_t *consumed)
{
    size_t message_bytes = 0;
    RM_TRY(read_prefix(bytes, length, &message_bytes));
    RM_TRY(tunnel_unpack_reply(bytes + TUNNEL_PREFIX_BYTES, message_bytes, out));
    *consumed = TUNNEL_PREFIX_BYTES + message_bytes;
    return RM_OK;
}

const char *tunnel_status_name(enum tunnel_status status)
{
    switch (status) {
    case TUNNEL_OK:
        return "ok";
    case TUNNEL_DENIED:
        return "denied";
    case TUNNEL_UNREACHABLE:
        return "unreachable";
    case TUNNEL_DRAINING:
        return "draining";
    case TUNNEL_STATUS_INVALID:
        break;
    }
    return "invalid";
}
