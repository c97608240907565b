// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"

struct item {
    int number;
    struct list node;
};

static void items_stay_in_order_and_leave_cleanly(void **state)
{
    (void)state;
    struct list list;
    struct item items[3];
    list_init(&list);
    assert_true(list_is_empty(&list));
    assert_null(list_first(&list));
    for (int i = 0; i < 3; i++) {
        items[i].number = i;
        list_append(&list, &items[i].node);
    }
    list_remove(&items[1].node);
    list_remove(&items[1].node);
    assert_true(list_is_empty(&items[1].node));
    int sum = 0;
    list_each (node, &list) {
        sum = sum * 10 + list_entry(node, struct item, node)->number + 1;
    }
    assert_int_equal(sum, 13);
    assert_ptr_equal(list_first(&list), &items[0].node);
}

static void the_current_item_may_leave(void **state)
{
    (void)state;
    struct list list;
    struct item items[5];
    list_init(&list);
    for (int i = 0; i < 5; i++) {
        list_append(&list, &items[i].node);
    }
    int count = 0;
    list_each_safe (node, following, &list) {
        list_remove(node);
        count++;
    }
    assert_int_equal(count, 5);
    assert_true(list_is_empty(&list));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_stay_in_order_and_leave_cleanly),
        cmocka_unit_test(the_current_item_may_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
