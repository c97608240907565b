// SPDX-License-Identifier: GPL-3.0-or-later
//
// SPIFFE IDs (SPIFFE-ID.md): spiffe://<trust-domain>/<path>. Pure functions over borrowed text; an
// owned SPIFFE ID is an ordinary NUL-terminated string that spiffe_id_parse() accepted.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define SPIFFE_ID_MAX_BYTES 2048          // SPIFFE-ID.md 2.3
#define SPIFFE_TRUST_DOMAIN_MAX_BYTES 255 // SPIFFE-ID.md 2.1
#define SPIFFE_SNI_LABEL_CHARS 26         // of base32(SHA-256(SPIFFE ID)) before the trust domain

// Views into the text that was parsed.
struct spiffe_id {
    const char *text;           // the whole ID; borrowed
    size_t length;              // of text, without NUL
    const char *trust_domain;   // into text
    size_t trust_domain_length; // 1..255
    const char *path;           // into text, with its leading '/'; length 0 for a trust-domain ID
    size_t path_length;         // 0..2047
};

// Strict: scheme in lower case, no port, user, query, fragment, percent-encoding, empty, "." or
// ".." segment, trailing slash, upper-case trust domain or NUL. `id` borrows `text`. Errors:
// RM_ERR_MALFORMED with the fault and its position; RM_ERR_TOO_LARGE.
RM_NODISCARD enum rm_err spiffe_id_parse(const char *text, size_t length, struct spiffe_id *id,
                                         struct rm_error *error);
// Only a trust domain name ("example.org").
RM_NODISCARD enum rm_err spiffe_trust_domain_check(const char *text, size_t length,
                                                   struct rm_error *error);
// True for the mesh's own IDs, whose path is /remora or starts with /remora/: never attested,
// tokenised or registered.
bool spiffe_id_is_reserved(const struct spiffe_id *id);
bool spiffe_id_in_domain(const struct spiffe_id *id, const char *trust_domain);

// "spiffe://<td>/remora/control". NULL when memory is exhausted; free with rm_free().
char *spiffe_control_id(const char *trust_domain);

// The SNI a sidecar sends for a SPIFFE ID: the first 26 characters of base32(SHA-256(ID)), '.', and
// the trust domain. `digest` is SHA-256 of the ID's text (the caller hashes: this room knows no
// cryptography). `out` holds SPIFFE_SNI_BYTES.
#define SPIFFE_SNI_BYTES (SPIFFE_SNI_LABEL_CHARS + 1 + SPIFFE_TRUST_DOMAIN_MAX_BYTES + 1)
void spiffe_sni(const struct spiffe_id *id, const uint8_t digest[32], char out[SPIFFE_SNI_BYTES]);
