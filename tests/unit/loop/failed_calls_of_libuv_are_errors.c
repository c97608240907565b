// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "loop/loop.h"
#include "loop/thread.h"

// Which call fails next; libuv's own functions, taken as opaque.
static const char *failing = "";
static int failure;

#define WRAPPED(name, parameters, arguments)                                                       \
    int __real_##name parameters;                                                                  \
    int __wrap_##name parameters;                                                                  \
    int __wrap_##name parameters                                                                   \
    {                                                                                              \
        return strcmp(failing, #name) == 0 ? failure : __real_##name arguments;                    \
    }

WRAPPED(uv_loop_init, (void *loop), (loop))
WRAPPED(uv_async_init, (void *loop, void *handle, void *call), (loop, handle, call))
WRAPPED(uv_poll_init, (void *loop, void *handle, int descriptor), (loop, handle, descriptor))
WRAPPED(uv_queue_work, (void *loop, void *request, void *work, void *done),
        (loop, request, work, done))
WRAPPED(uv_signal_init, (void *loop, void *handle), (loop, handle))
WRAPPED(uv_signal_start, (void *handle, void *call, int number), (handle, call, number))
WRAPPED(pthread_create, (pthread_t * thread, const void *attributes, void *start, void *context),
        (thread, attributes, start, context))

static void let_fail(const char *name, int result)
{
    failing = name;
    failure = result;
}

static void on_ready(void *context, unsigned events, enum rm_err error)
{
    (void)context;
    (void)events;
    (void)error;
}

static void on_call(void *context)
{
    (void)context;
}

static void on_signal(void *context, int number)
{
    (void)context;
    (void)number;
}

static void a_loop_without_descriptors_is_not_made(void **state)
{
    (void)state;
    let_fail("uv_loop_init", -EMFILE);
    assert_null(loop_new("none"));
    let_fail("", 0);
    loop_free(loop_new("warm"));
}

static void a_loop_without_memory_is_not_made(void **state)
{
    (void)state;
    unsigned failures = 0;
    for (uint64_t n = 1;; n++) {
        rm_alloc_fail_at(n);
        struct loop *loop = loop_new("none");
        rm_alloc_fail_at(0);
        if (loop != NULL) {
            loop_free(loop);
            break;
        }
        failures++;
    }
    assert_true(failures >= 2);
}

static void a_watch_that_fails_leaves_nothing_open(void **state)
{
    (void)state;
    struct loop *loop = loop_new("watch");
    struct watch *watch = NULL;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    let_fail("uv_poll_init", -ENOSPC);
    assert_int_equal(watch_open(loop, pair[0], on_ready, NULL, &watch), RM_ERR_NO_SPACE);
    let_fail("", 0);
    rm_alloc_fail_at(1);
    assert_int_equal(watch_open(loop, pair[0], on_ready, NULL, &watch), RM_ERR_NO_MEMORY);
    rm_alloc_fail_at(0);
    assert_null(watch);
    assert_int_equal(loop_open_count(loop), 0);
    loop_free(loop);
    close(pair[0]);
    close(pair[1]);
}

static void work_that_fails_calls_nobody(void **state)
{
    (void)state;
    struct loop *loop = loop_new("work");
    let_fail("uv_queue_work", -EINVAL);
    assert_int_equal(loop_work(loop, on_call, on_call, NULL), RM_ERR_INTERNAL);
    let_fail("", 0);
    rm_alloc_fail_at(1);
    assert_int_equal(loop_work(loop, on_call, on_call, NULL), RM_ERR_NO_MEMORY);
    rm_alloc_fail_at(0);
    assert_int_equal(loop_open_count(loop), 0);
    loop_free(loop);
}

static void a_signal_that_fails_is_let_go(void **state)
{
    (void)state;
    struct loop *loop = loop_new("signal");
    rm_alloc_fail_at(1);
    assert_int_equal(loop_on_signal(loop, SIGHUP, on_signal, NULL), RM_ERR_NO_MEMORY);
    rm_alloc_fail_at(0);
    let_fail("uv_signal_init", -EMFILE);
    assert_int_equal(loop_on_signal(loop, SIGHUP, on_signal, NULL), RM_ERR_NO_DESCRIPTORS);
    let_fail("uv_signal_start", -EINVAL);
    assert_int_equal(loop_on_signal(loop, SIGHUP, on_signal, NULL), RM_ERR_INTERNAL);
    let_fail("", 0);
    loop_free(loop);
}

static void a_timer_without_memory_stays_stopped(void **state)
{
    (void)state;
    struct loop *loop = loop_new("timers");
    struct timer timers[200];
    size_t started = 0;
    for (; started < 200; started++) {
        timer_init(&timers[started], loop, on_call, NULL);
        rm_alloc_fail_at(1);
        enum rm_err result = timer_start(&timers[started], 1000);
        rm_alloc_fail_at(0);
        if (result != RM_OK) {
            assert_int_equal(result, RM_ERR_NO_MEMORY);
            assert_false(timer_is_active(&timers[started]));
            break;
        }
    }
    assert_true(started < 200);
    assert_int_equal(timer_start(&timers[started], 1000), RM_OK);
    for (size_t i = 0; i <= started; i++) {
        timer_stop(&timers[i]);
    }
    loop_free(loop);
}

static enum rm_err thread_init(void *context, struct loop *loop)
{
    (void)context;
    loop_stop(loop);
    return RM_OK;
}

static void a_thread_that_fails_leaves_nothing(void **state)
{
    (void)state;
    struct loop_thread *thread = NULL;
    let_fail("pthread_create", EAGAIN);
    assert_int_equal(loop_thread_start("none", thread_init, NULL, NULL, &thread), RM_ERR_LIMIT);
    let_fail("", 0);
    for (uint64_t n = 1; n < 4; n++) {
        rm_alloc_fail_at(n);
        assert_int_equal(loop_thread_start("none", thread_init, NULL, NULL, &thread),
                         RM_ERR_NO_MEMORY);
        rm_alloc_fail_at(0);
    }
    assert_null(thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_without_descriptors_is_not_made),
        cmocka_unit_test(a_loop_without_memory_is_not_made),
        cmocka_unit_test(a_watch_that_fails_leaves_nothing_open),
        cmocka_unit_test(work_that_fails_calls_nobody),
        cmocka_unit_test(a_signal_that_fails_is_let_go),
        cmocka_unit_test(a_timer_without_memory_stays_stopped),
        cmocka_unit_test(a_thread_that_fails_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
