// SPDX-License-Identifier: GPL-3.0-or-later
//
// A server with one raw client over memory streams.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "fake_time.h"
#include "http1/http1.h"
#include "scenario.h"
#include "stream/memory.h"

struct world {
    struct loop *loop;           // owned
    struct http1_server *server; // NULL once closed by a step
    struct stream *client;       // NULL once closed by a step
    char in[1 << 16];            // what the server sent, NUL-terminated
    size_t in_length;            // of in
    size_t total_in;             // also past what fits into `in`
    char *out;                   // not yet written
    size_t out_length;           // of out
    bool is_reading;             // the client reads
    bool is_ended;               // the server finished or reset
    enum rm_err end;             // which
    int handled_count;           // requests that reached the handler
    char handled[4096];          // "GET /path query|" ...
    size_t answer_bytes;         // size of the body for /large
    int done_count;              // http1_server_close's callback
    size_t count;                // for the test
};

struct world *world_new(size_t capacity_bytes);
void world_run(struct world *world, const scenario_step_fn *steps);
void world_free(struct world *world);
void client_write(struct world *world, const char *text, size_t length);
void client_say(struct world *world, const char *text);
size_t count_of(const struct world *world, const char *needle); // in what came back

bool step_ended(void *context); // the server closed the connection
bool step_turns(void *context); // a hundred turns went by
