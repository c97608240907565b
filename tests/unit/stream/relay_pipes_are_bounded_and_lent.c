// SPDX-License-Identifier: GPL-3.0-or-later
//
// A relay holds a pipe only while bytes are in it, and whatever ends the relay meanwhile: the pipe
// goes back, what was in it reaches nobody, and a reset stays a reset.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../loop/clock_ahead.h"
#include "relayed.h"

#define WELL_UNDER_WAY_BYTES 1000000

struct scene {
    struct relayed relayed;        // under test
    struct timer look;             // once a millisecond
    bool (*holds)(struct scene *); // what is waited for
    void (*then)(struct scene *);  // called once it holds
    unsigned acted;                // calls of `then`
};

static void scene_on_look(void *context)
{
    struct scene *scene = context;
    if (scene->holds(scene)) {
        scene->acted++;
        scene->then(scene);
    } else {
        assert_int_equal(timer_start(&scene->look, 1), RM_OK);
    }
}

static void scene_look(struct scene *scene, bool (*holds)(struct scene *),
                       void (*then)(struct scene *))
{
    scene->holds = holds;
    scene->then = then;
    timer_init(&scene->look, scene->relayed.loop, scene_on_look, scene);
    assert_int_equal(timer_start(&scene->look, 1), RM_OK);
}

// The left sends without end; the right does not even look.
static void scene_stall(struct scene *scene, const struct relay_options *options)
{
    struct relayed *relayed = &scene->relayed;
    relayed_make(relayed, streams_tcp, streams_tcp);
    relayed->left.send_bytes = UINT64_MAX;
    relayed_relay(relayed, options);
    party_start(&relayed->left, relayed->left_stream);
}

// Between two events a pipe is lent only to a relay that is stalled.
static bool is_stalled(struct scene *scene)
{
    return pipe_lent_count(scene->relayed.loop) > 0;
}

static void then_close_right(struct scene *scene)
{
    uint64_t a_to_b = 0;
    uint64_t b_to_a = 0;
    relay_progress(scene->relayed.relay, &a_to_b, &b_to_a);
    assert_true(a_to_b > 0);
    assert_int_equal(pipe_lent_count(scene->relayed.loop), 1);
    assert_int_equal(chunk_lent_count(scene->relayed.loop), 0);
    stream_close(scene->relayed.right_stream, STREAM_CLOSE_ABORT, NULL, NULL);
}

static void a_stalled_relay_holds_one_pipe_and_no_chunk(void **state)
{
    (void)state;
    struct scene scene = {0};
    scene_stall(&scene, &relayed_no_limits);
    scene_look(&scene, is_stalled, then_close_right);
    loop_finish(scene.relayed.loop);
    assert_int_equal(scene.acted, 1);
    assert_int_equal(scene.relayed.done, 1);
    assert_int_equal(scene.relayed.result.error, RM_ERR_RESET);
    assert_int_equal(scene.relayed.result.failed, RELAY_B);
    assert_int_equal(scene.relayed.left.write_end, RM_ERR_RESET);
}

static void close_right(struct scene *scene)
{
    stream_close(scene->relayed.right_stream, STREAM_CLOSE_ABORT, NULL, NULL);
}

static bool is_done(struct scene *scene)
{
    return scene->relayed.done > 0;
}

static void then_time_out(struct scene *scene)
{
    clock_ahead_ms += 60000;
    scene_look(scene, is_done, close_right);
}

static void a_stalled_relay_times_out(void **state)
{
    (void)state;
    const struct relay_options options = {.idle_timeout_ms = 60000};
    struct scene scene = {0};
    scene_stall(&scene, &options);
    scene_look(&scene, is_stalled, then_time_out);
    loop_finish(scene.relayed.loop);
    assert_int_equal(scene.acted, 2);
    assert_int_equal(scene.relayed.result.error, RM_ERR_TIMEOUT);
    clock_ahead_ms = 0;
}

// --- What was left in a pipe ---------------------------------------------------------------------

static struct relayed following; // in the same loop, after a relay with bytes in a pipe

