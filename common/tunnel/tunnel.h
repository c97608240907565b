// SPDX-License-Identifier: GPL-3.0-or-later
//
// The tunnel's preface (ALPN "remora/1"): the client's first bytes are one length-prefixed Connect,
// the server's first bytes one length-prefixed Reply; after each follow the application's bytes.
// The prefix is two bytes, big-endian. Codec and limits only; nothing here reads or writes a
// stream.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define TUNNEL_ALPN "remora/1"
#define TUNNEL_PORT 15008
#define TUNNEL_PREFIX_BYTES 2
#define TUNNEL_MAX_MESSAGE_BYTES 1024 // service name 253 + id + room for later fields
#define TUNNEL_MAX_SERVICE_BYTES 253
#define TUNNEL_CONNECTION_ID_BYTES 16
#define TUNNEL_MAX_REASON_BYTES 512
#define TUNNEL_PREFACE_TIMEOUT_MS 5000 // from the end of the handshake to a whole Connect

struct tunnel_connect {
    char service[TUNNEL_MAX_SERVICE_BYTES + 1];        // NUL-terminated DNS name
    uint16_t port;                                     // the service's, 1..65535
    uint8_t connection_id[TUNNEL_CONNECTION_ID_BYTES]; // random, made by the client's sidecar
};

enum tunnel_status {
    TUNNEL_STATUS_INVALID = 0,
    TUNNEL_OK,          // the application's bytes follow
    TUNNEL_DENIED,      // policy or ownership said no
    TUNNEL_UNREACHABLE, // the application behind it did not answer
    TUNNEL_DRAINING,    // try another endpoint
};

struct tunnel_reply {
    enum tunnel_status status;
    char reason[TUNNEL_MAX_REASON_BYTES + 1]; // exact name, e.g. "default_deny"; "" with OK
};

// Encodes with its prefix. `out` holds TUNNEL_PREFIX_BYTES + TUNNEL_MAX_MESSAGE_BYTES.
// Errors: RM_ERR_MALFORMED (our own bad content), RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err tunnel_encode_connect(const struct tunnel_connect *connect, uint8_t *out,
                                               size_t *length);
RM_NODISCARD enum rm_err tunnel_encode_reply(const struct tunnel_reply *reply, uint8_t *out,
                                             size_t *length);
// Decodes from the first bytes of a stream. RM_ERR_WOULD_BLOCK: more are needed (decided on the
// prefix alone once it is there). *consumed is prefix and message. Errors: RM_ERR_TOO_LARGE,
// RM_ERR_MALFORMED (not protobuf, empty or invalid name, port 0, id not 16 bytes, unknown status).
RM_NODISCARD enum rm_err tunnel_decode_connect(const uint8_t *bytes, size_t length,
                                               struct tunnel_connect *out, size_t *consumed);
RM_NODISCARD enum rm_err tunnel_decode_reply(const uint8_t *bytes, size_t length,
                                             struct tunnel_reply *out, size_t *consumed);
const char *tunnel_status_name(enum tunnel_status status);
