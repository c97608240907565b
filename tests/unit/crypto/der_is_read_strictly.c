// SPDX-License-Identifier: GPL-3.0-or-later
//
// One value, one encoding: whatever could be written in two ways is refused.
#include <string.h>

#include "base/alloc.h"
#include "crypto_fixture.h"

#define BYTES(literal) (const uint8_t *)(literal), sizeof(literal) - 1

struct row {
    const uint8_t *bytes;
    size_t length;
    bool is_good;
};

// Each in a block of its own, so that the sanitizer sees a read beyond the end.
static uint8_t *own(const struct row *row)
{
    return rm_memdup(row->bytes, row->length);
}

static void lengths(void **state)
{
    (void)state;
    static uint8_t long_item[3 + 0x80] = {0x30, 0x81, 0x80};
    static uint8_t longer_item[4 + 0x100] = {0x30, 0x82, 0x01, 0x00};
    static uint8_t longest_item[5 + 0x10000] = {0x30, 0x83, 0x01, 0x00, 0x00};
    const struct row rows[] = {
        {BYTES("\x30\x00"), true},
        {BYTES("\x30\x02\x05\x00"), true},
        {long_item, sizeof(long_item), true},
        {longer_item, sizeof(longer_item), true},
        {longest_item, sizeof(longest_item), true},
        {BYTES(""), false},
        {BYTES("\x30"), false},
        {BYTES("\x30\x01"), false},                 // cut
        {BYTES("\x30\x80"), false},                 // indefinite
        {BYTES("\x30\x80\x00\x00"), false},         // indefinite
        {BYTES("\x30\x81"), false},                 // cut
        {BYTES("\x30\x81\x02\x05\x00"), false},     // long form of a short length
        {BYTES("\x30\x82\x00\x02\x05\x00"), false}, // leading zero
        {BYTES("\x30\x83\x00\x00\x02\x05\x00"), false},
        {BYTES("\x30\x84\x00\x00\x00\x02\x05\x00"), false},
        {BYTES("\x30\x84\xff\xff\xff\xff\x05\x00"), false},
        {BYTES("\x30\x88\xff\xff\xff\xff\xff\xff\xff\xff\x05\x00"), false},
        {BYTES("\x30\xff\x00"), false},
        {BYTES("\x31\x00"), false},     // another tag
        {BYTES("\x3f\x10\x00"), false}, // tag of several bytes
        {BYTES("\x30\x00\x00"), false}, // a byte too many
        {long_item, sizeof(long_item) - 1, false},
        {longer_item, sizeof(longer_item) - 1, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct der_item item;
        uint8_t *bytes = own(&rows[i]);
        if (der_only(bytes, rows[i].length, DER_SEQUENCE, &item) != rows[i].is_good) {
            fail_msg("row %zu", i);
        }
        rm_free(bytes);
    }
}

static void numbers(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {BYTES("\x02\x01\x00"), true},          {BYTES("\x02\x01\x7f"), true},
        {BYTES("\x02\x02\x00\x80"), true},      {BYTES("\x02\x00"), false},     // nothing
        {BYTES("\x02\x01\x80"), false},                                         // negative
        {BYTES("\x02\x02\xff\x00"), false},                                     // negative
        {BYTES("\x02\x02\x00\x7f"), false},                                     // leading zero
        {BYTES("\x02\x03\x00\x00\x80"), false}, {BYTES("\x03\x01\x00"), false}, // another tag
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct der_item item;
        struct der number;
        uint8_t *bytes = own(&rows[i]);
        struct der_reader reader = der_reader_of(bytes, rows[i].length);
        assert_true(der_next(&reader, &item));
        if (der_unsigned(&item, &number) != rows[i].is_good) {
            fail_msg("row %zu", i);
        }
        rm_free(bytes);
    }
}

static void bit_counts(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x01, 0x80, 0xff, 0x00};
    static const uint32_t counts[] = {1 + 24, 8 + 16, 8 + 8, 0};
    for (size_t i = 0; i < 4; i++) {
        const struct der number = {bytes + i, 4 - i};
        assert_int_equal(der_bit_count(&number), counts[i]);
    }
}

static void bit_strings(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {BYTES("\x03\x01\x00"), true},      {BYTES("\x03\x02\x00\xff"), true},
        {BYTES("\x03\x00"), false},         // no count of unused bits
        {BYTES("\x03\x02\x01\xfe"), false}, // not whole bytes
        {BYTES("\x04\x02\x00\xff"), false}, // another tag
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct der_item item;
        struct der bits;
        uint8_t *bytes = own(&rows[i]);
        struct der_reader reader = der_reader_of(bytes, rows[i].length);
        assert_true(der_next(&reader, &item));
        assert_true(der_bits(&item, &bits) == rows[i].is_good);
        rm_free(bytes);
    }
}

