// SPDX-License-Identifier: GPL-3.0-or-later
//
// Two HTTP/2 ends over memory streams, or one end and a raw peer that speaks in frames; everything
// that happens to streams is recorded in taps. Tests are scenarios (support/scenario.h).
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "h2/h2.h"
#include "scenario.h"
#include "stream/memory.h"

#define MAX_TAPS 2048

struct world;

// What a stream's user does of its own accord.
struct habits {
    bool consumes;                              // returns credit at once
    bool echoes;                                // server: answers with the request's body
    void (*on_headers)(struct world *, void *); // called with the tap; may be NULL
    void (*on_data)(struct world *, void *);
    void (*on_end)(struct world *, void *);
    void (*on_close)(struct world *, void *);
};

struct tap {
    struct world *world;      // borrowed
    struct h2_stream *stream; // NULL once closed
    bool is_server;           // whose
    char head[4096];          // "name: value\n" ...
    char trailers[4096];      // the same
    uint8_t *body;            // received
    size_t body_length;       // of body
    size_t body_capacity;     // allocated for it
    int head_count;           // on_headers calls without is_trailer
    int trailer_count;        // and with
    int end_count;            // on_end calls
    int close_count;          // on_close calls
    int writable_count;       // on_writable calls
    uint32_t close_code;      // of on_close
};

struct side {
    struct h2_session *session; // NULL once ended
    int end_count;              // on_end calls
    enum rm_err reason;         // of on_end
    char detail[128];           // of on_end
    struct tap taps[MAX_TAPS];  // in order of opening
    size_t tap_count;           // in taps
    struct habits habits;       // of its streams
    bool refuses;               // server: on_stream refuses
};

struct world {
    struct loop *loop;   // owned
    struct side server;  // may be unused
    struct side client;  // may be unused
    struct stream *raw;  // the raw peer's end; NULL with two real ends
    uint8_t *out;        // bytes the raw peer still has to write
    size_t out_length;   // of out
    uint8_t *in;         // bytes the raw peer has read
    size_t in_length;    // of in
    bool is_raw_reading; // it reads what comes
    bool is_raw_ended;   // the other end closed or reset
    size_t count;        // for the test
    void *memo;          // for the test
};

// Two real ends.
struct world *world_new(size_t capacity_bytes);
// A server (or a client) with a raw peer.
struct world *world_new_raw(bool with_server, size_t capacity_bytes);
void world_run(struct world *world, const scenario_step_fn *steps);
void world_free(struct world *world);

// Opens a request "POST /path"; NULL when refused (*result says why; may be NULL).
struct tap *world_request(struct world *world, const char *path, bool is_end, enum rm_err *result);
void tap_respond(struct tap *tap, bool is_end);
void tap_send(struct tap *tap, size_t length, bool is_end);
void tap_trailers(struct tap *tap, const char *status);

// --- the raw peer ---
void raw_write(struct world *world, const void *bytes, size_t length);
void raw_preface(struct world *world); // magic and empty SETTINGS
void raw_frame(struct world *world, uint8_t type, uint8_t flags, uint32_t stream_id,
               const void *payload, size_t length);
// HEADERS of a POST to "/" with END_HEADERS, and END_STREAM if wanted.
void raw_request(struct world *world, uint32_t stream_id, bool is_end);
// Finds the n-th frame of that type in what was read; its payload. NULL when there is none.
const uint8_t *raw_find(const struct world *world, uint8_t type, size_t n, size_t *length,
                        uint32_t *stream_id);
// Error code of a GOAWAY that was read, or UINT32_MAX.
uint32_t raw_goaway_code(const struct world *world);

enum {
    FRAME_DATA,
    FRAME_HEADERS,
    FRAME_PRIORITY,
    FRAME_RST_STREAM,
    FRAME_SETTINGS,
    FRAME_PUSH_PROMISE,
    FRAME_PING,
    FRAME_GOAWAY,
    FRAME_WINDOW_UPDATE,
    FRAME_CONTINUATION
};
enum { FLAG_END_STREAM = 1, FLAG_ACK = 1, FLAG_END_HEADERS = 4 };

// Ready-made steps.
bool step_server_ended(void *context);
bool step_client_ended(void *context);
bool step_both_ended(void *context);
