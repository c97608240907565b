// SPDX-License-Identifier: GPL-3.0-or-later
//
// One certificate, opened: the pieces that path validation compares byte by byte, cut out by our
// own strict reader, and wolfCrypt's reading of its extensions.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crypto/certificate.h"
#include "crypto/oid_internal.h"
#include "crypto/wolf_internal.h"
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/asn_public.h>

// Pieces of a certificate (RFC 5280 4.1). Borrows its bytes.
struct x509_pieces {
    struct der whole;       // the certificate
    struct der signed_part; // tbsCertificate
    struct der serial;      // big-endian, no leading zeros
    struct der issuer;      // Name with tag and length
    struct der subject;     // Name with tag and length
    struct der spki;        // SubjectPublicKeyInfo
    struct der extensions;  // content of the list; empty when there is none
    struct der signature;   // content of signatureValue
    enum oid algorithm;     // of the signature; OID_UNKNOWN when we do not know it
    int64_t not_before_s;   // Unix seconds
    int64_t not_after_s;    // Unix seconds
};

// Errors: NULL when the form is right; else what is wrong (static text).
RM_NODISCARD const char *x509_cut(const uint8_t *der, size_t length, struct x509_pieces *out);

// Content of an extension's value; false when it is not there.
RM_NODISCARD bool x509_find_extension(const struct x509_pieces *pieces, enum oid oid,
                                      struct der *value);

struct x509 {
    struct x509_pieces pieces; // borrowed
    DecodedCert decoded;       // extensions and names; owns memory
};

// On RM_OK close it with x509_close(). `whole` must outlive it. Errors: RM_ERR_MALFORMED,
// RM_ERR_TOO_LARGE, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err x509_open(const uint8_t *der, size_t length, struct x509 *out,
                                   struct rm_error *error);
void x509_close(struct x509 *x509);
// Whether `issuer`'s key made the signature on `child`. Errors: as signature_verify().
RM_NODISCARD enum rm_err x509_verify_signature(const struct x509_pieces *child,
                                               const struct x509_pieces *issuer);
