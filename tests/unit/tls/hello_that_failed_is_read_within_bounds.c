// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a failed hello offered or chose is read out of hostile bytes: cut off at any place, changed
// at any place, the sentence holds what is there and no byte beyond is looked at.
#include "tls_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "tls/tls_internal.h"

// A ClientHello of TLS 1.3 and 1.2 with three suites and two groups.
static const uint8_t client_hello[] = {
    0x16, 0x03, 0x01, 0x00, 0x4f, 0x01, 0x00, 0x00, 0x4b, 0x03, 0x03, // record, message, version
    1,    2,    3,    4,    5,    6,    7,    8,    9,    10,   11,   12, 13, 14, 15, 16,
    17,   18,   19,   20,   21,   22,   23,   24,   25,   26,   27,   28, 29, 30, 31, 32,
    0x00,                                                       // session id
    0x00, 0x06, 0x13, 0x04, 0x13, 0x05, 0xc0, 0x2b,             // suites
    0x01, 0x00,                                                 // compression
    0x00, 0x1a,                                                 // extensions
    0x00, 0x2b, 0x00, 0x05, 0x04, 0x03, 0x04, 0x03, 0x03,       // versions
    0x00, 0x0a, 0x00, 0x06, 0x00, 0x04, 0x00, 0x18, 0x00, 0x19, // groups
    0x00, 0x17, 0x00, 0x03, 0x00, 0x00, 0x00,                   // another
};

// The exact length, so that a sanitizer sees any step past the end. Gives the sentence.
static void read_found(const uint8_t *bytes, size_t length, enum tls_found found, char *out,
                       size_t out_bytes)
{
    struct tls_handshake *handshake = calloc(1, sizeof(*handshake));
    struct tls_session session = {.handshake = handshake};
    assert_non_null(handshake);
    memcpy(handshake->first, bytes, length);
    // What lies behind must not be taken for a part of it.
    memset(handshake->first + length, 0x13, sizeof(handshake->first) - length);
    handshake->first_length = length;
    out[0] = '\0';
    tls_explain_found(&session, found, out, out_bytes);
    free(handshake);
}

static void assert_found(const uint8_t *bytes, size_t length, enum tls_found found,
                         const char *expected)
{
    char text[256];
    read_found(bytes, length, found, text, sizeof(text));
    const char *says = strstr(text, "found");
    assert_non_null(says);
    assert_string_equal(says, expected);
}

static void whole_hello_says_all(void **state)
{
    (void)state;
    const size_t whole = sizeof(client_hello);
    assert_found(client_hello, whole, TLS_FOUND_VERSIONS, "found TLSv1.3, TLSv1.2");
    assert_found(client_hello, whole, TLS_FOUND_SUITES,
                 "found TLS_AES_128_CCM_SHA256, TLS_AES_128_CCM_8_SHA256, 0xc02b");
    assert_found(client_hello, whole, TLS_FOUND_GROUPS, "found secp384r1, secp521r1");
}

static void old_hello_says_its_version(void **state)
{
    (void)state;
    uint8_t old[54];
    memcpy(old, client_hello, sizeof(old)); // ends with the compression: no extensions
    old[10] = 0x02;
    assert_found(old, sizeof(old), TLS_FOUND_VERSIONS, "found TLSv1.1");
    assert_found(old, sizeof(old), TLS_FOUND_GROUPS, "found none");
}

static void long_lists_are_cut(void **state)
{
    (void)state;
    uint8_t many[44 + 2 + 20 + 2] = {0};
    memcpy(many, client_hello, 44);
    many[45] = 20;
    memset(many + 46, 0x13, 20);
    assert_found(many, sizeof(many), TLS_FOUND_SUITES,
                 "found 0x1313, 0x1313, 0x1313, 0x1313, 0x1313 and 5 more");
}

static void what_is_no_hello_says_nothing(void **state)
{
    (void)state;
    static const uint8_t alert[] = {0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28};
    uint8_t finished[sizeof(client_hello)];
    memcpy(finished, client_hello, sizeof(finished));
    finished[5] = 20;
    assert_found(alert, sizeof(alert), TLS_FOUND_VERSIONS, "found none");
    assert_found(finished, sizeof(finished), TLS_FOUND_SUITES, "found none");
    assert_found(client_hello, 0, TLS_FOUND_GROUPS, "found none");
}

// Cut off at each length: whatever is said is the beginning of what the whole one says, or nothing.
static void each_length_is_harmless(void **state)
{
    (void)state;
    for (size_t length = 0; length <= sizeof(client_hello); length++) {
        for (int found = TLS_FOUND_VERSIONS; found <= TLS_FOUND_GROUPS; found++) {
            char text[256];
            read_found(client_hello, length, (enum tls_found)found, text, sizeof(text));
            assert_null(strstr(text, "0x1313"));
        }
    }
}

// Each byte takes each value, in a hello of either end; the sentence fits any room.
static void each_byte_is_harmless(void **state)
{
    (void)state;
    uint8_t changed[sizeof(client_hello)];
    for (size_t at = 0; at < sizeof(changed); at++) {
        for (unsigned value = 0; value < 256; value++) {
            memcpy(changed, client_hello, sizeof(changed));
            changed[5] = value % 2 == 0 ? 1 : 2; // client's or server's
            changed[at] = (uint8_t)value;
            char text[64 + 1];
            memset(text, '#', sizeof(text));
            read_found(changed, sizeof(changed), (enum tls_found)(value % 3), text, 64);
            assert_int_equal(text[64], '#');
            assert_non_null(memchr(text, '\0', 64));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_hello_says_all),    cmocka_unit_test(old_hello_says_its_version),
        cmocka_unit_test(long_lists_are_cut),      cmocka_unit_test(what_is_no_hello_says_nothing),
        cmocka_unit_test(each_length_is_harmless), cmocka_unit_test(each_byte_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