static void then_abort_and_go_on(struct scene *scene)
{
    struct loop *loop = scene->relayed.loop;
    relay_abort(scene->relayed.relay, RM_ERR_REVOKED);
    assert_int_equal(pipe_lent_count(loop), 0);
    close_right(scene);
    following = (struct relayed){.loop = loop};
    streams_tcp(loop, &following.left_stream, &following.a);
    streams_tcp(loop, &following.b, &following.right_stream);
    following.left.send_bytes = 3000000;
    following.right.send_bytes = 3000000;
    relayed_relay(&following, &relayed_no_limits);
    party_start(&following.left, following.left_stream);
    party_start(&following.right, following.right_stream);
}

static void what_an_aborted_relay_left_reaches_nobody(void **state)
{
    (void)state;
    struct scene scene = {0};
    scene_stall(&scene, &relayed_no_limits);
    scene_look(&scene, is_stalled, then_abort_and_go_on);
    loop_finish(scene.relayed.loop);
    assert_int_equal(scene.relayed.result.error, RM_ERR_REVOKED);
    assert_int_equal(scene.relayed.left.write_end, RM_ERR_RESET);
    assert_int_equal(following.result.error, RM_OK);
    assert_int_equal(following.left.received_bytes, 3000000);
    assert_int_equal(following.right.received_bytes, 3000000);
}

// --- Resets under way ----------------------------------------------------------------------------

static bool is_well_under_way(struct scene *scene)
{
    uint64_t a_to_b = 0;
    uint64_t b_to_a = 0;
    relay_progress(scene->relayed.relay, &a_to_b, &b_to_a);
    return a_to_b > WELL_UNDER_WAY_BYTES && b_to_a > WELL_UNDER_WAY_BYTES;
}

static void then_reset_left(struct scene *scene)
{
    party_close(&scene->relayed.left, STREAM_CLOSE_ABORT);
}

static void then_reset_right(struct scene *scene)
{
    party_close(&scene->relayed.right, STREAM_CLOSE_ABORT);
}

static bool saw_reset(const struct party *party)
{
    return party->read_end == RM_ERR_RESET || party->write_end == RM_ERR_RESET;
}

static void a_reset_in_the_middle_goes_through_both_ways(void **state)
{
    (void)state;
    for (int is_left = 0; is_left < 2; is_left++) {
        struct scene scene = {0};
        struct relayed *relayed = &scene.relayed;
        relayed_make(relayed, streams_tcp, streams_tcp);
        relayed->left.send_bytes = relayed->right.send_bytes = UINT64_MAX;
        scene_look(&scene, is_well_under_way, is_left ? then_reset_left : then_reset_right);
        relayed_run(relayed, &relayed_no_limits);
        const struct party *other = is_left ? &relayed->right : &relayed->left;
        assert_true(saw_reset(other));
        assert_int_not_equal(other->read_end, RM_ERR_EOF);
        assert_int_equal(relayed->result.error, RM_ERR_RESET);
        assert_int_equal(relayed->result.failed, is_left ? RELAY_A : RELAY_B);
    }
}

// --- None while nothing is in flight, none at all ------------------------------------------------

static bool is_received(struct scene *scene)
{
    return scene->relayed.right.received_bytes == WELL_UNDER_WAY_BYTES;
}

static void then_look_and_abort(struct scene *scene)
{
    assert_int_equal(pipe_lent_count(scene->relayed.loop), 0);
    assert_int_equal(chunk_lent_count(scene->relayed.loop), 0);
    relay_abort(scene->relayed.relay, RM_ERR_CANCELLED);
}

static void an_idle_relay_holds_none(void **state)
{
    (void)state;
    struct scene scene = {0};
    relayed_make(&scene.relayed, streams_tcp, streams_unix);
    scene.relayed.left.send_bytes = WELL_UNDER_WAY_BYTES;
    scene.relayed.left.stays_open = true;
    scene.relayed.right.stays_open = true;
    scene_look(&scene, is_received, then_look_and_abort);
    relayed_run(&scene.relayed, &relayed_no_limits);
    assert_int_equal(scene.acted, 1);
}

