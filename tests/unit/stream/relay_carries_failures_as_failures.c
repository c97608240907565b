// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relayed.h"

static void on_left_closed(void *context)
{
    ((struct relayed *)context)->left.closed++;
}

// One party is reset while the other waits for more; the other must see a reset, not an end.
static void reset_one_side(pair_fn kind, bool is_left, bool after_half_close)
{
    struct relayed relayed;
    relayed_make(&relayed, kind, kind);
    struct stream *resetting = is_left ? relayed.left_stream : relayed.right_stream;
    struct party *waiting = is_left ? &relayed.right : &relayed.left;
    struct stream *waiting_stream = is_left ? relayed.right_stream : relayed.left_stream;
    waiting->stays_open = !after_half_close;
    relayed_relay(&relayed, &relayed_no_limits);
    party_start(waiting, waiting_stream);
    stream_close(resetting, STREAM_CLOSE_ABORT, on_left_closed, &relayed);
    loop_finish(relayed.loop);
    assert_int_equal(relayed.done, 1);
    assert_int_equal(waiting->read_end, RM_ERR_RESET);
    assert_int_equal(relayed.result.error, RM_ERR_RESET);
    assert_int_equal(relayed.result.failed, is_left ? RELAY_A : RELAY_B);
}

static void a_reset_goes_through_both_ways(void **state)
{
    (void)state;
    static const pair_fn kinds[] = {streams_tcp, streams_memory};
    for (size_t i = 0; i < 2; i++) {
        for (int is_left = 0; is_left < 2; is_left++) {
            reset_one_side(kinds[i], is_left, false);
            reset_one_side(kinds[i], is_left, true);
        }
    }
}

// --- A stream whose next read fails as it is told.
// ------------------------------------------------

struct failing {
    struct stream head;     // first
    struct deferred event;  // tells of reading
    struct deferred closed; // calls on_closed
    enum rm_err read;       // of each read
    enum rm_err write;      // of each write; RM_OK: takes all
    enum rm_err finish;     // of finish
    size_t answer_bytes;    // of party_byte(): readable before `read`, once a write was tried
    bool was_written;       // one was
    bool was_aborted;       // closed as an abort
};

static struct failing *failing_of(struct stream *stream)
{
    return (struct failing *)(void *)stream;
}

static enum rm_err failing_read(struct stream *stream, uint8_t *bytes, size_t capacity,
                                size_t *length)
{
    struct failing *failing = failing_of(stream);
    if (failing->answer_bytes == 0) {
        return failing->read;
    }
    assert_true(capacity >= failing->answer_bytes);
    for (size_t i = 0; i < failing->answer_bytes; i++) {
        bytes[i] = party_byte(i);
    }
    *length = failing->answer_bytes;
    failing->answer_bytes = 0;
    return RM_OK;
}

static enum rm_err failing_write(struct stream *stream, const struct iovec *parts, int count,
                                 size_t *written)
{
    (void)count;
    *written = parts[0].iov_len;
    failing_of(stream)->was_written = true;
    return failing_of(stream)->write;
}

static enum rm_err failing_finish(struct stream *stream)
{
    return failing_of(stream)->finish;
}

static void failing_want(struct stream *stream, unsigned events)
{
    const struct failing *failing = failing_of(stream);
    bool is_readable =
        failing->read != RM_ERR_WOULD_BLOCK && (failing->answer_bytes == 0 || failing->was_written);
    if ((events & STREAM_READ) != 0 && is_readable) {
        deferred_schedule(stream->loop, &failing_of(stream)->event);
    }
}

static void failing_close(struct stream *stream, enum stream_close_mode mode)
{
    deferred_cancel(&failing_of(stream)->event);
    failing_of(stream)->was_aborted = mode == STREAM_CLOSE_ABORT;
    deferred_schedule(stream->loop, &failing_of(stream)->closed);
}

static void failing_on_event(void *context)
{
    struct failing *failing = context;
    failing->head.on_event(failing->head.context, STREAM_READ);
}

static void failing_on_closed(void *context)
{
    struct failing *failing = context;
    failing->head.on_closed(failing->head.closed_context);
    loop_close(failing->head.loop);
}

static const struct stream_ops failing_ops = {.read = failing_read,
                                              .write = failing_write,
                                              .finish = failing_finish,
                                              .want = failing_want,
                                              .close = failing_close};

static void failing_open(struct failing *failing, struct loop *loop)
{
    *failing =
        (struct failing){.head = {.ops = &failing_ops, .loop = loop}, .read = RM_ERR_WOULD_BLOCK};
    deferred_init(&failing->event, failing_on_event, failing);
    deferred_init(&failing->closed, failing_on_closed, failing);
    loop_open(loop);
}

struct failing_relay {
    struct relayed relayed; // its left side; b is `failing`
    struct failing failing; // the relay's b
};

static void failing_relay_make(struct failing_relay *scene)
{
    scene->relayed = (struct relayed){.loop = loop_new("relay")};
    streams_memory(scene->relayed.loop, &scene->relayed.left_stream, &scene->relayed.a);
    failing_open(&scene->failing, scene->relayed.loop);
    scene->relayed.b = &scene->failing.head;
}

