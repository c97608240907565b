// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/log.h"
#include "listening.h"

#include "../loop/clock_ahead.h"
#include "stream/descriptors.h"

int __real_accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags);
int __wrap_accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags);

int __real_epoll_wait(int epoll, void *events, int count, int timeout_ms);
int __wrap_epoll_wait(int epoll, void *events, int count, int timeout_ms);

static unsigned sleeps; // of the loop

int __wrap_epoll_wait(int epoll, void *events, int count, int timeout_ms)
{
    sleeps++;
    return __real_epoll_wait(epoll, events, count, timeout_ms);
}

static int shortage; // errno while `short_calls` last
static unsigned short_calls;
static unsigned log_lines;
static char log_line[1024];

int __wrap_accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags)
{
    if (short_calls > 0) {
        short_calls--;
        errno = shortage;
        return -1;
    }
    return __real_accept4(descriptor, address, length, flags);
}

static void on_log(void *context, const char *line)
{
    (void)context;
    log_lines++;
    snprintf(log_line, sizeof(log_line), "%s", line);
}

static void the_queue_waits_with_one_line_in_the_log(void **state)
{
    (void)state;
    static const int errors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        struct listening listening;
        listening_open(&listening, "127.0.0.1:0");
        listening.close_after = 1;
        int client = client_connect(&listening.at);
        shortage = errors[i];
        short_calls = 3;
        log_lines = 0;
        clock_ahead_ms += DESCRIPTORS_QUIET_MS; // the last shortage is old
        log_redirect(on_log, NULL);
        loop_finish(listening.loop);
        log_redirect(NULL, NULL);
        // Paused in between: each of the calls was made by a retry, none by a spinning loop.
        assert_int_equal(short_calls, 0);
        assert_int_equal(listening.accepted, 1);
        assert_int_equal(log_lines, 1);
        assert_non_null(strstr(log_line, "127.0.0.1:"));
        assert_non_null(strstr(log_line, "ulimit"));
        close(client);
    }
}

// Whoever runs into the same shortage soon after, says nothing more.
static void all_listeners_share_the_line(void **state)
{
    (void)state;
    log_lines = 0;
    clock_ahead_ms += DESCRIPTORS_QUIET_MS;
    log_redirect(on_log, NULL);
    for (int i = 0; i < 3; i++) {
        struct listening listening;
        listening_open(&listening, "127.0.0.1:0");
        listening.close_after = 1;
        int client = client_connect(&listening.at);
        shortage = EMFILE;
        short_calls = 1;
        loop_finish(listening.loop);
        close(client);
    }
    log_redirect(NULL, NULL);
    assert_int_equal(log_lines, 1);
}

struct closer {
    struct timer timer;          // closes
    struct listening *listening; // exhausted
    unsigned calls_left;         // when it closed
};

static void on_close(void *context)
{
    struct closer *closer = context;
    closer->calls_left = short_calls;
    listening_close(closer->listening);
}

static void on_pause_and_resume(void *context)
{
    struct closer *closer = context;
    listener_pause(closer->listening->listener);
    listener_resume(closer->listening->listener);
}

static void an_exhausted_listener_can_be_closed_paused_and_resumed(void **state)
{
    (void)state;
    for (int drains = 0; drains < 2; drains++) {
        struct listening listening;
        struct closer closer = {.listening = &listening};
        listening_open(&listening, "127.0.0.1:0");
        listening.drains = drains;
        int client = client_connect(&listening.at);
        shortage = EMFILE;
        short_calls = 1000;
        timer_init(&closer.timer, listening.loop, on_close, &closer);
        assert_int_equal(timer_start(&closer.timer, 5), RM_OK);
        sleeps = 0;
        loop_finish(listening.loop);
        // It slept meanwhile, although the queue was readable all the time.
        assert_in_range(sleeps, 1, 10);
        assert_int_equal(listening.accepted, 0);
        // One attempt before the pause; not one per turn.
        assert_int_equal(closer.calls_left, 999);
        short_calls = 0;
        close(client);
    }
    struct listening listening;
    struct closer closer = {.listening = &listening};
    listening_open(&listening, "127.0.0.1:0");
    listening.close_after = 1;
    int client = client_connect(&listening.at);
    short_calls = 1;
    timer_init(&closer.timer, listening.loop, on_pause_and_resume, &closer);
    assert_int_equal(timer_start(&closer.timer, 5), RM_OK);
    loop_finish(listening.loop);
    assert_int_equal(listening.accepted, 1);
    close(client);
}

static void without_memory_for_a_stream_the_next_one_is_tried(void **state)
{
    (void)state;
    struct listening listening;
    listening_open(&listening, "127.0.0.1:0");
    listening.close_after = 1;
    int first = client_connect(&listening.at);
    int second = client_connect(&listening.at);
    rm_alloc_fail_at(1);
    loop_finish(listening.loop);
    rm_alloc_fail_at(0);
    assert_int_equal(listening.accepted, 1);
    close(first);
    close(second);
}

static void without_memory_a_listener_is_not_opened(void **state)
{
    (void)state;
    struct listening listening = {.loop = loop_new("listener")};
    const struct listener_options options = listening_options("127.0.0.1:0");
    unsigned failures = 0;
    for (uint64_t n = 1; listening.listener == NULL; n++) {
        rm_alloc_fail_at(n);
        struct rm_error error = {0};
        enum rm_err result = listening_try(&listening, &options, &error);
        rm_alloc_fail_at(0);
        if (result != RM_OK) {
            assert_int_equal(result, RM_ERR_NO_MEMORY);
            assert_true(strlen(error.message) > 0);
            failures++;
        }
    }
    assert_true(failures >= 2);
    listening_close(&listening);
    loop_finish(listening.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_queue_waits_with_one_line_in_the_log),
        cmocka_unit_test(all_listeners_share_the_line),
        cmocka_unit_test(an_exhausted_listener_can_be_closed_paused_and_resumed),
        cmocka_unit_test(without_memory_for_a_stream_the_next_one_is_tried),
        cmocka_unit_test(without_memory_a_listener_is_not_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
