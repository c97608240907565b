// SPDX-License-Identifier: GPL-3.0-or-later
#include "workers/workers.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "workers/workers_internal.h"

// Longest wait for connections that were aborted at the end of a drain.
#define CUT_TIMEOUT_MS 2000

// --- A call on every worker, and one answer back on the main loop.
// ------------------------------------

struct broadcast;
typedef enum rm_err (*broadcast_fn)(struct worker_thread *thread, void *context);
typedef void (*broadcast_done_fn)(struct workers *workers, enum rm_err result, void *context);

struct broadcast_leg {
    struct message there;         // to the worker
    struct message back;          // to the main loop
    struct broadcast *broadcast;  // it is part of
    struct worker_thread *thread; // that does it
    enum rm_err result;           // of the call
};

struct broadcast {
    struct workers *workers;
    broadcast_fn call;           // on each worker's thread
    broadcast_done_fn done;      // on the main loop, once; may be NULL
    void *context;               // for both
    size_t pending;              // legs that have not answered
    enum rm_err result;          // first error
    struct broadcast_leg legs[]; // one per worker
};

static void leg_on_back(void *context)
{
    struct broadcast_leg *leg = context;
    struct broadcast *broadcast = leg->broadcast;
    if (broadcast->result == RM_OK) {
        broadcast->result = leg->result;
    }
    if (--broadcast->pending > 0) {
        return;
    }
    // `done` may free the workers.
    struct loop *main_loop = broadcast->workers->main_loop;
    if (broadcast->done != NULL) {
        broadcast->done(broadcast->workers, broadcast->result, broadcast->context);
    }
    loop_close(main_loop);
    rm_free(broadcast);
}

static void leg_on_there(void *context)
{
    struct broadcast_leg *leg = context;
    leg->result = leg->broadcast->call(leg->thread, leg->broadcast->context);
    leg->back = (struct message){.deliver = leg_on_back, .context = leg};
    loop_post(leg->broadcast->workers->main_loop, &leg->back);
}

// Calls `call` on every worker's thread, then `done` on the main loop. False: no memory, nothing
// done.
static bool broadcast_start(struct workers *workers, broadcast_fn call, broadcast_done_fn done,
                            void *context)
{
    struct broadcast *broadcast =
        rm_calloc(1, sizeof *broadcast + workers->running * sizeof broadcast->legs[0]);
    if (broadcast == NULL) {
        return false;
    }
    broadcast->workers = workers;
    broadcast->call = call;
    broadcast->done = done;
    broadcast->context = context;
    broadcast->pending = workers->running;
    loop_open(workers->main_loop);
    for (size_t i = 0; i < workers->running; i++) {
        struct broadcast_leg *leg = &broadcast->legs[i];
        leg->broadcast = broadcast;
        leg->thread = &workers->threads[i];
        leg->there = (struct message){.deliver = leg_on_there, .context = leg};
        loop_post(loop_thread_loop(leg->thread->thread), &leg->there);
    }
    return true;
}

// --- Start and end.
// -------------------------------------------------------------------------------------

static enum rm_err thread_on_init(void *context, struct loop *loop)
{
    struct worker_thread *thread = context;
    struct metric_set *metrics = metrics_set_new(thread->workers->metrics);
    if (metrics == NULL) {
        return rm_error_set(&thread->error, RM_ERR_NO_MEMORY, "out of memory");
    }
    size_t index = (size_t)(thread - thread->workers->threads);
    RM_TRY(worker_init(&thread->worker, index, loop, metrics, thread->first,
                       thread->workers->ticket_keys, &thread->error));
    thread->worker.worker_count = thread->workers->count;
    thread->listeners = listeners_new(&thread->worker);
    if (thread->listeners == NULL) {
        worker_deinit(&thread->worker);
        return rm_error_set(&thread->error, RM_ERR_NO_MEMORY, "out of memory");
    }
    enum rm_err result =
        listeners_prepare(thread->listeners, thread->first->config, &thread->error);
    if (result != RM_OK) {
        listeners_free(thread->listeners);
        thread->listeners = NULL;
        worker_deinit(&thread->worker);
        return result;
    }
    listeners_commit(thread->listeners);
    return RM_OK;
}

