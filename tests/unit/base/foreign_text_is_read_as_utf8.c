// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/utf8.h"

static void assert_reads(const char *text, uint32_t expected, size_t expected_length)
{
    uint32_t code = 0;
    assert_int_equal(utf8_read(text, &code), expected_length);
    assert_int_equal(code, expected);
}

static void characters_of_each_length_are_read(void **state)
{
    (void)state;
    assert_reads("a", 'a', 1);
    assert_reads("\xc2\x80", 0x80, 2);
    assert_reads("\xc3\xa9", 0xe9, 2);
    assert_reads("\xe0\xa0\x80", 0x800, 3);
    assert_reads("\xe2\x82\xac", 0x20ac, 3);
    assert_reads("\xf0\x90\x80\x80", 0x10000, 4);
    assert_reads("\xf4\x8f\xbf\xbf", 0x10ffff, 4);
    assert_reads("\xef\xbf\xbd", UTF8_REPLACEMENT, 3);
}

static void each_wrong_byte_is_one_replacement(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "\x80",             // a continuation alone
        "\xc0\x80",         // overlong NUL
        "\xc1\xbf",         // overlong
        "\xe0\x9f\xbf",     // overlong
        "\xf0\x8f\xbf\xbf", // overlong
        "\xed\xa0\x80",     // surrogate
        "\xf4\x90\x80\x80", // above U+10FFFF
        "\xf5\x80\x80\x80", // above U+10FFFF
        "\xff",             // never valid
        "\xc3",             // cut
        "\xe2\x82",         // cut
        "\xf0\x9f\x98",     // cut
        "\xe2\x41\x41",     // interrupted
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_reads(wrong[i], UTF8_REPLACEMENT, 1);
    }
}

static void broken_text_is_repaired_in_place(void **state)
{
    (void)state;
    char good[] = "caf\xc3\xa9 \xef\xbf\xbd";
    char broken[] = "\xff"
                    "a\xc3"
                    "b\xe2\x82";
    utf8_repair(good);
    assert_string_equal(good, "caf\xc3\xa9 \xef\xbf\xbd");
    utf8_repair(broken);
    assert_string_equal(broken, "?a?b??");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_of_each_length_are_read),
        cmocka_unit_test(each_wrong_byte_is_one_replacement),
        cmocka_unit_test(broken_text_is_repaired_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
