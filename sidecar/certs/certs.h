// SPDX-License-Identifier: GPL-3.0-or-later
//
// The sidecar's own identity: gets the first certificate (join token, re-join key, or files),
// renews it at half life, watches files. Belongs to the main loop. Life: certs_start -> on_identity
// ... -> certs_stop.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "config/sidecar_config.h"
#include "identity/trust.h"
#include "loop/loop.h"
#include "loop/resolver.h"
#include "metrics/metrics.h"
#include "tls/tls.h"

struct certs;

struct certs_status {
    int64_t not_after_s;    // of the certificate in force; 0: none yet
    int64_t next_renewal_s; // Unix seconds; 0: not planned
    char last_error[512];   // of the last failed attempt; "" when the last one succeeded
    uint8_t serial[SERIAL_MAX_BYTES];
    uint8_t serial_length;
    int64_t clock_offset_ms; // control plane's clock minus ours, at the last answer
};

// A new certificate is in force, or new roots are (identity unchanged). Borrowed; reference to
// keep. `trust` is the own (and federated) bundle without withdrawals.
typedef void (*certs_changed_fn)(void *context, struct tls_identity *identity,
                                 struct trust_snapshot *trust);
// `own_index` says which of the configuration's identities: 0 is `identity`, others are always
// from files. Something failed for good (a token that is used, no pin): the process should say so;
// it goes on trying where that can help.
RM_NODISCARD enum rm_err certs_start(struct loop *loop, struct resolver *resolver,
                                     struct sidecar_config *config, size_t own_index,
                                     struct metric_set *metrics, certs_changed_fn on_changed,
                                     void *context, struct certs **out, struct rm_error *error);
// A reload: new paths, address or state folder take effect from the next attempt.
void certs_configure(struct certs *certs, struct sidecar_config *config);
// The view's bundles are newer than the issue answer's: used for the next connection.
void certs_set_trust(struct certs *certs, struct trust_snapshot *trust);
const struct certs_status *certs_status(const struct certs *certs);
// Someone who waits for the outcome of an attempt; embedded in what waits.
typedef void (*certs_renewed_fn)(void *context, enum rm_err result);
struct certs_renewal {
    struct list node;      // private
    certs_renewed_fn done; // RM_OK: a certificate is in force by it; else certs_status() says why
    void *context;         // for done
};
// Tries to get a certificate now, whatever the plan and the back-off say (files: reads them again);
// an attempt that runs already counts. `done` once, later; with RM_ERR_CANCELLED when stopping.
void certs_renew(struct certs *certs, struct certs_renewal *renewal);
// No callback afterwards. Safe when it came already, or before certs_renew() on zeroed memory.
void certs_renew_cancel(struct certs_renewal *renewal);
typedef void (*certs_stopped_fn)(void *context);
void certs_stop(struct certs *certs, certs_stopped_fn done, void *context);
