// SPDX-License-Identifier: GPL-3.0-or-later
//
// Ten megabytes each way at once, in odd sizes and many parts, arrive unchanged, over memory and
// over real sockets; a reader that stops bounds what is taken from the writer.
#include "tls_fixture.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "crypto/crypto.h"
#include "stream/socket.h"

#define FLOW_BYTES (10U * 1024U * 1024U)
#define SLOW_MAX_BYTES (512U * 1024U) // chunks, memory pair, sessions: far below what is offered

// One direction: a pseudo-random sequence of bytes, written and checked in pieces of changing size.
struct flow {
    struct stream *from; // writes
    struct stream *to;   // reads
    uint32_t write_seed; // of the next byte written
    uint32_t read_seed;  // of the next byte expected
    uint32_t size_seed;  // of the next size
    size_t written;      // taken so far
    size_t read;         // arrived so far
    bool is_ended;       // EOF arrived
};

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 8;
}

static void fill(uint8_t *bytes, size_t length, uint32_t seed)
{
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)next_random(&seed);
    }
}

static void advance(uint32_t *seed, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)next_random(seed);
    }
}

// Sizes from one byte to several records, in one to four parts.
static void flow_write(struct flow *flow)
{
    static uint8_t bytes[100000];
    struct iovec parts[4];
    while (flow->written < FLOW_BYTES) {
        size_t length = 1 + next_random(&flow->size_seed) % (sizeof(bytes) - 1);
        length = next_random(&flow->size_seed) % 3 == 0 ? 1 + length % 50 : length;
        length = length < FLOW_BYTES - flow->written ? length : FLOW_BYTES - flow->written;
        int count = 1 + (int)(next_random(&flow->size_seed) % 4);
        size_t offset = 0;
        size_t taken = 0;
        fill(bytes, length, flow->write_seed);
        for (int i = 0; i < count; i++) {
            size_t size = i == count - 1 ? length - offset : (length - offset) / 3;
            parts[i] = (struct iovec){.iov_base = bytes + offset, .iov_len = size};
            offset += size;
        }
        enum rm_err result = stream_write(flow->from, parts, count, &taken);
        if (result == RM_ERR_WOULD_BLOCK) {
            return;
        }
        assert_int_equal(result, RM_OK);
        assert_in_range(taken, 1, length);
        advance(&flow->write_seed, taken);
        flow->written += taken;
    }
    assert_int_equal(stream_finish(flow->from), RM_OK);
}

static void flow_read(struct flow *flow)
{
    static uint8_t bytes[70000];
    static uint8_t expected[70000];
    for (;;) {
        size_t capacity = 1 + next_random(&flow->size_seed) % (sizeof(bytes) - 1);
        size_t length = 0;
        enum rm_err result = stream_read(flow->to, bytes, capacity, &length);
        if (result == RM_ERR_WOULD_BLOCK) {
            return;
        }
        if (result == RM_ERR_EOF) {
            flow->is_ended = true;
            return;
        }
        assert_int_equal(result, RM_OK);
        assert_in_range(length, 1, capacity);
        fill(expected, length, flow->read_seed);
        assert_memory_equal(bytes, expected, length);
        advance(&flow->read_seed, length);
        flow->read += length;
    }
}

struct duplex {
    struct flow up;   // client to server
    struct flow down; // server to client
};

static void duplex_want(struct flow *out, struct flow *in)
{
    unsigned wanted = out->written < FLOW_BYTES ? STREAM_WRITE : 0;
    stream_want(out->from, wanted | (in->is_ended ? 0 : STREAM_READ));
}

static void duplex_on_client(void *context, unsigned events)
{
    struct duplex *duplex = context;
    if ((events & STREAM_WRITE) != 0) {
        flow_write(&duplex->up);
    }
    if ((events & STREAM_READ) != 0) {
        flow_read(&duplex->down);
    }
    duplex_want(&duplex->up, &duplex->down);
}