static void without_a_pipe_left_it_copies(void **state)
{
    (void)state;
    struct pipe *pipes[PIPE_MAX_PER_LOOP];
    struct relayed relayed;
    relayed_make(&relayed, streams_tcp, streams_tcp);
    struct loop *loop = relayed.loop;
    for (size_t i = 0; i < PIPE_MAX_PER_LOOP; i++) {
        pipes[i] = pipe_get(loop);
        assert_non_null(pipes[i]);
    }
    relayed.left.send_bytes = relayed.right.send_bytes = 2000000;
    relayed_relay(&relayed, &relayed_no_limits);
    party_start(&relayed.left, relayed.left_stream);
    party_start(&relayed.right, relayed.right_stream);
    loop_stop(loop);
    loop_run(loop);
    for (size_t i = 0; i < PIPE_MAX_PER_LOOP; i++) {
        pipe_put(loop, pipes[i], true);
    }
    loop_finish(loop);
    assert_int_equal(relayed.result.error, RM_OK);
    assert_int_equal(relayed.left.received_bytes, 2000000);
    assert_int_equal(relayed.right.received_bytes, 2000000);
}

// --- A small rest --------------------------------------------------------------------------------

#define SOURCE_BYTES 90000 // of party_byte(): one chunk by copy, the rest by pipe

// Either end of the relay: gives SOURCE_BYTES and ends; takes all of them but a rest, for which it
// makes the relay wait.
struct fake {
    struct stream head;     // first
    struct deferred event;  // tells of what is wanted
    struct deferred closed; // calls on_closed
    unsigned wanted;        // by the relay
    size_t given;           // read from it
    size_t taken;           // written to it, compared
    size_t rest;            // the sink: bytes it leaves in the pipe
    size_t pipes;           // that the relay may hold for these
    bool is_source;         // and so never written to
    bool is_blocked;        // the sink: takes nothing now
    bool was_blocked;       // and looked at what the relay holds meanwhile
};

static struct fake *fake_of(struct stream *stream)
{
    return (struct fake *)(void *)stream;
}

static enum rm_err fake_read(struct stream *stream, uint8_t *bytes, size_t capacity, size_t *length)
{
    struct fake *fake = fake_of(stream);
    if (!fake->is_source) {
        return fake->was_blocked ? RM_ERR_EOF : RM_ERR_WOULD_BLOCK;
    }
    size_t count = 0;
    while (count < capacity && fake->given < SOURCE_BYTES) {
        bytes[count++] = party_byte(fake->given++);
    }
    *length = count;
    return count > 0 ? RM_OK : RM_ERR_EOF;
}

static void fake_take(struct fake *fake, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        assert_int_equal(bytes[i], party_byte(fake->taken++));
    }
}

static enum rm_err fake_write(struct stream *stream, const struct iovec *parts, int count,
                              size_t *written)
{
    struct fake *fake = fake_of(stream);
    assert_int_equal(count, 1);
    if (fake->is_blocked) {
        return RM_ERR_WOULD_BLOCK;
    }
    fake_take(fake, parts[0].iov_base, parts[0].iov_len);
    *written = parts[0].iov_len;
    return RM_OK;
}

static enum rm_err fake_splice_in(struct stream *stream, struct pipe *pipe, size_t capacity,
                                  size_t *length)
{
    uint8_t bytes[SOURCE_BYTES];
    enum rm_err result =
        fake_read(stream, bytes, capacity < sizeof(bytes) ? capacity : sizeof(bytes), length);
    if (result == RM_OK) {
        assert_int_equal(write(pipe->inlet, bytes, *length), *length);
    }
    return result;
}

