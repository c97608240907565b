// SPDX-License-Identifier: GPL-3.0-or-later
//
// Random bytes come from the kernel: nothing to seed, to share or to repeat after a fork.
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "crypto/crypto.h"

#define GETRANDOM_WHOLE_BYTES 256 // up to here one call gives all it was asked for

enum rm_err random_bytes(void *out, size_t length)
{
    uint8_t *at = out;
    while (length > 0) {
        size_t part = length < GETRANDOM_WHOLE_BYTES ? length : GETRANDOM_WHOLE_BYTES;
        ssize_t got = getrandom(at, part, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return RM_ERR_CRYPTO;
        }
        at += got;
        length -= (size_t)got;
    }
    return RM_OK;
}

uint32_t random_u32(void)
{
    static atomic_uint_fast32_t counter;
    uint32_t value = 0;
    if (random_bytes(&value, sizeof(value)) == RM_OK) {
        return value;
    }
    // splitmix64's finaliser over a counter and the clock: spreads jitter, hides nothing.
    uint64_t mixed = clock_mono_ns() + atomic_fetch_add(&counter, 1) * UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)(mixed >> 32);
}