static void thread_on_deinit(void *context)
{
    struct worker_thread *thread = context;
    worker_deinit(&thread->worker);
}

// A connection that slipped in after the last count is cut like one that came after the end.
static enum rm_err stop_thread(struct worker_thread *thread, void *context)
{
    (void)context;
    thread->worker.on_idle = NULL;
    listeners_free(thread->listeners);
    thread->listeners = NULL;
    worker_cut_all(&thread->worker, FAULT_DRAINING);
    timer_stop(&thread->worker.sweep);
    resolver_close(thread->worker.resolver);
    thread->worker.resolver = NULL;
    loop_stop(thread->worker.loop);
    return RM_OK;
}

static void free_workers(struct workers *workers)
{
    timer_stop(&workers->drain_deadline);
    sidecar_config_unref(workers->config);
    tls_ticket_keys_unref(workers->ticket_keys);
    rm_free(workers->threads);
    rm_free(workers);
}

static void stop_leg(void *context)
{
    struct worker_thread *thread = context;
    (void)stop_thread(thread, NULL);
}

// Threads that did start are stopped again when a later one cannot.
static void unwind_start(struct workers *workers)
{
    for (size_t i = 0; i < workers->running; i++) {
        struct worker_thread *thread = &workers->threads[i];
        struct message stop = {.deliver = stop_leg, .context = thread};
        loop_post(loop_thread_loop(thread->thread), &stop);
        loop_thread_join(thread->thread);
    }
    free_workers(workers);
}

static void workers_on_deadline(void *context);