static enum rm_err fake_splice_out(struct stream *stream, struct pipe *pipe, size_t length,
                                   size_t *written)
{
    struct fake *fake = fake_of(stream);
    uint8_t bytes[SOURCE_BYTES];
    if (fake->is_blocked) {
        return RM_ERR_WOULD_BLOCK;
    }
    *written = fake->was_blocked ? length : length - fake->rest;
    assert_int_equal(read(pipe->outlet, bytes, *written), *written);
    fake_take(fake, bytes, *written);
    fake->is_blocked = !fake->was_blocked;
    return RM_OK;
}

static enum rm_err fake_finish(struct stream *stream)
{
    (void)stream;
    return RM_OK;
}

static void fake_want(struct stream *stream, unsigned events)
{
    fake_of(stream)->wanted = events;
    if (events != 0) {
        deferred_schedule(stream->loop, &fake_of(stream)->event);
    }
}

static void fake_on_event(void *context)
{
    struct fake *fake = context;
    if (fake->is_blocked) {
        // A turn later, nothing but the rest is held.
        assert_int_equal(pipe_lent_count(fake->head.loop), fake->pipes);
        assert_int_equal(chunk_lent_count(fake->head.loop), 0);
        fake->is_blocked = false;
        fake->was_blocked = true;
    }
    if (fake->wanted != 0) {
        fake->head.on_event(fake->head.context, fake->wanted);
    }
}

static void fake_close(struct stream *stream, enum stream_close_mode mode)
{
    assert_int_equal(mode, STREAM_CLOSE_ORDERLY);
    deferred_cancel(&fake_of(stream)->event);
    deferred_schedule(stream->loop, &fake_of(stream)->closed);
}

static void fake_on_closed(void *context)
{
    struct fake *fake = context;
    fake->head.on_closed(fake->head.closed_context);
    loop_close(fake->head.loop);
}

static const struct stream_ops fake_ops = {.read = fake_read,
                                           .write = fake_write,
                                           .splice_in = fake_splice_in,
                                           .splice_out = fake_splice_out,
                                           .finish = fake_finish,
                                           .want = fake_want,
                                           .close = fake_close};

static void fake_open(struct fake *fake, struct loop *loop, bool is_source)
{
    *fake = (struct fake){.head = {.ops = &fake_ops, .loop = loop}, .is_source = is_source};
    deferred_init(&fake->event, fake_on_event, fake);
    deferred_init(&fake->closed, fake_on_closed, fake);
    loop_open(loop);
}

static void relay_with_rest(size_t rest, size_t pipes)
{
    struct relayed relayed = {.loop = loop_new("relay")};
    struct fake source;
    struct fake sink;
    fake_open(&source, relayed.loop, true);
    fake_open(&sink, relayed.loop, false);
    sink.rest = rest;
    sink.pipes = pipes;
    relayed.a = &source.head;
    relayed.b = &sink.head;
    relayed_relay(&relayed, &relayed_no_limits);
    loop_finish(relayed.loop);
    assert_true(sink.was_blocked);
    assert_int_equal(sink.taken, SOURCE_BYTES);
    assert_int_equal(relayed.result.error, RM_OK);
    assert_int_equal(relayed.result.a_to_b_bytes, SOURCE_BYTES);
}

// It lies in a small block.
static void a_small_rest_gives_the_pipe_back(void **state)
{
    (void)state;
    relay_with_rest(1, 0);
    relay_with_rest(RELAY_LEAN_BYTES, 0);
}

// The chunk of the read that told that a pipe is worth it is not kept beside the pipe.
static void a_large_rest_stays_in_the_pipe(void **state)
{
    (void)state;
    relay_with_rest(RELAY_LEAN_BYTES + 1, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stalled_relay_holds_one_pipe_and_no_chunk),
        cmocka_unit_test(a_stalled_relay_times_out),
        cmocka_unit_test(what_an_aborted_relay_left_reaches_nobody),
        cmocka_unit_test(a_reset_in_the_middle_goes_through_both_ways),
        cmocka_unit_test(an_idle_relay_holds_none),
        cmocka_unit_test(without_a_pipe_left_it_copies),
        cmocka_unit_test(a_small_rest_gives_the_pipe_back),
        cmocka_unit_test(a_large_rest_stays_in_the_pipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
