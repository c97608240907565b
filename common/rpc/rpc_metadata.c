// SPDX-License-Identifier: GPL-3.0-or-later
//
// What gRPC puts into headers: grpc-timeout, grpc-message, grpc-status, content-type.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/rpc_internal.h"

#define MAX_TIMEOUT_DIGITS 8
#define MAX_TIMEOUT_MS_FORM 99999999U

const struct h2_header *rpc_header_find(const struct h2_header *headers, size_t count,
                                        const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(headers[i].name, name) == 0) {
            return &headers[i];
        }
    }
    return NULL;
}

bool rpc_header_is(const struct h2_header *header, const char *value)
{
    return header != NULL && strcmp(header->value, value) == 0;
}

struct h2_header rpc_header(const char *name, const char *value)
{
    return (struct h2_header){name, value, strlen(name), strlen(value)};
}

// "application/grpc", alone or with "+proto" or ";..." behind it.
bool rpc_content_type_is_grpc(const struct h2_header *header)
{
    static const char type[] = "application/grpc";
    size_t length = sizeof(type) - 1;
    if (header == NULL || strncmp(header->value, type, length) != 0) {
        return false;
    }
    char after = header->value[length];
    return after == '\0' || after == '+' || after == ';';
}

// Milliseconds of one unit, times a million to keep nanoseconds whole. 0: no such unit.
static uint64_t unit_ns(char unit)
{
    switch (unit) {
    case 'H':
        return UINT64_C(3600000000000);
    case 'M':
        return UINT64_C(60000000000);
    case 'S':
        return UINT64_C(1000000000);
    case 'm':
        return UINT64_C(1000000);
    case 'u':
        return UINT64_C(1000);
    case 'n':
        return 1;
    default:
        return 0;
    }
}

enum rm_err rpc_timeout_parse(const char *text, uint64_t *timeout_ms)
{
    uint64_t number = 0;
    size_t digits = 0;
    for (; text[digits] >= '0' && text[digits] <= '9'; digits++) {
        if (digits == MAX_TIMEOUT_DIGITS) {
            return RM_ERR_MALFORMED;
        }
        number = number * 10 + (uint64_t)(text[digits] - '0');
    }
    uint64_t factor_ns = unit_ns(text[digits]);
    if (digits == 0 || factor_ns == 0 || text[digits + 1] != '\0') {
        return RM_ERR_MALFORMED;
    }
    // 99,999,999 hours do not fit into 64 bits of nanoseconds.
    if (factor_ns >= UINT64_C(1000000)) {
        *timeout_ms = number * (factor_ns / UINT64_C(1000000));
    } else {
        *timeout_ms = (number * factor_ns + UINT64_C(999999)) / UINT64_C(1000000);
    }
    return RM_OK;
}

void rpc_timeout_format(uint32_t timeout_ms, char out[RPC_TIMEOUT_TEXT_BYTES])
{
    if (timeout_ms <= MAX_TIMEOUT_MS_FORM) {
        snprintf(out, RPC_TIMEOUT_TEXT_BYTES, "%um", timeout_ms);
    } else {
        snprintf(out, RPC_TIMEOUT_TEXT_BYTES, "%uS", timeout_ms / 1000 + 1);
    }
}

// At most RPC_MAX_STATUS_TEXT_BYTES, without cutting a UTF-8 sequence.
static size_t text_length(const char *text)
{
    size_t length = strnlen(text, RPC_MAX_STATUS_TEXT_BYTES + 1);
    if (length <= RPC_MAX_STATUS_TEXT_BYTES) {
        return length;
    }
    length = RPC_MAX_STATUS_TEXT_BYTES;
    while (length > 0 && ((uint8_t)text[length] & 0xc0) == 0x80) {
        length--;
    }
    return length;
}

void rpc_text_encode(const char *text, char out[RPC_STATUS_TEXT_WIRE_BYTES])
{
    static const char digits[] = "0123456789ABCDEF";
    size_t length = text_length(text);
    char *at = out;
    for (size_t i = 0; i < length; i++) {
        uint8_t byte = (uint8_t)text[i];
        if (byte >= 0x20 && byte <= 0x7e && byte != '%') {
            *at++ = (char)byte;
        } else {
            *at++ = '%';
            *at++ = digits[byte >> 4];
            *at++ = digits[byte & 0x0f];
        }
    }
    *at = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Bytes that are no valid escape stay as they came. A decoded NUL ends the text.
void rpc_text_decode(const char *wire, char out[RPC_MAX_STATUS_TEXT_BYTES + 1])
{
    size_t length = 0;
    while (*wire != '\0' && length < RPC_MAX_STATUS_TEXT_BYTES) {
        int high = wire[0] == '%' ? hex_digit(wire[1]) : -1;
        int low = high >= 0 ? hex_digit(wire[2]) : -1;
        if (low >= 0) {
            out[length++] = (char)(high * 16 + low);
            wire += 3;
        } else {
            out[length++] = *wire++;
        }
    }
    out[length] = '\0';
}

enum rpc_status rpc_status_parse(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length > 2 || strspn(text, "0123456789") != length) {
        return RPC_UNKNOWN;
    }
    long number = strtol(text, NULL, 10);
    return number <= RPC_UNAUTHENTICATED ? (enum rpc_status)number : RPC_UNKNOWN;
}
