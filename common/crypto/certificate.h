// SPDX-License-Identifier: GPL-3.0-or-later
//
// X.509 certificates: reading, PEM, and verification of chains against the roots of one trust
// domain. Stateless and thread-safe.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "identity/peer.h"
#include "identity/trust.h"

#define CHAIN_MAX_CERTIFICATES 6 // leaf + 5: what the TLS contexts accept
#define CERTIFICATE_MAX_DER_BYTES 16384
#define CERTIFICATE_MAX_NAMES 16 // DNS SANs kept
#define BUNDLE_MAX_PEM_BYTES 262144

struct der {
    const uint8_t *bytes; // borrowed
    size_t length;
};

// What one certificate says. Owns its strings; free with certificate_deinit().
struct certificate {
    char *uri;                        // first URI SAN, NUL-terminated copy; NULL when none
    size_t uri_length;                // may hold NUL bytes when hostile
    uint32_t uri_count;               // URI SANs
    char *dns[CERTIFICATE_MAX_NAMES]; // DNS SANs in order
    uint32_t dns_count;               // kept in dns
    char *subject;                    // one-line text, for people
    char *issuer;                     // one-line text, for people
    uint8_t serial[SERIAL_MAX_BYTES]; // big-endian, no leading zeros
    uint8_t serial_length;            // 1..20
    int64_t not_before_s;             // Unix seconds
    int64_t not_after_s;              // Unix seconds
    bool is_ca;                       // basicConstraints CA:TRUE
    bool has_path_length;             // pathLenConstraint present
    uint8_t path_length;              // when has_path_length
    bool has_key_usage;               // extension present
    uint16_t key_usage;               // wolfCrypt KEYUSE_* bits; 0 when absent
    bool has_extended_key_usage;      // extension present
    bool is_server_auth;              // EKU present and lists it (or anyExtendedKeyUsage)
    bool is_client_auth;              // the same
    bool is_self_signed;              // issuer name and subject name are equal
    uint8_t spki_id[KEY_ID_BYTES];    // SHA-256 of its SubjectPublicKeyInfo
};

// Parses without verifying a signature. Errors: RM_ERR_MALFORMED, RM_ERR_TOO_LARGE,
// RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err certificate_parse(const uint8_t *der, size_t length,
                                           struct certificate *out, struct rm_error *error);
void certificate_deinit(struct certificate *certificate);
// Public key id alone.
RM_NODISCARD enum rm_err certificate_key_id(const uint8_t *der, size_t length,
                                            uint8_t out[KEY_ID_BYTES]);

// For people: kind and size of its key ("P-256", "RSA 2048"), and how it was signed
// ("ecdsa-with-SHA256"). Errors: RM_ERR_MALFORMED.
#define CERTIFICATE_KIND_BYTES 64
RM_NODISCARD enum rm_err certificate_kinds(const uint8_t *der, size_t length,
                                           char key[CERTIFICATE_KIND_BYTES],
                                           char signature[CERTIFICATE_KIND_BYTES]);

// An owned list of DER certificates, leaf first.
struct chain {
    struct {
        uint8_t *bytes; // owned
        size_t length;
    } certificates[CHAIN_MAX_CERTIFICATES];
    size_t count;
};
// One or more PEM CERTIFICATE blocks, each of them parsed. Errors: RM_ERR_MALFORMED (with the
// block's number), RM_ERR_TOO_LARGE, RM_ERR_LIMIT, RM_ERR_NO_MEMORY. On error `out` is empty.
RM_NODISCARD enum rm_err chain_parse_pem(const uint8_t *pem, size_t length, struct chain *out,
                                         struct rm_error *error);
// Copies. Errors: RM_ERR_TOO_LARGE, RM_ERR_LIMIT, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err chain_append(struct chain *chain, const uint8_t *der, size_t length);
void chain_deinit(struct chain *chain);

// Visits each CERTIFICATE block of a PEM bundle as DER (borrowed for the call). Text between blocks
// and blocks of other kinds are ignored. Stops at the first error, which it puts behind the block's
// number. Errors: RM_ERR_MALFORMED (also when there is no such block), RM_ERR_TOO_LARGE,
// RM_ERR_NO_MEMORY.
typedef enum rm_err (*pem_block_fn)(void *context, const uint8_t *der, size_t length);
RM_NODISCARD enum rm_err pem_each(const uint8_t *pem, size_t length, pem_block_fn visit,
                                  void *context, struct rm_error *error);
// Appends a PEM block with `label` ("CERTIFICATE") to a growable buffer.
struct buffer;
RM_NODISCARD enum rm_err pem_append(struct buffer *out, const char *label, const uint8_t *der,
                                    size_t length);

// The anchor check. Reads the peer's chain (leaf first, as sent), finds the leaf's SPIFFE ID, and
// verifies every signature, CA flag, path length and name constraint from the leaf up to
// a root **of the leaf's own trust domain** in `trust`. Certificates that take no part are ignored.
// Dates are gathered, not judged; the root's count too. The extended key usage of intermediates
// narrows the leaf's. `facts` is filled as far as the chain could be read; facts->is_anchored
// tells. Strings in `facts` borrow `leaf`, which the caller frees with certificate_deinit().
// Errors: RM_ERR_MALFORMED (leaf unreadable), RM_ERR_NO_MEMORY; `leaf` and `facts` are empty then.
// A chain that does not verify is no error here: is_anchored is false and *why (static text, NULL
// when anchored) says which check failed.
RM_NODISCARD enum rm_err chain_examine(const struct der *certificates, size_t count,
                                       const struct trust_snapshot *trust, struct certificate *leaf,
                                       struct chain_facts *facts, const char **why);
// The same for chains that may come again: a link that `cache` (may be NULL) knows to be good is
// not verified anew; everything else is judged each time. See crypto/link_cache.h.
struct link_cache;
RM_NODISCARD enum rm_err chain_examine_again(struct link_cache *cache,
                                             const struct der *certificates, size_t count,
                                             const struct trust_snapshot *trust,
                                             struct certificate *leaf, struct chain_facts *facts,
                                             const char **why);

// Verifies that `der` was signed by the key of `issuer_der`, and nothing else. RM_OK only for a
// good signature. Errors: RM_ERR_UNTRUSTED (wrong signature), RM_ERR_UNSUPPORTED (kind of signature
// or key not accepted), RM_ERR_MALFORMED, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err certificate_verify_signature(const uint8_t *der, size_t length,
                                                      const uint8_t *issuer_der,
                                                      size_t issuer_length);
