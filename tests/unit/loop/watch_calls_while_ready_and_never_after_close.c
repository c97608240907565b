// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/loop.h"

struct end {
    struct loop *loop;      // under test
    struct watch *watch;    // on `descriptor`
    struct end *other;      // closed by this one's callback, when set
    int descriptor;         // one end of a socket pair
    unsigned calls;         // of the watch
    unsigned until;         // calls after which it closes itself
    unsigned last_events;   // told
    enum rm_err last_error; // told
};

static void end_close(struct end *end)
{
    watch_close(end->watch);
    close(end->descriptor);
    end->watch = NULL;
}

static void on_ready(void *context, unsigned events, enum rm_err error)
{
    struct end *end = context;
    assert_non_null(end->watch);
    end->last_events = events;
    end->last_error = error;
    end->calls++;
    if (end->other != NULL && end->other->watch != NULL) {
        end_close(end->other);
    }
    if (end->calls == end->until) {
        end_close(end);
    }
}

static void ends_open(struct loop *loop, struct end ends[2])
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    for (int i = 0; i < 2; i++) {
        ends[i] = (struct end){.loop = loop, .descriptor = pair[i], .until = 1};
        assert_int_equal(watch_open(loop, pair[i], on_ready, &ends[i], &ends[i].watch), RM_OK);
    }
}

static void loop_finish(struct loop *loop)
{
    loop_stop(loop);
    loop_run(loop);
    loop_free(loop);
}

static void it_is_called_in_each_turn_while_there_is_something(void **state)
{
    (void)state;
    struct loop *loop = loop_new("watch");
    struct end ends[2];
    ends_open(loop, ends);
    ends[0].until = 4;
    assert_int_equal(write(ends[1].descriptor, "x", 1), 1);
    watch_set(ends[0].watch, WATCH_READ);
    watch_close(ends[1].watch);
    loop_finish(loop);
    assert_int_equal(ends[0].calls, 4);
    assert_int_equal(ends[0].last_events, WATCH_READ);
    assert_int_equal(ends[0].last_error, RM_OK);
    close(ends[1].descriptor);
}

static void only_what_is_wanted_is_told(void **state)
{
    (void)state;
    struct loop *loop = loop_new("watch");
    struct end ends[2];
    ends_open(loop, ends);
    assert_int_equal(write(ends[1].descriptor, "x", 1), 1);
    watch_set(ends[0].watch, WATCH_READ | WATCH_WRITE);
    watch_set(ends[0].watch, WATCH_WRITE);
    watch_set(ends[1].watch, WATCH_READ | WATCH_WRITE);
    loop_finish(loop);
    assert_int_equal(ends[0].last_events, WATCH_WRITE);
    assert_int_equal(ends[1].last_events, WATCH_WRITE);
}

// Both are ready in the same turn; whichever comes first closes the other one's watch and
// descriptor.
static void a_closed_watch_is_not_called_though_it_was_ready(void **state)
{
    (void)state;
    struct loop *loop = loop_new("watch");
    struct end ends[2];
    ends_open(loop, ends);
    ends[0].other = &ends[1];
    ends[1].other = &ends[0];
    watch_set(ends[0].watch, WATCH_WRITE);
    watch_set(ends[1].watch, WATCH_WRITE);
    loop_finish(loop);
    assert_int_equal(ends[0].calls + ends[1].calls, 1);
}

static struct end paused_ends[2];
static unsigned paused_calls;
static struct deferred paused_close;

static void on_paused_close(void *context)
{
    (void)context;
    end_close(&paused_ends[0]);
    end_close(&paused_ends[1]);
}

static void on_ready_pause_other(void *context, unsigned events, enum rm_err error)
{
    struct end *end = context;
    (void)events;
    (void)error;
    paused_calls++;
    watch_set(end == &paused_ends[0] ? paused_ends[1].watch : paused_ends[0].watch, 0);
    deferred_schedule(end->loop, &paused_close);
}

