// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/utf8.h"

// Length that the first byte announces, and the least code of that length (a longer spelling than
// needed is invalid); 0 when no character begins so.
static size_t utf8_announced_length(unsigned char first, uint32_t *code, uint32_t *least)
{
    if (first < 0x80) {
        *code = first;
        *least = 0;
        return 1;
    }
    if (first >= 0xc2 && first < 0xe0) {
        *code = first & 0x1fU;
        *least = 0x80;
        return 2;
    }
    if (first >= 0xe0 && first < 0xf0) {
        *code = first & 0x0fU;
        *least = 0x800;
        return 3;
    }
    if (first >= 0xf0 && first < 0xf5) {
        *code = first & 0x07U;
        *least = 0x10000;
        return 4;
    }
    return 0;
}

size_t utf8_read(const char *text, uint32_t *code)
{
    uint32_t read = 0;
    uint32_t least = 0;
    size_t length = utf8_announced_length((unsigned char)text[0], &read, &least);
    *code = UTF8_REPLACEMENT;
    if (length == 0) {
        return 1;
    }
    for (size_t i = 1; i < length; i++) {
        // The final NUL is no continuation, so that the loop never runs past it.
        unsigned char next = (unsigned char)text[i];
        if ((next & 0xc0U) != 0x80) {
            return 1;
        }
        read = read << 6 | (next & 0x3fU);
    }
    if (read < least || read > 0x10ffff || (read >= 0xd800 && read <= 0xdfff)) {
        return 1;
    }
    *code = read;
    return length;
}

void utf8_repair(char *text)
{
    for (char *at = text; *at != '\0';) {
        uint32_t code = 0;
        size_t length = utf8_read(at, &code);
        if (code == UTF8_REPLACEMENT && length == 1) {
            *at = '?';
        }
        at += length;
    }
}
