// SPDX-License-Identifier: GPL-3.0-or-later
//
// The Admin service with everything under it for real (store, authority, attestation, registry,
// push), on one loop, and a client of ours at the other end of a socket pair.
#pragma once

#include "attest_fixture.h"

#include "api/admin.h"
#include "remora/admin/v1/admin.pb-c.h"

struct admin_fixture {
    struct attest_fixture *below; // store, authority, attest, loop
    struct registry *registry;    // loaded
    struct access *access;        // lets our own user in
    struct push *push;            // without sessions
    struct admin_api *api;        // under test
    struct rpc_server *server;    // serves it
    struct rpc_client *client;    // NULL: none
    size_t ended;                 // connections of ours that are gone
    bool has_certificate;         // one was issued: lists are not empty
};

int admin_fixture_setup(void **state);
int admin_fixture_teardown(void **state);
struct fixture *admin_base(struct admin_fixture *fixture);
// What app.c does at the end, except for the store: on the loop's thread.
void admin_fixture_stop(struct admin_fixture *fixture);

struct reply {
    struct admin_fixture *fixture;            // borrowed
    enum rpc_status status;                   // of the call
    char text[RPC_MAX_STATUS_TEXT_BYTES + 1]; // its sentence
    uint8_t *bytes;                           // messages one after the other; owned
    size_t length;                            // of bytes
    size_t messages;                          // that came
    size_t done;                              // 1 once closed
    struct rpc_call *call;                    // until it closed; for the loop's thread
    uint64_t allocations; // of the loop's thread when it closed, see rm_alloc_count()
};
void reply_free(struct reply *reply);

// On the loop's thread. False: the call could not even be opened.
bool admin_start(struct reply *reply, const char *method, const ProtobufCMessage *request);
// A connection; on the loop's thread. False: memory ran out.
bool admin_connect(struct admin_fixture *fixture);
// Calls and waits.
struct reply admin_call(struct admin_fixture *fixture, const char *method,
                        const ProtobufCMessage *request);

#define ADMIN_TEST_METHODS 13
extern const char *const admin_test_methods[ADMIN_TEST_METHODS];
// Makes what a call of this method needs so that it succeeds, and its request, which is good until
// the next one is made. `number` is a new one each time. NULL: the registry lost a change for want
// of memory and is about to read everything anew.
const ProtobufCMessage *prepare_request(struct admin_fixture *fixture, size_t method,
                                        size_t number);

// Requests of the tests.
struct reply create_service(struct admin_fixture *fixture, const char *name);
// Allow patterns of a service as it stands; 0 when there is none.
size_t allow_count(struct admin_fixture *fixture, const char *name);
