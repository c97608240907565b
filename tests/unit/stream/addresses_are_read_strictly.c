// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "stream/socket.h"

static void good_ones_round_trip(void **state)
{
    (void)state;
    static const struct {
        const char *text;  // parsed
        const char *shown; // stream_address_text; NULL: as `text`
        int family;        // AF_*
        bool is_loopback;  // socket_address_is_loopback
    } rows[] = {
        {"10.0.0.1:80", NULL, AF_INET, false},
        {"127.0.0.1:0", NULL, AF_INET, true},
        {"127.255.3.4:65535", NULL, AF_INET, true},
        {"0.0.0.0:15008", NULL, AF_INET, false},
        {"[::1]:80", NULL, AF_INET6, true},
        {"[2001:db8::7]:443", NULL, AF_INET6, false},
        {"[::ffff:127.0.0.1]:5", NULL, AF_INET6, true},
        {":80", "[::]:80", AF_INET6, false},
        {":00080", "[::]:80", AF_INET6, false},
        {"unix:/run/remora.sock", NULL, AF_UNIX, true},
        {"unix:relative", NULL, AF_UNIX, true},
        {"unix:@name", NULL, AF_UNIX, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct stream_address address;
        struct stream_address again;
        char text[STREAM_ADDRESS_TEXT_BYTES];
        assert_int_equal(socket_address_parse(rows[i].text, &address, NULL), RM_OK);
        assert_int_equal(address.address.ss_family, rows[i].family);
        assert_int_equal(socket_address_is_loopback(&address), rows[i].is_loopback);
        stream_address_text(&address, text);
        assert_string_equal(text, rows[i].shown != NULL ? rows[i].shown : rows[i].text);
        assert_int_equal(socket_address_parse(text, &again, NULL), RM_OK);
        assert_true(socket_address_equal(&address, &again));
    }
}

static void bad_ones_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "80",
        "10.0.0.1",
        "10.0.0.1:",
        "10.0.0.1:65536",
        "10.0.0.1:080000",
        "10.0.0.1:000080",
        "10.0.0.1:-1",
        "10.0.0.1: 80",
        "10.0.0.1:80 ",
        "10.0.0:80",
        "10.0.0.256:80",
        "::1:80",
        "[::1]",
        "[::1:80",
        "::1]:80",
        "[]:80",
        "[::1]80",
        "localhost:80",
        "[fe80::1%nosuchinterface]:80",
        "unix:",
        "unix:@",
        "http://10.0.0.1:80",
        "[::g]:80",
        "0000000000000000000000000000000000000000000000000000000000000000000000000010.0.0.1:80",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct stream_address address;
        struct rm_error error = {0};
        assert_int_equal(socket_address_parse(rows[i], &address, &error), RM_ERR_MALFORMED);
        assert_int_equal(address.address.ss_family, AF_UNSPEC);
        assert_true(strlen(error.message) > 20);
    }
}

static void a_path_must_fit(void **state)
{
    (void)state;
    struct stream_address address;
    struct rm_error error = {0};
    char text[200] = "unix:";
    const size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
    memset(text + 5, 'p', most);
    assert_int_equal(socket_address_parse(text, &address, NULL), RM_OK);
    text[5 + most] = 'p';
    assert_int_equal(socket_address_parse(text, &address, &error), RM_ERR_MALFORMED);
    assert_non_null(strstr(error.message, "107"));
}

static bool equal(const char *a, const char *b)
{
    struct stream_address x;
    struct stream_address y;
    assert_int_equal(socket_address_parse(a, &x, NULL), RM_OK);
    assert_int_equal(socket_address_parse(b, &y, NULL), RM_OK);
    assert_int_equal(socket_address_equal(&x, &y), socket_address_equal(&y, &x));
    return socket_address_equal(&x, &y);
}

static void equal_means_address_and_port(void **state)
{
    (void)state;
    assert_true(equal("10.0.0.1:80", "10.0.0.1:80"));
    assert_false(equal("10.0.0.1:80", "10.0.0.1:81"));
    assert_false(equal("10.0.0.1:80", "10.0.0.2:80"));
    assert_true(equal("10.0.0.1:80", "[::ffff:10.0.0.1]:80"));
    assert_true(equal("[::1]:80", "[0:0::1]:80"));
    assert_false(equal("[::1]:80", "[::2]:80"));
    assert_false(equal("0.0.0.0:80", "[::]:80"));
    assert_true(equal("unix:/a", "unix:/a"));
    assert_false(equal("unix:/a", "unix:/ab"));
    assert_false(equal("unix:a", "unix:@a"));
    struct stream_address unknown = {0};
    assert_false(socket_address_equal(&unknown, &unknown));
    assert_false(socket_address_is_loopback(&unknown));
}

static void a_socket_without_a_name_has_a_text(void **state)
{
    (void)state;
    struct stream_address unnamed = {.length = sizeof(sa_family_t)};
    char text[STREAM_ADDRESS_TEXT_BYTES];
    unnamed.address.ss_family = AF_UNIX;
    stream_address_text(&unnamed, text);
    assert_string_equal(text, "unix:");
    unnamed.address.ss_family = AF_UNSPEC;
    stream_address_text(&unnamed, text);
    assert_string_equal(text, "memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ones_round_trip),
        cmocka_unit_test(bad_ones_are_refused_with_a_sentence),
        cmocka_unit_test(a_path_must_fit),
        cmocka_unit_test(equal_means_address_and_port),
        cmocka_unit_test(a_socket_without_a_name_has_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
