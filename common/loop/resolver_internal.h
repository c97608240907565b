// SPDX-License-Identifier: GPL-3.0-or-later
//
// The parts of a resolver: its c-ares channel with the sockets that c-ares opened, and its
// look-ups. No user's code ever runs inside a c-ares call: an answer is stored and delivered from
// the loop.
#pragma once

#include <ares.h>
#include <time.h>

#include "loop/resolver.h"

#define RESOLVER_CONFIGURATION "/etc/resolv.conf"
#define RESOLVER_TRY_MS 1500    // first wait for one server; c-ares doubles it for the second round
#define RESOLVER_TRIES 2        // rounds over all servers
#define RESOLVER_UDP_BYTES 1232 // largest answer that fits any path in one piece; beyond it: TCP

struct resolver {
    struct loop *loop;    // it belongs to
    ares_channel channel; // c-ares's own; NULL once closing
    struct list sockets;  // struct resolver_socket
    struct timespec read; // when the configuration that the channel knows was written
    struct timer retry;   // when c-ares wants to look at its time-outs
    struct list lookups;  // struct resolver_lookup, until each is answered and let go by c-ares
    size_t asking_count;  // of these: c-ares will still call back
    struct deferred gone; // frees the resolver once closed and without look-ups
};

// One look-up. Its memory goes when the user has its answer (or cancelled) and c-ares let go of it.
struct resolver_lookup {
    struct list node;                   // in the resolver's list
    struct resolver *resolver;          // it belongs to
    resolver_fn on_answer;              // the user's
    void *context;                      // for on_answer
    struct timer deadline;              // RESOLVER_TIMEOUT_MS
    struct deferred answer;             // delivers `result`
    struct sockaddr_storage *addresses; // found; owned; may be NULL
    size_t count;                       // of these
    enum rm_err result;                 // to deliver
    uint16_t port;                      // filled into the addresses
    bool is_at_cares;                   // c-ares will still call back
    bool is_answered;                   // the user was told, or does not want to be
};

RM_NODISCARD enum rm_err resolver_channel_open(struct resolver *resolver, struct rm_error *error);
// Reads the system's configuration again if it has changed and nothing is being asked. When it
// cannot be read, the old one stays.
void resolver_channel_refresh(struct resolver *resolver);
// c-ares calls back for everything that is pending.
void resolver_channel_close(struct resolver *resolver);
// After each call into c-ares: sets the timer to its next time-out.
void resolver_channel_rearm(struct resolver *resolver);

// One conversion of c-ares's codes.
enum rm_err resolver_code(int status);
// Is `name` an address? Then it is stored as the answer. Errors: RM_ERR_NO_MEMORY, RM_ERR_NOT_FOUND
// (it is none).
RM_NODISCARD enum rm_err resolver_answer_literal(struct resolver_lookup *lookup, const char *name);
// Stores at most RESOLVER_MAX_ADDRESSES of what was found. Errors: RM_ERR_NO_MEMORY,
// RM_ERR_NOT_FOUND.
RM_NODISCARD enum rm_err resolver_answer_store(struct resolver_lookup *lookup,
                                               const struct ares_addrinfo *found);

// Test hook: asks these servers ("127.0.0.1:5353,...") instead of the system's.
RM_NODISCARD enum rm_err resolver_use_servers(struct resolver *resolver, const char *servers);
