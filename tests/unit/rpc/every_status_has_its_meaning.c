// SPDX-License-Identifier: GPL-3.0-or-later
#include "rpc_fixture.h"

#include "rpc/rpc_internal.h"

static void names(void **state)
{
    (void)state;
    assert_string_equal(rpc_status_name(RPC_OK), "OK");
    assert_string_equal(rpc_status_name(RPC_UNAUTHENTICATED), "UNAUTHENTICATED");
    assert_string_equal(rpc_status_name((enum rpc_status)17), "UNKNOWN");
    assert_string_equal(rpc_status_name((enum rpc_status) - 1), "UNKNOWN");
}

// Every error of ours has a status that says as much, and comes back in its kind.
static void errors(void **state)
{
    (void)state;
#define CHECK(name, category, text)                                                                \
    assert_int_not_equal(rpc_status_from_err(RM_ERR_##name), RPC_OK);
    RM_ERR_LIST(CHECK)
#undef CHECK
    assert_int_equal(rpc_status_from_err(RM_OK), RPC_OK);
    for (int status = RPC_OK; status <= RPC_UNAUTHENTICATED; status++) {
        enum rm_err error = rpc_status_to_err((enum rpc_status)status);
        assert_true((error == RM_OK) == (status == RPC_OK));
    }
    static const enum rm_err stable[] = {
        RM_ERR_CANCELLED,   RM_ERR_TIMEOUT,   RM_ERR_NOT_FOUND, RM_ERR_EXISTS,
        RM_ERR_DENIED,      RM_ERR_LIMIT,     RM_ERR_CONFLICT,  RM_ERR_UNAVAILABLE,
        RM_ERR_UNSUPPORTED, RM_ERR_MALFORMED, RM_ERR_INTERNAL,  RM_ERR_UNAUTHENTICATED};
    for (size_t i = 0; i < sizeof(stable) / sizeof(stable[0]); i++) {
        assert_int_equal(rpc_status_to_err(rpc_status_from_err(stable[i])), stable[i]);
    }
}

static void numbers_on_the_wire(void **state)
{
    (void)state;
    assert_int_equal(rpc_status_parse("0"), RPC_OK);
    assert_int_equal(rpc_status_parse("16"), RPC_UNAUTHENTICATED);
    static const char *const bad[] = {"", "17", "99", "-1", " 0", "0 ", "00000", "x", "1x"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(rpc_status_parse(bad[i]), RPC_UNKNOWN);
    }
}

static void timeouts(void **state)
{
    (void)state;
    static const struct {
        const char *text; // as on the wire
        uint64_t ms;      // meaning; UINT64_MAX: malformed
    } rows[] = {
        {"0m", 0},
        {"1n", 1},
        {"999999n", 1},
        {"1000001n", 2},
        {"1u", 1},
        {"1001u", 2},
        {"100m", 100},
        {"5S", 5000},
        {"2M", 120000},
        {"1H", 3600000},
        {"99999999H", UINT64_C(99999999) * 3600000},
        {"", UINT64_MAX},
        {"m", UINT64_MAX},
        {"5", UINT64_MAX},
        {"5s", UINT64_MAX},
        {"-5S", UINT64_MAX},
        {" 5S", UINT64_MAX},
        {"5S ", UINT64_MAX},
        {"5.5S", UINT64_MAX},
        {"123456789S", UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t ms = UINT64_MAX;
        enum rm_err result = rpc_timeout_parse(rows[i].text, &ms);
        assert_int_equal(result, rows[i].ms == UINT64_MAX ? RM_ERR_MALFORMED : RM_OK);
        assert_true(ms == rows[i].ms);
    }
}

static void timeouts_are_written_so_that_they_can_be_read(void **state)
{
    (void)state;
    static const uint32_t values[] = {1, 999, 99999999, 100000000, UINT32_MAX};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char text[RPC_TIMEOUT_TEXT_BYTES];
        uint64_t ms = 0;
        rpc_timeout_format(values[i], text);
        assert_int_equal(rpc_timeout_parse(text, &ms), RM_OK);
        assert_true(ms >= values[i] && ms - values[i] <= 1000); // never shorter than asked
    }
}

static void round_trip(const char *text)
{
    char wire[RPC_STATUS_TEXT_WIRE_BYTES];
    char back[RPC_MAX_STATUS_TEXT_BYTES + 1];
    rpc_text_encode(text, wire);
    for (const char *c = wire; *c != '\0'; c++) {
        assert_true(*c >= 0x20 && *c <= 0x7e);
    }
    rpc_text_decode(wire, back);
    assert_string_equal(back, text);
}

static void texts(void **state)
{
    (void)state;
    round_trip("");
    round_trip("plain text");
    round_trip("100% of s\xc3\xbcr\r\n\t\x01\x7f%41");
    char wire[RPC_STATUS_TEXT_WIRE_BYTES];
    rpc_text_encode("a%\n", wire);
    assert_string_equal(wire, "a%25%0A");
    char back[RPC_MAX_STATUS_TEXT_BYTES + 1];
    rpc_text_decode("%", back);
    assert_string_equal(back, "%");
    rpc_text_decode("%4", back);
    assert_string_equal(back, "%4");
    rpc_text_decode("%zz%41%6", back);
    assert_string_equal(back, "%zzA%6");
}

static void long_texts_are_cut_between_characters(void **state)
{
    (void)state;
    char text[RPC_MAX_STATUS_TEXT_BYTES + 100];
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    memcpy(text + RPC_MAX_STATUS_TEXT_BYTES - 1, "\xc3\xbc", 2); // over the edge
    char wire[RPC_STATUS_TEXT_WIRE_BYTES];
    rpc_text_encode(text, wire);
    assert_int_equal(strlen(wire), RPC_MAX_STATUS_TEXT_BYTES - 1);
    char long_wire[4 * RPC_MAX_STATUS_TEXT_BYTES];
    memset(long_wire, 'b', sizeof(long_wire));
    long_wire[sizeof(long_wire) - 1] = '\0';
    char back[RPC_MAX_STATUS_TEXT_BYTES + 1];
    rpc_text_decode(long_wire, back);
    assert_int_equal(strlen(back), RPC_MAX_STATUS_TEXT_BYTES);
}

static void content_types(void **state)
{
    (void)state;
    static const char *const good[] = {"application/grpc", "application/grpc+proto",
                                       "application/grpc;x=y"};
    static const char *const bad[] = {"", "application/grpcx", "application/json", "text/plain",
                                      "application/grp"};
    for (size_t i = 0; i < 3; i++) {
        const struct h2_header header = rpc_header("content-type", good[i]);
        assert_true(rpc_content_type_is_grpc(&header));
    }
    for (size_t i = 0; i < 5; i++) {
        const struct h2_header header = rpc_header("content-type", bad[i]);
        assert_false(rpc_content_type_is_grpc(&header));
    }
    assert_false(rpc_content_type_is_grpc(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(errors),
        cmocka_unit_test(numbers_on_the_wire),
        cmocka_unit_test(timeouts),
        cmocka_unit_test(timeouts_are_written_so_that_they_can_be_read),
        cmocka_unit_test(texts),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(content_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
