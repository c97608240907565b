// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "clock_ahead.h"
#include "loop/resolver_internal.h"
#include "name_server.h"

struct scene {
    struct loop *loop;              // under test
    struct resolver *resolver;      // under test
    struct name_server server;      // answers, or not
    struct timer later;             // does `act`
    struct resolver_lookup *lookup; // pending
    enum rm_err result;             // answered
    unsigned answers;               // count
};

static void on_answer(void *context, enum rm_err result, const struct sockaddr_storage *addresses,
                      size_t count)
{
    struct scene *scene = context;
    (void)addresses;
    assert_int_equal(count > 0, result == RM_OK);
    scene->result = result;
    scene->answers++;
}

static void scene_open(struct scene *scene)
{
    *scene = (struct scene){.loop = loop_new("resolver")};
    assert_int_equal(resolver_open(scene->loop, &scene->resolver, NULL), RM_OK);
    name_server_open(&scene->server, scene->loop);
    assert_int_equal(resolver_use_servers(scene->resolver, scene->server.address), RM_OK);
}

static void scene_ask(struct scene *scene, const char *name)
{
    assert_int_equal(resolver_lookup(scene->resolver, name, 1, on_answer, scene, &scene->lookup),
                     RM_OK);
}

// Runs `act` once the loop runs, then until nothing is open.
static void scene_run(struct scene *scene, timer_fn act, uint64_t delay_ms)
{
    timer_init(&scene->later, scene->loop, act, scene);
    assert_int_equal(timer_start(&scene->later, delay_ms), RM_OK);
    loop_stop(scene->loop);
    loop_run(scene->loop);
    clock_ahead_ms = 0;
    loop_free(scene->loop);
}

static void act_close(void *context)
{
    struct scene *scene = context;
    resolver_close(scene->resolver);
    // Nobody is told from within.
    assert_int_equal(scene->answers, 0);
    name_server_close(&scene->server);
}

static void closing_cancels_what_is_pending(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    scene_ask(&scene, "silent.test");
    scene_run(&scene, act_close, 1);
    assert_int_equal(scene.answers, 1);
    assert_int_equal(scene.result, RM_ERR_CANCELLED);
}

static void closing_cancels_a_literal_that_was_not_delivered(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    scene_ask(&scene, "192.0.2.1");
    resolver_close(scene.resolver);
    name_server_close(&scene.server);
    loop_stop(scene.loop);
    loop_run(scene.loop);
    assert_int_equal(scene.answers, 1);
    assert_int_equal(scene.result, RM_ERR_CANCELLED);
    loop_free(scene.loop);
}

static void act_cancel(void *context)
{
    struct scene *scene = context;
    resolver_cancel(scene->lookup);
    act_close(scene);
}

static void a_cancelled_look_up_is_not_answered(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    scene_ask(&scene, "silent.test");
    scene_run(&scene, act_cancel, 1);
    assert_int_equal(scene.answers, 0);
    scene_open(&scene);
    scene_ask(&scene, "192.0.2.1");
    resolver_cancel(scene.lookup);
    scene_run(&scene, act_close, 1);
    assert_int_equal(scene.answers, 0);
}

static void act_check_timeout(void *context)
{
    struct scene *scene = context;
    assert_int_equal(scene->answers, 1);
    assert_int_equal(scene->result, RM_ERR_TIMEOUT);
    scene->answers = 0;
    act_close(scene);
    scene->answers = 1;
}

static void act_pass_deadline(void *context)
{
    struct scene *scene = context;
    clock_ahead_ms = RESOLVER_TIMEOUT_MS + 1;
    timer_init(&scene->later, scene->loop, act_check_timeout, scene);
    assert_int_equal(timer_start(&scene->later, 1), RM_OK);
}

static void a_silent_server_ends_at_the_deadline(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    scene_ask(&scene, "silent.test");
    scene_run(&scene, act_pass_deadline, 1);
    assert_int_equal(scene.answers, 1);
}

static void on_answer_close(void *context, enum rm_err result,
                            const struct sockaddr_storage *addresses, size_t count)
{
    struct scene *scene = context;
    on_answer(scene, result, addresses, count);
    timer_stop(&scene->later);
    resolver_close(scene->resolver);
    name_server_close(&scene->server);
}

// Ends a look-up whose socket could not be watched.
static void act_pass_deadline_only(void *context)
{
    (void)context;
    clock_ahead_ms = RESOLVER_TIMEOUT_MS + 1;
}

// True when no allocation failed, so that all of them have had their turn.
static bool ask_with_failing_allocation(uint64_t n, unsigned *failures)
{
    struct scene scene;
    scene_open(&scene);
    rm_alloc_fail_at(n);
    enum rm_err asked =
        resolver_lookup(scene.resolver, "both.test", 1, on_answer_close, &scene, &scene.lookup);
    timer_init(&scene.later, scene.loop, act_pass_deadline_only, &scene);
    if (asked == RM_OK) {
        assert_int_equal(timer_start(&scene.later, 50), RM_OK);
    } else {
        assert_int_equal(asked, RM_ERR_NO_MEMORY);
        act_close(&scene);
    }
    loop_stop(scene.loop);
    loop_run(scene.loop);
    bool is_last = rm_alloc_count() < n;
    rm_alloc_fail_at(0);
    clock_ahead_ms = 0;
    loop_free(scene.loop);
    assert_int_equal(scene.answers, asked == RM_OK);
    *failures += asked != RM_OK || scene.result != RM_OK;
    return is_last;
}

static void memory_may_run_out_at_any_point(void **state)
{
    (void)state;
    unsigned failures = 0;
    uint64_t n = 1;
    while (!ask_with_failing_allocation(n, &failures)) {
        n++;
    }
    assert_true(failures >= 3);
    assert_true(n >= 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closing_cancels_what_is_pending),
        cmocka_unit_test(closing_cancels_a_literal_that_was_not_delivered),
        cmocka_unit_test(a_cancelled_look_up_is_not_answered),
        cmocka_unit_test(a_silent_server_ends_at_the_deadline),
        cmocka_unit_test(memory_may_run_out_at_any_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
