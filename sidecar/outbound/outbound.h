// SPDX-License-Identifier: GPL-3.0-or-later
//
// Connections that applications begin: from a local listener to a service's endpoint through a
// tunnel. The peer must prove exactly the SPIFFE ID of the record. A failed tunnel never falls back
// to plaintext; another endpoint is tried only while no application byte can have been consumed.
#pragma once

#include "config/sidecar_config.h"
#include "stream/stream.h"
#include "worker/worker.h"

// Application bytes that ride in the first flight and are kept until the Reply: sent again to
// another endpoint if need be.
#define OUTBOUND_EARLY_BYTES 16384
// The other sidecar's own connect to its application included.
#define OUTBOUND_REPLY_TIMEOUT_MS 15000

// A new connection on this outbound listener. Takes `application`. `target` is borrowed from the
// worker's snapshot.
void outbound_accept(struct worker *worker, struct stream *application,
                     const struct sidecar_outbound *target);
