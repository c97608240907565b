// SPDX-License-Identifier: GPL-3.0-or-later
#include "sidecar_parts.h"

#include "base/alloc.h"
#include "certs/join_token.h"

// 32 bytes of 0, and of 0xff, in base64url without padding.
#define PIN_0 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define PIN_1 "__________________________________________8"
#define HEAD "rmt1.0123456789ab.c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U."

static enum rm_err read_bytes(const void *bytes, size_t length, mode_t mode,
                              struct join_token *token, struct rm_error *error)
{
    struct folder folder;
    char path[256];
    folder_init(&folder);
    folder_write(&folder, "token", bytes, length, mode, path);
    rm_error_clear(error);
    enum rm_err result = join_token_read(path, token, error);
    if (result != RM_OK && result != RM_ERR_NO_MEMORY) {
        // The file is named, the token never quoted.
        assert_non_null(strstr(error->message, path));
        assert_null(strstr(error->message, "c2VjcmV0"));
    }
    folder_deinit(&folder);
    return result;
}

static enum rm_err read_text(const char *text, struct join_token *token, struct rm_error *error)
{
    return read_bytes(text, strlen(text), 0600, token, error);
}

static void assert_refused(const char *text, const char *what)
{
    struct join_token token;
    struct join_token nothing = {0};
    struct rm_error error = {0};
    assert_int_equal(read_text(text, &token, &error), RM_ERR_MALFORMED);
    if (strstr(error.message, what) == NULL) {
        fail_msg("'%s' does not say '%s'", error.message, what);
    }
    assert_non_null(strstr(error.message, "expected rmt1.<id>.<secret>.<pins>"));
    assert_memory_equal(&token, &nothing, sizeof(token));
}

static void whole_token_gives_its_pins(void **state)
{
    struct join_token token;
    struct rm_error error = {0};
    uint8_t ones[KEY_ID_BYTES];
    (void)state;
    memset(ones, 0xff, sizeof(ones));
    assert_int_equal(read_text(HEAD PIN_0 "+" PIN_1 "\r\n", &token, &error), RM_OK);
    assert_string_equal((const char *)token.text.bytes, HEAD PIN_0 "+" PIN_1);
    assert_int_equal(token.pin_count, 2);
    assert_int_equal(token.pins[0][0], 0);
    assert_memory_equal(token.pins[1], ones, sizeof(ones));
    join_token_deinit(&token);
    assert_null(token.text.bytes);
    assert_int_equal(token.pin_count, 0);
    join_token_deinit(&token); // again
}

static void token_without_pins_is_left_to_its_user(void **state)
{
    struct join_token token;
    struct rm_error error = {0};
    (void)state;
    assert_int_equal(read_text(HEAD, &token, &error), RM_OK);
    assert_int_equal(token.pin_count, 0);
    join_token_deinit(&token);
}

static void malformed_tokens_are_named(void **state)
{
    (void)state;
    assert_refused("", "begin with 'rmt1.'");
    assert_refused("\n\n", "begin with 'rmt1.'");
    assert_refused("rmt2.a.b." PIN_0, "begin with 'rmt1.'");
    assert_refused("rmt11.a.b." PIN_0, "begin with 'rmt1.'");
    assert_refused("rmt1", "the id is missing");
    assert_refused("rmt1.", "the id is missing");
    assert_refused("rmt1..b." PIN_0, "the id is missing");
    assert_refused("rmt1.a", "the secret is missing");
    assert_refused("rmt1.a.." PIN_0, "the secret is missing");
    assert_refused("rmt1.a.b", "four parts");
    assert_refused(HEAD PIN_0 ".x", "four parts");
    assert_refused(HEAD PIN_0 ".", "four parts");
    assert_refused(HEAD "AAAA", "32 bytes of base64url");
    assert_refused(HEAD PIN_0 "A", "32 bytes of base64url");
    assert_refused(HEAD "+" PIN_0, "32 bytes of base64url");
    assert_refused(HEAD PIN_0 "++" PIN_1, "32 bytes of base64url");
    assert_refused(HEAD PIN_0 "+", "missing after '+'");
    assert_refused(HEAD PIN_0 "=", "character that no token has");
    assert_refused(" " HEAD PIN_0, "character that no token has");
    assert_refused(HEAD PIN_0 "\n" HEAD PIN_0, "character that no token has");
}

static void too_many_pins_are_refused(void **state)
{
    char text[1024] = HEAD PIN_0;
    (void)state;
    for (int i = 1; i < JOIN_TOKEN_MAX_PINS; i++) {
        strcat(text, "+" PIN_0);
    }
    struct join_token token;
    struct rm_error error = {0};
    assert_int_equal(read_text(text, &token, &error), RM_OK);
    assert_int_equal(token.pin_count, JOIN_TOKEN_MAX_PINS);
    join_token_deinit(&token);
    strcat(text, "+" PIN_0);
    assert_refused(text, "too many pins");
}

static void bytes_that_are_no_text_are_refused(void **state)
{
    static const char zero[] = HEAD "\0" PIN_0;
    struct join_token token;
    struct rm_error error = {0};
    (void)state;
    assert_int_equal(read_bytes(zero, sizeof(zero) - 1, 0600, &token, &error), RM_ERR_MALFORMED);
    assert_int_equal(read_text("\xff\xfe" HEAD PIN_0, &token, &error), RM_ERR_MALFORMED);
    char *huge = rm_calloc(1, JOIN_TOKEN_MAX_BYTES + 2);
    assert_non_null(huge);
    memset(huge, 'a', JOIN_TOKEN_MAX_BYTES + 1);
    assert_int_equal(read_text(huge, &token, &error), RM_ERR_TOO_LARGE);
    rm_free(huge);
}

static void file_that_others_can_read_is_refused(void **state)
{
    struct join_token token;
    struct rm_error error = {0};
    (void)state;
    assert_int_equal(read_bytes(HEAD PIN_0, strlen(HEAD PIN_0), 0644, &token, &error),
                     RM_ERR_PERMISSION);
    assert_int_equal(read_bytes(HEAD PIN_0, strlen(HEAD PIN_0), 0640, &token, &error),
                     RM_ERR_PERMISSION);
    assert_int_equal(join_token_read("/nonexistent/token", &token, &error), RM_ERR_NOT_FOUND);
}

static void failed_allocation_leaves_nothing(void **state)
{
    struct join_token token;
    struct rm_error error = {0};
    struct folder folder;
    char path[256];
    enum rm_err result = RM_ERR_NO_MEMORY;
    (void)state;
    folder_init(&folder);
    folder_write(&folder, "token", HEAD PIN_0, strlen(HEAD PIN_0), 0600, path);
    for (uint64_t n = 1; result != RM_OK; n++) {
        assert_true(n < 50);
        rm_error_clear(&error);
        rm_alloc_fail_at(n);
        result = join_token_read(path, &token, &error);
        rm_alloc_fail_at(0);
        if (result != RM_OK) {
            assert_int_equal(result, RM_ERR_NO_MEMORY);
            assert_null(token.text.bytes);
        }
    }
    join_token_deinit(&token);
    folder_deinit(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_token_gives_its_pins),
        cmocka_unit_test(token_without_pins_is_left_to_its_user),
        cmocka_unit_test(malformed_tokens_are_named),
        cmocka_unit_test(too_many_pins_are_refused),
        cmocka_unit_test(bytes_that_are_no_text_are_refused),
        cmocka_unit_test(file_that_others_can_read_is_refused),
        cmocka_unit_test(failed_allocation_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
