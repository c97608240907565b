// SPDX-License-Identifier: GPL-3.0-or-later
//
// A reader of hostile bytes that never passes their end.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cut {
    const uint8_t *bytes; // borrowed
    size_t length;        // that is left
};

// Big-endian, `width` bytes.
static inline bool cut_number(struct cut *from, size_t width, size_t *out)
{
    if (from->length < width) {
        return false;
    }
    *out = 0;
    for (size_t i = 0; i < width; i++) {
        *out = *out << 8 | from->bytes[i];
    }
    from->bytes += width;
    from->length -= width;
    return true;
}

static inline bool cut_part(struct cut *from, size_t length, struct cut *out)
{
    if (from->length < length) {
        return false;
    }
    *out = (struct cut){from->bytes, length};
    from->bytes += length;
    from->length -= length;
    return true;
}

// A part behind its length.
static inline bool cut_block(struct cut *from, size_t width, struct cut *out)
{
    size_t length = 0;
    return cut_number(from, width, &length) && cut_part(from, length, out);
}
