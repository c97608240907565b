// SPDX-License-Identifier: GPL-3.0-or-later
//
// The parts that `serve` wires. Everything belongs to the one loop.
#pragma once

#include "api/access.h"
#include "api/admin.h"
#include "api/identity_service.h"
#include "attest/attest.h"
#include "base/machine.h"
#include "ca/authority.h"
#include "config/control_config.h"
#include "http1/http1.h"
#include "loop/loop.h"
#include "push/push.h"
#include "registry/registry.h"
#include "rpc/rpc.h"
#include "store/store.h"
#include "stream/socket.h"
#include "tls/tls.h"

#define APP_MAX_HANDSHAKES 2048    // at once; beyond, new connections wait in the backlog
#define APP_IDENTITY_LOOK_MS 30000 // longest time between looks at our own certificate
#define APP_TRUST_DELAY_MS 10      // changes of trust that come together are taken together

struct app {
    struct loop *loop;
    struct control_config *config; // in force; owned
    struct secret kek;             // key-encryption key
    struct store *store;
    struct authority *authority;
    struct registry *registry;
    struct attest *attest;
    struct access *access;
    struct rpc_server *server; // serves both ports; access tells callers apart
    struct identity_service *identity_service;
    struct push *push;
    struct admin_api *admin_api;
    struct listener *listener;               // gRPC over TLS
    char address[STREAM_ADDRESS_TEXT_BYTES]; // of it, as the kernel gave it
    struct listener *admin_listener;         // gRPC on the Unix socket
    struct listener *health_listener;
    struct http1_server *health;
    struct tls_identity *identity; // our own
    struct tls_context *tls;       // of our identity and the trust in force
    struct trust_snapshot *trust;  // that `tls` was made with
    uint64_t trust_number;         // view number up to which trust was looked at
    struct timer identity_timer;   // our certificate's half life
    struct timer trust_timer;      // a change of trust is to be taken over
    struct list handshakes;        // struct app_handshake
    size_t handshake_count;        // entries in handshakes
    struct sm sm;                  // see app.c
    const char *waits_for;         // what readiness waits for; NULL: nothing
    struct deferred finish;        // frees what the drain's end leaves
    int64_t started_at_s;          // Unix seconds
    uint64_t started_ms;           // the same, monotonic
    int exit_status;               // of the process
};

// --- app.c
struct trust_snapshot *app_trust(void *context); // trust_source
bool app_is_serving(const struct app *app);

// --- app_listen.c
RM_NODISCARD enum rm_err app_listen_health(struct app *app, struct rm_error *error);
RM_NODISCARD enum rm_err app_listen(struct app *app, struct rm_error *error);
void app_stop_listening(struct app *app);
void app_stop_health(struct app *app);

// --- app_trust.c: our own certificate, and the trust that callers are judged by.
// Makes the identity and the TLS context. On an error the old ones stay.
RM_NODISCARD enum rm_err app_renew_identity(struct app *app, const struct control_config *config,
                                            struct rm_error *error);
void app_on_identity_timer(void *context);
void app_on_trust_timer(void *context);
void app_on_view_change(void *context); // registry_change_fn

// --- app_health.c
void app_on_health_request(void *context, const struct http1_request *request,
                           struct http1_answer *answer);