static void duplex_on_server(void *context, unsigned events)
{
    struct duplex *duplex = context;
    if ((events & STREAM_WRITE) != 0) {
        flow_write(&duplex->down);
    }
    if ((events & STREAM_READ) != 0) {
        flow_read(&duplex->up);
    }
    duplex_want(&duplex->down, &duplex->up);
}

static bool duplex_is_over(void *context)
{
    struct duplex *duplex = context;
    return duplex->up.is_ended && duplex->down.is_ended;
}

static void assert_duplex(struct pair *pair)
{
    struct duplex duplex = {
        .up = {.from = pair->client.stream, .to = pair->server.stream, .size_seed = 1},
        .down = {.from = pair->server.stream, .to = pair->client.stream, .size_seed = 2},
    };
    duplex.up.write_seed = duplex.up.read_seed = 11;
    duplex.down.write_seed = duplex.down.read_seed = 22;
    stream_own(pair->client.stream, duplex_on_client, &duplex);
    stream_own(pair->server.stream, duplex_on_server, &duplex);
    duplex_want(&duplex.up, &duplex.down);
    duplex_want(&duplex.down, &duplex.up);
    world_until(pair->loop, duplex_is_over, &duplex);
    assert_int_equal(duplex.up.read, FLOW_BYTES);
    assert_int_equal(duplex.down.read, FLOW_BYTES);
    assert_int_equal(chunk_lent_count(pair->loop), 0);
}

static void over_memory(void **state)
{
    const struct world *world = *state;
    struct pair pair;
    pair_init(&pair, world->client, world->server);
    assert_duplex(&pair);
    pair_deinit(&pair);
}

static void over_sockets(void **state)
{
    const struct world *world = *state;
    struct pair pair = {.loop = loop_new("test")};
    int descriptors[2];
    struct stream *a = NULL;
    struct stream *b = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, descriptors), 0);
    assert_int_equal(socket_stream_new(pair.loop, descriptors[0], &a), RM_OK);
    assert_int_equal(socket_stream_new(pair.loop, descriptors[1], &b), RM_OK);
    end_connect(&pair.client, a, world->client);
    end_accept(&pair.server, b, world->server);
    world_until(pair.loop, pair_is_done, &pair);
    assert_int_equal(stream_descriptor(pair.client.stream), descriptors[0]);
    assert_duplex(&pair);
    end_close(&pair.client, STREAM_CLOSE_ORDERLY);
    end_close(&pair.server, STREAM_CLOSE_ORDERLY);
    world_end(pair.loop);
}

// Offers as much as is taken until nothing is, then lets the reader go on.
static size_t write_until_blocked(struct pair *pair, struct flow *flow)
{
    size_t before;
    do {
        before = flow->written;
        flow_write(flow);
        world_turns(pair->loop, 20);
    } while (flow->written > before);
    return flow->written;
}

static void slow_reader_bounds_the_writer(void **state)
{
    const struct world *world = *state;
    struct pair pair;
    pair_init(&pair, world->client, world->server);
    struct flow flow = {.from = pair.client.stream,
                        .to = pair.server.stream,
                        .size_seed = 3,
                        .write_seed = 5,
                        .read_seed = 5};
    size_t taken = write_until_blocked(&pair, &flow);
    assert_in_range(taken, 1, SLOW_MAX_BYTES);
    assert_in_range(chunk_lent_count(pair.loop), 1, 2);
    assert_int_equal(write_until_blocked(&pair, &flow), taken);
    while (flow.read < taken) {
        flow_read(&flow);
        world_turns(pair.loop, 1);
    }
    assert_in_range(write_until_blocked(&pair, &flow), taken + 1, taken + SLOW_MAX_BYTES);
    pair_deinit(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_memory),
        cmocka_unit_test(over_sockets),
        cmocka_unit_test(slow_reader_bounds_the_writer),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
