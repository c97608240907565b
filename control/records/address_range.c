// SPDX-License-Identifier: GPL-3.0-or-later
#include "records/address_range.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct range {
    int family;        // AF_INET or AF_INET6
    uint8_t bytes[16]; // 4 or 16 count
    unsigned bits;     // of the prefix
};

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool parse_address(const char *text, struct range *out)
{
    if (inet_pton(AF_INET, text, out->bytes) == 1) {
        out->family = AF_INET;
        out->bits = 32;
        return true;
    }
    if (inet_pton(AF_INET6, text, out->bytes) != 1) {
        return false;
    }
    out->family = AF_INET6;
    out->bits = 128;
    if (memcmp(out->bytes, mapped, sizeof mapped) == 0) {
        memmove(out->bytes, out->bytes + sizeof mapped, 4);
        out->family = AF_INET;
        out->bits = 32;
    }
    return true;
}

static bool parse_bits(const char *text, unsigned most, unsigned *out)
{
    char *end = NULL;
    if (*text < '0' || *text > '9' || strlen(text) > 3) {
        return false;
    }
    unsigned long bits = strtoul(text, &end, 10);
    *out = (unsigned)bits;
    return *end == '\0' && bits <= most;
}

static bool bit_is_set(const uint8_t *bytes, unsigned index)
{
    return (bytes[index / 8] >> (7 - index % 8) & 1) != 0;
}

static const char *parse(const char *text, struct range *out)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t length = slash != NULL ? (size_t)(slash - text) : strlen(text);
    if (length >= sizeof address) {
        return "it is too long";
    }
    memcpy(address, text, length);
    address[length] = '\0';
    if (!parse_address(address, out)) {
        return "it does not begin with an IPv4 or IPv6 address";
    }
    unsigned most = out->bits;
    if (slash != NULL && !parse_bits(slash + 1, most, &out->bits)) {
        return "its prefix length is out of range";
    }
    for (unsigned i = out->bits; i < most; i++) {
        if (bit_is_set(out->bytes, i)) {
            return "it has bits beyond its prefix length";
        }
    }
    return NULL;
}

enum rm_err address_range_check(const char *range, struct rm_error *error)
{
    struct range parsed;
    const char *fault = parse(range, &parsed);
    return fault == NULL ? RM_OK
                         : rm_error_set(error, RM_ERR_MALFORMED,
                                        "'%s' is no address range: %s; write it like 10.0.0.0/8",
                                        range, fault);
}

bool address_range_contains(const char *range, const char *address)
{
    struct range wanted;
    struct range given;
    if (parse(range, &wanted) != NULL || !parse_address(address, &given) ||
        wanted.family != given.family) {
        return false;
    }
    for (unsigned i = 0; i < wanted.bits; i++) {
        if (bit_is_set(wanted.bytes, i) != bit_is_set(given.bytes, i)) {
            return false;
        }
    }
    return true;
}
