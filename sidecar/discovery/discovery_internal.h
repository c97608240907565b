// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the parts of discovery share: its sessions (discovery.c), what they say
// (discovery_requests.c), and what they do with what they hear (discovery_deltas.c).
#pragma once

#include "base/backoff.h"
#include "base/encode.h"
#include "crypto/crypto.h"
#include "discovery/discovery.h"
#include "link/link.h"
#include "mesh/mesh_wire.h"
#include "rpc/rpc.h"

#define INSTANCE_ID_BYTES 8

struct session {
    struct discovery *discovery; // it belongs to
    struct link *link;           // NULL once it ended
    struct rpc_call *call;       // NULL until the link is ready, and after the call closed
    struct timer silence;        // the first response, later the next one or a heartbeat, is due
};

struct discovery {
    struct loop *loop;
    struct resolver *resolver;
    struct sidecar_config *config; // shares
    struct metric_set *metrics;
    discovery_changed_fn on_changed;
    void *context;
    discovery_stopped_fn on_stopped; // set while stopping
    void *stopped_context;
    struct tls_identity *identity; // shares; NULL before the first
    struct trust_snapshot *trust;  // shares
    struct mesh_view *view;        // in force; never NULL
    struct session *current;       // its deltas make the view; NULL: none
    struct session *next;          // connecting, or waiting for its first response; NULL: none
    size_t session_count;          // that have not ended
    struct timer retry;            // next attempt
    struct backoff backoff;
    char instance_id[HEX_BYTES(INSTANCE_ID_BYTES)];
    char exported_hash[HEX_BYTES(SHA256_BYTES)]; // label of the view's info metric; "" at first
    int64_t last_heard_mono_ms;                  // 0: never
    struct certs_status status;                  // last reported
    bool has_status;
    bool must_resync; // a delta did not fit the view: the next session asks for everything
    bool is_leaving;  // said Goodbye: no new session
    bool is_stopping;
};

// Each sends one request on the session's call; where that fails the session ends.
void session_send_hello(struct session *session);
void session_send_status(struct session *session);
void session_send_goodbye(struct session *session);
// `error` NULL: applied.
void session_send_ack(struct session *session, struct mesh_version version, const char *error);

// SHA-256 of the canonical view; false when memory is exhausted.
bool discovery_hash_view(const struct mesh_view *view, uint8_t out[SHA256_BYTES]);

// One response of the session that is current, or becomes it by this. On a fault the session ends
// and the view before it stays.
void session_take_response(struct session *session, const uint8_t *bytes, size_t length);
