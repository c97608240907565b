// SPDX-License-Identifier: GPL-3.0-or-later
//
// Looks at another end the way this workload would meet it, and says what is wrong and what to do:
// a TLS server at an address, whoever it is, or a service of the mesh. Runs where the key, the
// trust and the place in the network are. Belongs to the main loop.
//
// One run at a time, a bounded number of connections, each after the other, all within a deadline,
// and only so many runs in a while: asking cannot be made into scanning.
//
// Life: diagnose_open -> diagnose_start -> on_step, on_finding ... -> on_end -> ... ->
// diagnose_close.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "faults/faults.h"
#include "loop/loop.h"
#include "loop/resolver.h"
#include "worker/snapshot.h"
#include "worker/standing.h"

#define DIAGNOSE_CONNECT_MS 4000   // to each address
#define DIAGNOSE_HANDSHAKE_MS 5000 // of each handshake
#define DIAGNOSE_REPLY_MS 15000    // the other sidecar's connect to its application included
#define DIAGNOSE_DEADLINE_MS 45000 // of a whole run
#define DIAGNOSE_BURST 20          // runs at once in a row ...
#define DIAGNOSE_REFILL_MS 2000    // ... and one more after each such pause
#define DIAGNOSE_MAX_ENDPOINTS STANDING_MAX // of a service that are tried; more say the same
#define DIAGNOSE_TARGET_BYTES 320           // "host:port"

enum diagnose_outcome { DIAGNOSE_PASSED, DIAGNOSE_FAILED, DIAGNOSE_SKIPPED };

#define DIAGNOSE_MAX_FACTS 20
#define DIAGNOSE_VALUE_BYTES 512
struct diagnose_fact {
    const char *key;                  // lower_snake_case; static
    char value[DIAGNOSE_VALUE_BYTES]; // printable
};
struct diagnose_step {
    const char *name; // "resolve", "connect", "hello", "certificate" ...; static
    enum diagnose_outcome outcome;
    char text[DIAGNOSE_VALUE_BYTES]; // one line for people; printable
    uint64_t took_us;                // 0: no time of its own
    struct diagnose_fact facts[DIAGNOSE_MAX_FACTS];
    size_t fact_count; // of facts
};

enum diagnose_severity {
    DIAGNOSE_NOTE,    // worth knowing; nothing is wrong
    DIAGNOSE_WARNING, // works today
    DIAGNOSE_ERROR,   // a call fails
};
struct diagnose_finding {
    enum diagnose_severity severity;
    enum fault fault;                  // its name, cause and remedy: fault_entry()
    char detail[DIAGNOSE_VALUE_BYTES]; // wanted and found; printable; "" when there is none
};

struct diagnose_handler {
    void (*on_step)(void *context, const struct diagnose_step *step);          // as they are made
    void (*on_finding)(void *context, const struct diagnose_finding *finding); // worst first
    void (*on_end)(void *context, bool is_well); // once, last; well: no error and no warning
};

// Exactly one of target and service.
struct diagnose_request {
    const char *target;   // "host:port", "[v6]:port"
    const char *service;  // in the view or of a fixed endpoint of the configuration
    const char *expected; // target: SPIFFE ID it must prove; NULL: that of the view's endpoint at
                          // this address, or any trusted one
    const char *sni;      // target: server name to send; NULL: of the expected ID, or the host
    const char *alpn;     // target: the one protocol to offer; NULL: those we know
    int64_t control_offset_ms; // control plane's clock minus ours; 0 without one
};

// What a diagnosis asks of the process.
typedef void (*diagnose_rated_fn)(void *context, enum rm_err result);
struct diagnose_source {
    void *context; // for all of it
    // As workers_rate(). NULL: nobody to ask.
    enum rm_err (*rate)(void *context, struct standing *standing, diagnose_rated_fn done,
                        void *done_context);
};

struct diagnose;
struct diagnosis; // one run

// NULL when memory is exhausted.
struct diagnose *diagnose_open(struct loop *loop, struct resolver *resolver,
                               const struct diagnose_source *source);
// A run is cut short: on_end comes within this call. `diagnose` may be NULL.
void diagnose_close(struct diagnose *diagnose);
// Copies the request, shares the snapshot. on_step and on_finding come later, on_end exactly once.
// Errors, with a sentence: RM_ERR_MALFORMED (request), RM_ERR_BUSY (one runs), RM_ERR_LIMIT (too
// many of late), RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err diagnose_start(struct diagnose *diagnose, struct snapshot *snapshot,
                                        const struct diagnose_request *request,
                                        const struct diagnose_handler *handler, void *context,
                                        struct diagnosis **out, struct rm_error *error);
// on_end will not come.
void diagnosis_cancel(struct diagnosis *diagnosis);
// "error", "warning", "note"; "passed", "failed", "skipped". Static.
const char *diagnose_severity_name(enum diagnose_severity severity);
const char *diagnose_outcome_name(enum diagnose_outcome outcome);
