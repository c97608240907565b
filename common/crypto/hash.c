// SPDX-License-Identifier: GPL-3.0-or-later
//
// SHA-256 and its HMAC. wolfCrypt's SHA-256 takes no memory and refuses only null pointers and
// wrong states, so a failure is our own mistake and stops the process: nobody may go on with a
// digest that was not computed.
#include <stdlib.h>

#include "base/alloc.h"
#include "crypto/crypto.h"
#include "crypto/wolf_internal.h"
#include <wolfssl/wolfcrypt/hmac.h>
#include <wolfssl/wolfcrypt/sha256.h>

struct sha256_stream {
    wc_Sha256 state; // of wolfCrypt
};

static void hash_require(int code)
{
    if (code != 0) {
        abort();
    }
}

static void hash_update(wc_Sha256 *state, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    while (length > 0) {
        uint32_t part = length < WOLF_MAX_BYTES ? (uint32_t)length : WOLF_MAX_BYTES;
        hash_require(wc_Sha256Update(state, at, part));
        at += part;
        length -= part;
    }
}

void sha256(const void *bytes, size_t length, uint8_t out[SHA256_BYTES])
{
    wc_Sha256 state;
    hash_require(wc_InitSha256(&state));
    hash_update(&state, bytes, length);
    hash_require(wc_Sha256Final(&state, out));
    wc_Sha256Free(&state);
}

struct sha256_stream *sha256_stream_new(void)
{
    struct sha256_stream *stream = rm_malloc(sizeof(*stream));
    if (stream != NULL) {
        hash_require(wc_InitSha256(&stream->state));
    }
    return stream;
}

void sha256_stream_update(struct sha256_stream *stream, const void *bytes, size_t length)
{
    hash_update(&stream->state, bytes, length);
}

void sha256_stream_finish(struct sha256_stream *stream, uint8_t out[SHA256_BYTES])
{
    hash_require(wc_Sha256Final(&stream->state, out));
    wc_Sha256Free(&stream->state);
    rm_free_wiped(stream, sizeof(*stream));
}

enum rm_err hmac_sha256(const void *key, size_t key_length, const void *bytes, size_t length,
                        uint8_t out[SHA256_BYTES])
{
    if (key_length > WOLF_MAX_BYTES || length > WOLF_MAX_BYTES) {
        return RM_ERR_TOO_LARGE;
    }
    Hmac state;
    int code = wc_HmacInit(&state, NULL, INVALID_DEVID);
    if (code == 0) {
        code = wc_HmacSetKey(&state, WC_SHA256, key, (word32)key_length);
    }
    if (code == 0 && length > 0) {
        code = wc_HmacUpdate(&state, bytes, (word32)length);
    }
    if (code == 0) {
        code = wc_HmacFinal(&state, out);
    }
    wc_HmacFree(&state);
    rm_wipe(&state, sizeof(state));
    return wolf_err(code);
}
