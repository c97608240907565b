// SPDX-License-Identifier: GPL-3.0-or-later
//
// wolfCrypt behind plain C: start-up, random bytes, hashes, sealing. Thread-safe unless said.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/secret.h"

#define SHA256_BYTES 32
#define SEAL_KEY_BYTES 32
#define SEAL_OVERHEAD_BYTES 29     // version 1, nonce 12, tag 16
#define SEAL_MAX_PLAIN_BYTES 65536 // keys and small records, far below

// Gives wolfSSL our allocator, checks its version and self-tests what we rely on. Call before
// anything else here; repeated calls only count, and each needs its crypto_deinit(). Errors:
// RM_ERR_INTERNAL when the library is too old or fails its self-test.
RM_NODISCARD enum rm_err crypto_init(struct rm_error *error);
void crypto_deinit(void);

// One line: "wolfSSL 5.9.2 (AES-NI, X25519MLKEM768, ...)" for --version. Static.
const char *crypto_describe(void);

// Errors: RM_ERR_CRYPTO when the system gives no randomness; then nothing may go on.
RM_NODISCARD enum rm_err random_bytes(void *out, size_t length);
// Random 32 bits for jitter and choices; falls back to a counter-mixed clock, never fails. Not for
// secrets.
uint32_t random_u32(void);

void sha256(const void *bytes, size_t length, uint8_t out[SHA256_BYTES]);

struct sha256_stream; // incremental; one thread
// NULL when memory is exhausted.
struct sha256_stream *sha256_stream_new(void);
void sha256_stream_update(struct sha256_stream *stream, const void *bytes, size_t length);
// Writes the digest and frees the stream.
void sha256_stream_finish(struct sha256_stream *stream, uint8_t out[SHA256_BYTES]);

RM_NODISCARD enum rm_err hmac_sha256(const void *key, size_t key_length, const void *bytes,
                                     size_t length, uint8_t out[SHA256_BYTES]);

// AES-256-GCM with a random nonce; `context` is authenticated and says what the secret is for
// ("ca-key/<replica>"), so that one sealed secret cannot stand in for another.
// *out is the caller's (rm_free); its length is plain_length + SEAL_OVERHEAD_BYTES.
// Errors: RM_ERR_TOO_LARGE (secret over SEAL_MAX_PLAIN_BYTES, context over 255 bytes),
// RM_ERR_NO_MEMORY, RM_ERR_CRYPTO.
RM_NODISCARD enum rm_err seal(const struct secret *key, const char *context, const void *plain,
                              size_t plain_length, uint8_t **out, size_t *out_length);
// Errors: RM_ERR_CRYPTO when key, context or bytes are wrong, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err unseal(const struct secret *key, const char *context, const void *sealed,
                                size_t sealed_length, struct secret *out);
