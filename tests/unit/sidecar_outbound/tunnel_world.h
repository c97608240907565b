// SPDX-License-Identifier: GPL-3.0-or-later
//
// Two sidecars' workers on one loop: the client's application is a stream in memory, the tunnel and
// the server's application are real connections on loopback. A false peer may take the server's
// place.
#pragma once

#include "sidecar_parts.h"
#include "tls_fixture.h"

#include "metrics/metrics.h"
#include "stream/socket.h"
#include "tunnel/tunnel.h"
#include "worker/worker.h"

#define CLIENT_ID "spiffe://td.test/ns/a/sa/client"
#define SERVER_ID "spiffe://td.test/ns/a/sa/server"

// One end of a stream that the test plays.
struct party {
    struct stream *stream; // NULL: none, or closed
    char bytes[65536];     // received, NUL-terminated
    size_t length;         // of bytes
    enum rm_err end;       // RM_OK while it goes on; then RM_ERR_EOF, RM_ERR_RESET ...
    bool must_echo;        // sends back what it gets
};
void party_begin(struct party *party, struct stream *stream);
void party_send(struct party *party, const char *text);
void party_close(struct party *party, enum stream_close_mode mode);

struct sidecar {
    struct worker worker;
    struct metrics *metrics;
    struct sidecar_config *config;
    struct tls_identity *identity;
};

enum false_manners {
    FALSE_SILENT,  // reads, never answers
    FALSE_CLOSES,  // ends in order after the Connect
    FALSE_RESETS,  // resets after the Connect
    FALSE_ANSWERS, // sends `answer` after the Connect
};

// A TLS server with the server's identity that is no sidecar.
struct false_peer {
    struct listener *listener; // NULL: none
    struct tls_context *tls;
    enum false_manners manners;
    const char *answer; // bytes
    size_t answer_length;
    int accepted_count;
    struct tunnel_world *world;
    struct stream *streams[8]; // handshakes and tunnels; NULL once closed
    size_t stream_count;
    struct party last; // what the last tunnel got
    char address[32];
};

struct tunnel_world {
    struct loop *loop;
    struct pki_authority authority;
    struct trust_snapshot *trust;
    struct sidecar client;
    struct sidecar server;
    struct listener *tunnel; // the server's tunnel port
    struct listener *edge;   // the server's edge port
    char tunnel_address[32];
    char edge_address[32];
    struct listener *application; // behind the server
    char application_address[32];
    int application_count; // connections it got
    struct party behind;   // the last of them
    bool refuses_behind;   // aborts what it accepts
    struct false_peer liar;
    struct party before; // the client's application
    uint64_t generation; // of snapshots
};

int tunnel_world_setup(void **state);
int tunnel_world_teardown(void **state);

// New configuration and view for one side; the identity stays. `view` is taken; NULL: none.
void sidecar_adopt(struct tunnel_world *world, struct sidecar *sidecar, const char *yaml,
                   struct mesh_view *view);
// The usual configurations.
void client_calls(struct tunnel_world *world, const char *address, const char *identity);
void server_hosts(struct tunnel_world *world, const char *allow);
// The client calls the service web by a view of these addresses (ended by NULL), with SERVER_ID.
void client_has_view(struct tunnel_world *world, const char *const *addresses);

// The client's application connects and says this; NULL: nothing yet.
void world_call(struct tunnel_world *world, const char *text);
void liar_start(struct tunnel_world *world, enum false_manners manners);

// Runs until the client's application has got this, or its connection ended so.
void expect_before(struct tunnel_world *world, const char *text);
void expect_end(struct tunnel_world *world, enum rm_err end);
// Runs until no connection is left on either side.
void expect_quiet(struct tunnel_world *world);
// How often this side's connections ended with this result.
int result_count(const struct sidecar *sidecar, const char *direction, const char *result);
