// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loop/loop.h"

struct scene {
    struct loop *loop;   // under test
    struct timer timer;  // does the next thing
    struct message mail; // posted by ourselves
    unsigned steps;      // done
};

static void on_last_close(void *context)
{
    struct scene *scene = context;
    scene->steps++;
    loop_close(scene->loop);
}

static void on_stop_while_open(void *context)
{
    struct scene *scene = context;
    scene->steps++;
    loop_stop(scene->loop);
    timer_init(&scene->timer, scene->loop, on_last_close, scene);
    assert_int_equal(timer_start(&scene->timer, 1), RM_OK);
}

static void a_stopped_loop_waits_for_what_is_open(void **state)
{
    (void)state;
    struct scene scene = {.loop = loop_new("a-name-longer-than-fits")};
    assert_string_equal(loop_name(scene.loop), "a-name-longer-t");
    loop_open(scene.loop);
    timer_init(&scene.timer, scene.loop, on_stop_while_open, &scene);
    assert_int_equal(timer_start(&scene.timer, 0), RM_OK);
    loop_run(scene.loop);
    assert_int_equal(scene.steps, 2);
    assert_int_equal(loop_open_count(scene.loop), 0);
    loop_free(scene.loop);
}

static void on_stop(void *context)
{
    struct scene *scene = context;
    scene->steps++;
    loop_stop(scene->loop);
}

// Nothing is open from the beginning; only the stop ends it.
static void an_idle_loop_waits_for_its_stop(void **state)
{
    (void)state;
    struct scene scene = {.loop = loop_new("idle")};
    timer_init(&scene.timer, scene.loop, on_stop, &scene);
    assert_int_equal(timer_start(&scene.timer, 5), RM_OK);
    loop_run(scene.loop);
    assert_int_equal(scene.steps, 1);
    loop_free(scene.loop);
}

static void on_mail_opens(void *context)
{
    struct scene *scene = context;
    scene->steps++;
    loop_open(scene->loop);
    timer_init(&scene->timer, scene->loop, on_last_close, scene);
    assert_int_equal(timer_start(&scene->timer, 0), RM_OK);
}

// Mail that was there before the end is delivered, and what it opens is waited for.
static void mail_at_the_end_can_open_again(void **state)
{
    (void)state;
    struct scene scene = {.loop = loop_new("mail")};
    scene.mail = (struct message){.deliver = on_mail_opens, .context = &scene};
    loop_post(scene.loop, &scene.mail);
    loop_stop(scene.loop);
    loop_run(scene.loop);
    assert_int_equal(scene.steps, 2);
    loop_free(scene.loop);
}

static void an_unused_loop_can_be_freed(void **state)
{
    (void)state;
    loop_free(loop_new("unused"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stopped_loop_waits_for_what_is_open),
        cmocka_unit_test(an_idle_loop_waits_for_its_stop),
        cmocka_unit_test(mail_at_the_end_can_open_again),
        cmocka_unit_test(an_unused_loop_can_be_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
