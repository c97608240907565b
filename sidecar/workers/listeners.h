// SPDX-License-Identifier: GPL-3.0-or-later
//
// The listeners of one worker, as its configuration wants them: tunnel port, edges, outbound. A
// change has two phases: prepare opens what is new, commit closes what is gone (or undo closes what
// is new). Belongs to the worker's thread.
#pragma once

#include "base/error.h"
#include "config/sidecar_config.h"
#include "worker/worker.h"

struct listeners;

// SO_REUSEPORT lets processes of one user share a port without a word. So that a port in use is an
// error all the same, each TCP address of `config` that `before` (NULL: nothing) does not listen on
// is opened without it once, and closed. On the main loop. Errors: those of listener_open().
RM_NODISCARD enum rm_err listeners_check_free(struct loop *loop,
                                              const struct sidecar_config *before,
                                              const struct sidecar_config *config,
                                              struct rm_error *error);
// NULL when memory is exhausted.
struct listeners *listeners_new(struct worker *worker);
// Opens every address of `config` that is not open yet; nothing is accepted on them before commit.
// On an error what this call opened is closed again and the rest goes on as before.
RM_NODISCARD enum rm_err listeners_prepare(struct listeners *listeners,
                                           struct sidecar_config *config, struct rm_error *error);
void listeners_commit(struct listeners *listeners);
void listeners_undo(struct listeners *listeners);
// While draining only the tunnel port and the applications' own listeners stay: the first answers
// DRAINING, the others serve applications that are still at work.
void listeners_drain(struct listeners *listeners);
// Closes everything. `listeners` may be NULL.
void listeners_free(struct listeners *listeners);
