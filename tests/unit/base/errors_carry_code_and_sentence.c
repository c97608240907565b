// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"

#include <errno.h>
#include <string.h>

static void every_code_has_a_name_a_text_and_a_category(void **state)
{
    (void)state;
    assert_string_equal(rm_err_name(RM_OK), "ok");
    assert_string_equal(rm_err_name(RM_ERR_REFUSED_BY_PEER), "refused_by_peer");
    assert_string_equal(rm_err_name(RM_ERR_INTERNAL), "internal");
    assert_string_equal(rm_err_text(RM_ERR_TIMEOUT), "deadline passed");
    assert_int_equal(rm_err_category(RM_OK), RM_CAT_OK);
    assert_int_equal(rm_err_category(RM_ERR_UNTRUSTED), RM_CAT_DENIED);
    for (int code = 0; code > -RM_ERR_INDEX_COUNT; code--) {
        assert_true(strlen(rm_err_name((enum rm_err)code)) > 0);
        assert_null(strpbrk(rm_err_name((enum rm_err)code), "ABCDEFGHIJKLMNOPQRSTUVWXYZ "));
        assert_true(code == 0 || rm_err_category((enum rm_err)code) != RM_CAT_OK);
    }
}

static void a_foreign_code_reads_as_our_own_mistake(void **state)
{
    (void)state;
    assert_string_equal(rm_err_name((enum rm_err)(-1000)), "internal");
    assert_int_equal(rm_err_category((enum rm_err)7), RM_CAT_INTERNAL);
}

static void errno_and_libuv_codes_are_converted(void **state)
{
    (void)state;
    assert_int_equal(rm_err_from_errno(0), RM_OK);
    assert_int_equal(rm_err_from_errno(ECONNREFUSED), RM_ERR_REFUSED);
    assert_int_equal(rm_err_from_errno(-ECONNREFUSED), RM_ERR_REFUSED);
    assert_int_equal(rm_err_from_errno(-4095), RM_ERR_EOF);
    assert_int_equal(rm_err_from_errno(ENOSPC), RM_ERR_NO_SPACE);
    assert_int_equal(rm_err_from_errno(ENOTTY), RM_ERR_IO);
}

static void sentences_are_wrapped_outward(void **state)
{
    (void)state;
    struct rm_error error = {0};
    assert_string_equal(rm_error_message(&error), "success");
    assert_int_equal(rm_error_set_errno(&error, ENOENT, "cannot open %s", "/x"), RM_ERR_NOT_FOUND);
    assert_string_equal(rm_error_message(&error), "cannot open /x: No such file or directory");
    assert_int_equal(rm_error_wrap(&error, "loading %d", 7), RM_ERR_NOT_FOUND);
    assert_string_equal(error.message, "loading 7: cannot open /x: No such file or directory");
    // The message may be its own argument.
    assert_int_equal(rm_error_set(&error, RM_ERR_IO, "again: %s", error.message), RM_ERR_IO);
    assert_string_equal(error.message,
                        "again: loading 7: cannot open /x: No such file or directory");
    rm_error_clear(&error);
    assert_int_equal(error.code, RM_OK);
    error.code = RM_ERR_BUSY;
    assert_string_equal(rm_error_message(&error), "busy");
}

static void long_sentences_are_cut(void **state)
{
    (void)state;
    struct rm_error error = {0};
    for (int i = 0; i < 200; i++) {
        rm_error_wrap(&error, "%s", "0123456789");
    }
    assert_int_equal(strlen(error.message), RM_ERROR_MESSAGE_BYTES - 1);
}

static void nobody_has_to_ask_for_a_sentence(void **state)
{
    (void)state;
    assert_int_equal(rm_error_set(NULL, RM_ERR_BUSY, "x"), RM_ERR_BUSY);
    assert_int_equal(rm_error_set_errno(NULL, EACCES, "x"), RM_ERR_PERMISSION);
    rm_error_clear(NULL);
    assert_non_null(rm_error_message(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_name_a_text_and_a_category),
        cmocka_unit_test(a_foreign_code_reads_as_our_own_mistake),
        cmocka_unit_test(errno_and_libuv_codes_are_converted),
        cmocka_unit_test(sentences_are_wrapped_outward),
        cmocka_unit_test(long_sentences_are_cut),
        cmocka_unit_test(nobody_has_to_ask_for_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
