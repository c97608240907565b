// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>

#include "../loop/clock_ahead.h"
#include "party.h"

struct scene {
    struct loop *loop;     // under test
    struct stream *stream; // closing
    int raw;               // the peer's end, used directly
    unsigned closed;       // calls
    struct timer later;    // does the next thing
    struct timer kick;     // wakes the loop
};

static void on_closed(void *context)
{
    ((struct scene *)context)->closed++;
}

static void scene_open(struct scene *scene)
{
    int descriptors[2];
    pair_tcp(descriptors);
    *scene = (struct scene){.loop = loop_new("linger"), .raw = descriptors[1]};
    assert_int_equal(socket_stream_new(scene->loop, descriptors[0], &scene->stream), RM_OK);
}

static void scene_close_then(struct scene *scene, timer_fn act)
{
    stream_close(scene->stream, STREAM_CLOSE_ORDERLY, on_closed, scene);
    timer_init(&scene->later, scene->loop, act, scene);
    assert_int_equal(timer_start(&scene->later, 1), RM_OK);
    loop_finish(scene->loop);
    assert_int_equal(scene->closed, 1);
    clock_ahead_ms = 0;
}

static void on_kick(void *context)
{
    (void)context;
}

static void act_let_time_pass(void *context)
{
    struct scene *scene = context;
    // Our end has been said, but nothing is closed yet.
    char byte;
    assert_int_equal(recv(scene->raw, &byte, 1, MSG_DONTWAIT), 0);
    assert_int_equal(scene->closed, 0);
    clock_ahead_ms = STREAM_LINGER_MS + 1;
    timer_init(&scene->kick, scene->loop, on_kick, NULL);
    assert_int_equal(timer_start(&scene->kick, 0), RM_OK);
}

static void a_peer_that_says_nothing_is_given_up(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    scene_close_then(&scene, act_let_time_pass);
    close(scene.raw);
}

static void act_send_and_end(void *context)
{
    struct scene *scene = context;
    static const uint8_t junk[300000];
    assert_int_equal(scene->closed, 0);
    assert_true(send(scene->raw, junk, sizeof(junk), MSG_DONTWAIT) > 0);
    shutdown(scene->raw, SHUT_WR);
    // The peer's end alone must do it: the clock goes back, and the deadline does not come.
    clock_ahead_ms = (uint64_t)-3600000;
}

static void what_still_comes_is_thrown_away_until_the_end(void **state)
{
    (void)state;
    struct scene scene;
    char byte;
    scene_open(&scene);
    scene_close_then(&scene, act_send_and_end);
    // An end, and no reset after it.
    assert_int_equal(recv(scene.raw, &byte, 1, 0), 0);
    errno = 0;
    assert_int_equal(send(scene.raw, "x", 1, MSG_NOSIGNAL), -1);
    close(scene.raw);
}

static void act_reset(void *context)
{
    struct scene *scene = context;
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(scene->raw, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(scene->raw);
}

static void a_reset_ends_the_wait(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    scene_close_then(&scene, act_reset);
}

static void who_has_seen_the_peers_end_waits_for_nothing(void **state)
{
    (void)state;
    struct scene scene;
    uint8_t byte;
    size_t length = 0;
    scene_open(&scene);
    int descriptor = stream_descriptor(scene.stream);
    shutdown(scene.raw, SHUT_WR);
    assert_int_equal(stream_read(scene.stream, &byte, 1, &length), RM_ERR_EOF);
    stream_close(scene.stream, STREAM_CLOSE_ORDERLY, on_closed, &scene);
    // Closed at once, told later.
    assert_int_equal(fcntl(descriptor, F_GETFD), -1);
    assert_int_equal(scene.closed, 0);
    loop_finish(scene.loop);
    assert_int_equal(scene.closed, 1);
    close(scene.raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_that_says_nothing_is_given_up),
        cmocka_unit_test(what_still_comes_is_thrown_away_until_the_end),
        cmocka_unit_test(a_reset_ends_the_wait),
        cmocka_unit_test(who_has_seen_the_peers_end_waits_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
