// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "party.h"

struct scene {
    struct loop *loop;     // under test
    struct stream *stream; // under test
    int raw;               // the peer's end, used directly
    enum rm_err seen;      // what reading came to
    uint64_t bytes;        // read before that
};

static void raw_reset(int descriptor)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    close(descriptor);
}

static void scene_open(struct scene *scene)
{
    int descriptors[2];
    pair_tcp(descriptors);
    *scene = (struct scene){.loop = loop_new("reset"), .raw = descriptors[1]};
    assert_int_equal(socket_stream_new(scene->loop, descriptors[0], &scene->stream), RM_OK);
}

static void on_event_reads(void *context, unsigned events)
{
    struct scene *scene = context;
    uint8_t bytes[512];
    size_t length = 0;
    (void)events;
    while ((scene->seen = stream_read(scene->stream, bytes, sizeof(bytes), &length)) == RM_OK) {
        scene->bytes += length;
    }
    if (scene->seen == RM_ERR_WOULD_BLOCK) {
        return;
    }
    assert_int_equal(stream_read(scene->stream, bytes, sizeof(bytes), &length), scene->seen);
    stream_close(scene->stream, STREAM_CLOSE_ORDERLY, NULL, NULL);
}

static void scene_read(struct scene *scene)
{
    stream_own(scene->stream, on_event_reads, scene);
    stream_want(scene->stream, STREAM_READ);
    loop_finish(scene->loop);
}

static void a_reset_is_read_as_one(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    raw_reset(scene.raw);
    scene_read(&scene);
    assert_int_equal(scene.seen, RM_ERR_RESET);
}

static void bytes_before_the_reset_are_not_an_end(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    assert_int_equal(send(scene.raw, "abc", 3, 0), 3);
    raw_reset(scene.raw);
    scene_read(&scene);
    assert_int_equal(scene.seen, RM_ERR_RESET);
}

// The write meets the kernel's error and takes it; a read after it gets what came before, then,
// from the kernel, zero bytes: that must read as the reset.
static void a_reset_that_a_write_met_is_read_as_one(void **state)
{
    (void)state;
    struct scene scene;
    size_t written = 0;
    scene_open(&scene);
    assert_int_equal(send(scene.raw, "answer", 6, 0), 6);
    assert_int_equal(stream_write_bytes(scene.stream, "never read", 10, &written), RM_OK);
    // Unread bytes turn this into a reset.
    close(scene.raw);
    assert_int_equal(stream_write_bytes(scene.stream, "x", 1, &written), RM_ERR_RESET);
    assert_int_equal(stream_write_bytes(scene.stream, "x", 1, &written), RM_ERR_RESET);
    assert_int_equal(stream_finish(scene.stream), RM_ERR_RESET);
    scene_read(&scene);
    assert_int_equal(scene.bytes, 6);
    assert_int_equal(scene.seen, RM_ERR_RESET);
}

// The kernel would send SIGPIPE, which ends a process that did not think of it.
static void writing_to_a_closed_unix_peer_is_a_reset_and_no_signal(void **state)
{
    (void)state;
    int descriptors[2];
    struct stream *stream;
    size_t written = 0;
    struct loop *loop = loop_new("reset");
    pair_unix(descriptors);
    assert_int_equal(socket_stream_new(loop, descriptors[0], &stream), RM_OK);
    close(descriptors[1]);
    assert_int_equal(stream_write_bytes(stream, "x", 1, &written), RM_ERR_RESET);
    stream_close(stream, STREAM_CLOSE_ORDERLY, NULL, NULL);
    loop_finish(loop);
}

static void finishing_a_reset_connection_says_so(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    raw_reset(scene.raw);
    assert_int_equal(stream_finish(scene.stream), RM_ERR_RESET);
    scene_read(&scene);
    assert_int_equal(scene.seen, RM_ERR_RESET);
}

static void abort_resets_and_close_does_not(void **state)
{
    (void)state;
    for (int mode = STREAM_CLOSE_ORDERLY; mode <= STREAM_CLOSE_ABORT; mode++) {
        struct scene scene;
        char byte;
        scene_open(&scene);
        stream_close(scene.stream, (enum stream_close_mode)mode, NULL, NULL);
        errno = 0;
        ssize_t result = recv(scene.raw, &byte, 1, 0);
        assert_int_equal(result, mode == STREAM_CLOSE_ABORT ? -1 : 0);
        assert_int_equal(errno, mode == STREAM_CLOSE_ABORT ? ECONNRESET : 0);
        close(scene.raw);
        loop_finish(scene.loop);
    }
}

static void reading_into_no_room_is_no_end(void **state)
{
    (void)state;
    struct scene scene;
    uint8_t byte;
    size_t length = 0;
    scene_open(&scene);
    assert_int_equal(stream_read(scene.stream, &byte, 0, &length), RM_ERR_INTERNAL);
    assert_int_equal(stream_read(scene.stream, &byte, 1, &length), RM_ERR_WOULD_BLOCK);
    stream_close(scene.stream, STREAM_CLOSE_ABORT, NULL, NULL);
    close(scene.raw);
    loop_finish(scene.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reset_is_read_as_one),
        cmocka_unit_test(bytes_before_the_reset_are_not_an_end),
        cmocka_unit_test(a_reset_that_a_write_met_is_read_as_one),
        cmocka_unit_test(writing_to_a_closed_unix_peer_is_a_reset_and_no_signal),
        cmocka_unit_test(finishing_a_reset_connection_says_so),
        cmocka_unit_test(abort_resets_and_close_does_not),
        cmocka_unit_test(reading_into_no_room_is_no_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
