// SPDX-License-Identifier: GPL-3.0-or-later
//
// The push room over a real store and a real server; sidecars are clients over memory streams that
// keep a view of their own and hash it. Everything runs on the fixture's loop; calls wait.
#pragma once

#include "registry_fixture.h"

#include "api/access.h"
#include "base/alloc.h"
#include "mesh/mesh_wire.h"
#include "push/push.h"
#include "rpc/rpc.h"

#define ANY_RANGE "10.0.0.0/8"
#define A "10.0.0.1:15008"

struct push_fixture {
    struct registry_fixture *mesh; // registry, store, loop
    struct access *access;
    struct push *push;
    struct rpc_server *server;
    size_t drained; // 1 once the server's drain is done
};

int push_fixture_setup(void **state);
int push_fixture_teardown(void **state);
// Push and server end and begin again, as does the registry.
void push_fixture_restart(struct push_fixture *fixture);

// A workload's stream, and what it was told. Only the loop's thread touches it.
struct sidecar {
    struct push_fixture *fixture; // borrowed
    struct rpc_client *client;    // NULL once ended
    struct rpc_call *call;        // NULL once closed
    struct mesh_view *view;       // owned
    bool is_silent;               // does not acknowledge
    bool is_wrong;                // acknowledges another hash
    size_t responses;             // that came
    size_t full_count;            // of them full
    size_t put_count;             // resources put by the last one
    size_t removal_count;         // keys removed by the last one
    bool is_ended;                // the call has closed
    enum rpc_status status;       // then
    char text[1024];              // then
};

// What a Hello says; lists end with NULL.
struct hello {
    const char *instance_id;        // NULL: FIRST_PROCESS
    const char *const *calls;       // NULL: none
    const char *const *exposes;     // NULL: none
    const char *address;            // NULL: A
    const struct mesh_view *resume; // NULL: nothing
};

// Opens a stream as workload `number` with `identity`. The caller frees it.
struct sidecar *sidecar_open(struct push_fixture *fixture, unsigned number, const char *identity);
struct sidecar *sidecar_open_until(struct push_fixture *fixture, unsigned number,
                                   const char *identity, int64_t not_after_s);
void sidecar_free(struct sidecar *sidecar);
void sidecar_hello(struct sidecar *sidecar, const struct hello *hello);
void sidecar_say(struct sidecar *sidecar, const struct mesh_request *request);
void sidecar_say_bytes(struct sidecar *sidecar, const void *bytes, size_t length);
void sidecar_subscribe(struct sidecar *sidecar, const char *service);
void sidecar_goodbye(struct sidecar *sidecar);
// Acknowledges what it has now.
void sidecar_ack(struct sidecar *sidecar);
void sidecar_half_close(struct sidecar *sidecar);
void sidecar_cut(struct sidecar *sidecar); // its connection is gone
// Opened, hello said, first view there.
struct sidecar *sidecar_start(struct push_fixture *fixture, unsigned number, const char *identity,
                              const struct hello *hello);

void wait_ended(struct sidecar *sidecar, enum rpc_status status, const char *text);
void wait_responses(struct sidecar *sidecar, size_t count);
// Until it has (or lacks) this.
void wait_has(struct sidecar *sidecar, enum mesh_kind kind, const char *key);
void wait_lacks(struct sidecar *sidecar, enum mesh_kind kind, const char *key);
// A session that acknowledged the view of now, by the server's own account.
void wait_in_step(struct sidecar *sidecar);
// Borrowed until the next response.
const struct mesh_resource *seen(struct sidecar *sidecar, enum mesh_kind kind, const char *key);
size_t seen_count(struct sidecar *sidecar, enum mesh_kind kind);
void wait_sessions(struct push_fixture *fixture, size_t count);
