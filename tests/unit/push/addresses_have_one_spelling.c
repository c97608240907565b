// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "push/address.h"
#include "stream/socket.h"

static struct stream_address from(const char *text)
{
    struct stream_address address;
    assert_int_equal(socket_address_parse(text, &address, NULL), RM_OK);
    return address;
}

static const char *complete(const char *claimed, const char *source)
{
    static char out[STREAM_ADDRESS_TEXT_BYTES];
    struct stream_address address = from(source);
    struct rm_error error = {0};
    return address_complete(claimed, &address, out, sizeof out, &error) == RM_OK ? out : NULL;
}

static void host_comes_from_the_connection(void **state)
{
    (void)state;
    assert_string_equal(complete(":15008", "10.0.0.1:9"), "10.0.0.1:15008");
    assert_string_equal(complete(":15008", "[::ffff:10.0.0.1]:9"), "10.0.0.1:15008");
    assert_string_equal(complete(":15008", "[2001:db8::1]:9"), "[2001:db8::1]:15008");
    assert_string_equal(complete("10.0.0.2:15008", "10.0.0.1:9"), "10.0.0.2:15008");
    assert_string_equal(complete("[::ffff:10.0.0.2]:15008", "10.0.0.1:9"), "10.0.0.2:15008");
}

static void unusable_claims_are_refused(void **state)
{
    (void)state;
    static const char *const claims[] = {
        "",           "15008",      "0.0.0.0:15008",      "[::]:1", "224.0.0.1:1", "host:15008",
        "10.0.0.1",   "10.0.0.1:0", "[::ffff:0.0.0.0]:1", ":15001", ":15006",      "10.0.0.1:15020",
        "[::1]:15021"};
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        assert_null(complete(claims[i], "10.0.0.1:9"));
    }
    struct stream_address nowhere = {0};
    char out[STREAM_ADDRESS_TEXT_BYTES];
    assert_int_equal(address_complete(":1", &nowhere, out, sizeof out, NULL), RM_ERR_MALFORMED);
    assert_int_equal(address_complete(NULL, &nowhere, out, sizeof out, NULL), RM_ERR_MALFORMED);
}

static void source_proves_its_own_host_only(void **state)
{
    (void)state;
    struct stream_address source = from("10.0.0.1:9");
    struct stream_address mapped = from("[::ffff:10.0.0.1]:9");
    assert_true(address_is_source("10.0.0.1:15008", &source));
    assert_true(address_is_source("10.0.0.1:15008", &mapped));
    assert_false(address_is_source("10.0.0.2:15008", &source));
    assert_false(address_is_source("[2001:db8::1]:15008", &source));
    assert_false(address_is_source("10.0.0.1:15008", NULL));
}

static void ranges_never_cover_the_loopback_of_others(void **state)
{
    (void)state;
    struct stream_address far = from("10.0.0.1:9");
    struct stream_address near = from("127.0.0.1:9");
    assert_true(address_is_in_range("10.1.2.3:15008", &far, "10.0.0.0/8"));
    assert_false(address_is_in_range("11.1.2.3:15008", &far, "10.0.0.0/8"));
    assert_false(address_is_in_range("garbage", &far, "10.0.0.0/8"));
    assert_false(address_is_in_range("127.0.0.5:15008", &far, "0.0.0.0/0"));
    assert_false(address_is_in_range("169.254.169.254:80", &far, "0.0.0.0/0"));
    assert_false(address_is_in_range("[::1]:15008", &far, "::/0"));
    assert_false(address_is_in_range("[fe80::1]:15008", &far, "::/0"));
    assert_true(address_is_in_range("127.0.0.5:15008", &near, "127.0.0.0/8"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_comes_from_the_connection),
        cmocka_unit_test(unusable_claims_are_refused),
        cmocka_unit_test(source_proves_its_own_host_only),
        cmocka_unit_test(ranges_never_cover_the_loopback_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
