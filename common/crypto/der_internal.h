// SPDX-License-Identifier: GPL-3.0-or-later
//
// DER (X.690): a strict reader over borrowed bytes and a writer. The reader takes what
// certificates, keys and requests need and refuses the rest: one-byte tags, definite lengths in the
// shortest form.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "crypto/certificate.h"
#include "crypto/oid_internal.h"

enum der_tag {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_OCTET_STRING = 0x04,
    DER_NULL = 0x05,
    DER_OID = 0x06,
    DER_UTF8_STRING = 0x0c,
    DER_UTC_TIME = 0x17,
    DER_GENERALIZED_TIME = 0x18,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_CONTEXT = 0x80,             // primitive [0]; add the number
    DER_CONTEXT_CONSTRUCTED = 0xa0, // constructed [0]; add the number
};

struct der_item {
    uint8_t tag;      // first byte
    struct der whole; // with tag and length; borrowed
    struct der body;  // content alone; borrowed
};

struct der_reader {
    const uint8_t *at;  // next byte
    const uint8_t *end; // after the last byte
};

struct der_reader der_reader_of(const uint8_t *bytes, size_t length);
struct der_reader der_reader_in(const struct der_item *item);
bool der_is_done(const struct der_reader *reader);
// False when nothing is left or the bytes are no DER; the reader then stays where it was.
RM_NODISCARD bool der_next(struct der_reader *reader, struct der_item *out);
// The same, and false when the next item has another tag.
RM_NODISCARD bool der_expect(struct der_reader *reader, uint8_t tag, struct der_item *out);
// The whole input is exactly one item with this tag.
RM_NODISCARD bool der_only(const uint8_t *bytes, size_t length, uint8_t tag, struct der_item *out);
// An INTEGER that is not negative: its bytes without leading zeros (one zero byte for 0).
RM_NODISCARD bool der_unsigned(const struct der_item *item, struct der *out);
// Bits of such a number without leading zeros.
uint32_t der_bit_count(const struct der *number);
// A BIT STRING of whole bytes: its bytes.
RM_NODISCARD bool der_bits(const struct der_item *item, struct der *out);
// UTCTime or GeneralizedTime in the one form RFC 5280 4.1.2.5 allows (seconds, 'Z').
RM_NODISCARD bool der_time(const struct der_item *item, int64_t *unix_s);
bool der_equal(const struct der *a, const struct der *b);

// The writer appends; der_begin and der_end enclose what stands between them in an item. The first
// failure sticks, so that only der_finish needs a check.
struct der_writer {
    uint8_t *bytes;     // owned until der_finish
    size_t length;      // used
    size_t capacity;    // allocated
    size_t max_bytes;   // refuses to grow beyond
    enum rm_err result; // RM_OK until something failed
};

void der_writer_init(struct der_writer *writer, size_t max_bytes);
// Place of an item that der_end will enclose.
RM_NODISCARD size_t der_begin(const struct der_writer *writer);
void der_end(struct der_writer *writer, size_t place, uint8_t tag);
// As they are.
void der_put(struct der_writer *writer, const void *bytes, size_t length);
void der_put_item(struct der_writer *writer, uint8_t tag, const void *bytes, size_t length);
void der_put_oid(struct der_writer *writer, enum oid oid);
// Big-endian bytes of a number that is not negative; leading zeros are dropped.
void der_put_unsigned(struct der_writer *writer, const uint8_t *bytes, size_t length);
void der_put_true(struct der_writer *writer);
void der_put_bits(struct der_writer *writer, const uint8_t *bytes, size_t length);
// UTCTime through 2049, GeneralizedTime after (RFC 5280 4.1.2.5). Years 1950 to 9999.
void der_put_time(struct der_writer *writer, int64_t unix_s);
// Makes the writer fail, as if a step of its own had.
void der_fail(struct der_writer *writer, enum rm_err result);
// Gives the bytes to the caller (rm_free). Errors: the first failure: RM_ERR_NO_MEMORY,
// RM_ERR_TOO_LARGE, RM_ERR_MALFORMED (a time out of range); nothing is given then.
RM_NODISCARD enum rm_err der_finish(struct der_writer *writer, uint8_t **bytes, size_t *length);
void der_writer_deinit(struct der_writer *writer);
