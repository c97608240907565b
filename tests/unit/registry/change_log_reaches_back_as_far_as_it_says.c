// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "registry/registry_internal.h"

static void add(struct change_log *log, uint64_t number, size_t limit)
{
    char key[32];
    snprintf(key, sizeof key, "web/%u", (unsigned)number);
    change_log_add(log, (struct registry_change){number, MESH_ENDPOINT, key}, limit);
}

static void changes_after_a_number_are_found_in_order(void **state)
{
    (void)state;
    struct change_log log = {0};
    for (uint64_t number = 10; number <= 1000; number += 10) {
        add(&log, number, 4096);
        add(&log, number, 4096); // several changes come with one view
    }
    assert_int_equal(log.count, 200);
    assert_int_equal(change_log_after(&log, 0), 0);
    assert_int_equal(change_log_after(&log, 9), 0);
    assert_int_equal(change_log_after(&log, 10), 2);
    assert_int_equal(change_log_after(&log, 999), 198);
    assert_int_equal(change_log_after(&log, 1000), 200);
    assert_string_equal(change_log_at(&log, 199)->key, "web/1000");
    change_log_deinit(&log);
}

static void oldest_changes_go_and_raise_the_floor(void **state)
{
    (void)state;
    struct change_log log = {0};
    for (uint64_t number = 1; number <= 1000; number++) {
        add(&log, number, 100);
    }
    assert_int_equal(log.count, 100);
    assert_int_equal(log.floor, 900);
    assert_int_equal(change_log_at(&log, 0)->number, 901);
    assert_true(log.room <= 128);
    add(&log, 1001, 10); // the view has shrunk
    assert_int_equal(log.count, 10);
    assert_int_equal(log.floor, 991);
    assert_int_equal(change_log_after(&log, 1000), 9);
    change_log_deinit(&log);
}

static void without_memory_everything_before_is_unknown(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        struct change_log log = {0};
        for (uint64_t number = 1; number <= 64; number++) {
            add(&log, number, 4096);
        }
        rm_alloc_fail_at(n);
        add(&log, 65, 4096); // a copy of the key, and a larger ring
        rm_alloc_fail_at(0);
        assert_int_equal(log.count, 0);
        assert_int_equal(log.floor, 65);
        add(&log, 66, 4096);
        assert_int_equal(log.count, 1);
        change_log_deinit(&log);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_after_a_number_are_found_in_order),
        cmocka_unit_test(oldest_changes_go_and_raise_the_floor),
        cmocka_unit_test(without_memory_everything_before_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
