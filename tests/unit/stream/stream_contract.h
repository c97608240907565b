// SPDX-License-Identifier: GPL-3.0-or-later
//
// What stream.h promises, checked on any pair of connected streams. Each check makes its own pair.
#pragma once

#include "party.h"

// --- Bytes and ends.
// ---------------------------------------------------------------------------------

static inline void contract_exchange(pair_fn make, uint64_t a_bytes, uint64_t b_bytes,
                                     size_t b_read_bytes)
{
    struct loop *loop = loop_new("contract");
    struct party a = {.send_bytes = a_bytes};
    struct party b = {.send_bytes = b_bytes, .read_bytes = b_read_bytes};
    struct stream *streams[2];
    make(loop, &streams[0], &streams[1]);
    party_start(&a, streams[0]);
    // Events come from the loop only.
    assert_int_equal(a.events, 0);
    party_start(&b, streams[1]);
    loop_finish(loop);
    assert_int_equal(a.received_bytes, b_bytes);
    assert_int_equal(b.received_bytes, a_bytes);
    assert_int_equal(a.read_end, RM_ERR_EOF);
    assert_int_equal(b.read_end, RM_ERR_EOF);
    assert_int_equal(a.closed, 1);
    assert_int_equal(b.closed, 1);
}

static inline void contract_bytes_pass_both_ways(pair_fn make)
{
    contract_exchange(make, 0, 0, 0);
    contract_exchange(make, 1, 0, 0);
    contract_exchange(make, 0, 70001, 0);
    // More than sockets buffer.
    contract_exchange(make, 3000000, 3000000, 0);
}

// Level-triggered: who reads a little per event is called again for the rest.
static inline void contract_small_bites_get_everything(pair_fn make)
{
    contract_exchange(make, 5000, 0, 1);
    contract_exchange(make, 300000, 300000, 777);
}

struct contract_pair {
    struct loop *loop;    // both's
    struct stream *a;     // acts
    struct stream *b;     // reacts
    unsigned a_events;    // calls
    unsigned b_events;    // calls
    unsigned closed;      // both's
    enum rm_err expected; // what b's read must come to
    uint64_t b_bytes;     // read by b
};

static inline void contract_on_closed(void *context)
{
    ((struct contract_pair *)context)->closed++;
}

static inline void contract_never(void *context, unsigned events)
{
    (void)context;
    (void)events;
    fail_msg("called without being wanted, or after close");
}

static inline void contract_on_b_reads(void *context, unsigned events)
{
    struct contract_pair *pair = context;
    uint8_t bytes[4096];
    size_t length = 0;
    (void)events;
    pair->b_events++;
    enum rm_err result;
    while ((result = stream_read(pair->b, bytes, sizeof(bytes), &length)) == RM_OK) {
        pair->b_bytes += length;
    }
    if (result == RM_ERR_WOULD_BLOCK) {
        return;
    }
    assert_int_equal(result, pair->expected);
    // What it came to, it stays.
    assert_int_equal(stream_read(pair->b, bytes, sizeof(bytes), &length), pair->expected);
    stream_close(pair->b, STREAM_CLOSE_ORDERLY, contract_on_closed, pair);
}

static inline void contract_open(struct contract_pair *pair, pair_fn make, enum rm_err expected)
{
    *pair = (struct contract_pair){.loop = loop_new("contract"), .expected = expected};
    make(pair->loop, &pair->a, &pair->b);
    stream_own(pair->a, contract_never, pair);
    stream_own(pair->b, contract_on_b_reads, pair);
    stream_want(pair->b, STREAM_READ);
}

static inline void contract_finish(struct contract_pair *pair)
{
    // on_closed comes later, from the loop.
    assert_int_equal(pair->closed, 0);
    loop_finish(pair->loop);
    assert_int_equal(pair->closed, 2);
}

static inline void contract_finish_ends_writing_only(pair_fn make)
{
    struct contract_pair pair;
    size_t written = 0;
    contract_open(&pair, make, RM_ERR_EOF);
    assert_int_equal(stream_write_bytes(pair.a, "abc", 3, &written), RM_OK);
    assert_int_equal(written, 3);
    assert_int_equal(stream_finish(pair.a), RM_OK);
    assert_int_equal(stream_finish(pair.a), RM_OK);
    assert_int_equal(stream_write_bytes(pair.a, "d", 1, &written), RM_ERR_CLOSED);
    assert_int_equal(stream_write_bytes(pair.b, "e", 1, &written), RM_OK);
    stream_close(pair.a, STREAM_CLOSE_ORDERLY, contract_on_closed, &pair);
    contract_finish(&pair);
    assert_int_equal(pair.b_bytes, 3);
}

// --- Closing.
// ------------------------------------------------------------------------------------------

// As much as fits is on its way, and nobody has read yet.
static inline uint64_t contract_fill(struct stream *stream)
{
    static const uint8_t zeros[65536];
    uint64_t filled = 0;
    size_t written = 0;
    while (stream_write_bytes(stream, zeros, sizeof(zeros), &written) == RM_OK) {
        filled += written;
    }
    assert_int_equal(stream_write_bytes(stream, zeros, 1, &written), RM_ERR_WOULD_BLOCK);
    return filled;
}

static inline void contract_orderly_close_loses_nothing(pair_fn make)
{
    struct contract_pair pair;
    contract_open(&pair, make, RM_ERR_EOF);
    uint64_t filled = contract_fill(pair.a);
    stream_close(pair.a, STREAM_CLOSE_ORDERLY, contract_on_closed, &pair);
    contract_finish(&pair);
    assert_int_equal(pair.b_bytes, filled);
}

