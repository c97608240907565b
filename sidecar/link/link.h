// SPDX-License-Identifier: GPL-3.0-or-later
//
// A connection to the control plane: name, TCP, TLS with a proven spiffe://<td>/remora/control,
// gRPC. Nothing is sent before that proof. Belongs to the main loop. Life: link_open -> on_ready
// (at most once) -> on_end (exactly once, last).
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "loop/loop.h"
#include "loop/resolver.h"
#include "rpc/rpc.h"
#include "tls/tls.h"

#define LINK_CONNECT_TIMEOUT_MS 5000

struct link;

struct link_options {
    struct loop *loop;
    struct resolver *resolver;
    const char *address;      // "host:port"; copied
    const char *trust_domain; // whose control plane must answer; copied
    struct tls_context *tls;  // how it is verified, and who we are; referenced
};

// The control plane was proven; `client` is borrowed until on_end.
typedef void (*link_ready_fn)(void *context, struct rpc_client *client);
// Could not connect, was refused, or ended later. `sentence` says what, why and what to do.
typedef void (*link_end_fn)(void *context, enum rm_err reason, const char *sentence);
// Errors: RM_ERR_NO_MEMORY, RM_ERR_MALFORMED (address); then neither callback comes.
RM_NODISCARD enum rm_err link_open(const struct link_options *options, link_ready_fn on_ready,
                                   link_end_fn on_end, void *context, struct link **out);
// Finishes the calls that run, then ends; on_end comes with RM_ERR_CANCELLED. Idempotent.
void link_drain(struct link *link);
// Ends now; on_end comes with RM_ERR_CANCELLED, later. Idempotent.
void link_close(struct link *link);
// What TLS knows about why the connection broke, after the proof too: a control plane judges our
// certificate only then. NULL when it knows nothing. For calls that close; borrowed.
const struct tls_failure *link_failure(const struct link *link);
