// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>
#include <time.h>

#include "crypto/der_internal.h"

struct der_reader der_reader_of(const uint8_t *bytes, size_t length)
{
    return (struct der_reader){.at = bytes, .end = bytes + length};
}

struct der_reader der_reader_in(const struct der_item *item)
{
    return der_reader_of(item->body.bytes, item->body.length);
}

bool der_is_done(const struct der_reader *reader)
{
    return reader->at == reader->end;
}

// Reads the length at `at`; gives the place after it, or NULL when it is not DER or larger than
// what is left. Lengths of more than three bytes are larger than any limit of this room.
static const uint8_t *der_length(const uint8_t *at, const uint8_t *end, size_t *length)
{
    if (at == end) {
        return NULL;
    }
    size_t value = *at++;
    if (value >= 0x80) {
        size_t count = value & 0x7f;
        if (count == 0 || count > 3 || (size_t)(end - at) < count) {
            return NULL;
        }
        value = 0;
        for (size_t i = 0; i < count; i++) {
            value = (value << 8) | *at++;
        }
        if (value < 0x80 || value >> (8 * (count - 1)) == 0) {
            return NULL; // not the shortest form
        }
    }
    *length = value;
    return value <= (size_t)(end - at) ? at : NULL;
}

bool der_next(struct der_reader *reader, struct der_item *out)
{
    if (der_is_done(reader) || (reader->at[0] & 0x1f) == 0x1f) {
        return false;
    }
    size_t length = 0;
    const uint8_t *body = der_length(reader->at + 1, reader->end, &length);
    if (body == NULL) {
        return false;
    }
    out->tag = reader->at[0];
    out->body = (struct der){.bytes = body, .length = length};
    out->whole = (struct der){.bytes = reader->at, .length = (size_t)(body - reader->at) + length};
    reader->at = body + length;
    return true;
}

bool der_expect(struct der_reader *reader, uint8_t tag, struct der_item *out)
{
    struct der_reader ahead = *reader;
    if (!der_next(&ahead, out) || out->tag != tag) {
        return false;
    }
    *reader = ahead;
    return true;
}

bool der_only(const uint8_t *bytes, size_t length, uint8_t tag, struct der_item *out)
{
    struct der_reader reader = der_reader_of(bytes, length);
    return der_expect(&reader, tag, out) && der_is_done(&reader);
}

bool der_unsigned(const struct der_item *item, struct der *out)
{
    *out = item->body;
    if (item->tag != DER_INTEGER || out->length == 0 || (out->bytes[0] & 0x80) != 0) {
        return false;
    }
    if (out->length > 1 && out->bytes[0] == 0) {
        out->bytes++;
        out->length--;
        return (out->bytes[0] & 0x80) != 0; // a zero byte stands only where the sign needs it
    }
    return true;
}

uint32_t der_bit_count(const struct der *number)
{
    uint32_t bits = (uint32_t)number->length * 8;
    for (uint8_t mask = 0x80; mask != 0 && (number->bytes[0] & mask) == 0; mask >>= 1) {
        bits--;
    }
    return bits;
}

bool der_bits(const struct der_item *item, struct der *out)
{
    *out = item->body;
    if (item->tag != DER_BIT_STRING || out->length == 0 || out->bytes[0] != 0) {
        return false;
    }
    out->bytes++;
    out->length--;
    return true;
}

static bool der_two_digits(const uint8_t *text, int least, int most, int *out)
{
    if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9') {
        return false;
    }
    *out = (text[0] - '0') * 10 + (text[1] - '0');
    return *out >= least && *out <= most;
}

// The year and where the month begins; NULL when it is no time.
static const uint8_t *der_year(const struct der_item *item, int *year)
{
    const uint8_t *text = item->body.bytes;
    int century = 0;
    if (item->tag == DER_UTC_TIME && item->body.length == 13 && der_two_digits(text, 0, 99, year)) {
        *year += *year >= 50 ? 1900 : 2000;
        return text + 2;
    }
    if (item->tag == DER_GENERALIZED_TIME && item->body.length == 15 &&
        der_two_digits(text, 0, 99, &century) && der_two_digits(text + 2, 0, 99, year)) {
        *year += century * 100;
        return text + 4;
    }
    return NULL;
}

bool der_time(const struct der_item *item, int64_t *unix_s)
{
    int year = 0;
    struct tm parts = {0};
    const uint8_t *text = der_year(item, &year);
    if (text == NULL || !der_two_digits(text, 1, 12, &parts.tm_mon) ||
        !der_two_digits(text + 2, 1, 31, &parts.tm_mday) ||
        !der_two_digits(text + 4, 0, 23, &parts.tm_hour) ||
        !der_two_digits(text + 6, 0, 59, &parts.tm_min) ||
        !der_two_digits(text + 8, 0, 59, &parts.tm_sec) || text[10] != 'Z') {
        return false;
    }
    parts.tm_year = year - 1900;
    parts.tm_mon--;
    int day = parts.tm_mday;
    *unix_s = timegm(&parts);
    return parts.tm_mday == day; // timegm turns 31 February into March
}

bool der_equal(const struct der *a, const struct der *b)
{
    return a->length == b->length && (a->length == 0 || memcmp(a->bytes, b->bytes, a->length) == 0);
}