// Both are ready in the same turn; whichever comes first pauses the other one.
static void a_watch_paused_in_the_same_turn_is_silent(void **state)
{
    (void)state;
    struct loop *loop = loop_new("watch");
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    deferred_init(&paused_close, on_paused_close, NULL);
    for (int i = 0; i < 2; i++) {
        paused_ends[i] = (struct end){.loop = loop, .descriptor = pair[i]};
        assert_int_equal(
            watch_open(loop, pair[i], on_ready_pause_other, &paused_ends[i], &paused_ends[i].watch),
            RM_OK);
        watch_set(paused_ends[i].watch, WATCH_WRITE);
    }
    loop_finish(loop);
    assert_int_equal(paused_calls, 1);
}

static void a_paused_watch_is_silent(void **state)
{
    (void)state;
    struct loop *loop = loop_new("watch");
    struct end ends[2];
    ends_open(loop, ends);
    assert_int_equal(write(ends[1].descriptor, "x", 1), 1);
    watch_set(ends[0].watch, WATCH_READ);
    watch_set(ends[0].watch, 0);
    // Ends the loop by closing the paused one.
    ends[1].other = &ends[0];
    watch_set(ends[1].watch, WATCH_WRITE);
    loop_finish(loop);
    assert_int_equal(ends[0].calls, 0);
    assert_int_equal(ends[1].calls, 1);
}

// A pipe whose reader is gone is in an error state: the writer is told what it wanted, in each
// turn.
static void an_error_state_tells_all_that_is_wanted(void **state)
{
    (void)state;
    struct loop *loop = loop_new("watch");
    int pair[2];
    assert_int_equal(pipe(pair), 0);
    struct end writer = {.loop = loop, .descriptor = pair[1], .until = 3};
    assert_int_equal(watch_open(loop, pair[1], on_ready, &writer, &writer.watch), RM_OK);
    close(pair[0]);
    watch_set(writer.watch, WATCH_READ | WATCH_WRITE);
    loop_finish(loop);
    assert_int_equal(writer.calls, 3);
    assert_int_equal(writer.last_error, RM_ERR_IO);
    assert_int_equal(writer.last_events, WATCH_READ | WATCH_WRITE);
}

// The number of a closed descriptor is used again at once.
static void a_reused_descriptor_can_be_watched_in_the_same_turn(void **state)
{
    (void)state;
    struct loop *loop = loop_new("watch");
    struct end ends[2];
    ends_open(loop, ends);
    end_close(&ends[0]);
    int again = dup(ends[1].descriptor);
    assert_int_equal(again, ends[0].descriptor);
    ends[0].descriptor = again;
    assert_int_equal(watch_open(loop, again, on_ready, &ends[0], &ends[0].watch), RM_OK);
    watch_set(ends[0].watch, WATCH_READ);
    end_close(&ends[1]);
    loop_finish(loop);
    assert_int_equal(ends[0].calls, 1);
}

static void what_cannot_be_watched_is_refused(void **state)
{
    (void)state;
    struct loop *loop = loop_new("watch");
    struct watch *watch = NULL;
    FILE *file = tmpfile();
    assert_int_equal(watch_open(loop, fileno(file), on_ready, NULL, &watch), RM_ERR_PERMISSION);
    assert_int_equal(loop_open_count(loop), 0);
    fclose(file);
    loop_finish(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_called_in_each_turn_while_there_is_something),
        cmocka_unit_test(only_what_is_wanted_is_told),
        cmocka_unit_test(a_closed_watch_is_not_called_though_it_was_ready),
        cmocka_unit_test(a_watch_paused_in_the_same_turn_is_silent),
        cmocka_unit_test(a_paused_watch_is_silent),
        cmocka_unit_test(an_error_state_tells_all_that_is_wanted),
        cmocka_unit_test(a_reused_descriptor_can_be_watched_in_the_same_turn),
        cmocka_unit_test(what_cannot_be_watched_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
