// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <unistd.h>

#include "loop/loop.h"

struct received {
    struct loop *loop; // under test
    unsigned terms;    // SIGTERMs
    unsigned hangups;  // SIGHUPs
};

static void on_term(void *context, int number)
{
    struct received *received = context;
    assert_int_equal(number, SIGTERM);
    if (++received->terms == 1) {
        // Asked to stop, but something is open: the second one must still come.
        loop_stop(received->loop);
        kill(getpid(), SIGHUP);
        kill(getpid(), SIGTERM);
    } else {
        loop_close(received->loop);
    }
}

static void on_hangup(void *context, int number)
{
    assert_int_equal(number, SIGHUP);
    ((struct received *)context)->hangups++;
}

static void a_second_signal_arrives_during_the_drain(void **state)
{
    (void)state;
    struct received received = {.loop = loop_new("signals")};
    assert_int_equal(loop_on_signal(received.loop, SIGHUP, on_hangup, &received), RM_OK);
    assert_int_equal(loop_on_signal(received.loop, SIGTERM, on_term, &received), RM_OK);
    loop_open(received.loop);
    kill(getpid(), SIGTERM);
    loop_run(received.loop);
    assert_int_equal(received.terms, 2);
    assert_int_equal(received.hangups, 1);
    loop_free(received.loop);
}

static void a_number_that_is_no_signal_is_refused(void **state)
{
    (void)state;
    struct loop *loop = loop_new("signals");
    assert_int_equal(loop_on_signal(loop, 0, on_term, NULL), RM_ERR_INTERNAL);
    assert_int_equal(loop_on_signal(loop, 9999, on_term, NULL), RM_ERR_INTERNAL);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_signal_arrives_during_the_drain),
        cmocka_unit_test(a_number_that_is_no_signal_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
