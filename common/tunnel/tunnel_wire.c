// SPDX-License-Identifier: GPL-3.0-or-later
#include "tunnel/tunnel_internal.h"

#include <string.h>

#include "pb/pb.h"
#include "remora/tunnel/v1/tunnel.pb-c.h"

static enum rm_err pack(const ProtobufCMessage *message, uint8_t *out, size_t *length)
{
    if (protobuf_c_message_get_packed_size(message) > TUNNEL_MAX_MESSAGE_BYTES) {
        return RM_ERR_TOO_LARGE;
    }
    *length = protobuf_c_message_pack(message, out);
    return RM_OK;
}

enum rm_err tunnel_pack_connect(const struct tunnel_connect *connect, uint8_t *out, size_t *length)
{
    Remora__Tunnel__V1__Connect message = REMORA__TUNNEL__V1__CONNECT__INIT;
    message.service = (char *)connect->service;
    message.port = connect->port;
    message.connection_id.data = (uint8_t *)connect->connection_id;
    message.connection_id.len = TUNNEL_CONNECTION_ID_BYTES;
    return pack(&message.base, out, length);
}

enum rm_err tunnel_pack_reply(const struct tunnel_reply *reply, uint8_t *out, size_t *length)
{
    Remora__Tunnel__V1__Reply message = REMORA__TUNNEL__V1__REPLY__INIT;
    message.status = (Remora__Tunnel__V1__Status)reply->status; // the enums share their numbers
    message.reason = (char *)reply->reason;
    return pack(&message.base, out, length);
}

static bool read_connect(const Remora__Tunnel__V1__Connect *message, struct tunnel_connect *out)
{
    if (!tunnel_service_is_valid(message->service) || message->port == 0 ||
        message->port > UINT16_MAX || message->connection_id.len != TUNNEL_CONNECTION_ID_BYTES) {
        return false;
    }
    memset(out, 0, sizeof(*out));
    memcpy(out->service, message->service, strlen(message->service));
    out->port = (uint16_t)message->port;
    memcpy(out->connection_id, message->connection_id.data, TUNNEL_CONNECTION_ID_BYTES);
    return true;
}

enum rm_err tunnel_unpack_connect(const uint8_t *bytes, size_t length, struct tunnel_connect *out)
{
    ProtobufCMessage *message = NULL;
    RM_TRY(pb_unpack(&remora__tunnel__v1__connect__descriptor, bytes, length,
                     TUNNEL_MAX_MESSAGE_BYTES, &message, NULL));
    bool is_valid = read_connect((const Remora__Tunnel__V1__Connect *)(const void *)message, out);
    pb_free(message);
    return is_valid ? RM_OK : RM_ERR_MALFORMED;
}

static bool read_reply(const Remora__Tunnel__V1__Reply *message, struct tunnel_reply *out)
{
    if (message->status < REMORA__TUNNEL__V1__STATUS__STATUS_OK ||
        message->status > REMORA__TUNNEL__V1__STATUS__STATUS_DRAINING ||
        !tunnel_reason_is_valid(message->reason)) {
        return false;
    }
    memset(out, 0, sizeof(*out));
    out->status = (enum tunnel_status)message->status;
    memcpy(out->reason, message->reason, strlen(message->reason));
    return true;
}

enum rm_err tunnel_unpack_reply(const uint8_t *bytes, size_t length, struct tunnel_reply *out)
{
    ProtobufCMessage *message = NULL;
    RM_TRY(pb_unpack(&remora__tunnel__v1__reply__descriptor, bytes, length,
                     TUNNEL_MAX_MESSAGE_BYTES, &message, NULL));
    bool is_valid = read_reply((const Remora__Tunnel__V1__Reply *)(const void *)message, out);
    pb_free(message);
    return is_valid ? RM_OK : RM_ERR_MALFORMED;
}

_Static_assert((int)TUNNEL_OK == (int)REMORA__TUNNEL__V1__STATUS__STATUS_OK &&
                   (int)TUNNEL_DENIED == (int)REMORA__TUNNEL__V1__STATUS__STATUS_DENIED &&
                   (int)TUNNEL_UNREACHABLE == (int)REMORA__TUNNEL__V1__STATUS__STATUS_UNREACHABLE &&
                   (int)TUNNEL_DRAINING == (int)REMORA__TUNNEL__V1__STATUS__STATUS_DRAINING,
               "tunnel_status and the contract's Status share their numbers");
