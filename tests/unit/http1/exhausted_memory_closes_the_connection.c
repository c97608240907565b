// SPDX-License-Identifier: GPL-3.0-or-later
#include "http1_fixture.h"

static bool ask(void *context)
{
    client_say(context, "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    return true;
}

static void every_allocation(void **state)
{
    (void)state;
    bool is_complete = false;
    uint64_t n = 1;
    for (; !is_complete; n++) {
        struct world *world = world_new(65536);
        rm_alloc_fail_at(n);
        world_run(world, (const scenario_step_fn[]){ask, step_turns, step_ended, NULL});
        is_complete = rm_alloc_count() < n;
        rm_alloc_fail_at(0);
        if (is_complete) {
            assert_int_equal(count_of(world, "hello\n"), 1);
        }
        world_free(world);
        assert_true(n < 200);
    }
    assert_true(n > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
