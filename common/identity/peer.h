// SPDX-License-Identifier: GPL-3.0-or-later
//
// The authenticated other end of a connection: who it is and what proved it. Immutable and counted;
// shared between threads. Made only where a peer verdict said IDENTITY.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define LINEAGE_BYTES 8     // first half of a Remora serial; see serial_lineage()
#define SERIAL_MAX_BYTES 20 // RFC 5280 4.1.2.2
#define KEY_ID_BYTES 32     // SHA-256 of a SubjectPublicKeyInfo

// What a certificate chain says, read from its bytes; input of the peer verdict. Also what a
// session ticket carries. Plain data: no pointers except the borrowed ID.
struct chain_facts {
    const char *spiffe_id;               // the leaf's only URI SAN; borrowed; NULL: see uri_count
    size_t spiffe_id_length;             // may contain NUL bytes when hostile
    uint32_t uri_count;                  // URI SANs in the leaf
    uint8_t serial[SERIAL_MAX_BYTES];    // leaf's, big-endian, no leading zero bytes
    uint8_t serial_length;               // 1..20
    uint8_t issuer_key_id[KEY_ID_BYTES]; // of the certificate that signed the leaf
    uint8_t anchor_key_id[KEY_ID_BYTES]; // of the root that the chain was found to end at
    bool is_anchored;           // signatures verified up to a root of the leaf's own domain
    bool leaf_is_ca;            // basicConstraints CA:TRUE in the leaf
    bool has_digital_signature; // keyUsage present and with digitalSignature
    bool has_cert_sign;         // keyUsage with keyCertSign or cRLSign
    bool has_server_auth;       // extended key usage; true also when EKU is absent
    bool has_client_auth;       // the same
    int64_t not_before_s;       // Unix seconds: latest notBefore in the chain
    int64_t not_after_s;        // Unix seconds: earliest notAfter in the chain
    int64_t leaf_not_before_s;  // the leaf's own
    int64_t leaf_not_after_s;   // the leaf's own
};

struct peer {
    const char *spiffe_id;               // owned, NUL-terminated
    size_t spiffe_id_length;             // without NUL
    uint8_t serial[SERIAL_MAX_BYTES];    // big-endian
    uint8_t serial_length;               // 1..20
    uint8_t issuer_key_id[KEY_ID_BYTES]; // SHA-256 of the issuer's SPKI
    uint8_t anchor_key_id[KEY_ID_BYTES]; // SHA-256 of the root's SPKI
    bool has_lineage;                    // issued by Remora: 16-byte serial
    uint8_t lineage[LINEAGE_BYTES];      // valid when has_lineage
    int64_t not_after_s;                 // earliest notAfter of the chain
    int64_t leaf_not_before_s;           // the leaf's own: a revoked identity is judged by it
    bool is_resumed;                     // known from a session ticket, not from a certificate
};

// Copies what a verdict accepted. NULL when memory is exhausted. Count starts at 1.
struct peer *peer_new(const struct chain_facts *facts, bool is_resumed);
struct peer *peer_ref(struct peer *peer);
// `peer` may be NULL.
void peer_unref(struct peer *peer);

// The lineage in a Remora serial (exactly 16 bytes: 8 lineage, 8 random; the top bit of the lineage
// is always 0 and its top nibble never 0, so the length is stable). False when it is none.
// A foreign CA's random 16-byte serial looks the same, and no view will ever call that lineage
// lapsed: let a live connection outlast its certificate only with a peer of our own trust domain.
bool serial_lineage(const uint8_t *serial, size_t length, uint8_t lineage[LINEAGE_BYTES]);
