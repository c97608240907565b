// SPDX-License-Identifier: GPL-3.0-or-later
#include "cases.h"

static void a_remora_serial_begins_with_its_lineage(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        uint8_t serial[16] = {(uint8_t)first, 2, 3, 4, 5, 6, 7, 8, 9};
        uint8_t found[LINEAGE_BYTES] = {0};
        // Top bit 0, top nibble not 0.
        bool is_remora = first >= 0x10 && first <= 0x7f;
        assert_int_equal(serial_lineage(serial, 16, found), is_remora);
        if (is_remora) {
            assert_memory_equal(found, serial, LINEAGE_BYTES);
        }
    }
}

static void another_length_is_no_lineage(void **state)
{
    (void)state;
    uint8_t serial[SERIAL_MAX_BYTES] = {0x11};
    uint8_t found[LINEAGE_BYTES];
    for (size_t length = 0; length <= sizeof(serial); length++) {
        assert_int_equal(serial_lineage(serial, length, found), length == 16);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_remora_serial_begins_with_its_lineage),
        cmocka_unit_test(another_length_is_no_lineage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
