// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the parts of the room share: its threads, and who asks them.
#pragma once

#include "loop/thread.h"
#include "worker/worker.h"
#include "workers/listeners.h"
#include "workers/workers.h"

struct worker_thread {
    struct worker worker;        // lives on its own thread
    struct workers *workers;     // it belongs to
    struct loop_thread *thread;  // NULL before it started
    struct listeners *listeners; // open ones, and those of a reload's first phase
    struct snapshot *first;      // borrowed while starting
    struct rm_error error;       // of the start, or of a reload's first phase
    struct message idle;         // to the main loop: the last connection ended while draining
    bool is_idle_posted;         // atomic: `idle` is on its way
};

struct workers {
    struct loop *main_loop;
    struct metrics *metrics;
    struct sidecar_config *config;       // whose addresses are listened on; shares
    struct tls_ticket_keys *ticket_keys; // of the process; owned
    size_t count;                        // of threads
    size_t running;                      // of threads that started
    struct worker_thread *threads;       // owned
    struct timer drain_deadline;         // on the main loop
    size_t live_count;                   // atomic: connections of all workers, as last asked
    bool is_counting;                    // they are being asked
    bool is_count_due;                   // something ended meanwhile: ask again
    size_t cut_count;                    // connections that the deadline cut
    bool is_draining;                    // drain was asked for
    bool is_drained;                     // and is over
    workers_drained_fn on_drained;       // once
    void *drained_context;
};
