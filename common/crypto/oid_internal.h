// SPDX-License-Identifier: GPL-3.0-or-later
//
// The object identifiers this room reads or writes: known ones by name, so that a message can say
// "the key is Ed25519" and not "unknown algorithm".
#pragma once

#include <stddef.h>
#include <stdint.h>

// identifier, name for people, DER content bytes
#define OID_LIST(X)                                                                                \
    X(EC_KEY, "EC", "\x2a\x86\x48\xce\x3d\x02\x01")                                                \
    X(RSA_KEY, "RSA", "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")                                      \
    X(RSA_PSS, "RSA-PSS", "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a")                                  \
    X(DSA_KEY, "DSA", "\x2a\x86\x48\xce\x38\x04\x01")                                              \
    X(ED25519, "Ed25519", "\x2b\x65\x70")                                                          \
    X(ED448, "Ed448", "\x2b\x65\x71")                                                              \
    X(X25519, "X25519", "\x2b\x65\x6e")                                                            \
    X(P256, "P-256", "\x2a\x86\x48\xce\x3d\x03\x01\x07")                                           \
    X(P384, "P-384", "\x2b\x81\x04\x00\x22")                                                       \
    X(P521, "P-521", "\x2b\x81\x04\x00\x23")                                                       \
    X(SECP256K1, "secp256k1", "\x2b\x81\x04\x00\x0a")                                              \
    X(ECDSA_SHA256, "ecdsa-with-SHA256", "\x2a\x86\x48\xce\x3d\x04\x03\x02")                       \
    X(ECDSA_SHA384, "ecdsa-with-SHA384", "\x2a\x86\x48\xce\x3d\x04\x03\x03")                       \
    X(ECDSA_SHA512, "ecdsa-with-SHA512", "\x2a\x86\x48\xce\x3d\x04\x03\x04")                       \
    X(RSA_SHA256, "sha256WithRSAEncryption", "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b")               \
    X(RSA_SHA384, "sha384WithRSAEncryption", "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c")               \
    X(RSA_SHA512, "sha512WithRSAEncryption", "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d")               \
    X(ECDSA_SHA1, "ecdsa-with-SHA1", "\x2a\x86\x48\xce\x3d\x04\x01")                               \
    X(RSA_SHA1, "sha1WithRSAEncryption", "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05")                   \
    X(COMMON_NAME, "CN", "\x55\x04\x03")                                                           \
    X(ORGANIZATION, "O", "\x55\x04\x0a")                                                           \
    X(SUBJECT_KEY_ID, "subjectKeyIdentifier", "\x55\x1d\x0e")                                      \
    X(KEY_USAGE, "keyUsage", "\x55\x1d\x0f")                                                       \
    X(SUBJECT_ALT_NAME, "subjectAltName", "\x55\x1d\x11")                                          \
    X(BASIC_CONSTRAINTS, "basicConstraints", "\x55\x1d\x13")                                       \
    X(NAME_CONSTRAINTS, "nameConstraints", "\x55\x1d\x1e")                                         \
    X(AUTHORITY_KEY_ID, "authorityKeyIdentifier", "\x55\x1d\x23")                                  \
    X(EXTENDED_KEY_USAGE, "extendedKeyUsage", "\x55\x1d\x25")                                      \
    X(SERVER_AUTH, "serverAuth", "\x2b\x06\x01\x05\x05\x07\x03\x01")                               \
    X(CLIENT_AUTH, "clientAuth", "\x2b\x06\x01\x05\x05\x07\x03\x02")                               \
    X(EXTENSION_REQUEST, "extensionRequest", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e")

enum oid {
    OID_UNKNOWN,
#define OID_ENUM(id, name, bytes) OID_##id,
    OID_LIST(OID_ENUM)
#undef OID_ENUM
        OID_COUNT,
};

// OID_UNKNOWN when it is none of the list.
enum oid oid_find(const uint8_t *bytes, size_t length);
// Never NULL; "unknown" for OID_UNKNOWN. Static.
const char *oid_name(enum oid oid);
// DER content bytes. Static; `oid` must not be OID_UNKNOWN.
const uint8_t *oid_bytes(enum oid oid, size_t *length);
