// SPDX-License-Identifier: GPL-3.0-or-later
//
// remora.sidecar.v1.Local: what a sidecar tells and does for the operators of its own machine, over
// a Unix socket, for root, our own user and the configured group; with health and reflection.
// Nothing secret leaves. Belongs to the main loop.
// Life: local_open -> (local_prepare -> local_commit | local_undo)... -> local_close -> done.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "certs/certs.h"
#include "config/sidecar_config.h"
#include "diagnose/diagnose.h"
#include "loop/loop.h"
#include "worker/listing.h"
#include "worker/snapshot.h"

#define LOCAL_SERVICE "remora.sidecar.v1.Local"
#define LOCAL_MAX_CALLS 64      // under way at once; beyond: RESOURCE_EXHAUSTED
#define LOCAL_CLOSE_MS 1000     // longest wait for callers at the end
#define LOCAL_REASON_BYTES 768  // what readiness waits for
#define LOCAL_MAX_LEVEL_S 86400 // a log level that falls back does so within a day

// The process as it is now. Borrowed for one turn of the loop.
struct local_state {
    const struct snapshot *snapshot; // published last
    // Of own certificate number i, see snapshot_own().
    const struct certs_status *certs[1 + SIDECAR_MORE_IDENTITIES_MAX];
    const char *view_hash;              // hexadecimal; "": no view yet
    bool is_connected;                  // the stream to the control plane stands
    bool is_ready;                      // serves
    char waits_for[LOCAL_REASON_BYTES]; // when not ready
    size_t worker_count;                // threads
};

// How the API asks the rest of the process; all on the main loop.
typedef void (*local_listed_fn)(void *context, enum rm_err result);
struct local_source {
    void *context; // for all of them
    void (*look)(void *context, struct local_state *out);
    // The next page of worker number `worker`'s connections; as workers_list().
    enum rm_err (*list)(void *context, size_t worker, struct listing *listing, local_listed_fn done,
                        void *done_context);
    // As certs_renew(), of own identity number `own_index`. Errors: RM_ERR_CLOSED: the process is
    // ending.
    enum rm_err (*renew)(void *context, size_t own_index, struct certs_renewal *renewal);
    // As diagnose_start(). Errors: RM_ERR_CLOSED too.
    enum rm_err (*diagnose)(void *context, const struct diagnose_request *request,
                            const struct diagnose_handler *handler, void *handler_context,
                            struct diagnosis **out, struct rm_error *error);
};

struct local;
// Listens on the configured socket. Where that is only the default, a socket that cannot be opened
// is a warning and there is none. Errors: as listener_open(), RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err local_open(struct loop *loop, const struct sidecar_config *config,
                                    const struct local_source *source, struct local **out,
                                    struct rm_error *error);
// A reload in two phases: prepare opens what is new beside the old, or changes nothing; commit
// closes what is gone, undo what is new. The configured log level is back with a commit.
RM_NODISCARD enum rm_err local_prepare(struct local *local, const struct sidecar_config *config,
                                       struct rm_error *error);
void local_commit(struct local *local);
void local_undo(struct local *local);
// Ends every call; `done` once, later, when nothing of it is left. The source is not asked again.
typedef void (*local_closed_fn)(void *context);
void local_close(struct local *local, local_closed_fn done, void *context);
