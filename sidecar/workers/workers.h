// SPDX-License-Identifier: GPL-3.0-or-later
//
// The worker threads: each owns a loop, its SO_REUSEPORT listeners, its TLS contexts and its
// connections. Called from the main loop only.
// Life: workers_start -> workers_publish ... -> workers_drain -> done -> workers_join.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "loop/loop.h"
#include "metrics/metrics.h"
#include "worker/listing.h"
#include "worker/snapshot.h"
#include "worker/standing.h"

struct workers;

// Starts `count` threads, opens every listener of the snapshot's configuration in each (one worker
// serves Unix-socket listeners) before it returns: a port that is taken is an error here.
RM_NODISCARD enum rm_err workers_start(struct loop *main_loop, size_t count,
                                       struct snapshot *snapshot, struct metrics *metrics,
                                       struct workers **out, struct rm_error *error);
// Hands a new snapshot to every worker. Live connections are judged anew there (verdict, policy).
void workers_publish(struct workers *workers, struct snapshot *snapshot);
// A new configuration, two phases: every worker opens what is new (phase 1); only if all succeeded
// do they switch and close what is gone (phase 2); otherwise all go on as before and *error tells.
typedef void (*workers_reload_fn)(void *context, enum rm_err result, const struct rm_error *error);
void workers_reload(struct workers *workers, struct snapshot *snapshot, workers_reload_fn done,
                    void *context);
// Stops accepting, answers new tunnels with DRAINING, waits for connections up to `deadline_ms`,
// then aborts the rest. `done` on the main loop, once, with how many were cut.
typedef void (*workers_drained_fn)(void *context, size_t cut_count);
void workers_drain(struct workers *workers, uint32_t deadline_ms, workers_drained_fn done,
                   void *context);

size_t workers_count(const struct workers *workers); // of threads
// Asks worker number `worker` (0..workers_count()-1) for the next page of `listing`, which must
// live until the answer. `done` on the main loop, once. Errors: RM_ERR_CLOSED (the workers are
// ending), RM_ERR_NO_MEMORY; then no callback.
typedef void (*workers_listed_fn)(void *context, enum rm_err result);
RM_NODISCARD enum rm_err workers_list(struct workers *workers, size_t worker,
                                      struct listing *listing, workers_listed_fn done,
                                      void *context);
// Asks every worker, one after the other, what it thinks of the endpoints in `standing`; the rest
// as workers_list().
RM_NODISCARD enum rm_err workers_rate(struct workers *workers, struct standing *standing,
                                      workers_listed_fn done, void *context);
void workers_join(struct workers *workers); // after drained; frees
