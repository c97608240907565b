// SPDX-License-Identifier: GPL-3.0-or-later
//
// The TLS contexts of a worker: for each of our own identities one for tunnels and, where there are
// edges, one for those. Made from the snapshot in force.
#pragma once

#include "worker/worker.h"

// Makes all contexts anew. What cannot be made is missing: handshakes are refused rather than
// judged by what is outdated. None is made before every identity has its first certificate.
// Errors: RM_ERR_CRYPTO, RM_ERR_NO_MEMORY, RM_ERR_CONFIG.
RM_NODISCARD enum rm_err contexts_make(struct worker *worker, struct rm_error *error);
void contexts_drop(struct worker *worker);
// The snapshot in force has replaced `before`: makes new contexts where identities, roots or the
// configuration changed; withdrawals alone only change the trust of those there are.
void contexts_adopt(struct worker *worker, const struct snapshot *before);
// For own identity number `own_index` (snapshot_own); NULL before its first certificate.
struct tls_context *contexts_tunnel(const struct worker *worker, size_t own_index);
struct tls_context *contexts_edge(const struct worker *worker, size_t own_index);
