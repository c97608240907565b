// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "loop/thread.h"

struct life {
    struct loop *loop;   // the thread's
    enum rm_err verdict; // what `init` returns
    bool is_masked;      // SIGTERM was blocked in the thread
    bool was_deinited;   // `deinit` ran
    char name[16];       // of the thread
    struct message stop; // ends it
};

static enum rm_err life_init(void *context, struct loop *loop)
{
    struct life *life = context;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    life->is_masked = sigismember(&mask, SIGTERM) == 1;
    life->loop = loop;
    pthread_getname_np(pthread_self(), life->name, sizeof(life->name));
    return life->verdict;
}

static void life_deinit(void *context)
{
    ((struct life *)context)->was_deinited = true;
}

static void on_stop(void *context)
{
    loop_stop(((struct life *)context)->loop);
}

static void a_thread_runs_until_its_loop_is_stopped(void **state)
{
    (void)state;
    struct life life = {.verdict = RM_OK};
    struct loop_thread *thread = NULL;
    sigset_t before;
    sigset_t after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(loop_thread_start("worker-7", life_init, life_deinit, &life, &thread), RM_OK);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
    assert_true(life.is_masked);
    assert_string_equal(life.name, "worker-7");
    assert_ptr_equal(loop_thread_loop(thread), life.loop);
    life.stop = (struct message){.deliver = on_stop, .context = &life};
    loop_post(life.loop, &life.stop);
    loop_thread_join(thread);
    assert_true(life.was_deinited);
}

static void a_failed_init_is_the_result(void **state)
{
    (void)state;
    struct life life = {.verdict = RM_ERR_ADDRESS_IN_USE};
    struct loop_thread *thread = NULL;
    assert_int_equal(loop_thread_start("worker", life_init, life_deinit, &life, &thread),
                     RM_ERR_ADDRESS_IN_USE);
    assert_null(thread);
    assert_false(life.was_deinited);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_runs_until_its_loop_is_stopped),
        cmocka_unit_test(a_failed_init_is_the_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
