// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "loop/loop.h"

struct job {
    struct loop *loop;  // asked for it
    pthread_t caller;   // its thread
    bool was_elsewhere; // `work` ran on another thread
    bool came_back;     // `done` ran on ours
};

static void on_work(void *context)
{
    struct job *job = context;
    job->was_elsewhere = !pthread_equal(job->caller, pthread_self());
}

static void on_done(void *context)
{
    struct job *job = context;
    assert_int_equal(loop_open_count(job->loop), 1);
    job->came_back = pthread_equal(job->caller, pthread_self());
}

static void work_is_elsewhere_and_done_is_here(void **state)
{
    (void)state;
    struct job job = {.loop = loop_new("work"), .caller = pthread_self()};
    assert_int_equal(loop_work(job.loop, on_work, on_done, &job), RM_OK);
    assert_false(job.came_back);
    loop_stop(job.loop);
    loop_run(job.loop);
    assert_true(job.was_elsewhere);
    assert_true(job.came_back);
    loop_free(job.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_is_elsewhere_and_done_is_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
