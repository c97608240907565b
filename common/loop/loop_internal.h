// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the files of this room share: the loop's parts and the steps of one turn.
//
//   libuv timers   -> timers_expire: due timers
//   uv_prepare     -> loop_on_prepare: changed watches and the next timer are told to libuv, once
//   epoll_wait     -> watches and the mailbox call back
//   uv_check       -> loop_on_check: deferred calls of this turn
//
// The mailbox's handle is the only one that libuv counts as alive: libuv sleeps as long as there is
// a loop, and loop_settle() is what ends it.
#pragma once

#include <stdatomic.h>
#include <uv.h>

#include "loop/loop.h"

#define LOOP_NAME_BYTES 16      // what pthread_setname_np takes, with its NUL
#define TIMER_FIRST_CAPACITY 64 // timers before the heap has to grow
#define TIMER_NOT_ARMED UINT64_MAX
#define CHUNK_QUIET_MS 5000 // unused for so long, free chunks keep no pages
#define PIPE_QUIET_MS 5000  // unused for so long, free pipes are closed
#define CHUNK_RETRY_MS 50   // when memory ran out although no chunk is lent that could come back

struct timer_heap {
    struct timer **slots; // 1-based binary heap, soonest first; owned
    size_t count;         // timers in it
    size_t capacity;      // slots allocated, slot 0 unused
    uint64_t next_order;  // of the next timer that is started
    uint64_t armed_ms;    // what libuv's timer is set to, or TIMER_NOT_ARMED
};

struct free_chunk {
    struct free_chunk *next; // lies in the chunk itself
};

struct chunk_pool {
    struct free_chunk *free; // last returned first: it is still in the processor's cache
    size_t free_count;       // of these
    size_t lent_count;       // at users
    struct list waiters;     // struct chunk_waiter, first come first
    struct deferred wake;    // calls the waiters
    struct timer retry;      // the same, when no chunk is lent that could come back
    struct timer quiet;      // looks whether the free chunks' pages can go back to the system
    bool was_used;           // since the last look
};

struct pipe_pool {
    struct pipe *free;  // owned
    size_t free_count;  // of these
    size_t lent_count;  // at users
    struct timer quiet; // looks whether the free pipes can be closed
    bool was_used;      // since the last look
};

struct loop_signal;

struct loop {
    uv_loop_t uv;                  // libuv's own
    uv_prepare_t prepare;          // before each sleep
    uv_check_t check;              // after each sleep
    uv_idle_t awake;               // active while the loop must not sleep
    uv_timer_t alarm;              // set to the soonest timer
    uv_async_t bell;               // rung by loop_post(); keeps libuv's loop alive
    char name[LOOP_NAME_BYTES];    // for people
    bool is_stopping;              // loop_stop() was called
    size_t open_count;             // activities that must end first
    struct timer_heap timers;      // own, so that stopping one needs no handle to close
    struct list deferred;          // struct deferred: calls for the next drain
    struct list changed_watches;   // struct watch: interest differs from what libuv knows
    struct chunk_pool chunks;      // large blocks for bytes in flight
    struct pipe_pool pipes;        // for bytes that are not looked at
    struct loop_signal *signals;   // owned, until loop_free()
    _Atomic(struct message *) box; // posted messages, last first
    atomic_uint poster_count;      // threads inside loop_post(): the loop must outlive them
};

// Ends libuv's run when the loop was stopped and nothing is open any more.
void loop_settle(struct loop *loop);

RM_NODISCARD enum rm_err timers_init(struct loop *loop);
void timers_deinit(struct loop *loop);
// Tells libuv when the soonest timer expires.
void timers_arm(struct loop *loop);

// Calls what is pending; what is scheduled meanwhile waits for the next turn.
void deferred_drain(struct loop *loop);

// Tells libuv of changed interests.
void watches_apply(struct loop *loop);

// Delivers what was posted, in order of posting.
void mailbox_deliver(struct loop *loop);

void signals_close(struct loop *loop);

void chunks_init(struct loop *loop);
// Aborts when a chunk is still lent.
void chunks_deinit(struct loop *loop);

void pipes_init(struct loop *loop);
// Aborts when a pipe is still lent.
void pipes_deinit(struct loop *loop);
