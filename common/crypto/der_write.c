// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "crypto/der_internal.h"

#define WRITER_FIRST_BYTES 1024        // most certificates of ours fit without growing
#define HEADER_MAX_BYTES 4             // tag and a length of up to 65535
#define FIRST_TIME_S (-631152000)      // 1950-01-01: the two-digit years begin
#define FIRST_GENERALIZED_S 2524608000 // 2050-01-01
#define LAST_TIME_S 253402300799       // 9999-12-31T23:59:59Z

void der_writer_init(struct der_writer *writer, size_t max_bytes)
{
    *writer = (struct der_writer){.max_bytes = max_bytes};
}

void der_writer_deinit(struct der_writer *writer)
{
    rm_free(writer->bytes);
    *writer = (struct der_writer){0};
}

void der_fail(struct der_writer *writer, enum rm_err result)
{
    if (writer->result == RM_OK) {
        writer->result = result;
    }
}

// Makes room for `more` bytes; false when there is none or something failed before.
static bool der_room(struct der_writer *writer, size_t more)
{
    if (writer->result != RM_OK) {
        return false;
    }
    if (more > writer->max_bytes - writer->length) {
        der_fail(writer, RM_ERR_TOO_LARGE);
        return false;
    }
    size_t capacity = writer->capacity == 0 ? WRITER_FIRST_BYTES : writer->capacity;
    while (capacity < writer->length + more) {
        capacity *= 2;
    }
    if (capacity == writer->capacity) {
        return true;
    }
    uint8_t *bytes = rm_realloc(writer->bytes, capacity);
    if (bytes == NULL) {
        der_fail(writer, RM_ERR_NO_MEMORY);
        return false;
    }
    writer->bytes = bytes;
    writer->capacity = capacity;
    return true;
}

void der_put(struct der_writer *writer, const void *bytes, size_t length)
{
    if (length > 0 && der_room(writer, length)) {
        memcpy(writer->bytes + writer->length, bytes, length);
        writer->length += length;
    }
}

size_t der_begin(const struct der_writer *writer)
{
    return writer->length;
}

static size_t der_header(uint8_t header[HEADER_MAX_BYTES], uint8_t tag, size_t length)
{
    size_t used = 0;
    header[used++] = tag;
    if (length >= 0x100) {
        header[used++] = 0x82;
        header[used++] = (uint8_t)(length >> 8);
    } else if (length >= 0x80) {
        header[used++] = 0x81;
    }
    header[used++] = (uint8_t)length;
    return used;
}

// The header's size is known only now: what was written moves up to make place for it.
void der_end(struct der_writer *writer, size_t place, uint8_t tag)
{
    uint8_t header[HEADER_MAX_BYTES];
    size_t length = writer->length - place;
    if (length > UINT16_MAX) {
        der_fail(writer, RM_ERR_TOO_LARGE);
        return;
    }
    size_t used = der_header(header, tag, length);
    if (der_room(writer, used)) {
        memmove(writer->bytes + place + used, writer->bytes + place, length);
        memcpy(writer->bytes + place, header, used);
        writer->length += used;
    }
}

void der_put_item(struct der_writer *writer, uint8_t tag, const void *bytes, size_t length)
{
    size_t place = der_begin(writer);
    der_put(writer, bytes, length);
    der_end(writer, place, tag);
}

void der_put_oid(struct der_writer *writer, enum oid oid)
{
    size_t length = 0;
    const uint8_t *bytes = oid_bytes(oid, &length);
    der_put_item(writer, DER_OID, bytes, length);
}

void der_put_unsigned(struct der_writer *writer, const uint8_t *bytes, size_t length)
{
    while (length > 1 && bytes[0] == 0) {
        bytes++;
        length--;
    }
    size_t place = der_begin(writer);
    if ((bytes[0] & 0x80) != 0) {
        der_put(writer, "", 1); // a zero byte, so that it does not read as negative
    }
    der_put(writer, bytes, length);
    der_end(writer, place, DER_INTEGER);
}

void der_put_true(struct der_writer *writer)
{
    der_put_item(writer, DER_BOOLEAN, "\xff", 1);
}

void der_put_bits(struct der_writer *writer, const uint8_t *bytes, size_t length)
{
    size_t place = der_begin(writer);
    der_put(writer, "", 1); // no unused bits
    der_put(writer, bytes, length);
    der_end(writer, place, DER_BIT_STRING);
}

void der_put_time(struct der_writer *writer, int64_t unix_s)
{
    time_t when = (time_t)unix_s;
    struct tm parts;
    char text[24];
    if (unix_s < FIRST_TIME_S || unix_s > LAST_TIME_S || gmtime_r(&when, &parts) == NULL) {
        der_fail(writer, RM_ERR_MALFORMED);
        return;
    }
    size_t length = strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &parts);
    if (unix_s < FIRST_GENERALIZED_S) {
        der_put_item(writer, DER_UTC_TIME, text + 2, length - 2); // two digits of the year
    } else {
        der_put_item(writer, DER_GENERALIZED_TIME, text, length);
    }
}

enum rm_err der_finish(struct der_writer *writer, uint8_t **bytes, size_t *length)
{
    enum rm_err result = writer->result;
    if (result == RM_OK) {
        *bytes = writer->bytes;
        *length = writer->length;
        writer->bytes = NULL;
    }
    der_writer_deinit(writer);
    return result;
}
