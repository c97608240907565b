// SPDX-License-Identifier: GPL-3.0-or-later
//
// Mesh.Sync: keeps a stream to the control plane, applies its deltas to the view, acknowledges them
// with the canonical hash. The last view stays in force while the control plane is away. Reopened,
// make before break, after each renewal. Belongs to the main loop.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "certs/certs.h"
#include "config/sidecar_config.h"
#include "loop/loop.h"
#include "loop/resolver.h"
#include "mesh/view.h"
#include "metrics/metrics.h"
#include "tls/tls.h"

struct discovery;

// A new view is in force. Borrowed; reference to keep.
typedef void (*discovery_changed_fn)(void *context, struct mesh_view *view);
RM_NODISCARD enum rm_err discovery_start(struct loop *loop, struct resolver *resolver,
                                         struct sidecar_config *config, struct metric_set *metrics,
                                         discovery_changed_fn on_changed, void *context,
                                         struct discovery **out);
// Connects (or reconnects, make before break) as this identity, trusting these roots.
void discovery_set_identity(struct discovery *discovery, struct tls_identity *identity,
                            struct trust_snapshot *trust);
void discovery_configure(struct discovery *discovery, struct sidecar_config *config);
// Tells the control plane (rate-limited by the caller's changes).
void discovery_report(struct discovery *discovery, const struct certs_status *status);
struct mesh_view *discovery_view(const struct discovery *discovery);     // borrowed, never NULL
int64_t discovery_last_heard_mono_ms(const struct discovery *discovery); // 0: never
// Hexadecimal SHA-256 of the canonical view in force; "" before the first. Borrowed.
const char *discovery_view_hash(const struct discovery *discovery);
bool discovery_is_connected(const struct discovery *discovery);
// Says Goodbye (endpoints leave the mesh) and keeps the stream open until discovery_stop.
void discovery_goodbye(struct discovery *discovery);
typedef void (*discovery_stopped_fn)(void *context);
void discovery_stop(struct discovery *discovery, discovery_stopped_fn done, void *context);
