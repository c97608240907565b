// SPDX-License-Identifier: GPL-3.0-or-later
#include "cases.h"
#include "identity/spiffe.h"

struct refusal {
    const char *text;    // what is parsed
    size_t length;       // of text, which may hold NUL bytes
    const char *message; // what the person reads
};

#define CASE(text, message)                                                                        \
    {                                                                                              \
        (text), sizeof(text) - 1, (message)                                                        \
    }
#define SCHEME_FAULT "a SPIFFE ID begins with \"spiffe://\" in lower case (offset 0)"

static const struct refusal refusals[] = {
    CASE("", SCHEME_FAULT),
    CASE("spiffe:/", SCHEME_FAULT),
    CASE("spiffe:/td/a", SCHEME_FAULT),
    CASE("SPIFFE://td/a", SCHEME_FAULT),
    CASE("Spiffe://td/a", SCHEME_FAULT),
    CASE(" spiffe://td/a", SCHEME_FAULT),
    CASE("https://td/a", SCHEME_FAULT),
    CASE("spiffe\0//td/a", SCHEME_FAULT),
    CASE("//td/a", SCHEME_FAULT),
    CASE("td/a", SCHEME_FAULT),
    CASE("spiffe://", "the trust domain is empty (offset 9)"),
    CASE("spiffe:///", "the trust domain is empty (offset 9)"),
    CASE("spiffe:///a", "the trust domain is empty (offset 9)"),
    CASE("spiffe://Td/a", "'T' is not allowed in a trust domain (offset 9)"),
    CASE("spiffe://tD/a", "'D' is not allowed in a trust domain (offset 10)"),
    CASE("spiffe://td:443/a", "':' is not allowed in a trust domain (offset 11)"),
    CASE("spiffe://td:/a", "':' is not allowed in a trust domain (offset 11)"),
    CASE("spiffe://user@td/a", "'@' is not allowed in a trust domain (offset 13)"),
    CASE("spiffe://user:pw@td/a", "':' is not allowed in a trust domain (offset 13)"),
    CASE("spiffe://t%64/a", "'%' is not allowed in a trust domain (offset 10)"),
    CASE("spiffe://[::1]/a", "'[' is not allowed in a trust domain (offset 9)"),
    CASE("spiffe://td?q", "'?' is not allowed in a trust domain (offset 11)"),
    CASE("spiffe://td#f", "'#' is not allowed in a trust domain (offset 11)"),
    CASE("spiffe://t d/a", "byte 0x20 is not allowed in a trust domain (offset 10)"),
    CASE("spiffe://t\0d/a", "byte 0x00 is not allowed in a trust domain (offset 10)"),
    CASE("spiffe://td\0/a", "byte 0x00 is not allowed in a trust domain (offset 11)"),
    CASE("spiffe://t\xc3\xa9/a", "byte 0xc3 is not allowed in a trust domain (offset 10)"),
    CASE("spiffe://*/a", "'*' is not allowed in a trust domain (offset 9)"),
    CASE("spiffe://td\\a", "'\\' is not allowed in a trust domain (offset 11)"),
    CASE("spiffe://td/", "empty path segment (offset 12)"),
    CASE("spiffe://td//", "empty path segment (offset 12)"),
    CASE("spiffe://td//a", "empty path segment (offset 12)"),
    CASE("spiffe://td/a/", "empty path segment (offset 14)"),
    CASE("spiffe://td/a//b", "empty path segment (offset 14)"),
    CASE("spiffe://td/.", "path segment '.' (offset 12)"),
    CASE("spiffe://td/..", "path segment '..' (offset 12)"),
    CASE("spiffe://td/a/./b", "path segment '.' (offset 14)"),
    CASE("spiffe://td/a/../b", "path segment '..' (offset 14)"),
    CASE("spiffe://td/a/..", "path segment '..' (offset 14)"),
    CASE("spiffe://td/a%2fb", "'%' is not allowed in a path (offset 13)"),
    CASE("spiffe://td/%2e%2e", "'%' is not allowed in a path (offset 12)"),
    CASE("spiffe://td/a?b", "'?' is not allowed in a path (offset 13)"),
    CASE("spiffe://td/a#b", "'#' is not allowed in a path (offset 13)"),
    CASE("spiffe://td/a:b", "':' is not allowed in a path (offset 13)"),
    CASE("spiffe://td/a*", "'*' is not allowed in a path (offset 13)"),
    CASE("spiffe://td/a b", "byte 0x20 is not allowed in a path (offset 13)"),
    CASE("spiffe://td/a\n", "byte 0x0a is not allowed in a path (offset 13)"),
    CASE("spiffe://td/a\0b", "byte 0x00 is not allowed in a path (offset 13)"),
    CASE("spiffe://td/a\0", "byte 0x00 is not allowed in a path (offset 13)"),
    CASE("spiffe://td/a\x7f", "byte 0x7f is not allowed in a path (offset 13)"),
    CASE("spiffe://td/\xff", "byte 0xff is not allowed in a path (offset 12)"),
};

