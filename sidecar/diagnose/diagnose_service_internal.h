// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the two files of a run at a service share: diagnose_service.c (what is known, place after
// place) and diagnose_call.c (the call to one of them).
#pragma once

#include "diagnose/diagnose_internal.h"
#include "tunnel/tunnel.h"

#define DIAGNOSE_REPLY_BYTES (TUNNEL_PREFIX_BYTES + TUNNEL_MAX_MESSAGE_BYTES)

// One place where the service may be reached.
struct place {
    const char *address;  // borrowed from the snapshot
    const char *identity; // that it must prove; the same
    bool is_owned;        // the service's record names it
    bool is_ready;        // takes new connections
};

// A question to the workers, which may be answered after the run is gone.
struct rating {
    struct standing standing;    // theirs until the answer
    struct diagnosis *diagnosis; // NULL: gone
};

struct service_run {
    char *name;                                  // owned
    uint16_t port;                               // the service's
    const struct sidecar_outbound *fixed;        // in the configuration; borrowed; NULL: the view's
    struct place places[DIAGNOSE_MAX_ENDPOINTS]; // to try
    size_t place_count;                          // of places
    size_t place_total;                          // with those that are not tried
    size_t place_index;                          // in hand
    struct rating *rating;                       // asked for; NULL: not, or answered
    struct standing standing;                    // what was answered; entries as places
    struct tls_context *tls;                     // of an ordinary call; owned
    struct stream *tunnel;                       // under way, or NULL
    struct timer reply_timer;                    // until the Reply
    uint64_t started_ns;                         // of the handshake, later of the Reply
    uint8_t reply[DIAGNOSE_REPLY_BYTES];         // so far
    size_t reply_length;                         // of reply
};

static inline const struct place *place_in_hand(const struct service_run *run)
{
    return &run->places[run->place_index];
}

// diagnose_service.c
// The call to the place in hand is over; on to the next.
void service_place_done(struct diagnosis *diagnosis);

// diagnose_call.c
void call_prepare(struct diagnosis *diagnosis);
// Errors: RM_ERR_MALFORMED (address); else service_place_done() comes, perhaps within this call.
RM_NODISCARD enum rm_err call_begin(struct diagnosis *diagnosis);
void call_cancel(struct service_run *run);
