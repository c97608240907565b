// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the two sources of an identity (control plane, files) share.
#pragma once

#include "base/backoff.h"
#include "certs/certs.h"
#include "certs/rotation.h"
#include "certs/state_dir.h"
#include "link/link.h"
#include "rpc/rpc.h"

#define CERTS_BACKOFF_MIN_MS 1000
#define CERTS_BACKOFF_MAX_MS 60000
#define CERTS_FILES_LOOK_MS 1000    // how often certificate files are looked at
#define CERTS_CALL_TIMEOUT_MS 10000 // of one Issue call

enum certs_attempt { CERTS_RENEW, CERTS_REJOIN, CERTS_JOIN };

struct certs {
    struct loop *loop;
    struct resolver *resolver;
    struct sidecar_config *config; // shares
    size_t own_index;              // of the configuration's identities
    struct metric_set *metrics;
    certs_changed_fn on_changed;
    void *context;
    certs_stopped_fn on_stopped; // set while stopping
    void *stopped_context;
    struct certs_status status;
    struct tls_identity *identity;     // shares; NULL before the first
    struct trust_snapshot *trust;      // shares; NULL before the first
    struct trust_snapshot *view_trust; // shares; newer roots from the view; NULL: none
    struct timer timer;                // next look
    struct rotation rotation;          // of the identity in force
    struct backoff backoff;
    bool is_stopping;
    struct list renewals;   // struct certs_renewal: who waits for the next outcome
    bool is_renewal_wanted; // an attempt was asked for and has not begun
    // Control plane.
    struct link *link;                  // of the running attempt; NULL: none runs
    enum certs_attempt attempt;         // the running or last one
    bool is_renewal_refused;            // the lineage is at its end: join anew
    bool is_rejoin_refused;             // by the running or last attempt
    bool has_answer;                    // the running attempt's call was answered
    struct private_key *new_key;        // of the running attempt
    struct private_key *new_rejoin_key; // to be registered; NULL: none yet
    bool is_rejoin_offered;             // the running attempt's request carries it
    struct state_dir state;             // what the state folder held
    // Files.
    uint8_t files_seen[32]; // SHA-256 of what stat said about the files last read
    bool has_files_seen;
    uint64_t files_retry_ms; // when files that were refused are read again, unchanged; 0: never
};

// Puts a new identity in force and tells the user. Shares both.
void certs_adopt(struct certs *certs, struct tls_identity *identity, struct trust_snapshot *trust,
                 int64_t issued_at_s);
// Notes a failed attempt: status, metric, log.
void certs_note_failure(struct certs *certs, const char *sentence);
void certs_look_again(struct certs *certs, uint64_t delay_ms);
// An attempt ended: whoever waits for its outcome is told.
void certs_attempt_ended(struct certs *certs);
// Ends a stop when nothing runs any more.
void certs_finish_stop(struct certs *certs);

// One attempt to get a certificate from the control plane; ends in certs_adopt or
// certs_note_failure.
void certs_control_attempt(struct certs *certs);
// Reads the files for the first time: here a fault is an error of the start.
RM_NODISCARD enum rm_err certs_files_start(struct certs *certs, struct rm_error *error);
// Reads the files if they changed; a fault keeps the identity in force.
void certs_files_look(struct certs *certs);
