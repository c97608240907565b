// SPDX-License-Identifier: GPL-3.0-or-later
//
// The local API on one loop with its caller: a real Unix socket between them, and behind the API a
// process that the test plays: workers with connections that only exist here, renewals that come
// out as it says.
#pragma once

#include "sidecar_parts.h"
#include "tls_fixture.h"

#include "local/local.h"
#include "rpc/rpc.h"
#include "scenario.h"
#include "worker/worker.h"

#define LOCAL_WORKERS 2
#define LOCAL_OWN_ID "spiffe://td.test/ns/a/sa/own"
#define LOCAL_PEER_ID "spiffe://td.test/ns/a/sa/peer"
#define LOCAL_MAX_TEST_CALLS 80

// One call, as the caller saw it.
struct told {
    struct rpc_call *call;  // NULL: not open
    uint8_t *bytes;         // all messages, one after the other: repeated fields join
    size_t length;          // of bytes
    size_t message_count;   // that came
    bool is_closed;         // it is over
    enum rpc_status status; // how
    char text[1100];        // the server's sentence
    bool must_leave;        // cancels at the first message
};

struct local_world {
    struct folder folder;
    char socket[256];
    struct loop *loop;
    struct pki_authority authority;
    struct trust_snapshot *trust;
    struct tls_identity *identity;
    struct sidecar_config *config;
    struct snapshot *snapshot;
    struct certs_status certs;
    struct local *local;                     // NULL once closed
    struct worker workers[LOCAL_WORKERS];    // only their lists and snapshots
    struct connection *connections;          // in these lists
    size_t connection_count;                 // of connections
    struct list renewals;                    // struct certs_renewal: asked for, without an outcome
    bool holds_pages;                        // a worker's answer waits for release_page()
    local_listed_fn held;                    // what to call then; NULL: nothing is held
    void *held_context;                      // for it
    enum rm_err held_result;                 // for it
    struct deferred answer;                  // a worker's answer on its way
    struct rpc_client *client;               // NULL: not connected
    bool is_connecting;                      // to the socket
    struct told calls[LOCAL_MAX_TEST_CALLS]; // in order of opening
    size_t call_count;                       // of calls
    size_t at;                               // for the test
    void *own;                               // for the test
    size_t count;                            // for the test
};

int local_setup(void **state);
int local_teardown(void **state);
// With a view of `services` services, each with one endpoint.
void local_set_view(struct local_world *world, size_t services);
void local_add_connections(struct local_world *world, size_t count);
void local_release_page(struct local_world *world);
// Opens a call; `request` NULL: an empty one. NULL when the connection takes none.
struct told *local_call(struct local_world *world, const char *method, const void *request,
                        size_t length);
void told_clear(struct told *told);
// Steps of a scenario.
bool step_connect(void *context); // until there is a connection
bool step_all_closed(void *context);
void local_run(struct local_world *world, const scenario_step_fn *steps);
