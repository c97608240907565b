// SPDX-License-Identifier: GPL-3.0-or-later
//
// Inside the tunnel room: the protobuf forms of the two messages, without their prefix, and the
// rules for their text. `out` of the pack functions holds TUNNEL_MAX_MESSAGE_BYTES.
#pragma once

#include "tunnel/tunnel.h"

// A DNS name in lower case: labels of 1..63 letters, digits, '-' and '_', joined by single dots.
// Lower case only, so that one service has one spelling.
bool tunnel_service_is_valid(const char *name);
// Printable ASCII: it goes into logs and labels of the other end.
bool tunnel_reason_is_valid(const char *reason);

// Errors: RM_ERR_TOO_LARGE, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err tunnel_pack_connect(const struct tunnel_connect *connect, uint8_t *out,
                                             size_t *length);
RM_NODISCARD enum rm_err tunnel_pack_reply(const struct tunnel_reply *reply, uint8_t *out,
                                           size_t *length);
// Errors: RM_ERR_MALFORMED, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err tunnel_unpack_connect(const uint8_t *bytes, size_t length,
                                               struct tunnel_connect *out);
RM_NODISCARD enum rm_err tunnel_unpack_reply(const uint8_t *bytes, size_t length,
                                             struct tunnel_reply *out);
