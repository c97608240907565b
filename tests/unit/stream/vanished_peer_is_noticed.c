// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/tcp.h>

#include "../loop/clock_ahead.h"
#include "party.h"

int __real_getsockopt(int descriptor, int level, int name, void *value, socklen_t *length);
int __wrap_getsockopt(int descriptor, int level, int name, void *value, socklen_t *length);

// What TCP says of the connection, made up by the test.
static struct tcp_info made_up;
static unsigned looks;
static uint64_t progress; // bytes acknowledged between two looks

int __wrap_getsockopt(int descriptor, int level, int name, void *value, socklen_t *length)
{
    if (level == IPPROTO_TCP && name == TCP_INFO) {
        looks++;
        made_up.tcpi_bytes_acked += progress;
        memcpy(value, &made_up, *length < sizeof(made_up) ? *length : sizeof(made_up));
        return 0;
    }
    return __real_getsockopt(descriptor, level, name, value, length);
}

struct scene {
    struct loop *loop;     // under test
    struct stream *stream; // under test
    int raw;               // the peer's end; says nothing
    struct timer step;     // passes time
    unsigned steps_left;   // periods to pass
    enum rm_err seen;      // by reading
};

static void scene_end(struct scene *scene)
{
    timer_stop(&scene->step);
    stream_close(scene->stream, STREAM_CLOSE_ABORT, NULL, NULL);
}

static void on_event(void *context, unsigned events)
{
    struct scene *scene = context;
    uint8_t byte;
    size_t length = 0;
    (void)events;
    scene->seen = stream_read(scene->stream, &byte, 1, &length);
    if (scene->seen != RM_ERR_WOULD_BLOCK) {
        size_t written = 0;
        assert_int_equal(stream_write_bytes(scene->stream, "x", 1, &written), scene->seen);
        scene_end(scene);
    }
}

static void on_step(void *context)
{
    struct scene *scene = context;
    if (scene->steps_left-- == 0) {
        scene_end(scene);
        return;
    }
    clock_ahead_ms += SOCKET_VANISHED_MS / 2;
    assert_int_equal(timer_start(&scene->step, 1), RM_OK);
}

// Writes a little, lets so many periods pass, and says what a reader saw meanwhile.
static enum rm_err watch_periods(unsigned periods, bool writes, const struct tcp_info *info)
{
    int descriptors[2];
    size_t written = 0;
    pair_tcp(descriptors);
    struct scene scene = {.loop = loop_new("stall"), .raw = descriptors[1], .steps_left = periods};
    made_up = *info;
    looks = 0;
    clock_ahead_ms = 0;
    assert_int_equal(socket_stream_new(scene.loop, descriptors[0], &scene.stream), RM_OK);
    stream_own(scene.stream, on_event, &scene);
    stream_want(scene.stream, STREAM_READ);
    if (writes) {
        assert_int_equal(stream_write_bytes(scene.stream, "x", 1, &written), RM_OK);
    }
    timer_init(&scene.step, scene.loop, on_step, &scene);
    assert_int_equal(timer_start(&scene.step, 1), RM_OK);
    loop_finish(scene.loop);
    close(scene.raw);
    clock_ahead_ms = 0;
    return scene.seen;
}

#define SILENT_MS (SOCKET_VANISHED_MS / 2 + 1)

static void a_peer_that_acknowledges_nothing_is_gone(void **state)
{
    (void)state;
    const struct tcp_info info = {.tcpi_unacked = 3, .tcpi_last_ack_recv = SILENT_MS};
    assert_int_equal(watch_periods(1, true, &info), RM_OK);
    assert_int_equal(watch_periods(4, true, &info), RM_ERR_VANISHED);
    assert_int_equal(looks, 2);
}

// The receiver's window is zero: nothing is under way, however long nobody reads.
static void a_peer_that_reads_nothing_is_not(void **state)
{
    (void)state;
    const struct tcp_info info = {.tcpi_notsent_bytes = 100000, .tcpi_last_ack_recv = SILENT_MS};
    assert_int_equal(watch_periods(5, true, &info), RM_OK);
    assert_true(looks >= 3);
}

// Probes ask a zero window whether it still is one: a living peer answers them.
static void a_peer_that_answers_no_probe_is_gone(void **state)
{
    (void)state;
    struct tcp_info info = {.tcpi_notsent_bytes = 100000,
                            .tcpi_last_ack_recv = SILENT_MS,
                            .tcpi_probes = SOCKET_PROBES - 1};
    assert_int_equal(watch_periods(5, true, &info), RM_OK);
    info.tcpi_probes = SOCKET_PROBES;
    assert_int_equal(watch_periods(4, true, &info), RM_ERR_VANISHED);
    info.tcpi_last_ack_recv = 10;
    assert_int_equal(watch_periods(5, true, &info), RM_OK);
}

static void a_peer_that_said_something_is_not(void **state)
{
    (void)state;
    const struct tcp_info info = {.tcpi_unacked = 3, .tcpi_last_ack_recv = 10};
    assert_int_equal(watch_periods(5, true, &info), RM_OK);
    assert_true(looks >= 3);
}

static void a_peer_that_acknowledges_some_is_not(void **state)
{
    (void)state;
    const struct tcp_info info = {.tcpi_unacked = 3, .tcpi_last_ack_recv = SILENT_MS};
    progress = 1;
    assert_int_equal(watch_periods(5, true, &info), RM_OK);
    progress = 0;
    assert_true(looks >= 3);
}

static void who_has_sent_nothing_or_all_is_not_looked_at(void **state)
{
    (void)state;
    const struct tcp_info acknowledged = {.tcpi_last_ack_recv = SILENT_MS};
    assert_int_equal(watch_periods(5, false, &acknowledged), RM_OK);
    assert_int_equal(looks, 0);
    assert_int_equal(watch_periods(5, true, &acknowledged), RM_OK);
    assert_int_equal(looks, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_that_acknowledges_nothing_is_gone),
        cmocka_unit_test(a_peer_that_reads_nothing_is_not),
        cmocka_unit_test(a_peer_that_answers_no_probe_is_gone),
        cmocka_unit_test(a_peer_that_said_something_is_not),
        cmocka_unit_test(a_peer_that_acknowledges_some_is_not),
        cmocka_unit_test(who_has_sent_nothing_or_all_is_not_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
