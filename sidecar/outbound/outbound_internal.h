// SPDX-License-Identifier: GPL-3.0-or-later
//
// One outbound connection and its three parts: its life (outbound.c), the choice of an endpoint and
// the way to it (outbound_dial.c), the tunnel up to the Reply (outbound_tunnel.c).
#pragma once

#include "base/machine.h"
#include "loop/resolver.h"
#include "outbound/outbound.h"
#include "stream/relay.h"
#include "stream/socket.h"
#include "tls/tls.h"
#include "tunnel/tunnel.h"
#include "worker/connection.h"
#include "worker/endpoints.h"
#include "worker/waiting.h"

enum outbound_state {
    OUTBOUND_WAITING,
    OUTBOUND_DIALLING,
    OUTBOUND_HANDSHAKE,
    OUTBOUND_REPLY,
    OUTBOUND_RELAY,
    OUTBOUND_CLOSING,
};

struct outbound {
    struct connection base;            // first
    struct sm sm;                      // enum outbound_state
    struct stream *application;        // the relay's while it runs
    struct stream *tunnel;             // NULL until HANDSHAKE; the relay's while it runs
    struct socket_connect *connecting; // NULL unless DIALLING
    struct resolver_lookup *lookup;    // NULL unless DIALLING a fixed name
    struct timer deadline;             // of WAITING, of the lane, or of the Reply
    struct waiting waiting;            // for the first view
    struct snapshot *snapshot;         // shares: what this attempt works from; NULL in RELAY
    char *fixed_endpoint;              // owned; NULL: the view's endpoints
    char *expected_id;                 // owned: what the peer must prove; of this attempt
    struct endpoint_use endpoint;      // of this attempt
    struct lane_entry lane;            // to it; inside until the handshake ended
    char *tried[ENDPOINT_MAX_TRIED];   // owned: addresses that were dialled
    size_t tried_count;                // of tried
    uint8_t *early;                    // owned: application bytes kept until the Reply; NULL: none
    size_t early_length;               // of early
    uint8_t *reply;                    // owned: bytes of the Reply so far; NULL before REPLY
    size_t reply_length;               // of reply
    enum fault last_result;            // why the last attempt failed; OK: none failed
    char *last_detail;                 // owned sentence; may be NULL
};

// Ends the connection: the application is reset, never told of an orderly end. May be called in
// every state before RELAY.
void outbound_give_up(struct outbound *outbound, enum fault result, const char *detail);
// This attempt failed before any application byte can have been consumed: goes on with the next.
void outbound_attempt_failed(struct outbound *outbound, enum fault result, const char *detail);
// The same, and the endpoint is to blame.
void outbound_endpoint_failed(struct outbound *outbound, enum fault result, const char *detail);
// The attempt failed by the endpoint's fault.
void outbound_blame_endpoint(struct outbound *outbound);
// The peer said yes: the relay begins, with what followed the Reply.
void outbound_start_relay(struct outbound *outbound, size_t reply_consumed);

// From WAITING: chooses an endpoint and connects to it.
void outbound_dial(struct outbound *outbound);
// It waited in line for the endpoint, and its turn came.
void outbound_on_lane_turn(void *context);
// It has waited in line for long.
void outbound_on_lane_deadline(struct outbound *outbound);
// Nothing more can be tried; the last attempt's fault is the connection's.
void outbound_no_endpoint_left(struct outbound *outbound);

// Puts TLS on the new connection to the endpoint, which it takes, and goes on up to the Reply.
void outbound_begin_handshake(struct outbound *outbound, struct stream *lower);
void outbound_on_reply_deadline(struct outbound *outbound);
