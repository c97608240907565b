// SPDX-License-Identifier: GPL-3.0-or-later
//
// A control plane in the test's own process: a real port on loopback, TLS with a certificate of the
// test's CA, gRPC. What its methods answer is the test's.
#pragma once

#include "tls_fixture.h"

#include "base/list.h"
#include "loop/resolver.h"
#include "rpc/rpc.h"
#include "stream/socket.h"

#define CONTROL_ID "spiffe://td.test/remora/control"

struct control_plane {
    struct loop *loop;         // borrowed
    struct listener *listener; // NULL once stopped
    struct tls_context *tls;   // owned
    struct rpc_server *rpc;    // owned; NULL once drained
    struct list handshakes;    // struct handshake that have not ended
    char address[32];          // "127.0.0.1:port"
    int accepted_count;        // TCP connections
    bool never_shakes_hands;   // accepts and stays silent
    struct stream *silent[8];  // accepted then
    size_t silent_count;       // of silent
};

// Serves as `id` under `authority` from now on; methods may be added to control->rpc.
void control_plane_start(struct control_plane *control, struct loop *loop,
                         const struct pki_authority *authority, const char *id,
                         struct trust_snapshot *trust);
// Closes everything and runs the loop until it is gone.
void control_plane_stop(struct control_plane *control);
