// SPDX-License-Identifier: GPL-3.0-or-later
//
// The join token's outside: rmt1.<id>.<secret>.<pins>. The sidecar reads only the pins; the rest is
// for the control plane.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/secret.h"
#include "identity/peer.h"

#define JOIN_TOKEN_MAX_BYTES 2048
#define JOIN_TOKEN_MAX_PINS 8

struct join_token {
    struct secret text; // whole, NUL-terminated, without a final newline
    uint8_t pins[JOIN_TOKEN_MAX_PINS][KEY_ID_BYTES]; // SHA-256 of root SubjectPublicKeyInfos
    size_t pin_count;                                // 0..JOIN_TOKEN_MAX_PINS
};

// Reads a token file (0600). Errors: RM_ERR_NOT_FOUND, RM_ERR_PERMISSION, RM_ERR_MALFORMED; the
// message names the file and never quotes the token.
RM_NODISCARD enum rm_err join_token_read(const char *path, struct join_token *out,
                                         struct rm_error *error);
void join_token_deinit(struct join_token *token);
