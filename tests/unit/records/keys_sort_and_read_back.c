// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "records/record_keys.h"

static void keys_are_as_documented(void **state)
{
    (void)state;
    char key[RECORD_KEY_BYTES];
    const uint8_t lineage[LINEAGE_BYTES] = {0x10, 0, 0, 0, 0, 0, 0, 0xab};
    uint8_t serial[ISSUE_SERIAL_BYTES] = {0};
    record_key_lineage(lineage, key);
    assert_string_equal(key, "lineage/10000000000000ab");
    memcpy(serial, lineage, LINEAGE_BYTES);
    record_key_certificate(serial, key);
    assert_string_equal(key, "certificate/10000000000000ab0000000000000000");
    record_key_lineage_certificates(lineage, key);
    assert_string_equal(key, "certificate/10000000000000ab");
    record_key_withdrawal(TRUST_REVOKED_LINEAGE, lineage, sizeof lineage, key);
    assert_string_equal(key, "withdrawal/1:10000000000000ab");
    record_key_withdrawal(TRUST_LAPSED_LINEAGE, lineage, sizeof lineage, key);
    assert_string_equal(key, "withdrawal/2:10000000000000ab");
    record_key_audit(0x123456789a, 0xdeadbeef, key);
    assert_string_equal(key, "audit/000000123456789a-deadbeef");
    assert_int_equal(record_key_token("0123456789ab", key), RM_OK);
    assert_string_equal(key, "token/0123456789ab");
    assert_int_equal(record_key_endpoint("web", "0011223344556677", key), RM_OK);
    assert_string_equal(key, "endpoint/web/0011223344556677");
}

static void later_audit_records_sort_later(void **state)
{
    (void)state;
    char early[RECORD_KEY_BYTES];
    char late[RECORD_KEY_BYTES];
    record_key_audit(999, 0xffffffff, early);
    record_key_audit(1000, 0, late);
    assert_true(strcmp(early, late) < 0);
}

static void long_subjects_and_names_stay_within_a_key(void **state)
{
    (void)state;
    char key[RECORD_KEY_BYTES];
    char id[2048];
    memset(id, 'a', sizeof id);
    record_key_withdrawal(TRUST_REVOKED_IDENTITY, id, sizeof id, key);
    assert_int_equal(strlen(key), strlen("withdrawal/3:") + 64);
    id[sizeof id - 1] = '\0';
    assert_int_equal(record_key_service(id, key), RM_ERR_TOO_LARGE);
    assert_int_equal(record_key_token(id, key), RM_ERR_TOO_LARGE);
    assert_int_equal(record_key_endpoint(id, "x", key), RM_ERR_TOO_LARGE);
}

static void keys_are_read_strictly(void **state)
{
    (void)state;
    uint8_t lineage[LINEAGE_BYTES];
    uint8_t serial[ISSUE_SERIAL_BYTES];
    assert_int_equal(record_key_read_lineage("lineage/10000000000000ab", lineage), RM_OK);
    assert_int_equal(lineage[7], 0xab);
    assert_int_equal(record_key_read_lineage("lineage/10000000000000a", lineage), RM_ERR_MALFORMED);
    assert_int_equal(record_key_read_lineage("lineage/10000000000000xy", lineage),
                     RM_ERR_MALFORMED);
    assert_int_equal(record_key_read_lineage("token/10000000000000ab", lineage), RM_ERR_MALFORMED);
    assert_int_equal(
        record_key_read_certificate("certificate/10000000000000ab0000000000000001", serial), RM_OK);
    assert_int_equal(serial[15], 1);
    assert_int_equal(record_key_read_certificate("certificate/10", serial), RM_ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_as_documented),
        cmocka_unit_test(later_audit_records_sort_later),
        cmocka_unit_test(long_subjects_and_names_stay_within_a_key),
        cmocka_unit_test(keys_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
