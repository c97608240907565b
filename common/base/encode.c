// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/encode.h"

void hex_encode(const uint8_t *bytes, size_t length, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < length; i++) {
        out[i * 2] = digits[bytes[i] >> 4];
        out[i * 2 + 1] = digits[bytes[i] & 15];
    }
    out[length * 2] = '\0';
}

// -1 when `digit` is none.
static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

enum rm_err hex_decode(const char *text, size_t text_length, uint8_t *out, size_t length)
{
    if (text_length % 2 != 0 || text_length / 2 != length) {
        return RM_ERR_MALFORMED;
    }
    for (size_t i = 0; i < length; i++) {
        int high = hex_value(text[i * 2]);
        int low = hex_value(text[i * 2 + 1]);
        if (high < 0 || low < 0) {
            return RM_ERR_MALFORMED;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return RM_OK;
}

void base32_encode(const uint8_t *bytes, size_t length, char *out)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint32_t pending = 0; // bits not yet written, right-aligned
    unsigned pending_count = 0;
    for (size_t i = 0; i < length; i++) {
        pending = (pending << 8 | bytes[i]) & 0xffffU;
        pending_count += 8;
        while (pending_count >= 5) {
            pending_count -= 5;
            *out++ = alphabet[pending >> pending_count & 31];
        }
    }
    if (pending_count > 0) {
        *out++ = alphabet[pending << (5 - pending_count) & 31];
    }
    *out = '\0';
}

static const char base64_plain[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64_encode(const uint8_t *bytes, size_t length, bool url, char *out)
{
    const char *alphabet = url ? base64_url : base64_plain;
    size_t i = 0;
    for (; length - i >= 3; i += 3) {
        uint32_t group =
            (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | (uint32_t)bytes[i + 2];
        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        *out++ = alphabet[group >> 6 & 63];
        *out++ = alphabet[group & 63];
    }
    size_t rest = length - i;
    if (rest > 0) {
        uint32_t group = (uint32_t)bytes[i] << 16 | (rest == 2 ? (uint32_t)bytes[i + 1] << 8 : 0U);
        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        if (rest == 2) {
            *out++ = alphabet[group >> 6 & 63];
        } else if (!url) {
            *out++ = '=';
        }
        if (!url) {
            *out++ = '=';
        }
    }
    *out = '\0';
}

// -1 when `character` is not of the alphabet.
static int base64_value(char character, bool url)
{
    if (character >= 'A' && character <= 'Z') {
        return character - 'A';
    }
    if (character >= 'a' && character <= 'z') {
        return character - 'a' + 26;
    }
    if (character >= '0' && character <= '9') {
        return character - '0' + 52;
    }
    if (character == (url ? '-' : '+')) {
        return 62;
    }
    if (character == (url ? '_' : '/')) {
        return 63;
    }
    return -1;
}

// Length without padding; checks that the padding is what the alphabet asks for.
static enum rm_err base64_unpadded(const char *text, size_t text_length, bool url, size_t *length)
{
    size_t padding = 0;
    if (!url) {
        if (text_length % 4 != 0) {
            return RM_ERR_MALFORMED;
        }
        while (padding < 2 && padding < text_length && text[text_length - 1 - padding] == '=') {
            padding++;
        }
    }
    *length = text_length - padding;
    // One character alone carries 6 bits: less than a byte.
    return *length % 4 == 1 ? RM_ERR_MALFORMED : RM_OK;
}

enum rm_err base64_decode(const char *text, size_t text_length, bool url, uint8_t *out,
                          size_t *length)
{
    size_t characters = 0;
    RM_TRY(base64_unpadded(text, text_length, url, &characters));
    uint32_t pending = 0;
    unsigned pending_count = 0;
    size_t written = 0;
    for (size_t i = 0; i < characters; i++) {
        int value = base64_value(text[i], url);
        if (value < 0) {
            return RM_ERR_MALFORMED;
        }
        pending = (pending << 6 | (uint32_t)value) & 0xffffU;
        pending_count += 6;
        if (pending_count >= 8) {
            pending_count -= 8;
            out[written++] = (uint8_t)(pending >> pending_count);
        }
    }
    // Left-over bits must be zero, so that one block of bytes has one spelling only.
    if ((pending & ((1U << pending_count) - 1)) != 0) {
        return RM_ERR_MALFORMED;
    }
    *length = written;
    return RM_OK;
}
