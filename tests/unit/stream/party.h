// SPDX-License-Identifier: GPL-3.0-or-later
//
// A well-behaved user of a stream: sends a known pattern, finishes, checks the pattern it receives,
// and closes when both directions ended. Also ways to make connected streams.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop/loop.h"
#include "stream/memory.h"
#include "stream/socket.h"
#include "stream/stream.h"

struct party {
    struct stream *stream;   // owned until closed; NULL then
    uint64_t send_bytes;     // to send in all
    uint64_t sent_bytes;     // taken by the stream
    uint64_t received_bytes; // all of them checked
    size_t read_bytes;       // most per event; 0: until it would block
    bool stays_open;         // does not finish after sending
    bool is_deaf;            // does not read
    bool has_finished;       // said its end
    enum rm_err read_end;    // RM_OK while there may be more
    enum rm_err write_end;   // RM_OK while writing works
    unsigned events;         // calls
    unsigned closed;         // calls of on_closed
};

// The same pattern everywhere; 251 is prime, so that no block size hides a shift.
static inline uint8_t party_byte(uint64_t offset)
{
    return (uint8_t)((offset % 251) ^ (offset >> 16));
}

static inline void party_on_closed(void *context)
{
    ((struct party *)context)->closed++;
}

static inline void party_close(struct party *party, enum stream_close_mode mode)
{
    struct stream *stream = party->stream;
    party->stream = NULL;
    stream_close(stream, mode, party_on_closed, party);
}

static inline void party_receive(struct party *party)
{
    uint8_t bytes[16384];
    size_t budget = party->read_bytes > 0 ? party->read_bytes : SIZE_MAX;
    while (party->read_end == RM_OK && budget > 0) {
        size_t length = 0;
        size_t capacity = budget < sizeof(bytes) ? budget : sizeof(bytes);
        enum rm_err result = stream_read(party->stream, bytes, capacity, &length);
        if (result == RM_ERR_WOULD_BLOCK) {
            return;
        }
        if (result != RM_OK) {
            party->read_end = result;
            return;
        }
        assert_in_range(length, 1, capacity);
        size_t right = 0;
        while (right < length && bytes[right] == party_byte(party->received_bytes + right)) {
            right++;
        }
        assert_int_equal(right, length);
        party->received_bytes += length;
        budget -= budget == SIZE_MAX ? 0 : length;
    }
}

static inline void party_send(struct party *party)
{
    uint8_t bytes[10007];
    while (party->write_end == RM_OK && party->sent_bytes < party->send_bytes) {
        uint64_t left = party->send_bytes - party->sent_bytes;
        size_t length = left < sizeof(bytes) ? (size_t)left : sizeof(bytes);
        for (size_t i = 0; i < length; i++) {
            bytes[i] = party_byte(party->sent_bytes + i);
        }
        // In two parts, the second of which may be empty.
        struct iovec parts[2] = {{bytes, length < 100 ? length : 100},
                                 {bytes + 100, length < 100 ? 0 : length - 100}};
        size_t written = 0;
        enum rm_err result = stream_write(party->stream, parts, 2, &written);
        if (result == RM_ERR_WOULD_BLOCK) {
            return;
        }
        party->write_end = result;
        party->sent_bytes += result == RM_OK ? written : 0;
    }
    if (party->write_end == RM_OK && !party->stays_open && !party->has_finished) {
        party->write_end = stream_finish(party->stream);
        party->has_finished = true;
    }
}

static inline void party_want(struct party *party)
{
    bool wants_write = party->write_end == RM_OK && party->sent_bytes < party->send_bytes;
    bool wants_read = party->read_end == RM_OK && !party->is_deaf;
    stream_want(party->stream, (wants_read ? (unsigned)STREAM_READ : 0U) |
                                   (wants_write ? (unsigned)STREAM_WRITE : 0U));
}

static inline void party_go_on(struct party *party)
{
    party_send(party);
    bool has_failed =
        party->write_end != RM_OK || (party->read_end != RM_OK && party->read_end != RM_ERR_EOF);
    if (has_failed) {
        party_close(party, STREAM_CLOSE_ABORT);
    } else if (party->read_end == RM_ERR_EOF && party->has_finished) {
        party_close(party, STREAM_CLOSE_ORDERLY);
    } else {
        party_want(party);
    }
}

static inline void party_on_event(void *context, unsigned events)
{
    struct party *party = context;
    assert_non_null(party->stream);
    assert_int_not_equal(events, 0);
    party->events++;
    if ((events & STREAM_READ) != 0) {
        assert_false(party->is_deaf);
        party_receive(party);
    }
    party_go_on(party);
}

// Lets the party drive the stream from now on.
static inline void party_start(struct party *party, struct stream *stream)
{
    party->stream = stream;
    stream_own(stream, party_on_event, party);
    party_go_on(party);
}

// --- Connected descriptors and streams.
// -----------------------------------------------------------

static inline void pair_tcp(int out[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listening, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&address, &length), 0);
    out[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(out[0], (struct sockaddr *)&address, length), 0);
    out[1] = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    assert_true(out[1] >= 0);
    close(listening);
}

static inline void pair_unix(int out[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, out), 0);
}

typedef void (*pair_fn)(struct loop *loop, struct stream **a, struct stream **b);

static inline void pair_wrap(struct loop *loop, const int descriptors[2], struct stream **a,
                             struct stream **b)
{
    assert_int_equal(socket_stream_new(loop, descriptors[0], a), RM_OK);
    assert_int_equal(socket_stream_new(loop, descriptors[1], b), RM_OK);
}

static inline void streams_tcp(struct loop *loop, struct stream **a, struct stream **b)
{
    int descriptors[2];
    pair_tcp(descriptors);
    pair_wrap(loop, descriptors, a, b);
}

static inline void streams_unix(struct loop *loop, struct stream **a, struct stream **b)
{
    int descriptors[2];
    pair_unix(descriptors);
    pair_wrap(loop, descriptors, a, b);
}

static inline void streams_memory(struct loop *loop, struct stream **a, struct stream **b)
{
    assert_int_equal(memory_stream_pair(loop, 3000, a, b), RM_OK);
}

// Runs until nothing is open, and frees the loop.
static inline void loop_finish(struct loop *loop)
{
    // A test that waits for what never comes shall say where.
    alarm(90);
    loop_stop(loop);
    loop_run(loop);
    alarm(0);
    assert_int_equal(chunk_lent_count(loop), 0);
    assert_int_equal(pipe_lent_count(loop), 0);
    loop_free(loop);
}
