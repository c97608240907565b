// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/encode.h"

#include <string.h>

// RFC 4648, section 10.
static const struct {
    const char *bytes;
    const char *hex;
    const char *base32;
    const char *base64;
    const char *base64url;
} vectors[] = {
    {"", "", "", "", ""},
    {"f", "66", "my", "Zg==", "Zg"},
    {"fo", "666f", "mzxq", "Zm8=", "Zm8"},
    {"foo", "666f6f", "mzxw6", "Zm9v", "Zm9v"},
    {"foob", "666f6f62", "mzxw6yq", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "666f6f6261", "mzxw6ytb", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "666f6f626172", "mzxw6ytboi", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xfe", "fbfffe", "7p774", "+//+", "-__-"},
};

static void bytes_are_spelled_as_in_the_rfc(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        const uint8_t *bytes = (const uint8_t *)vectors[i].bytes;
        size_t length = strlen(vectors[i].bytes);
        char text[64];
        hex_encode(bytes, length, text);
        assert_string_equal(text, vectors[i].hex);
        assert_true(strlen(text) < HEX_BYTES(length));
        base32_encode(bytes, length, text);
        assert_string_equal(text, vectors[i].base32);
        assert_int_equal(strlen(text) + 1, BASE32_BYTES(length));
        base64_encode(bytes, length, false, text);
        assert_string_equal(text, vectors[i].base64);
        assert_int_equal(strlen(text) + 1, BASE64_BYTES(length));
        base64_encode(bytes, length, true, text);
        assert_string_equal(text, vectors[i].base64url);
    }
}

static void what_was_spelled_reads_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        size_t length = strlen(vectors[i].bytes);
        uint8_t bytes[16];
        size_t got = 0;
        assert_int_equal(hex_decode(vectors[i].hex, strlen(vectors[i].hex), bytes, length), RM_OK);
        assert_memory_equal(bytes, vectors[i].bytes, length);
        assert_int_equal(
            base64_decode(vectors[i].base64, strlen(vectors[i].base64), false, bytes, &got), RM_OK);
        assert_int_equal(got, length);
        assert_memory_equal(bytes, vectors[i].bytes, length);
        assert_int_equal(
            base64_decode(vectors[i].base64url, strlen(vectors[i].base64url), true, bytes, &got),
            RM_OK);
        assert_int_equal(got, length);
        assert_memory_equal(bytes, vectors[i].bytes, length);
    }
}

static void other_spellings_are_refused(void **state)
{
    (void)state;
    static const char *const plain[] = {"Zg",     "Zg=",   "Zh==", "Zm9=", "====",     "Z===",
                                        "Zm9v\n", " Zm9v", "Zm-v", "Zm_v", "Zg==Zg==", "Z"};
    static const char *const url[] = {"A",   "AAAAA", "Zg==", "Zm8=", "Zh",
                                      "Zm9", "Z",     "Zm+v", "Zm/v", "Zm9v "};
    uint8_t bytes[16];
    size_t got = 0;
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        assert_int_equal(base64_decode(plain[i], strlen(plain[i]), false, bytes, &got),
                         RM_ERR_MALFORMED);
    }
    for (size_t i = 0; i < sizeof(url) / sizeof(url[0]); i++) {
        assert_int_equal(base64_decode(url[i], strlen(url[i]), true, bytes, &got),
                         RM_ERR_MALFORMED);
    }
    assert_int_equal(hex_decode("6", 1, bytes, 1), RM_ERR_MALFORMED);
    assert_int_equal(hex_decode("666f", 4, bytes, 1), RM_ERR_MALFORMED);
    assert_int_equal(hex_decode("6g", 2, bytes, 1), RM_ERR_MALFORMED);
    assert_int_equal(hex_decode(" 6", 2, bytes, 1), RM_ERR_MALFORMED);
    assert_int_equal(hex_decode("fF", 2, bytes, 1), RM_OK);
    assert_int_equal(bytes[0], 0xff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_spelled_as_in_the_rfc),
        cmocka_unit_test(what_was_spelled_reads_back),
        cmocka_unit_test(other_spellings_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
