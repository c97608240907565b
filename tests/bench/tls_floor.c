// SPDX-License-Identifier: GPL-3.0-or-later
//
// What TLS itself costs on this machine, both ends in one thread: a handshake, a gigabyte, an idle
// session. Prints one line per figure. Usage: bench_tls_floor [seconds per figure]
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "stream/socket.h"
#include "tls_fixture.h"

#define IDLE_PAIRS 200 // 400 descriptors

static uint64_t seconds_per_figure = 2;

static uint64_t cpu_us(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000U +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void measure_handshakes(const struct world *world)
{
    uint64_t start_us = cpu_us();
    uint64_t end_ms = clock_mono_ms() + seconds_per_figure * 1000;
    uint64_t count = 0;
    while (clock_mono_ms() < end_ms) {
        struct pair pair;
        pair_init(&pair, world->client, world->server);
        pair_deinit(&pair);
        count++;
    }
    printf("handshake       %8.1f us CPU, both ends (full, X25519MLKEM768, P-256)\n",
           (double)(cpu_us() - start_us) / (double)count);
}

// --- Bulk
// -------------------------------------------------------------------------------------------

struct bulk {
    struct end *from;       // writes
    struct end *to;         // reads
    uint64_t arrived_bytes; // so far
    uint64_t end_ms;        // when it is enough
};

static uint8_t bulk_bytes[CHUNK_BYTES];

static void bulk_on_writable(void *context, unsigned events)
{
    struct bulk *bulk = context;
    size_t written = 0;
    (void)events;
    if (stream_write_bytes(bulk->from->stream, bulk_bytes, sizeof(bulk_bytes), &written) < 0) {
        return; // would block: told again
    }
}

static void bulk_on_readable(void *context, unsigned events)
{
    static uint8_t bytes[CHUNK_BYTES];
    struct bulk *bulk = context;
    size_t length = 0;
    (void)events;
    if (stream_read(bulk->to->stream, bytes, sizeof(bytes), &length) == RM_OK) {
        bulk->arrived_bytes += length;
    }
}

static bool bulk_is_enough(void *context)
{
    struct bulk *bulk = context;
    return clock_mono_ms() > bulk->end_ms;
}

static void measure_bulk(struct pair *pair, const char *transport)
{
    struct bulk bulk = {.from = &pair->client,
                        .to = &pair->server,
                        .end_ms = clock_mono_ms() + seconds_per_figure * 1000};
    stream_own(pair->client.stream, bulk_on_writable, &bulk);
    stream_own(pair->server.stream, bulk_on_readable, &bulk);
    stream_want(pair->client.stream, STREAM_WRITE);
    stream_want(pair->server.stream, STREAM_READ);
    uint64_t start_us = cpu_us();
    world_until(pair->loop, bulk_is_enough, &bulk);
    double seconds = (double)(cpu_us() - start_us) / 1e6;
    double gigabytes = (double)bulk.arrived_bytes / 1e9;
    printf("bulk, %-9s %8.2f GB per CPU second, both ends (%s)\n", transport, gigabytes / seconds,
           tls_stream_facts(pair->client.stream)->suite);
}

static void measure_bulk_memory(const struct world *world)
{
    struct pair pair;
    pair_init(&pair, world->client, world->server);
    measure_bulk(&pair, "memory");
    pair_deinit(&pair);
}

static void socket_pair(struct loop *loop, struct stream **a, struct stream **b)
{
    int descriptors[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, descriptors) != 0 ||
        socket_stream_new(loop, descriptors[0], a) != RM_OK ||
        socket_stream_new(loop, descriptors[1], b) != RM_OK) {
        abort();
    }
}

static void measure_bulk_sockets(const struct world *world)
{
    struct pair pair = {.loop = loop_new("bench")};
    struct stream *a = NULL;
    struct stream *b = NULL;
    socket_pair(pair.loop, &a, &b);
    end_connect(&pair.client, a, world->client);
    end_accept(&pair.server, b, world->server);
    world_until(pair.loop, pair_is_done, &pair);
    measure_bulk(&pair, "sockets");
    pair_deinit(&pair);
}

// --- Idle
// -------------------------------------------------------------------------------------------

static bool all_are_done(void *context)
{
    struct pair *pairs = context;
    for (size_t i = 0; i < IDLE_PAIRS; i++) {
        if (!pair_is_done(&pairs[i])) {
            return false;
        }
    }
    return true;
}

// The loop keeps some free chunks; they are no session's, so let it have them before.
static void keep_chunks(struct loop *loop)
{
    uint8_t *chunks[CHUNK_KEEP_FREE];
    for (size_t i = 0; i < CHUNK_KEEP_FREE; i++) {
        chunks[i] = chunk_get(loop);
    }
    for (size_t i = 0; i < CHUNK_KEEP_FREE; i++) {
        chunk_put(loop, chunks[i]);
    }
}

static void measure_idle(const struct world *world)
{
    static struct pair pairs[IDLE_PAIRS];
    struct loop *loop = loop_new("bench");
    struct stream *lower[IDLE_PAIRS][2];
    for (size_t i = 0; i < IDLE_PAIRS; i++) {
        socket_pair(loop, &lower[i][0], &lower[i][1]);
    }
    keep_chunks(loop);
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    for (size_t i = 0; i < IDLE_PAIRS; i++) {
        end_connect(&pairs[i].client, lower[i][0], world->client);
        end_accept(&pairs[i].server, lower[i][1], world->server);
    }
    world_until(loop, all_are_done, pairs);
    size_t used = mallinfo2().uordblks + mallinfo2().hblkhd - before;
    printf("idle session    %8.0f bytes of heap, each end, without its socket stream\n",
           (double)used / (2.0 * IDLE_PAIRS));
    for (size_t i = 0; i < IDLE_PAIRS; i++) {
        end_close(&pairs[i].client, STREAM_CLOSE_ABORT);
        end_close(&pairs[i].server, STREAM_CLOSE_ABORT);
    }
    world_end(loop);
}

int main(int argc, char **argv)
{
    void *state = NULL;
    if (argc > 1) {
        seconds_per_figure = strtoull(argv[1], NULL, 10);
    }
    world_setup(&state);
    measure_handshakes(state);
    measure_bulk_memory(state);
    measure_bulk_sockets(state);
    measure_idle(state);
    world_teardown(&state);
    return 0;
}
