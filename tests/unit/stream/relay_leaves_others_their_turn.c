// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "loop/loop.h"
#include "stream/relay.h"

#define EVENT_COUNT 20

// A stream that always has more to read and takes whatever it is given.
struct endless {
    struct stream head;      // first
    struct deferred event;   // once per turn while reading is wanted
    struct deferred closed;  // calls on_closed
    struct relay **relay;    // aborted after EVENT_COUNT events
    size_t event_bytes;      // read in this event
    size_t most_event_bytes; // in any event
    size_t spliced_bytes;    // of all, through a pipe
    unsigned events;         // so far
    bool is_readable;        // the source; the sink never is
    bool is_wanted;          // for reading
};

static enum rm_err endless_read(struct stream *stream, uint8_t *bytes, size_t capacity,
                                size_t *length)
{
    struct endless *endless = (struct endless *)(void *)stream;
    if (!endless->is_readable) {
        return RM_ERR_WOULD_BLOCK;
    }
    memset(bytes, 0, capacity);
    endless->event_bytes += capacity;
    *length = capacity;
    return RM_OK;
}

static enum rm_err endless_write(struct stream *stream, const struct iovec *parts, int count,
                                 size_t *written)
{
    (void)stream;
    assert_int_equal(count, 1);
    *written = parts[0].iov_len;
    return RM_OK;
}

static enum rm_err endless_splice_in(struct stream *stream, struct pipe *pipe, size_t capacity,
                                     size_t *length)
{
    static const uint8_t zeros[PIPE_BYTES];
    struct endless *endless = (struct endless *)(void *)stream;
    if (!endless->is_readable) {
        return RM_ERR_WOULD_BLOCK;
    }
    ssize_t result = write(pipe->inlet, zeros, capacity);
    assert_true(result > 0);
    *length = (size_t)result;
    endless->event_bytes += *length;
    endless->spliced_bytes += *length;
    return RM_OK;
}

static enum rm_err endless_splice_out(struct stream *stream, struct pipe *pipe, size_t length,
                                      size_t *written)
{
    static uint8_t bytes[PIPE_BYTES];
    (void)stream;
    ssize_t result = read(pipe->outlet, bytes, length);
    assert_int_equal(result, length);
    *written = (size_t)result;
    return RM_OK;
}

static void endless_want(struct stream *stream, unsigned events)
{
    struct endless *endless = (struct endless *)(void *)stream;
    endless->is_wanted = (events & STREAM_READ) != 0;
    if (endless->is_wanted && endless->is_readable) {
        deferred_schedule(stream->loop, &endless->event);
    }
}

static void endless_close(struct stream *stream, enum stream_close_mode mode)
{
    struct endless *endless = (struct endless *)(void *)stream;
    (void)mode;
    deferred_cancel(&endless->event);
    deferred_schedule(stream->loop, &endless->closed);
}

static const struct stream_ops endless_ops = {
    .read = endless_read, .write = endless_write, .want = endless_want, .close = endless_close};

static const struct stream_ops endless_spliced_ops = {.read = endless_read,
                                                      .write = endless_write,
                                                      .splice_in = endless_splice_in,
                                                      .splice_out = endless_splice_out,
                                                      .want = endless_want,
                                                      .close = endless_close};

static void endless_on_event(void *context)
{
    struct endless *endless = context;
    endless->event_bytes = 0;
    endless->head.on_event(endless->head.context, STREAM_READ);
    if (endless->event_bytes > endless->most_event_bytes) {
        endless->most_event_bytes = endless->event_bytes;
    }
    if (++endless->events == EVENT_COUNT) {
        relay_abort(*endless->relay, RM_ERR_CANCELLED);
    }
}

static void endless_on_closed(void *context)
{
    struct endless *endless = context;
    endless->head.on_closed(endless->head.closed_context);
    loop_close(endless->head.loop);
}

static void endless_open(struct endless *endless, const struct stream_ops *ops, struct loop *loop,
                         bool is_readable)
{
    *endless = (struct endless){.head = {.ops = ops, .loop = loop}, .is_readable = is_readable};
    deferred_init(&endless->event, endless_on_event, endless);
    deferred_init(&endless->closed, endless_on_closed, endless);
    loop_open(loop);
}

static void on_done(void *context, const struct relay_result *result)
{
    *(uint64_t *)context = result->a_to_b_bytes;
}

// Returns how many bytes went through a pipe.
static size_t relay_endlessly(const struct stream_ops *ops)
{
    struct loop *loop = loop_new("burst");
    struct endless source;
    struct endless sink;
    struct relay *relay = NULL;
    static const struct relay_options options;
    uint64_t moved_bytes = 0;
    endless_open(&source, ops, loop, true);
    endless_open(&sink, ops, loop, false);
    source.relay = &relay;
    assert_int_equal(relay_start(&source.head, &sink.head, &options, on_done, &moved_bytes, &relay),
                     RM_OK);
    loop_stop(loop);
    loop_run(loop);
    assert_int_equal(source.events, EVENT_COUNT);
    assert_int_equal(source.most_event_bytes, RELAY_BURST_BYTES);
    assert_int_equal(moved_bytes, (uint64_t)EVENT_COUNT * RELAY_BURST_BYTES);
    loop_free(loop);
    return source.spliced_bytes;
}

static void an_endless_source_is_read_in_bursts(void **state)
{
    (void)state;
    assert_int_equal(relay_endlessly(&endless_ops), 0);
}

static void an_endless_source_is_spliced_in_bursts(void **state)
{
    (void)state;
    // All but the first read, which told that it is worth a pipe.
    assert_int_equal(relay_endlessly(&endless_spliced_ops),
                     EVENT_COUNT * RELAY_BURST_BYTES - CHUNK_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_endless_source_is_read_in_bursts),
        cmocka_unit_test(an_endless_source_is_spliced_in_bursts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
