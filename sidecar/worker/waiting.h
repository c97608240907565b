// SPDX-License-Identifier: GPL-3.0-or-later
//
// Connections that came before the first identity and the first complete view: they wait, with a
// deadline of their own, until a snapshot lets them go on.
#pragma once

#include <stdbool.h>

#include "worker/worker.h"

struct waiting {
    struct list node;              // of worker->waiting
    void (*resume)(void *context); // called once, out of the list already
    void *context;                 // for resume
};

// True when a connection to a service of the view can be decided now.
bool worker_is_ready(const struct worker *worker, bool needs_view);
void waiting_enter(struct worker *worker, struct waiting *waiting, void (*resume)(void *context),
                   void *context);
// Safe when it is not waiting.
void waiting_leave(struct waiting *waiting);
// Lets everyone try again.
void waiting_resume(struct worker *worker);
