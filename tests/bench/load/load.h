// SPDX-License-Identifier: GPL-3.0-or-later
//
// The load and the backend of the benchmark suite: one thread, one epoll instance, raw sockets. A
// program of its own kind, so that what is counted, and when, is ours to say. Every mode prints
//
//   {"event":"begin", ...}   all connections stand and have carried data: measuring begins now
//   {"event":"end", ...}     measuring has ended: the figures
//
// one line each, and flushes; whoever runs it reads the processor time of others at these lines.
// Mistakes that make a figure meaningless end the program with one line on standard error and
// status 1.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LOAD_BLOCK_BYTES = 128 * 1024, // one read or write of bulk data, at most
    LOAD_ACK_BYTES = 1024 * 1024,  // the sink answers after so many
    LOAD_OPENING_MAX = 64,         // connections that are being opened at a time
};

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull
#define FOREVER UINT64_MAX

struct load_options {
    const char *command; // the mode
    uint16_t port;       // on 127.0.0.1; 0: chosen by the kernel (backend only)
    int connections;     // at a time
    uint64_t bytes;      // of each answer's body
    double seconds;      // measured
    double rate;         // requests per second, open loop
    double patience;     // seconds within which all connections must stand
    uint64_t count;      // > 0: end after so many requests or bytes instead of `seconds`
    bool is_upload;      // bulk: from client to backend
};

// What the sink says after each LOAD_ACK_BYTES.
struct load_ack {
    uint64_t received; // bytes on this connection so far
    uint64_t wrong;    // pieces that were not the pattern
};

// Each runs one mode and returns the exit status.
int backend_run(const struct load_options *options);
int bulk_run(const struct load_options *options);
int closed_run(const struct load_options *options);
int open_run(const struct load_options *options);
int hold_run(const struct load_options *options);
int slow_run(const struct load_options *options);

// The monotonic clock.
uint64_t now_ns(void);
uint64_t ns_of_seconds(double seconds);

// Ends the program: `what` and errno's text.
_Noreturn void die(const char *what);
// Ends the program: `what` alone.
_Noreturn void give_up(const char *what);

// Prints one line of JSON, and flushes. `format` holds what comes after the event, "" or
// ",\"a\":%d".
__attribute__((format(printf, 2, 3))) void say(const char *event, const char *format, ...);
