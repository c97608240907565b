// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "records/address_range.h"

static void good_ranges(void **state)
{
    (void)state;
    static const char *const good[] = {"10.0.0.0/8",     "0.0.0.0/0", "192.0.2.1", "192.0.2.1/32",
                                       "2001:db8::/32",  "::/0",      "::1",       "::1/128",
                                       "192.0.2.128/25", "fe80::/10"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(address_range_check(good[i], NULL), RM_OK);
    }
}

static void bad_ranges_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "/8",
                                      "10.0.0.0/",
                                      "10.0.0.0/33",
                                      "10.0.0.1/8",
                                      "10.0.0/8",
                                      "10.0.0.0/+8",
                                      "10.0.0.0/8 ",
                                      "::/129",
                                      "2001:db8::1/32",
                                      "host",
                                      "10.0.0.0/0008",
                                      "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb/1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct rm_error error = {0};
        assert_int_equal(address_range_check(bad[i], &error), RM_ERR_MALFORMED);
        assert_true(strlen(error.message) > 10);
        assert_false(address_range_contains(bad[i], "10.0.0.1"));
    }
}

static void addresses_lie_inside_or_not(void **state)
{
    (void)state;
    static const struct {
        const char *range;
        const char *address;
        bool is_inside;
    } cases[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"0.0.0.0/0", "255.255.255.255", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "10.0.0.1", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"10.0.0.0/8", "host", false},
        {"10.0.0.0/8", "10.0.0.1:80", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (address_range_contains(cases[i].range, cases[i].address) != cases[i].is_inside) {
            fail_msg("%s in %s", cases[i].address, cases[i].range);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ranges),
        cmocka_unit_test(bad_ranges_are_refused),
        cmocka_unit_test(addresses_lie_inside_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
