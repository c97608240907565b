// SPDX-License-Identifier: GPL-3.0-or-later
//
// A thread that runs one loop.
#pragma once

#include "base/error.h"
#include "loop/loop.h"

struct loop_thread;

typedef enum rm_err (*loop_thread_init_fn)(void *context, struct loop *loop);
typedef void (*loop_thread_deinit_fn)(void *context);
// Starts a thread with its own loop; `init` runs on it before loop_run (its error ends the thread
// and is returned here), `deinit` after. Signals are blocked in the thread. Blocks until init
// returned.
RM_NODISCARD enum rm_err loop_thread_start(const char *name, loop_thread_init_fn init,
                                           loop_thread_deinit_fn deinit, void *context,
                                           struct loop_thread **out);
// For loop_post(), until loop_thread_join(). Borrowed.
struct loop *loop_thread_loop(struct loop_thread *thread);
// Waits for the thread (something must have called loop_stop on its loop) and frees it.
void loop_thread_join(struct loop_thread *thread);
