// SPDX-License-Identifier: GPL-3.0-or-later
//
// What this room's files share about wolfCrypt: its settings first, its errors converted once, and
// random number generators.
#pragma once

// options.h must come before any other wolfSSL header: it holds the settings the library was built
// with.
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/settings.h>

#include <stdbool.h>

#include "base/error.h"

// wolfCrypt counts bytes in 32 bits; nothing of ours comes near.
#define WOLF_MAX_BYTES UINT32_C(0x7fffffff)

// RM_OK for 0, RM_ERR_NO_MEMORY, or RM_ERR_CRYPTO.
RM_NODISCARD static inline enum rm_err wolf_err(int code)
{
    if (code == 0) {
        return RM_OK;
    }
    return code == MEMORY_E ? RM_ERR_NO_MEMORY : RM_ERR_CRYPTO;
}

// A generator for one operation. What wolfSSL draws comes from the kernel (deploy/install-deps.sh):
// it has no state to share between threads or to repeat after a fork. End with wc_FreeRng().
RM_NODISCARD static inline enum rm_err wolf_rng_init(WC_RNG *rng)
{
    return wolf_err(wc_InitRng(rng));
}

// Makes rm_malloc() and its kin wolfSSL's allocator.
RM_NODISCARD bool wolf_take_memory_from_us(void);
// Some of wolfSSL's functions report exhausted memory as malformed input. Where that matters:
// watch, call, ask. Counts allocations of the calling thread only.
void wolf_memory_watch(void);
bool wolf_memory_has_run_out(void);
