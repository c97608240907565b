// SPDX-License-Identifier: GPL-3.0-or-later
//
// What workers work from: configuration, identity, trust and view, as one immutable, counted
// picture. The main loop makes a new one at each change and publishes it; no lock is ever taken for
// it.
#pragma once

#include <stdint.h>

#include "config/sidecar_config.h"
#include "faults/faults.h"
#include "identity/trust.h"
#include "mesh/view.h"
#include "tls/tls.h"

// What decides on one service that this workload hosts; same order as the configuration's services.
struct snapshot_rules {
    struct policy *local; // of the configuration's allow list; NULL: it has none to add
    struct policy *mesh;  // of the view's record; NULL: no control plane, or no record yet
    bool is_owned;        // the view's record names our identity and agrees on the port
};

// One of our own identities.
struct snapshot_own {
    struct tls_identity *identity; // shares; NULL before its first certificate
    struct trust_snapshot *trust;  // shares; whom it trusts; NULL before its first bundle
    const char *trust_domain;      // of the identity; NULL before it
};

struct snapshot {
    struct sidecar_config *config; // shares
    struct tls_identity *identity; // shares; NULL before the first certificate
    struct trust_snapshot
        *trust;             // shares; NULL before the first bundle; with the view's withdrawals
    struct mesh_view *view; // shares; never NULL; may be incomplete
    char *own_trust_domain; // of the identity; owned; NULL before it
    int64_t view_received_mono_ms; // when the control plane last spoke; 0: never
    struct snapshot_rules *rules;  // one per hosted service; owned
    size_t rule_count;             // of rules
    struct snapshot_own *more;     // the configuration's `identities`; owned; trust_domain too
    size_t more_count;             // of more
    uint64_t generation;           // grows with each publication
    uint32_t ref_count;            // private, atomic
};

// Shares all arguments. `more` are the configuration's `identities` in order (trust_domain is not
// looked at); NULL when there are none. NULL when memory is exhausted or a rule cannot be made
// (logged).
struct snapshot *snapshot_new(struct sidecar_config *config, struct tls_identity *identity,
                              struct trust_snapshot *trust, struct mesh_view *view,
                              int64_t view_received_mono_ms, uint64_t generation,
                              const struct snapshot_own *more, size_t more_count);
// Own identity number `index`: 0 is `identity`, others are `more`. Borrowed.
struct snapshot_own snapshot_own(const struct snapshot *snapshot, size_t index);
size_t snapshot_own_count(const struct snapshot *snapshot);
struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot);

// May `spiffe_id` reach the hosted service number `service`? FAULT_OK when it may, else why not.
enum fault snapshot_decide(const struct snapshot *snapshot, size_t service, const char *spiffe_id,
                           size_t spiffe_id_length);
