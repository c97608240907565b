// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"

#include <string.h>

#include "base/alloc.h"

static void appending_past_the_maximum_changes_nothing(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 10);
    assert_int_equal(buffer_append(&buffer, "123456789", 9), RM_OK);
    assert_int_equal(buffer_append(&buffer, "ab", 2), RM_ERR_TOO_LARGE);
    assert_int_equal(buffer_printf(&buffer, "%s", "ab"), RM_ERR_TOO_LARGE);
    uint8_t *space = NULL;
    assert_int_equal(buffer_reserve(&buffer, SIZE_MAX, &space), RM_ERR_TOO_LARGE);
    assert_int_equal(buffer_length(&buffer), 9);
    assert_int_equal(buffer_printf(&buffer, "%c", 'a'), RM_OK);
    assert_string_equal(buffer_text(&buffer), "123456789a");
    buffer_deinit(&buffer);
    buffer_deinit(&buffer);
}

static void consumed_bytes_make_room(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 100);
    uint8_t in = 0;
    uint8_t out = 0;
    rm_alloc_fail_at(0);
    // Never empty, and many times its maximum passes through.
    for (int round = 0; round < 1000; round++) {
        while (buffer_length(&buffer) < 90) {
            assert_int_equal(buffer_append(&buffer, &in, 1), RM_OK);
            in++;
        }
        for (int i = 0; i < 37; i++) {
            assert_int_equal(buffer_data(&buffer)[0], out);
            buffer_consume(&buffer, 1);
            out++;
        }
    }
    assert_true(buffer.capacity <= 256);
    assert_true(rm_alloc_count() <= 4);
    buffer_deinit(&buffer);
}

static void consuming_more_than_there_is_empties(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 10);
    assert_int_equal(buffer_append_text(&buffer, "abc"), RM_OK);
    buffer_consume(&buffer, 50);
    assert_int_equal(buffer_length(&buffer), 0);
    assert_string_equal(buffer_text(&buffer), "");
    buffer_deinit_wiped(&buffer);
}

static void reserved_space_counts_once_committed(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 1000);
    uint8_t *space = NULL;
    assert_int_equal(buffer_reserve(&buffer, 500, &space), RM_OK);
    memset(space, 'x', 500);
    assert_int_equal(buffer_length(&buffer), 0);
    buffer_commit(&buffer, 3);
    assert_string_equal(buffer_text(&buffer), "xxx");
    buffer_deinit(&buffer);
}

static void taken_memory_is_the_callers(void **state)
{
    (void)state;
    struct buffer buffer;
    uint8_t *bytes = NULL;
    size_t length = 0;
    buffer_init(&buffer, 1000);
    buffer_take(&buffer, &bytes, &length);
    assert_null(bytes);
    assert_int_equal(length, 0);
    assert_int_equal(buffer_append_text(&buffer, "abcdef"), RM_OK);
    buffer_consume(&buffer, 2);
    buffer_take(&buffer, &bytes, &length);
    assert_int_equal(length, 4);
    assert_memory_equal(bytes, "cdef", 4);
    assert_int_equal(buffer_length(&buffer), 0);
    assert_null(buffer_data(&buffer));
    rm_free(bytes);
    buffer_deinit(&buffer);
}

static void failed_allocations_leave_the_content(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 100000);
    rm_alloc_fail_at(1);
    assert_int_equal(buffer_append_text(&buffer, "abc"), RM_ERR_NO_MEMORY);
    rm_alloc_fail_at(1);
    assert_null(buffer_text(&buffer));
    assert_int_equal(buffer_append_text(&buffer, "abc"), RM_OK);
    char large[5000];
    memset(large, 'x', sizeof(large));
    rm_alloc_fail_at(1);
    assert_int_equal(buffer_append(&buffer, large, sizeof(large)), RM_ERR_NO_MEMORY);
    rm_alloc_fail_at(1);
    assert_int_equal(buffer_printf(&buffer, "%5000d", 1), RM_ERR_NO_MEMORY);
    rm_alloc_fail_at(0);
    assert_string_equal(buffer_text(&buffer), "abc");
    buffer_deinit(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appending_past_the_maximum_changes_nothing),
        cmocka_unit_test(consumed_bytes_make_room),
        cmocka_unit_test(consuming_more_than_there_is_empties),
        cmocka_unit_test(reserved_space_counts_once_committed),
        cmocka_unit_test(taken_memory_is_the_callers),
        cmocka_unit_test(failed_allocations_leave_the_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
