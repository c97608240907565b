// SPDX-License-Identifier: GPL-3.0-or-later
//
// What cmocka needs, and random numbers that are the same in each run.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

// xorshift32 (Marsaglia 2003); *state is never 0.
static inline uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}
