// SPDX-License-Identifier: GPL-3.0-or-later
//
// What workers work from: configuration, identity, trust and view, as one immutable, counted picture.
// The main loop makes a new one at each change and publishes it; no lock is ever taken for it.
#pragma once

#include <stdint.h>

#include "config/sidecar_config.h"
#include "identity/trust.h"
#include "mesh/view.h"
#include "tls/tls.h"

struct snapshot {
    struct sidecar_config *config;  // shares
    struct tls_identity *identity;  // shares; NULL before the first certificate
    struct trust_snapshot *trust;   // shares; NULL before the first bundle; with the view's withdrawals
    struct mesh_view *view;         // shares; never NULL; may be incomplete
    const char *own_trust_domain;   // borrowed from identity->spiffe_id's text; NULL before it
    int64_t view_received_mono_ms;  // when the control plane last spoke; 0: never
    uint64_t generation;            // grows with each publication
    uint32_t ref_count;             // private, atomic
};

// Shares all arguments. NULL when memory is exhausted.
struct snapshot *snapshot_new(struct sidecar_config *config, struct tls_identity *identity,
                              struct trust_snapshot *trust, struct mesh_view *view,
                              int64_t view_received_mono_ms, uint64_t generation);
struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot);
