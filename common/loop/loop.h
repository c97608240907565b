// SPDX-License-Identifier: GPL-3.0-or-later
//
// One event loop on libuv, owned by one thread: timers, deferred calls, descriptor watches, a
// mailbox that other threads post to, work on the thread pool, and reusable chunks of memory.
// Everything here belongs to the loop's thread, except loop_post(). A loop ends when it was asked
// to stop and nothing is open any more (loop_open_count() is 0).
// Life: loop_new -> loop_run -> loop_free.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"

struct loop;

// NULL when memory or descriptors are exhausted.
struct loop *loop_new(const char *name);
// Runs until loop_stop() was called and the open count is 0.
void loop_run(struct loop *loop);
// Asks loop_run() to return once nothing is open. Idempotent.
void loop_stop(struct loop *loop);
// After loop_run() returned. Aborts when something is still open (our mistake).
void loop_free(struct loop *loop);
const char *loop_name(const struct loop *loop);
// The loop's idea of now, refreshed once per turn. Milliseconds, monotonic.
uint64_t loop_now_ms(const struct loop *loop);

// Every activity that must end before the loop may be freed counts itself.
void loop_open(struct loop *loop);
void loop_close(struct loop *loop);
size_t loop_open_count(const struct loop *loop);

// --- Timers: embedded, start and stop at once, no close to wait for. ---------------------------
typedef void (*timer_fn)(void *context);
struct timer {
    struct loop *loop;   // set by timer_init
    timer_fn on_expire;  // called once per start, from the loop, never from timer_start
    void *context;       // for on_expire
    uint64_t expires_ms; // private: loop time
    uint64_t order;      // private: ties expire in start order
    size_t heap_index;   // private: 0 when stopped
};
void timer_init(struct timer *timer, struct loop *loop, timer_fn on_expire, void *context);
// Starts or restarts. Errors: RM_ERR_NO_MEMORY (only when the heap must grow; then it is stopped).
RM_NODISCARD enum rm_err timer_start(struct timer *timer, uint64_t delay_ms);
// Safe when stopped; on_expire is not called afterwards. Must be stopped before its memory goes.
void timer_stop(struct timer *timer);
bool timer_is_active(const struct timer *timer);

// --- Deferred calls: once, soon, from the loop; after the current callback returned. -----------
typedef void (*deferred_fn)(void *context);
struct deferred {
    struct list node; // private
    deferred_fn call; // called once per schedule
    void *context;    // for call
};
void deferred_init(struct deferred *deferred, deferred_fn call, void *context);
// Scheduling twice before it ran counts once. The loop does not sleep while calls are pending.
void deferred_schedule(struct loop *loop, struct deferred *deferred);
void deferred_cancel(struct deferred *deferred);

// --- Descriptor watches (uv_poll). -------------------------------------------------------------
enum { WATCH_READ = 1, WATCH_WRITE = 2 };
struct watch;
typedef void (*watch_fn)(void *context, unsigned events, enum rm_err error);
// Watches a descriptor (made non-blocking). Does not own it. Counted as open. `error` is RM_ERR_IO
// when the descriptor is in an error state: `events` are then all that are wanted, and the next
// call on the descriptor tells what it is. Errors: RM_ERR_NO_MEMORY, RM_ERR_NO_SPACE,
// RM_ERR_PERMISSION (no such descriptor can be watched), RM_ERR_EXISTS (watched already).
RM_NODISCARD enum rm_err watch_open(struct loop *loop, int descriptor, watch_fn on_ready,
                                    void *context, struct watch **out);
// Level-triggered interest; 0 pauses. Cheap when nothing changes.
void watch_set(struct watch *watch, unsigned events);
// Stops at once: the callback is not called again, and the descriptor may be closed on return.
void watch_close(struct watch *watch);

// --- Mailbox: from any thread. -----------------------------------------------------------------
typedef void (*message_fn)(void *context);
struct message {
    struct message *next; // private
    message_fn deliver;   // called on the receiving loop's thread, exactly once
    void *context;        // for deliver
};
// Posts a message that the caller allocated (usually embedded in what it carries). Never fails,
// never blocks. The loop must not have been freed; what is posted after loop_run() returned is
// delivered by loop_free(). Thread-safe.
void loop_post(struct loop *loop, struct message *message);

// --- Work on libuv's thread pool. --------------------------------------------------------------
typedef void (*work_fn)(void *context);
// Runs `work` on a pool thread, then `done` on the loop. Counted as open. Errors: RM_ERR_NO_MEMORY
// (then neither is called).
RM_NODISCARD enum rm_err loop_work(struct loop *loop, work_fn work, work_fn done, void *context);

// --- Signals. ----------------------------------------------------------------------------------
typedef void (*signal_fn)(void *context, int number);
// Calls back on each delivery, until loop_run() returned (so that a second SIGTERM can cut a drain
// short). Does not keep the loop open. Errors: RM_ERR_NO_MEMORY, RM_ERR_INTERNAL (no such signal).
RM_NODISCARD enum rm_err loop_on_signal(struct loop *loop, int number, signal_fn on_signal,
                                        void *context);

// --- Chunks: large blocks lent while bytes are in flight. --------------------------------------
#define CHUNK_BYTES 65536      // a full burst of four TLS records
#define CHUNK_MAX_PER_LOOP 512 // 32 MiB of bytes in flight; beyond it readers wait their turn
#define CHUNK_KEEP_FREE 16     // free chunks kept for reuse
#define CHUNK_KEEP_QUIET 2     // of them after some idle seconds, without their pages
struct chunk_waiter {
    struct list node;     // private
    deferred_fn on_chunk; // called from the loop when a chunk may be had; try again then
    void *context;        // for on_chunk
};
// CHUNK_BYTES of memory, or NULL when the limit is reached or memory is exhausted.
uint8_t *chunk_get(struct loop *loop);
void chunk_put(struct loop *loop, uint8_t *chunk);
void chunk_waiter_init(struct chunk_waiter *waiter, deferred_fn on_chunk, void *context);
// Queues for the next chunk that is put back. Idempotent.
void chunk_wait(struct loop *loop, struct chunk_waiter *waiter);
void chunk_wait_cancel(struct chunk_waiter *waiter);
size_t chunk_lent_count(const struct loop *loop);

// --- Pipes: the kernel's buffers, lent while bytes pass through them from socket to socket. -----
#define PIPE_BYTES 262144    // asked for; the kernel gives less where a user has many pipes
#define PIPE_MAX_PER_LOOP 64 // 16 MiB in flight, 128 descriptors; beyond it bytes are copied
#define PIPE_KEEP_FREE 8     // free pipes kept for reuse; none after some idle seconds
struct pipe {
    struct pipe *next; // private
    int inlet;         // bytes go in; does not block
    int outlet;        // bytes come out; does not block
};
// An empty pipe, or NULL when the limit is reached or descriptors or memory are exhausted: do
// without.
struct pipe *pipe_get(struct loop *loop);
// Gives it back. Only an empty one is reusable; any other is closed, with what is in it.
void pipe_put(struct loop *loop, struct pipe *pipe, bool is_reusable);
size_t pipe_lent_count(const struct loop *loop);

// "libuv 1.44.2, c-ares 1.18.1", for --version. Static; one thread.
const char *loop_describe(void);
