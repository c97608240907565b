// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/siphash_internal.h"

struct siphash_state {
    uint64_t v0, v1, v2, v3; // as named in the paper
};

static uint64_t siphash_rotate(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

// Little-endian, whatever the processor.
static uint64_t siphash_load(const uint8_t *bytes, size_t count)
{
    uint64_t word = 0;
    for (size_t i = 0; i < count; i++) {
        word |= (uint64_t)bytes[i] << (8 * i);
    }
    return word;
}

static void siphash_rounds(struct siphash_state *s, int count)
{
    for (int i = 0; i < count; i++) {
        s->v0 += s->v1;
        s->v1 = siphash_rotate(s->v1, 13) ^ s->v0;
        s->v0 = siphash_rotate(s->v0, 32);
        s->v2 += s->v3;
        s->v3 = siphash_rotate(s->v3, 16) ^ s->v2;
        s->v0 += s->v3;
        s->v3 = siphash_rotate(s->v3, 21) ^ s->v0;
        s->v2 += s->v1;
        s->v1 = siphash_rotate(s->v1, 17) ^ s->v2;
        s->v2 = siphash_rotate(s->v2, 32);
    }
}

static void siphash_absorb(struct siphash_state *s, uint64_t word)
{
    s->v3 ^= word;
    siphash_rounds(s, 2);
    s->v0 ^= word;
}

uint64_t siphash(const uint8_t key[16], const void *bytes, size_t length)
{
    const uint8_t *input = bytes;
    uint64_t k0 = siphash_load(key, 8);
    uint64_t k1 = siphash_load(key + 8, 8);
    struct siphash_state s = {
        .v0 = k0 ^ UINT64_C(0x736f6d6570736575),
        .v1 = k1 ^ UINT64_C(0x646f72616e646f6d),
        .v2 = k0 ^ UINT64_C(0x6c7967656e657261),
        .v3 = k1 ^ UINT64_C(0x7465646279746573),
    };
    size_t done = 0;
    for (; length - done >= 8; done += 8) {
        siphash_absorb(&s, siphash_load(input + done, 8));
    }
    uint64_t last = (uint64_t)(length & 0xff) << 56;
    if (length > done) {
        last |= siphash_load(input + done, length - done);
    }
    siphash_absorb(&s, last);
    s.v2 ^= 0xff;
    siphash_rounds(&s, 4);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
