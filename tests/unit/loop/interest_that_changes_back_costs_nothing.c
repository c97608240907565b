// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/loop.h"

int __real_epoll_ctl(int epoll, int operation, int descriptor, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int descriptor, struct epoll_event *event);

static int counted_descriptor = -1;
static unsigned epoll_calls;

int __wrap_epoll_ctl(int epoll, int operation, int descriptor, struct epoll_event *event)
{
    epoll_calls += descriptor == counted_descriptor;
    return __real_epoll_ctl(epoll, operation, descriptor, event);
}

static struct watch *watch;
static unsigned turns;

// As a relay does that is blocked, writes, and is blocked again.
static void on_ready(void *context, unsigned events, enum rm_err error)
{
    (void)events;
    (void)error;
    watch_set(watch, 0);
    watch_set(watch, WATCH_WRITE);
    watch_set(watch, WATCH_READ | WATCH_WRITE);
    watch_set(watch, WATCH_READ);
    if (++turns == 1) {
        epoll_calls = 0;
    }
    if (turns == 10) {
        assert_int_equal(epoll_calls, 0);
        watch_close(watch);
        loop_stop(context);
    }
}

static void epoll_is_not_told_of_changes_within_a_turn(void **state)
{
    (void)state;
    struct loop *loop = loop_new("watch");
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(write(pair[1], "x", 1), 1);
    counted_descriptor = pair[0];
    assert_int_equal(watch_open(loop, pair[0], on_ready, loop, &watch), RM_OK);
    watch_set(watch, WATCH_READ);
    loop_run(loop);
    assert_int_equal(turns, 10);
    // The counter does count: closing took the descriptor out of epoll.
    assert_int_not_equal(epoll_calls, 0);
    loop_free(loop);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(epoll_is_not_told_of_changes_within_a_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