static void each_fault_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        struct spiffe_id id = {.length = 99};
        struct rm_error error = {0};
        assert_int_equal(spiffe_id_parse(refusals[i].text, refusals[i].length, &id, &error),
                         RM_ERR_MALFORMED);
        assert_string_equal(rm_error_message(&error), refusals[i].message);
        assert_null(id.text);
        assert_int_equal(id.length, 0);
    }
}

// Only these bytes may stand in a name; the other 200 and more are tried one by one.
static void no_other_byte_is_allowed(void **state)
{
    (void)state;
    static const char in_domain[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_";
    static const char in_path[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";
    for (int byte = 0; byte < 256; byte++) {
        char domain[] = "spiffe://xtd/a";
        char path[] = "spiffe://td/ax";
        domain[9] = (char)byte;
        path[13] = (char)byte;
        struct spiffe_id id;
        bool domain_ok = byte != 0 && strchr(in_domain, byte) != NULL;
        bool path_ok = byte != 0 && strchr(in_path, byte) != NULL;
        assert_int_equal(spiffe_id_parse(domain, sizeof(domain) - 1, &id, NULL) == RM_OK,
                         domain_ok);
        assert_int_equal(spiffe_id_parse(path, sizeof(path) - 1, &id, NULL) == RM_OK, path_ok);
    }
}

static void lengths_are_bounded(void **state)
{
    (void)state;
    char text[SPIFFE_ID_MAX_BYTES + 1];
    memset(text, 'a', sizeof(text));
    memcpy(text, "spiffe://td/", 12);
    struct spiffe_id id;
    assert_int_equal(spiffe_id_parse(text, SPIFFE_ID_MAX_BYTES, &id, NULL), RM_OK);
    assert_int_equal(spiffe_id_parse(text, SPIFFE_ID_MAX_BYTES + 1, &id, NULL), RM_ERR_TOO_LARGE);
    text[11] = 'a';
    text[9 + SPIFFE_TRUST_DOMAIN_MAX_BYTES] = '/';
    assert_int_equal(spiffe_id_parse(text, SPIFFE_ID_MAX_BYTES, &id, NULL), RM_OK);
    text[9 + SPIFFE_TRUST_DOMAIN_MAX_BYTES] = 'a';
    text[10 + SPIFFE_TRUST_DOMAIN_MAX_BYTES] = '/';
    assert_int_equal(spiffe_id_parse(text, SPIFFE_ID_MAX_BYTES, &id, NULL), RM_ERR_TOO_LARGE);
}

static void bytes_after_the_length_are_not_read(void **state)
{
    (void)state;
    struct spiffe_id id;
    assert_int_equal(spiffe_id_parse(NULL, 0, &id, NULL), RM_ERR_MALFORMED);
    assert_int_equal(spiffe_id_parse("spiffe://td/a%", 13, &id, NULL), RM_OK);
    assert_int_equal(id.path_length, 2);
    assert_int_equal(spiffe_id_parse("spiffe://td/a", 11, &id, NULL), RM_OK);
    assert_int_equal(id.trust_domain_length, 2);
    assert_int_equal(id.path_length, 0);
    assert_int_equal(spiffe_id_parse("spiffe://td/a/b", 13, &id, NULL), RM_OK);
    assert_int_equal(id.path_length, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_is_named),
        cmocka_unit_test(no_other_byte_is_allowed),
        cmocka_unit_test(lengths_are_bounded),
        cmocka_unit_test(bytes_after_the_length_are_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
