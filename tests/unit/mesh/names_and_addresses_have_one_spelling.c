// SPDX-License-Identifier: GPL-3.0-or-later
#include "cases.h"

#define L63 "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0"

static void names(void **state)
{
    (void)state;
    static const char *const good[] = {
        "a",
        "web",
        "web-1",
        "web.shop",
        "1",
        "a--b",
        L63,
        L63 "." L63 "." L63 "."
            "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxy"};
    static const char *const bad[] = {"",
                                      ".",
                                      "web.",
                                      ".web",
                                      "a..b",
                                      "-a",
                                      "a-",
                                      "a.-b",
                                      "a-.b",
                                      "A",
                                      "a_b",
                                      "a b",
                                      "a/b",
                                      "a*",
                                      "*",
                                      "a:1",
                                      "\xc3\xa9",
                                      L63 "x",
                                      L63 "." L63 "." L63 "." L63};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(mesh_name_check(good[i], NULL), RM_OK);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (mesh_name_check(bad[i], NULL) != RM_ERR_MALFORMED) {
            fail_msg("\"%s\" was accepted", bad[i]);
        }
    }
}

static void addresses(void **state)
{
    (void)state;
    static const char *const good[] = {
        "10.0.0.1:15008",      "127.0.0.1:1", "255.255.255.254:65535", "[::1]:80",
        "[2001:db8::1]:15008", "[fe80::1]:1", "[::ffff:10.0.0.1]:1"};
    static const char *const bad[] = {
        "",
        "10.0.0.1",
        "10.0.0.1:",
        ":15008",
        "10.0.0.1:0",
        "10.0.0.1:65536",
        "10.0.0.1:080",
        "10.0.0.1:99999999999999999999",
        "10.0.0.1:-1",
        "10.0.0.1:+1",
        "10.0.0.1: 1",
        "10.0.0.1:1 ",
        "10.0.0.1:0x10",
        "10.0.0.01:1",
        "10.0.0:1",
        "10.0.0.256:1",
        "010.0.0.1:1",
        "167772161:1",
        "localhost:1",
        "web.shop:1",
        "0.0.0.0:1",
        "224.0.0.1:1",
        "239.1.2.3:1",
        "::1:80",
        "[::1]",
        "[::1]80",
        "[::1:80",
        "[]:80",
        "[::]:80",
        "[ff02::1]:80",
        "[fe80::1%eth0]:80",
        "[2001:DB8::1]:80",
        "[0:0::1]:80",
        "[2001:db8:0:0:0:0:0:1]:80",
        "[10.0.0.1]:80",
        "10.0.0.1:80:90",
        "user@10.0.0.1:80",
        "http://10.0.0.1:80",
        "10.0.0.1 :80",
        "[2001:db8:1111:2222:3333:4444:5555:6666]:15008zzzzzzzzzzzzzzzzzzzz"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(mesh_address_check(good[i], false, NULL), RM_OK);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (mesh_address_check(bad[i], false, NULL) != RM_ERR_MALFORMED) {
            fail_msg("\"%s\" was accepted", bad[i]);
        }
    }
}

static void the_right_spelling_is_told(void **state)
{
    (void)state;
    struct rm_error error = {0};
    assert_int_equal(mesh_address_check("[2001:DB8:0::1]:80", false, &error), RM_ERR_MALFORMED);
    assert_string_equal(rm_error_message(&error), "the address must be written as 2001:db8::1");
}

static void a_host_may_be_left_to_the_connection(void **state)
{
    (void)state;
    assert_int_equal(mesh_address_check(":15008", true, NULL), RM_OK);
    assert_int_equal(mesh_address_check("10.0.0.1:15008", true, NULL), RM_OK);
    assert_int_equal(mesh_address_check(":0", true, NULL), RM_ERR_MALFORMED);
    assert_int_equal(mesh_address_check(":", true, NULL), RM_ERR_MALFORMED);
    assert_int_equal(mesh_address_check("", true, NULL), RM_ERR_MALFORMED);
    assert_int_equal(mesh_address_check("[]:1", true, NULL), RM_ERR_MALFORMED);
}

static void labels(void **state)
{
    (void)state;
    assert_true(mesh_label_is_valid("0123456789abcdef"));
    assert_true(mesh_label_is_valid("eu-West_1.a"));
    assert_true(mesh_label_is_valid(L63));
    assert_false(mesh_label_is_valid(L63 "x"));
    assert_false(mesh_label_is_valid(""));
    assert_false(mesh_label_is_valid("a/b"));
    assert_false(mesh_label_is_valid("a b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(addresses),
        cmocka_unit_test(the_right_spelling_is_told),
        cmocka_unit_test(a_host_may_be_left_to_the_connection),
        cmocka_unit_test(labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
