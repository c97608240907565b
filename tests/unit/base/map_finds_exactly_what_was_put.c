// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/map.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/siphash_internal.h"

static void the_hash_is_siphash_2_4(void **state)
{
    (void)state;
    // The first, ninth and sixteenth vectors of the authors' reference: key 00..0f, message
    // 00..n-1.
    uint8_t key[16];
    uint8_t message[16];
    for (uint8_t i = 0; i < 16; i++) {
        key[i] = i;
        message[i] = i;
    }
    assert_true(siphash(key, message, 0) == UINT64_C(0x726fdb47dd0e0e31));
    assert_true(siphash(key, message, 8) == UINT64_C(0x93f5f5799a932462));
    assert_true(siphash(key, message, 15) == UINT64_C(0xa129ca6149be45e5));
}

static void keys_are_found_replaced_and_removed(void **state)
{
    (void)state;
    struct map *map = map_new();
    char values[1000];
    void *previous = map;
    for (int i = 0; i < 1000; i++) {
        char key[16];
        int length = snprintf(key, sizeof(key), "key-%d", i);
        assert_int_equal(map_put(map, key, (size_t)length, &values[i], &previous), RM_OK);
        assert_null(previous);
    }
    assert_int_equal(map_count(map), 1000);
    for (int i = 0; i < 1000; i++) {
        char key[16];
        int length = snprintf(key, sizeof(key), "key-%d", i);
        assert_ptr_equal(map_get(map, key, (size_t)length), &values[i]);
    }
    assert_int_equal(map_put(map, "key-7", 5, &values[0], &previous), RM_OK);
    assert_ptr_equal(previous, &values[7]);
    assert_int_equal(map_count(map), 1000);
    assert_ptr_equal(map_remove(map, "key-7", 5), &values[0]);
    assert_null(map_get(map, "key-7", 5));
    assert_null(map_remove(map, "key-7", 5));
    assert_int_equal(map_count(map), 999);
    map_free(map);
    map_free(NULL);
}

static void keys_differ_by_length_and_may_hold_zeros(void **state)
{
    (void)state;
    struct map *map = map_new();
    char values[3];
    assert_int_equal(map_put(map, "", 0, &values[0], NULL), RM_OK);
    assert_int_equal(map_put(map, "\0", 1, &values[1], NULL), RM_OK);
    assert_int_equal(map_put(map, "\0\0", 2, &values[2], NULL), RM_OK);
    assert_ptr_equal(map_get(map, NULL, 0), &values[0]);
    assert_ptr_equal(map_get(map, "\0\0", 1), &values[1]);
    assert_ptr_equal(map_get(map, "\0\0", 2), &values[2]);
    map_free(map);
}

static void count_visit(void *context, const void *key, size_t key_length, void *value)
{
    int *seen = context;
    assert_int_equal(key_length, 1);
    assert_ptr_equal(value, seen + *(const uint8_t *)key);
    seen[*(const uint8_t *)key]++;
}

static void a_visit_sees_each_entry_once(void **state)
{
    (void)state;
    struct map *map = map_new();
    int seen[100] = {0};
    for (uint8_t i = 0; i < 100; i++) {
        assert_int_equal(map_put(map, &i, 1, &seen[i], NULL), RM_OK);
    }
    map_visit(map, count_visit, seen);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(seen[i], 1);
    }
    map_free(map);
}

// Puts 40 keys with the n-th allocation failing; gives how many puts failed.
static int put_with_fault(uint64_t n)
{
    int failures = 0;
    rm_alloc_fail_at(n);
    struct map *map = map_new();
    if (map == NULL) {
        rm_alloc_fail_at(0);
        return 1;
    }
    char values[40];
    for (uint8_t i = 0; i < 40; i++) {
        size_t before = map_count(map);
        if (map_put(map, &i, 1, &values[i], NULL) != RM_OK) {
            failures++;
            assert_int_equal(map_count(map), before);
            assert_null(map_get(map, &i, 1));
            assert_int_equal(map_put(map, &i, 1, &values[i], NULL), RM_OK);
        }
    }
    rm_alloc_fail_at(0);
    for (uint8_t i = 0; i < 40; i++) {
        assert_ptr_equal(map_get(map, &i, 1), &values[i]);
    }
    map_free(map);
    return failures;
}

static void each_failed_allocation_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(put_with_fault(0), 0);
    // The map, its buckets, 40 entries and three doublings.
    for (uint64_t n = 1; n <= 2 + 40 + 3; n++) {
        assert_int_equal(put_with_fault(n), 1);
    }
    assert_int_equal(put_with_fault(2 + 40 + 3 + 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_siphash_2_4),
        cmocka_unit_test(keys_are_found_replaced_and_removed),
        cmocka_unit_test(keys_differ_by_length_and_may_hold_zeros),
        cmocka_unit_test(a_visit_sees_each_entry_once),
        cmocka_unit_test(each_failed_allocation_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
