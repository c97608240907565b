// SPDX-License-Identifier: GPL-3.0-or-later
//
// Connections that only stand there (`hold`), and one that reads very slowly (`slow`), until
// standard input ends.
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"
#include "pool.h"

enum { SLOW_READ_BYTES = 1024, SLOW_BUFFER_BYTES = 4096 };
#define SLOW_PAUSE_NS (100 * NS_PER_MS)

static bool has_input_ended;

static void on_input(struct watch *watch, uint32_t seen)
{
    char byte;
    (void)seen;
    if (read(watch->fd, &byte, 1) <= 0) {
        has_input_ended = true;
        engine_close(watch);
    }
}

static void watch_input(void)
{
    static struct watch input = {.on_event = on_input};
    engine_open(&input, STDIN_FILENO, EPOLLIN);
}

int hold_run(const struct load_options *options)
{
    pool_stand(options, false, NULL);
    uint64_t failures = client_totals.failures;
    watch_input();
    say("begin", ",\"standing\":%d", pool.standing);
    while (!has_input_ended) {
        engine_step(FOREVER);
    }
    pool_close();
    say("end", ",\"standing\":%d,\"failures\":%" PRIu64 ",\"lost\":%" PRIu64, pool.standing,
        client_totals.failures, client_totals.failures - failures);
    return 0;
}

static void on_connected(struct watch *watch, uint32_t seen)
{
    static const char request[] = "GET /stream HTTP/1.1\r\nHost: bench\r\n\r\n";
    if (seen & EPOLLIN) {
        engine_change(watch, 0); // the answer has begun; from now on it is read when we like
        say("begin", ",\"connections\":%d", 1);
    } else if (send(watch->fd, request, strlen(request), MSG_NOSIGNAL) < 0) {
        give_up("the slow connection was refused");
    } else {
        engine_change(watch, EPOLLIN);
    }
}

int slow_run(const struct load_options *options)
{
    struct watch watch = {.on_event = on_connected};
    char bytes[SLOW_READ_BYTES];
    int room = SLOW_BUFFER_BYTES;
    uint64_t received = 0;
    int fd = engine_connect(options->port);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    engine_open(&watch, fd, EPOLLOUT);
    watch_input();
    while (!has_input_ended) {
        uint64_t pause_end = now_ns() + SLOW_PAUSE_NS;
        while (now_ns() < pause_end && !has_input_ended) {
            engine_step(pause_end);
        }
        ssize_t count = watch.events == 0 ? recv(watch.fd, bytes, sizeof(bytes), 0) : 0;
        if (count == 0 && watch.events == 0) {
            give_up("the slow connection ended");
        }
        received += count > 0 ? (uint64_t)count : 0;
    }
    engine_close(&watch);
    say("end", ",\"bytes\":%" PRIu64, received);
    return 0;
}
