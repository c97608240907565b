// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "clock_ahead.h"
#include "loop/loop.h"

int __real_pipe2(int ends[2], int flags);
int __wrap_pipe2(int ends[2], int flags);

static bool has_descriptors = true;

int __wrap_pipe2(int ends[2], int flags)
{
    if (has_descriptors) {
        return __real_pipe2(ends, flags);
    }
    errno = EMFILE;
    return -1;
}

static bool is_open(int descriptor)
{
    return fcntl(descriptor, F_GETFD) >= 0;
}

static void what_goes_in_comes_out_and_neither_end_blocks(void **state)
{
    (void)state;
    struct loop *loop = loop_new("pipes");
    struct pipe *pipe = pipe_get(loop);
    char byte = 0;
    assert_non_null(pipe);
    assert_int_equal(pipe_lent_count(loop), 1);
    assert_int_equal(fcntl(pipe->inlet, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(pipe->outlet, F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(pipe->inlet, "x", 1), 1);
    assert_int_equal(read(pipe->outlet, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    assert_int_equal(read(pipe->outlet, &byte, 1), -1);
    assert_int_equal(errno, EAGAIN);
    pipe_put(loop, pipe, true);
    assert_int_equal(pipe_lent_count(loop), 0);
    loop_free(loop);
}

static void no_more_are_lent_than_the_limit_says(void **state)
{
    (void)state;
    struct loop *loop = loop_new("pipes");
    struct pipe *pipes[PIPE_MAX_PER_LOOP];
    int inlets[PIPE_MAX_PER_LOOP];
    size_t kept = 0;
    for (size_t i = 0; i < PIPE_MAX_PER_LOOP; i++) {
        pipes[i] = pipe_get(loop);
        assert_non_null(pipes[i]);
        inlets[i] = pipes[i]->inlet;
    }
    assert_null(pipe_get(loop));
    for (size_t i = 0; i < PIPE_MAX_PER_LOOP; i++) {
        pipe_put(loop, pipes[i], true);
    }
    for (size_t i = 0; i < PIPE_MAX_PER_LOOP; i++) {
        kept += is_open(inlets[i]);
    }
    assert_int_equal(kept, PIPE_KEEP_FREE);
    loop_free(loop);
    for (size_t i = 0; i < PIPE_MAX_PER_LOOP; i++) {
        assert_false(is_open(inlets[i]));
    }
}

// What is in it is somebody else's by then.
static void only_an_empty_pipe_is_lent_again(void **state)
{
    (void)state;
    struct loop *loop = loop_new("pipes");
    struct pipe *pipe = pipe_get(loop);
    int inlet = pipe->inlet;
    pipe_put(loop, pipe, true);
    assert_ptr_equal(pipe_get(loop), pipe);
    assert_int_equal(write(pipe->inlet, "x", 1), 1);
    pipe_put(loop, pipe, false);
    assert_false(is_open(inlet));
    assert_int_equal(pipe_lent_count(loop), 0);
    loop_free(loop);
}

static void a_shortage_is_told_and_passes(void **state)
{
    (void)state;
    struct loop *loop = loop_new("pipes");
    has_descriptors = false;
    assert_null(pipe_get(loop));
    has_descriptors = true;
    rm_alloc_fail_at(1);
    assert_null(pipe_get(loop));
    rm_alloc_fail_at(0);
    assert_int_equal(pipe_lent_count(loop), 0);
    struct pipe *pipe = pipe_get(loop);
    assert_non_null(pipe);
    pipe_put(loop, pipe, true);
    loop_free(loop);
}

static void on_stop(void *context)
{
    loop_stop(context);
}

static void on_pass_time(void *context)
{
    struct timer *timer = context;
    clock_ahead_ms += 5001;
    timer_init(timer, timer->loop, on_stop, timer->loop);
    assert_int_equal(timer_start(timer, 0), RM_OK);
}

static void pass_quiet_time(struct loop *loop)
{
    struct timer timer;
    timer_init(&timer, loop, on_pass_time, &timer);
    assert_int_equal(timer_start(&timer, 1), RM_OK);
    loop_run(loop);
}

static void an_idle_loop_keeps_no_descriptors(void **state)
{
    (void)state;
    struct loop *loop = loop_new("pipes");
    struct pipe *pipe = pipe_get(loop);
    int inlet = pipe->inlet;
    pipe_put(loop, pipe, true);
    pass_quiet_time(loop);
    assert_true(is_open(inlet));
    pass_quiet_time(loop);
    assert_false(is_open(inlet));
    pipe = pipe_get(loop);
    assert_non_null(pipe);
    pipe_put(loop, pipe, true);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out_and_neither_end_blocks),
        cmocka_unit_test(no_more_are_lent_than_the_limit_says),
        cmocka_unit_test(only_an_empty_pipe_is_lent_again),
        cmocka_unit_test(a_shortage_is_told_and_passes),
        cmocka_unit_test(an_idle_loop_keeps_no_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
