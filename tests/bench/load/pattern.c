// SPDX-License-Identifier: GPL-3.0-or-later
#include "pattern.h"

#include <string.h>

#include "load.h"

enum { PERIOD = 65521 };

static const uint8_t *table(void)
{
    static uint8_t bytes[PERIOD + LOAD_BLOCK_BYTES];
    static bool is_filled;
    if (!is_filled) {
        uint32_t state = 1;
        for (size_t i = 0; i < PERIOD; i++) {
            state = state * 1103515245u + 12345u;
            bytes[i] = (uint8_t)(state >> 16);
        }
        for (size_t i = PERIOD; i < sizeof(bytes); i++) {
            bytes[i] = bytes[i - PERIOD];
        }
        is_filled = true;
    }
    return bytes;
}

const uint8_t *pattern_at(uint64_t offset)
{
    return table() + offset % PERIOD;
}

bool pattern_matches(uint64_t offset, const uint8_t *bytes, size_t length)
{
    return memcmp(pattern_at(offset), bytes, length) == 0;
}
