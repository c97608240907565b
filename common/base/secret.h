// SPDX-License-Identifier: GPL-3.0-or-later
//
// Memory for keys and tokens: pages locked into RAM, left out of core dumps and of children, wiped
// when freed. Where the lock limit (RLIMIT_MEMLOCK) forbids locking, the memory is still left out
// of dumps and wiped, and secret_is_locked() says so. Thread-safe.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

// A block of secret bytes. Owns its memory.
struct secret {
    uint8_t *bytes; // NULL when empty
    size_t length;  // used bytes
};

// Zero-filled block of `length` bytes. Errors: RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err secret_new(size_t length, struct secret *out);
RM_NODISCARD enum rm_err secret_dup(const void *bytes, size_t length, struct secret *out);
// Wipes and frees; leaves `secret` empty. Safe to repeat.
void secret_free(struct secret *secret);
// True when all secret memory handed out so far is locked into RAM.
bool secret_is_locked(void);
