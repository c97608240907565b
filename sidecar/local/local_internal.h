// SPDX-License-Identifier: GPL-3.0-or-later
//
// Inside the local API: one call, its life, and what its handlers share.
//
// To add a method: a row in LOCAL_METHOD_LIST (local_wire.h), its request in local_wire.c, its
// handler in a file of its own. A handler answers, refuses, or waits; one that streams also sets
// `step`.
#pragma once

#include "base/buffer.h"
#include "base/group.h"
#include "base/machine.h"
#include "door/door.h"
#include "local/local.h"
#include "local/local_wire.h"
#include "rpc/rpc.h"

struct local {
    struct loop *loop;          // the main loop
    struct local_source source; // how to ask the process
    struct rpc_server *server;  // owned
    struct door door;           // the socket
    bool has_next;              // the configuration being prepared wants a socket
    gid_t group;                // that may call, besides root and our user; GROUP_NONE: none
    gid_t next_group;           // of the configuration being prepared
    size_t call_count;          // struct local_call that live
    uint64_t next_id;           // of calls, for traces
    struct timer level_timer;   // puts the configured log level back
    int64_t level_ends_s;       // when it does; 0: it does not run
    int64_t started_at_s;       // of this process
    bool is_drained;            // the server has no connection any more
    local_closed_fn on_closed;  // once; NULL: not closing
    void *closed_context;       // for on_closed
};

enum local_call_state {
    LOCAL_CALL_ACTIVE,   // ours to act
    LOCAL_CALL_WAITING,  // another part of the process owes an answer
    LOCAL_CALL_SENDING,  // a stream: goes on when the caller took some
    LOCAL_CALL_ANSWERED, // ended; waits for its close
    LOCAL_CALL_ORPHANED, // closed, and an answer is still owed
};

struct local_call {
    struct local *local;          // counts this
    struct rpc_call *rpc;         // borrowed until its close
    struct sm sm;                 // enum local_call_state, see local.c
    enum local_method method;     // which
    struct local_request request; // owned
    struct buffer response;       // of at most RPC_MAX_MESSAGE_BYTES
    // A stream's next piece: sends it, ends the call, refuses, or waits. NULL: one answer.
    void (*step)(struct local_call *call);
    void *work;                      // the handler's own; owned
    void (*work_free)(void *work);   // how `work` goes
    bool (*work_cancel)(void *work); // the caller is gone; true: no answer is owed any more
};

// --- local.c: what handlers do.
// Another part of the process took over: its callback begins with local_call_resume().
void local_call_wait(struct local_call *call);
// False: the caller is gone, and now `call` is, too.
bool local_call_resume(struct local_call *call);
// Sends `response` and ends with OK; `result` is that of filling it.
void local_call_answer(struct local_call *call, enum rm_err result);
// Sends `response` as one piece of a stream; `result` is that of filling it.
void local_call_send(struct local_call *call, enum rm_err result);
// After a wait: the stream's next steps.
void local_call_go_on(struct local_call *call);
// Ends a stream well.
void local_call_end(struct local_call *call);
void local_call_refuse(struct local_call *call, enum rpc_status status, const char *format, ...)
    RM_PRINTF(3, 4);
// Takes `work`; NULL: out of memory, the call is ended and false returned.
bool local_call_set_work(struct local_call *call, void *work, void (*work_free)(void *work));
// Begins a stream.
void local_call_stream(struct local_call *call, void (*step)(struct local_call *call));

// --- Handlers.
#define LOCAL_HANDLER(name, wire, handler, is_streaming) void handler(struct local_call *call);
LOCAL_METHOD_LIST(LOCAL_HANDLER)
#undef LOCAL_HANDLER

// --- local_level.c
// The configured level is in force again, and no timer runs.
void local_level_reset(struct local *local);
void local_on_level_timer(void *context);
struct local_level local_level_of(const struct local *local, const struct sidecar_config *config);
// --- local_certificates.c
// What the configuration calls own identity number `index`; "" for the first.
const char *local_own_name(const struct snapshot *snapshot, size_t index);
// --- local_status.c
// What the view is, for GetStatus and GetView.
struct local_view_version local_view_version_of(const struct local_state *state);
