// SPDX-License-Identifier: GPL-3.0-or-later
//
// A server with test methods and one client over memory streams; every call is recorded on both
// sides.
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
#include "rpc/rpc.h"
#include "scenario.h"
#include "stream/memory.h"

#define MAX_RECORDS 300

// One call, as one side saw it.
struct record {
    struct rpc_call *call;  // NULL once closed
    uint8_t *bytes;         // all messages, one after the other
    size_t byte_count;      // of bytes
    int message_count;      // on_message calls
    int half_close_count;   // server
    int writable_count;     // on_writable calls
    int close_count;        // on_close calls
    enum rpc_status status; // of on_close
    char text[2048];        // of on_close, client
};

// What the server's test methods do at each event.
struct manners {
    bool echoes;             // each message is sent back
    bool ends;               // after the echo (unary) or the half-close (streaming)
    bool allows_large;       // rpc_call_allow_large
    enum rpc_status refuses; // on_open's answer
    void (*on_message)(struct record *record);    // may be NULL
    void (*on_half_close)(struct record *record); // may be NULL
    void (*on_close)(struct record *record);      // may be NULL
};

struct world {
    struct loop *loop;                       // owned
    struct rpc_server *server;               // owned
    struct rpc_client *client;               // NULL once ended
    struct record server_calls[MAX_RECORDS]; // in order of opening
    size_t server_count;                     // in server_calls
    struct record client_calls[MAX_RECORDS]; // the same
    size_t client_count;                     // in client_calls
    struct manners manners;                  // of the server's methods
    void (*on_client_message)(struct world *world, struct record *record); // may be NULL
    int client_end_count;                                                  // on_end calls
    enum rm_err client_reason;                                             // of on_end
    bool is_drained; // the server's drain is done
    size_t count;    // for the test
};

// With a SPIFFE ID the server sees the client as authenticated.
struct world *world_new(const char *peer_id);
// A client whose connection is served by the test itself: its end is given.
struct world *world_new_client(struct stream **server_end);
void world_run(struct world *world, const scenario_step_fn *steps);
void world_free(struct world *world);

// Methods: /test.T/Unary, /test.T/Upload (client streams), /test.T/Watch (server streams),
// /test.T/Chat (both).
struct record *call_open(struct world *world, const char *path, uint32_t deadline_ms);
void call_send(struct record *record, size_t length); // fails the test when it does not succeed
void call_finish(struct record *record);              // half-close
struct record *call_unary(struct world *world, size_t length);

bool step_first_closed(void *context); // the client's first call
bool step_all_closed(void *context);   // every call, both sides
bool step_turns(void *context);        // a hundred turns went by
