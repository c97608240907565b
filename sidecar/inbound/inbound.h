// SPDX-License-Identifier: GPL-3.0-or-later
//
// Connections that come in: through the tunnel port (mTLS, ALPN remora/1, preface) and through edge
// listeners (mTLS with an issued certificate, no preface). Nothing reaches the application before
// the peer verdict and the policy said yes.
#pragma once

#include "stream/stream.h"
#include "worker/worker.h"

// A new connection on the tunnel port. Takes `lower`.
void inbound_accept(struct worker *worker, struct stream *lower);
// A new connection on the edge listener for the hosted service number `service`. Takes `lower`.
void inbound_accept_edge(struct worker *worker, struct stream *lower, size_t service);
