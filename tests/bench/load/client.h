// SPDX-License-Identifier: GPL-3.0-or-later
//
// One HTTP/1.1 connection of the load: open, ask, take the whole answer, ask again. The body must
// be the pattern. Belongs to its mode, which zeroes it, sets the callbacks and keeps it until
// client_close().
//
//   CLOSED --open--> OPENING --ready--> READY --ask--> WAITING --answer--> READY ...
//                                                        \--(asked to close) answer--> ENDING
//                                                        --end--> CLOSED
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"

enum { CLIENT_HEADER_MAX = 1024 };

enum client_state { CLIENT_CLOSED, CLIENT_OPENING, CLIENT_READY, CLIENT_WAITING, CLIENT_ENDING };

struct client {
    struct watch watch;      // must be first
    enum client_state state; // see above
    bool closes;             // the request said "Connection: close"
    bool stands;             // has had an answer (pool.h)
    uint64_t asked_ns;       // when the request was meant to leave
    uint64_t body_bytes;     // said by Content-Length
    uint64_t body_at;        // of them, so many are here
    bool is_in_body;         // the header is complete
    size_t header_length;    // so much of `header` is here
    char header[CLIENT_HEADER_MAX];

    void (*on_ready)(struct client *client); // connected
    void (*on_answer)(
        struct client *client); // the whole answer is here (and the end, when it was asked for)
    // Refused, reset, ended early, or an answer that is not what was asked for; it is closed
    // already.
    void (*on_fail)(struct client *client);
};

// What all clients of this process have met.
struct client_totals {
    uint64_t opened;      // connections that were established
    uint64_t answers;     // whole ones
    uint64_t body_bytes;  // in whole and partial answers
    uint64_t failures;    // on_fail calls
    uint64_t wrong_bytes; // answers that were not the pattern (failures, too)
};
extern struct client_totals client_totals;

void client_open(struct client *client, uint16_t port);
// READY -> WAITING.
void client_ask(struct client *client, uint64_t body_bytes, bool closes, uint64_t asked_ns);
void client_close(struct client *client);