// The other end sent what the closing one never read: that must not turn into a reset.
static inline void contract_orderly_close_with_unread_bytes_is_no_reset(pair_fn make)
{
    struct contract_pair pair;
    contract_open(&pair, make, RM_ERR_EOF);
    (void)contract_fill(pair.b);
    uint64_t filled = contract_fill(pair.a);
    stream_close(pair.a, STREAM_CLOSE_ORDERLY, contract_on_closed, &pair);
    contract_finish(&pair);
    assert_int_equal(pair.b_bytes, filled);
}

static inline void contract_abort_is_a_reset(pair_fn make)
{
    struct contract_pair pair;
    contract_open(&pair, make, RM_ERR_RESET);
    stream_close(pair.a, STREAM_CLOSE_ABORT, contract_on_closed, &pair);
    contract_finish(&pair);
}

static inline void contract_on_close_self(void *context, unsigned events)
{
    struct contract_pair *pair = context;
    (void)events;
    stream_close(pair->b, pair->b_bytes == 0 ? STREAM_CLOSE_ORDERLY : STREAM_CLOSE_ABORT,
                 contract_on_closed, pair);
    stream_close(pair->a, STREAM_CLOSE_ABORT, contract_on_closed, pair);
}

static inline void contract_on_event_may_close_both(pair_fn make)
{
    for (uint64_t mode = 0; mode < 2; mode++) {
        struct contract_pair pair;
        size_t written = 0;
        contract_open(&pair, make, RM_OK);
        pair.b_bytes = mode;
        stream_own(pair.b, contract_on_close_self, &pair);
        // Both would have something to be told of in this very turn.
        stream_want(pair.a, STREAM_READ);
        stream_want(pair.b, STREAM_READ | STREAM_WRITE);
        assert_int_equal(stream_write_bytes(pair.a, "x", 1, &written), RM_OK);
        contract_finish(&pair);
    }
}

static inline void contract_closing_at_once_is_fine(pair_fn make)
{
    for (int modes = 0; modes < 4; modes++) {
        struct loop *loop = loop_new("contract");
        struct stream *a;
        struct stream *b;
        make(loop, &a, &b);
        stream_close(a, (modes & 1) != 0 ? STREAM_CLOSE_ORDERLY : STREAM_CLOSE_ABORT, NULL, NULL);
        stream_close(b, (modes & 2) != 0 ? STREAM_CLOSE_ORDERLY : STREAM_CLOSE_ABORT, NULL, NULL);
        loop_finish(loop);
    }
}

// --- Events.
// -------------------------------------------------------------------------------------------

static inline void contract_on_a_writes(void *context, unsigned events)
{
    struct contract_pair *pair = context;
    size_t written = 0;
    assert_int_equal(events, STREAM_WRITE);
    pair->a_events++;
    assert_int_equal(stream_write_bytes(pair->a, "x", 1, &written), RM_OK);
    stream_close(pair->a, STREAM_CLOSE_ORDERLY, contract_on_closed, pair);
}

// Full, so that no event comes; then the other end reads, and it does.
static inline void contract_write_event_comes_with_room(pair_fn make)
{
    struct contract_pair pair;
    contract_open(&pair, make, RM_ERR_EOF);
    uint64_t filled = contract_fill(pair.a);
    stream_own(pair.a, contract_on_a_writes, &pair);
    stream_want(pair.a, STREAM_WRITE);
    contract_finish(&pair);
    assert_int_equal(pair.a_events, 1);
    assert_int_equal(pair.b_bytes, filled + 1);
}

static inline void contract_on_five_calls(void *context, unsigned events)
{
    struct contract_pair *pair = context;
    assert_int_equal(events, STREAM_READ);
    // Reads nothing: what holds is told again.
    if (++pair->b_events == 5) {
        stream_close(pair->b, STREAM_CLOSE_ABORT, contract_on_closed, pair);
        stream_close(pair->a, STREAM_CLOSE_ABORT, contract_on_closed, pair);
    }
}

static inline void contract_events_repeat_while_they_hold(pair_fn make)
{
    struct contract_pair pair;
    size_t written = 0;
    contract_open(&pair, make, RM_OK);
    stream_own(pair.b, contract_on_five_calls, &pair);
    assert_int_equal(stream_write_bytes(pair.a, "x", 1, &written), RM_OK);
    contract_finish(&pair);
    assert_int_equal(pair.b_events, 5);
}

static inline void contract_on_two_calls(void *context, unsigned events)
{
    struct contract_pair *pair = context;
    (void)events;
    // The other end, readable and writable all the while, was not called in a whole turn.
    if (++pair->b_events == 2) {
        stream_close(pair->a, STREAM_CLOSE_ABORT, contract_on_closed, pair);
        stream_close(pair->b, STREAM_CLOSE_ABORT, contract_on_closed, pair);
    }
}

static inline void contract_nothing_unwanted_is_told(pair_fn make)
{
    struct contract_pair pair;
    size_t written = 0;
    contract_open(&pair, make, RM_OK);
    assert_int_equal(stream_write_bytes(pair.b, "x", 1, &written), RM_OK);
    stream_want(pair.a, STREAM_READ | STREAM_WRITE);
    stream_want(pair.a, 0);
    stream_own(pair.b, contract_on_two_calls, &pair);
    stream_want(pair.b, STREAM_WRITE);
    contract_finish(&pair);
}

static inline void contract_holds(pair_fn make)
{
    contract_bytes_pass_both_ways(make);
    contract_small_bites_get_everything(make);
    contract_finish_ends_writing_only(make);
    contract_orderly_close_loses_nothing(make);
    contract_orderly_close_with_unread_bytes_is_no_reset(make);
    contract_on_event_may_close_both(make);
    contract_closing_at_once_is_fine(make);
    contract_write_event_comes_with_room(make);
    contract_events_repeat_while_they_hold(make);
    contract_nothing_unwanted_is_told(make);
}