static void failing_relay_run(struct failing_relay *scene)
{
    struct relayed *relayed = &scene->relayed;
    relayed_relay(relayed, &relayed_no_limits);
    party_start(&relayed->left, relayed->left_stream);
    loop_finish(relayed->loop);
    assert_int_equal(relayed->done, 1);
    assert_true(scene->failing.was_aborted);
    assert_int_equal(relayed->result.failed, RELAY_B);
}

// TLS cut off without close_notify is no end, and must not become one on the other side.
static void a_truncated_side_aborts_the_other(void **state)
{
    (void)state;
    static const enum rm_err errors[] = {RM_ERR_TRUNCATED, RM_ERR_TLS, RM_ERR_TIMEOUT,
                                         RM_ERR_INTERNAL};
    for (size_t i = 0; i < 4; i++) {
        struct failing_relay scene;
        failing_relay_make(&scene);
        scene.relayed.left.stays_open = true;
        scene.failing.read = errors[i];
        failing_relay_run(&scene);
        assert_int_equal(scene.relayed.result.error, errors[i]);
        assert_int_equal(scene.relayed.left.read_end, RM_ERR_RESET);
    }
}

static void an_end_that_cannot_be_said_is_a_failure(void **state)
{
    (void)state;
    struct failing_relay scene;
    failing_relay_make(&scene);
    scene.failing.finish = RM_ERR_RESET;
    scene.failing.read = RM_ERR_RESET;
    failing_relay_run(&scene);
    assert_int_equal(scene.relayed.result.error, RM_ERR_RESET);
    assert_int_equal(scene.relayed.left.read_end, RM_ERR_RESET);
}

// b takes no more, but its own end is orderly: still not an orderly relay.
static void a_failed_write_is_a_failure_after_an_orderly_end(void **state)
{
    (void)state;
    struct failing_relay scene;
    failing_relay_make(&scene);
    scene.relayed.left.send_bytes = 10;
    scene.relayed.left.stays_open = true;
    scene.failing.write = RM_ERR_RESET;
    scene.failing.read = RM_ERR_EOF;
    failing_relay_run(&scene);
    assert_int_equal(scene.relayed.result.error, RM_ERR_RESET);
    assert_int_equal(scene.relayed.left.read_end, RM_ERR_RESET);
}

// The write fails before anything was read: what b had sent is carried before a is reset.
static void an_answer_that_is_read_after_the_write_failed_arrives(void **state)
{
    (void)state;
    struct failing_relay scene;
    failing_relay_make(&scene);
    scene.relayed.left.send_bytes = 10;
    scene.relayed.left.stays_open = true;
    scene.failing.answer_bytes = 6;
    scene.failing.write = RM_ERR_RESET;
    scene.failing.read = RM_ERR_RESET;
    failing_relay_run(&scene);
    assert_int_equal(scene.relayed.result.error, RM_ERR_RESET);
    assert_int_equal(scene.relayed.result.b_to_a_bytes, 6);
}

// A server that answers early and resets the rest of the request: the answer arrives.
static void an_early_answer_arrives_before_the_reset(void **state)
{
    (void)state;
    struct relayed relayed;
    static const uint8_t request[CHUNK_BYTES];
    int descriptors[2];
    size_t written = 0;
    relayed = (struct relayed){.loop = loop_new("relay")};
    streams_memory(relayed.loop, &relayed.left_stream, &relayed.a);
    pair_tcp(descriptors);
    assert_int_equal(socket_stream_new(relayed.loop, descriptors[0], &relayed.b), RM_OK);
    uint8_t answer[6];
    for (size_t i = 0; i < sizeof(answer); i++) {
        answer[i] = party_byte(i);
    }
    // The server has sent its answer, and closes with the beginning of the request unread.
    assert_int_equal(stream_write_bytes(relayed.b, request, 1000, &written), RM_OK);
    assert_int_equal(send(descriptors[1], answer, sizeof(answer), 0), sizeof(answer));
    close(descriptors[1]);
    const struct relay_options options = {.from_a = {request, 1000}};
    relayed.left.stays_open = true;
    relayed_relay(&relayed, &options);
    party_start(&relayed.left, relayed.left_stream);
    loop_finish(relayed.loop);
    assert_int_equal(relayed.done, 1);
    assert_int_equal(relayed.result.b_to_a_bytes, sizeof(answer));
    assert_int_equal(relayed.result.error, RM_ERR_RESET);
    assert_int_equal(relayed.result.failed, RELAY_B);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reset_goes_through_both_ways),
        cmocka_unit_test(a_truncated_side_aborts_the_other),
        cmocka_unit_test(an_end_that_cannot_be_said_is_a_failure),
        cmocka_unit_test(a_failed_write_is_a_failure_after_an_orderly_end),
        cmocka_unit_test(an_answer_that_is_read_after_the_write_failed_arrives),
        cmocka_unit_test(an_early_answer_arrives_before_the_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