static void times(void **state)
{
    (void)state;
    static const struct {
        uint8_t tag;
        const char *text;
        int64_t unix_s; // when good
        bool is_good;
    } rows[] = {
        {DER_UTC_TIME, "700101000000Z", 0, true},
        {DER_UTC_TIME, "491231235959Z", 2524607999, true},
        {DER_UTC_TIME, "500101000000Z", -631152000, true},
        {DER_UTC_TIME, "000229120000Z", 951825600, true},
        {DER_GENERALIZED_TIME, "20500101000000Z", 2524608000, true},
        {DER_GENERALIZED_TIME, "99991231235959Z", 253402300799, true},
        {DER_GENERALIZED_TIME, "21000229000000Z", 0, false}, // no leap year
        {DER_UTC_TIME, "010229000000Z", 0, false},
        {DER_UTC_TIME, "010431000000Z", 0, false},
        {DER_UTC_TIME, "011301000000Z", 0, false},
        {DER_UTC_TIME, "010001000000Z", 0, false},
        {DER_UTC_TIME, "010100000000Z", 0, false},
        {DER_UTC_TIME, "010101240000Z", 0, false},
        {DER_UTC_TIME, "010101006000Z", 0, false},
        {DER_UTC_TIME, "010101000060Z", 0, false},
        {DER_UTC_TIME, "010101000000", 0, false},
        {DER_UTC_TIME, "0101010000Z", 0, false},     // no seconds
        {DER_UTC_TIME, "0101010000+0100", 0, false}, // another zone
        {DER_UTC_TIME, "0101010000 0Z", 0, false},
        {DER_UTC_TIME, "20010101000000Z", 0, false}, // four digits under the tag of two
        {DER_GENERALIZED_TIME, "010101000000Z", 0, false},
        {DER_GENERALIZED_TIME, "20010101000000.5Z", 0, false},
        {DER_OCTET_STRING, "700101000000Z", 0, false},
        {DER_UTC_TIME, "", 0, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t unix_s = 0;
        uint8_t *text = rm_memdup(rows[i].text, strlen(rows[i].text));
        const struct der_item item = {.tag = rows[i].tag, .body = {text, strlen(rows[i].text)}};
        if (der_time(&item, &unix_s) != rows[i].is_good ||
            (rows[i].is_good && unix_s != rows[i].unix_s)) {
            fail_msg("row %zu: %s", i, rows[i].text);
        }
        rm_free(text);
    }
}

static void identifiers_are_known_whole_or_not_at_all(void **state)
{
    (void)state;
    for (unsigned int oid = OID_UNKNOWN + 1; oid < OID_COUNT; oid++) {
        size_t length = 0;
        uint8_t longer[16] = {0};
        const uint8_t *bytes = oid_bytes((enum oid)oid, &length);
        memcpy(longer, bytes, length);
        assert_int_equal(oid_find(bytes, length), oid);
        assert_int_equal(oid_find(longer, length + 1), OID_UNKNOWN);
        assert_int_equal(oid_find(longer, length - 1), OID_UNKNOWN);
    }
    assert_int_equal(oid_find(NULL, 0), OID_UNKNOWN);
    assert_string_equal(oid_name(OID_UNKNOWN), "unknown");
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    static const size_t lengths_of_content[] = {0, 1, 0x7f, 0x80, 0xff, 0x100, 0xfff0};
    static uint8_t content[0xfff0];
    for (size_t i = 0; i < sizeof(lengths_of_content) / sizeof(lengths_of_content[0]); i++) {
        struct der_writer writer;
        struct der_item outer;
        struct der_item inner;
        uint8_t *bytes = NULL;
        size_t length = 0;
        der_writer_init(&writer, 0x10000);
        size_t place = der_begin(&writer);
        der_put_item(&writer, DER_OCTET_STRING, content, lengths_of_content[i]);
        der_end(&writer, place, DER_SEQUENCE);
        assert_int_equal(der_finish(&writer, &bytes, &length), RM_OK);
        assert_true(der_only(bytes, length, DER_SEQUENCE, &outer));
        assert_true(der_only(outer.body.bytes, outer.body.length, DER_OCTET_STRING, &inner));
        assert_int_equal(inner.body.length, lengths_of_content[i]);
        rm_free(bytes);
    }
}

static void writer_keeps_its_limit(void **state)
{
    (void)state;
    struct der_writer writer;
    uint8_t *bytes = NULL;
    size_t length = 0;
    der_writer_init(&writer, 10);
    der_put(&writer, "1234567890", 10);
    der_put(&writer, "", 0);
    assert_int_equal(der_finish(&writer, &bytes, &length), RM_OK);
    assert_int_equal(length, 10);
    rm_free(bytes);
    bytes = NULL;
    der_writer_init(&writer, 10);
    der_put(&writer, "12345678901", 11);
    der_put(&writer, "1", 1); // the first failure sticks
    assert_int_equal(der_finish(&writer, &bytes, &length), RM_ERR_TOO_LARGE);
    assert_null(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths),
        cmocka_unit_test(numbers),
        cmocka_unit_test(bit_counts),
        cmocka_unit_test(bit_strings),
        cmocka_unit_test(times),
        cmocka_unit_test(identifiers_are_known_whole_or_not_at_all),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(writer_keeps_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
