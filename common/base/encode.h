// SPDX-License-Identifier: GPL-3.0-or-later
//
// Text forms of bytes: hex, base32 (RFC 4648, lower case, no padding), base64 and base64url.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define HEX_BYTES(n) ((n)*2 + 1)
// `out` holds HEX_BYTES(length): lower-case digits and a NUL.
void hex_encode(const uint8_t *bytes, size_t length, char *out);
// Exactly `length` bytes from 2*length digits, either case. Errors: RM_ERR_MALFORMED.
RM_NODISCARD enum rm_err hex_decode(const char *text, size_t text_length, uint8_t *out,
                                    size_t length);

#define BASE32_BYTES(n) (((n)*8 + 4) / 5 + 1)
// `out` holds BASE32_BYTES(length): characters a-z2-7 and a NUL.
void base32_encode(const uint8_t *bytes, size_t length, char *out);

#define BASE64_BYTES(n) (((n) + 2) / 3 * 4 + 1)
// `out` holds BASE64_BYTES(length). With `url` the URL alphabet without padding.
void base64_encode(const uint8_t *bytes, size_t length, bool url, char *out);
// `out` holds at least text_length * 3 / 4 bytes. Padding is required for the plain alphabet and
// refused for the URL one; no white space. Errors: RM_ERR_MALFORMED.
RM_NODISCARD enum rm_err base64_decode(const char *text, size_t text_length, bool url, uint8_t *out,
                                       size_t *length);