enum rm_err workers_start(struct loop *main_loop, size_t count, struct snapshot *snapshot,
                          struct metrics *metrics, struct workers **out, struct rm_error *error)
{
    RM_TRY(listeners_check_free(main_loop, NULL, snapshot->config, error));
    struct workers *workers = rm_calloc(1, sizeof *workers);
    struct worker_thread *threads = rm_calloc(count, sizeof *threads);
    struct tls_ticket_keys *ticket_keys = tls_ticket_keys_new();
    if (workers == NULL || threads == NULL || ticket_keys == NULL) {
        tls_ticket_keys_unref(ticket_keys);
        rm_free(workers);
        rm_free(threads);
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    workers->main_loop = main_loop;
    workers->metrics = metrics;
    workers->config = sidecar_config_ref(snapshot->config);
    workers->ticket_keys = ticket_keys;
    workers->count = count;
    workers->threads = threads;
    timer_init(&workers->drain_deadline, main_loop, workers_on_deadline, workers);
    for (size_t i = 0; i < count; i++) {
        struct worker_thread *thread = &threads[i];
        char name[32];
        snprintf(name, sizeof name, "worker-%zu", i);
        thread->workers = workers;
        thread->first = snapshot;
        enum rm_err result =
            loop_thread_start(name, thread_on_init, thread_on_deinit, thread, &thread->thread);
        if (result != RM_OK) {
            if (error != NULL) {
                *error = thread->error;
                error->code = result;
            }
            unwind_start(workers);
            return result;
        }
        workers->running++;
    }
    *out = workers;
    return RM_OK;
}

void workers_join(struct workers *workers)
{
    for (size_t i = 0; i < workers->running; i++) {
        loop_thread_join(workers->threads[i].thread);
    }
    free_workers(workers);
}

// --- Publication and reload.
// ----------------------------------------------------------------------------

static enum rm_err adopt(struct worker_thread *thread, void *context)
{
    worker_adopt(&thread->worker, context);
    return RM_OK;
}

static void adopted(struct workers *workers, enum rm_err result, void *context)
{
    (void)workers;
    (void)result;
    snapshot_unref(context);
}

void workers_publish(struct workers *workers, struct snapshot *snapshot)
{
    if (workers->is_drained) {
        return; // the threads are ending and would get it too late
    }
    snapshot_ref(snapshot);
    if (!broadcast_start(workers, adopt, adopted, snapshot)) {
        snapshot_unref(snapshot);
        log_error(LOG_MAIN, "snapshot_not_published", LOG_ERR(RM_ERR_NO_MEMORY));
    }
}

struct reload {
    struct snapshot *snapshot; // shares
    workers_reload_fn done;
    void *context;
    enum rm_err result;    // of the first phase
    struct rm_error error; // of the first phase
};

static enum rm_err reload_prepare(struct worker_thread *thread, void *context)
{
    struct reload *reload = context;
    rm_error_clear(&thread->error);
    return listeners_prepare(thread->listeners, reload->snapshot->config, &thread->error);
}

static enum rm_err reload_commit(struct worker_thread *thread, void *context)
{
    struct reload *reload = context;
    worker_adopt(&thread->worker, reload->snapshot);
    listeners_commit(thread->listeners);
    return RM_OK;
}

static enum rm_err reload_undo(struct worker_thread *thread, void *context)
{
    (void)context;
    listeners_undo(thread->listeners);
    return RM_OK;
}

static void reload_finished(struct workers *workers, enum rm_err ignored, void *context)
{
    struct reload *reload = context;
    (void)ignored;
    if (reload->result == RM_OK) {
        sidecar_config_unref(workers->config);
        workers->config = sidecar_config_ref(reload->snapshot->config);
    }
    reload->done(reload->context, reload->result, &reload->error);
    snapshot_unref(reload->snapshot);
    rm_free(reload);
}

static void reload_prepared(struct workers *workers, enum rm_err result, void *context)
{
    struct reload *reload = context;
    reload->result = result;
    for (size_t i = 0; result != RM_OK && i < workers->running; i++) {
        if (workers->threads[i].error.code != RM_OK) {
            reload->error = workers->threads[i].error;
            break;
        }
    }
    if (!broadcast_start(workers, result == RM_OK ? reload_commit : reload_undo, reload_finished,
                         reload)) {
        reload->result = rm_error_set(&reload->error, RM_ERR_NO_MEMORY, "out of memory");
        reload_finished(workers, RM_OK, reload);
    }
}

void workers_reload(struct workers *workers, struct snapshot *snapshot, workers_reload_fn done,
                    void *context)
{
    struct reload *reload = rm_calloc(1, sizeof *reload);
    struct rm_error error = {0};
    if (reload == NULL) {
        done(context, rm_error_set(&error, RM_ERR_NO_MEMORY, "out of memory"), &error);
        return;
    }
    reload->snapshot = snapshot_ref(snapshot);
    reload->done = done;
    reload->context = context;
    reload->result =
        listeners_check_free(workers->main_loop, workers->config, snapshot->config, &reload->error);
    if (reload->result != RM_OK) {
        reload_finished(workers, RM_OK, reload);
        return;
    }
    if (!broadcast_start(workers, reload_prepare, reload_prepared, reload)) {
        reload->result = rm_error_set(&reload->error, RM_ERR_NO_MEMORY, "out of memory");
        reload_finished(workers, RM_OK, reload);
    }
}

// --- Drain.
// ---------------------------------------------------------------------------------------------

static void workers_on_stopped(struct workers *workers, enum rm_err result, void *context)
{
    (void)result;
    (void)context;
    workers->on_drained(workers->drained_context, workers->cut_count);
}

static void finish_drain(struct workers *workers)
{
    if (workers->is_drained) {
        return;
    }
    workers->is_drained = true;
    timer_stop(&workers->drain_deadline);
    if (!broadcast_start(workers, stop_thread, workers_on_stopped, NULL)) {
        // Without memory for a farewell the process still ends; the kernel closes what is open.
        log_error(LOG_MAIN, "drain_cut_short", LOG_ERR(RM_ERR_NO_MEMORY));
        _exit(1);
    }
}

static enum rm_err count_thread(struct worker_thread *thread, void *context)
{
    (void)context;
    __atomic_add_fetch(&thread->workers->live_count, thread->worker.connection_count,
                       __ATOMIC_RELAXED);
    return RM_OK;
}

static void ask_count(struct workers *workers);

static void workers_on_counted(struct workers *workers, enum rm_err result, void *context)
{
    (void)result;
    (void)context;
    workers->is_counting = false;
    if (workers->live_count == 0) {
        finish_drain(workers);
    } else if (workers->is_count_due) {
        ask_count(workers);
    }
}

// A worker that became idle may not stay so: applications still get out while a drain runs. So each
// time one becomes idle all are counted, and the drain is over when there is nothing anywhere.
static void ask_count(struct workers *workers)
{
    workers->is_count_due = workers->is_counting;
    if (workers->is_drained || workers->is_counting) {
        return;
    }
    workers->live_count = 0;
    // Without memory the deadline ends the drain.
    workers->is_counting = broadcast_start(workers, count_thread, workers_on_counted, NULL);
}

static void thread_on_idle_message(void *context)
{
    struct worker_thread *thread = context;
    __atomic_store_n(&thread->is_idle_posted, false, __ATOMIC_RELEASE);
    ask_count(thread->workers);
}

// On the worker's thread: its last connection ended while draining. Messages arrive in order, so
// the answer to stop_thread(), after which this is not called, is always the last.
static void thread_on_idle(void *context)
{
    struct worker_thread *thread = context;
    if (!__atomic_exchange_n(&thread->is_idle_posted, true, __ATOMIC_ACQ_REL)) {
        thread->idle = (struct message){.deliver = thread_on_idle_message, .context = thread};
        loop_post(thread->workers->main_loop, &thread->idle);
    }
}

static enum rm_err drain_thread(struct worker_thread *thread, void *context)
{
    (void)context;
    thread->worker.is_draining = true;
    thread->worker.on_idle = thread_on_idle;
    thread->worker.idle_context = thread;
    listeners_drain(thread->listeners);
    return RM_OK;
}

static void workers_on_draining(struct workers *workers, enum rm_err result, void *context)
{
    (void)result;
    (void)context;
    ask_count(workers);
}

static enum rm_err cut_thread(struct worker_thread *thread, void *context)
{
    (void)context;
    __atomic_add_fetch(&thread->workers->cut_count, thread->worker.connection_count,
                       __ATOMIC_RELAXED);
    worker_cut_all(&thread->worker, FAULT_DRAIN_DEADLINE);
    return RM_OK;
}

static void workers_on_cut(struct workers *workers, enum rm_err result, void *context)
{
    (void)result;
    (void)context;
    if (!workers->is_drained && timer_start(&workers->drain_deadline, CUT_TIMEOUT_MS) != RM_OK) {
        finish_drain(workers);
    }
}

// First the drain's deadline, then that of the cut connections.
static void workers_on_deadline(void *context)
{
    struct workers *workers = context;
    if (workers->is_draining) {
        workers->is_draining = false;
        if (broadcast_start(workers, cut_thread, workers_on_cut, NULL)) {
            return;
        }
    }
    finish_drain(workers);
}

void workers_drain(struct workers *workers, uint32_t deadline_ms, workers_drained_fn done,
                   void *context)
{
    workers->on_drained = done;
    workers->drained_context = context;
    workers->is_draining = true;
    if (!broadcast_start(workers, drain_thread, workers_on_draining, NULL) ||
        timer_start(&workers->drain_deadline, deadline_ms) != RM_OK) {
        finish_drain(workers);
    }
}
