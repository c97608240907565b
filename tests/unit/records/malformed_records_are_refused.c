// SPDX-License-Identifier: GPL-3.0-or-later
//
// Records as protobuf bytes, written by hand: field number << 3 | wire type, length, content.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "records/records_wire.h"

#define REFUSED(noun, literal)                                                                     \
    do {                                                                                           \
        struct noun out;                                                                           \
        memset(&out, 0xa5, sizeof out);                                                            \
        assert_int_equal(noun##_decode((const uint8_t *)(literal), sizeof(literal) - 1, &out),     \
                         RM_ERR_MALFORMED);                                                        \
        noun##_deinit(&out); /* is empty: nothing is freed twice */                                \
    } while (0)

static void bytes_that_are_no_message(void **state)
{
    (void)state;
    REFUSED(token_record, "\xff\xff\xff");
    REFUSED(lineage_record, "\x0a\x7f");
    REFUSED(service_record, "\x08");
    REFUSED(audit_record, "\x0a\x05"
                          "abc");
}

static void hashes_of_the_wrong_length(void **state)
{
    (void)state;
    REFUSED(token_record, ""); // no hash of a secret
    REFUSED(served_record, "\x0a\x03"
                           "abc"); // store id
    REFUSED(token_record, "\x0a\x03"
                          "abc"); // three bytes of it
    REFUSED(lineage_record, "\x2a\x03"
                            "abc"); // serial
    REFUSED(certificate_record, "\x12\x03"
                                "abc"); // lineage
    REFUSED(endpoint_record, "\x0a\x01"
                             "i\x22\x07"
                             "1234567");
    REFUSED(rejoin_record, "\x0a\x01i");
}

static void values_out_of_range(void **state)
{
    (void)state;
    REFUSED(service_record, "");                 // port 0
    REFUSED(service_record, "\x08\x80\x80\x04"); // port 65536
    REFUSED(withdrawal_record, "");              // kind 0
    REFUSED(withdrawal_record, "\x08\x05");      // kind 5
    static const char state_3[] = "\x2a\x10"
                                  "0123456789abcdef\x32\x20"
                                  "0123456789abcdef0123456789abcdef\x48\x03";
    REFUSED(lineage_record, state_3);
}

static void too_large_a_record(void **state)
{
    (void)state;
    static uint8_t huge[RECORD_MAX_BYTES + 1];
    struct token_record out;
    assert_int_equal(token_record_decode(huge, sizeof huge, &out), RM_ERR_TOO_LARGE);
    static char text[RECORD_MAX_BYTES + 1];
    memset(text, 'a', sizeof text - 1);
    struct audit_record audit = {text, "", "", ""};
    uint8_t *bytes = NULL;
    size_t length = 0;
    assert_int_equal(audit_record_encode(&audit, &bytes, &length), RM_ERR_TOO_LARGE);
    assert_null(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_that_are_no_message),
        cmocka_unit_test(hashes_of_the_wrong_length),
        cmocka_unit_test(values_out_of_range),
        cmocka_unit_test(too_large_a_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
