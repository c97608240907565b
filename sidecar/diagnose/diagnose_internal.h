// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the files of this room share:
//
//   diagnose.c          the room: one run at a time, and not too many
//   diagnose_dial.c     from "host:port" to a connection
//   diagnose_target.c   a run at an address: looks in a row
//   diagnose_read.c     what a look says: steps and findings
//   diagnose_chain.c    the same of a chain
//   diagnose_service.c  a run at a service
//   diagnose_call.c     a call to one of its endpoints
//   diagnose_report.c   steps and findings are made
#pragma once

#include "base/machine.h"
#include "crypto/crypto.h"
#include "diagnose/diagnose.h"
#include "stream/socket.h"
#include "tls/probe.h"

#define DIAGNOSE_MAX_FINDINGS 48

// --- A connection
// ----------------------------------------------------------------------------------

// Where to: a name is looked up once, then addresses are tried in their order.
struct dial {
    struct loop *loop;                 // borrowed
    struct resolver *resolver;         // borrowed
    char host[256];                    // of the target
    uint16_t port;                     // of the target
    bool is_numeric;                   // the host is an address
    struct resolver_lookup *lookup;    // pending, or NULL
    struct socket_connect *connecting; // pending, or NULL
    struct stream_address addresses[RESOLVER_MAX_ADDRESSES];
    size_t address_count; // of addresses; 0: not looked up yet
    size_t address_index; // that is dialled, or answered last
    uint64_t started_ns;  // of what is pending
    void (*on_resolved)(void *context, enum rm_err result, uint64_t took_us);
    void (*on_connected)(void *context, enum rm_err result, struct stream *stream,
                         uint64_t took_us);
    void *context; // for both
};
// Errors: RM_ERR_MALFORMED.
RM_NODISCARD enum rm_err dial_parse(struct dial *dial, const char *target);
// on_resolved comes, perhaps within this call.
void dial_resolve(struct dial *dial);
// on_connected comes, perhaps within this call.
void dial_connect(struct dial *dial);
void dial_cancel(struct dial *dial);
void dial_address_text(const struct dial *dial, char out[STREAM_ADDRESS_TEXT_BYTES]);

// --- A run
// -----------------------------------------------------------------------------------------

// Each look is a connection of its own.
enum look_kind {
    LOOK_MAIN,      // as a call of ours would be
    LOOK_ANONYMOUS, // without a certificate
    LOOK_NO_SNI,    // without a server name
    LOOK_TUNNEL,    // these offer one protocol each
    LOOK_H2,
    LOOK_HTTP,
    LOOK_NO_ALPN,
    LOOK_COUNT,
};
// What is kept of a look when it is over.
struct look {
    bool is_made;                    // it came to a connection
    struct tls_probe_report report;  // without the chain
    uint8_t leaf_hash[SHA256_BYTES]; // of the first certificate
    bool has_leaf;                   // a chain came
};

struct diagnosis {
    struct diagnose *owner;    // NULL once it ended
    struct snapshot *snapshot; // shares
    struct snapshot_own own;   // whose call it would be; borrowed from the snapshot
    struct diagnose_handler handler;
    void *context;                     // for handler
    struct timer deadline;             // of the whole run
    struct deferred turn;              // the next step, out of any callback
    struct dial dial;                  // to the target, or to the endpoint in hand
    struct diagnose_finding *findings; // owned; DIAGNOSE_MAX_FINDINGS
    size_t finding_count;              // of findings
    char *expected;                    // owned; NULL: any trusted identity
    char *sni;                         // owned; NULL: none
    char *alpn;                        // owned; NULL: those we know
    int64_t control_offset_ms;         // of the request
    // At an address.
    struct tls_probe *probe; // under way, or NULL
    enum look_kind look;     // in hand
    struct look *looks;      // owned; LOOK_COUNT; NULL for a service
    bool is_over;            // nothing more is to be learnt
    // At a service.
    struct service_run *service; // owned; NULL for an address
};

// diagnose.c
// Tells findings and the end; the run is gone afterwards.
void diagnosis_end(struct diagnosis *diagnosis);

// diagnose_target.c
RM_NODISCARD enum rm_err target_prepare(struct diagnosis *diagnosis,
                                        const struct diagnose_request *request,
                                        struct rm_error *error);
void target_start(struct diagnosis *diagnosis);
void target_cancel(struct diagnosis *diagnosis);

// diagnose_service.c
RM_NODISCARD enum rm_err service_prepare(struct diagnosis *diagnosis,
                                         const struct diagnose_request *request,
                                         struct rm_error *error);
void service_start(struct diagnosis *diagnosis);
void service_cancel(struct diagnosis *diagnosis);
void service_free(struct service_run *run); // may be NULL
// What to ask of the process, from diagnose.c.
const struct diagnose_source *diagnosis_source(const struct diagnosis *diagnosis);

// diagnose_read.c: what looks say.
void read_own_certificate(struct diagnosis *diagnosis);
void read_main(struct diagnosis *diagnosis, const struct tls_probe_report *report);
void read_client_certificate(struct diagnosis *diagnosis);
void read_sni(struct diagnosis *diagnosis);
void read_alpn(struct diagnosis *diagnosis);
void read_tickets(struct diagnosis *diagnosis);
void read_clock(struct diagnosis *diagnosis);

// diagnose_chain.c
// A step for each certificate, one for the whole, findings on dates and names.
void read_chain(struct diagnosis *diagnosis, const struct tls_probe_report *report);

// --- Steps and findings
// ----------------------------------------------------------------------------

struct diagnose_step step_new(const char *name, enum diagnose_outcome outcome);
void step_say(struct diagnose_step *step, const char *format, ...) RM_PRINTF(2, 3);
void step_add(struct diagnose_step *step, const char *key, const char *format, ...) RM_PRINTF(3, 4);
void step_tell(struct diagnosis *diagnosis, const struct diagnose_step *step);
// With wanted and found. The same fault and detail only once.
void finding_add(struct diagnosis *diagnosis, enum fault fault, const char *format, ...)
    RM_PRINTF(3, 4);
// One that TLS named.
void finding_add_failure(struct diagnosis *diagnosis, const struct tls_failure *failure);
bool diagnosis_has(const struct diagnosis *diagnosis, enum diagnose_severity severity);
