// SPDX-License-Identifier: GPL-3.0-or-later
//
// The Identity service over real attestation, and a gRPC client on streams in memory. Calls wait.
#pragma once

#include "attest_fixture.h"

#include "api/identity_service.h"
#include "base/buffer.h"

#define ISSUE_METHOD "/remora.identity.v1.Identity/Issue"
#define WATCH_METHOD "/remora.identity.v1.Identity/WatchTrust"

struct service_fixture {
    struct attest_fixture *attest;    // with its loop
    struct access *access;            // nobody is an admin
    struct rpc_server *server;        // one connection at a time
    struct identity_service *service; // under test
    struct trust_snapshot *trust;     // that callers are judged by; owned
    struct rpc_client *client;        // connected
    struct stream *server_stream;     // its other end
    size_t ended;                     // clients that ended
    size_t drained;                   // 1 once the server was
};

int service_fixture_setup(void **state);
int service_fixture_teardown(void **state);
// A new connection whose caller has shown `peer`'s certificate; NULL: none.
void service_fixture_connect(struct service_fixture *fixture, struct peer *peer);
void service_fixture_disconnect(struct service_fixture *fixture);

// A call: what came back. reply_free().
struct reply {
    struct service_fixture *fixture; // borrowed
    struct buffer message;           // last one
    size_t messages;                 // so far
    enum rpc_status status;          // once closed
    char text[RPC_MAX_STATUS_TEXT_BYTES + 1];
    size_t closed;         // 1 once the call ended
    struct rpc_call *call; // while it stands
};
void reply_start(struct service_fixture *fixture, const char *method, const void *message,
                 size_t length, struct reply *reply);
void reply_wait(struct reply *reply);
void reply_wait_messages(struct reply *reply, size_t count);
void reply_cancel(struct reply *reply);
void reply_free(struct reply *reply);

// IssueRequest with the workload's request and, when not NULL, a join token.
void issue_request(struct buffer *out, const struct workload *workload, const char *join_token);
