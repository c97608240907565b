// SPDX-License-Identifier: GPL-3.0-or-later
//
// The registry: services, their endpoints, withdrawals and bundles as mesh resources, kept in step
// with the store by watches. Says who may register what, and tells the push room what changed.
// Belongs to the control loop.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "identity/trust.h"
#include "loop/loop.h"
#include "mesh/view.h"
#include "store/store.h"

#define REGISTRY_ENDPOINT_GRACE_MS 10000 // after a lost Sync stream; a Goodbye takes effect at once
#define REGISTRY_CHANGE_LOG 65536        // changes kept for resuming sidecars, at most

struct registry;

typedef void (*registry_ready_fn)(void *context, enum rm_err result);
// Reads the store, then watches it. `trust` gives the own bundle. Calls back once.
RM_NODISCARD enum rm_err registry_new(struct loop *loop, struct store *store,
                                      const char *trust_domain, struct trust_snapshot *trust,
                                      registry_ready_fn on_ready, void *context,
                                      struct registry **out);
void registry_free(struct registry *registry);

// Where a change was lost for want of memory, the view stays until everything was read anew.
struct mesh_version registry_version(const struct registry *registry);
// Everything, as one view (services with their allow lists). Borrowed.
struct mesh_view *registry_view(const struct registry *registry);
// Trust with withdrawals: what the control plane itself judges its callers by. Borrowed.
struct trust_snapshot *registry_trust(const struct registry *registry);

// Told after each change of the view, from the loop.
typedef void (*registry_change_fn)(void *context);
RM_NODISCARD enum rm_err registry_on_change(struct registry *registry, registry_change_fn on_change,
                                            void *context);
// Visits changes after `number` in order. False when the log does not reach back so far: resync.
typedef void (*registry_visit_fn)(void *context, uint64_t number, enum mesh_kind kind,
                                  const char *key);
bool registry_changes_since(const struct registry *registry, uint64_t number,
                            registry_visit_fn visit, void *context);

// --- services
// ----------------------------------------------------------------------------------------
struct registry_service {
    const char *name;
    uint16_t port;
    const char *const *identities;
    size_t identity_count;
    const char *const *allow;
    size_t allow_count;
    const char *const *dns_names;
    size_t dns_count;
    bool is_guarded;
};
typedef void (*registry_done_fn)(void *context, enum rm_err result, const struct rm_error *error);
// Creates (must not exist) or replaces (must be at `revision`; 0 creates). Checked like a view's
// resource; identities must be in the own trust domain and not reserved; two services may not share
// a name; DNS names must be valid. Errors: RM_ERR_MALFORMED, RM_ERR_EXISTS, RM_ERR_CONFLICT ...
RM_NODISCARD enum rm_err registry_put_service(struct registry *registry,
                                              const struct registry_service *service,
                                              uint64_t revision, const char *actor,
                                              registry_done_fn done, void *context,
                                              struct rm_error *error);
RM_NODISCARD enum rm_err registry_delete_service(struct registry *registry, const char *name,
                                                 const char *actor, registry_done_fn done,
                                                 void *context);
// The record of a service as the store has it, with its revision; false when there is none.
// Borrowed until the next turn of the loop.
struct service_record;
bool registry_service(const struct registry *registry, const char *name,
                      const struct service_record **record, uint64_t *revision);
// DNS names that go into certificates of `identity`: of all services it owns. *names is an array
// the caller frees with its strings (rm_free).
RM_NODISCARD enum rm_err registry_dns_names(const struct registry *registry, const char *identity,
                                            char ***names, size_t *count);

// --- endpoints
// ---------------------------------------------------------------------------------------
struct registry_endpoint {
    const char *service;
    const char *instance_id;
    const char *identity;   // the caller's SVID
    const uint8_t *lineage; // LINEAGE_BYTES, of the caller's SVID
    const char *address;    // "10.0.0.5:15008"; already checked against source and ranges
    const char *zone;
};
// Counts only if the identity owns the service; an endpoint whose service goes, loses this owner,
// or whose lineage is withdrawn is taken out. An address that a live instance of another lineage
// holds, or another lineage's instance id, is refused and alarmed. Errors (to done): RM_ERR_DENIED,
// RM_ERR_NOT_FOUND (no such service), RM_ERR_EXISTS (address or id held), RM_ERR_CONFLICT (the
// service changed meanwhile), the store's, with sentences.
RM_NODISCARD enum rm_err registry_register(struct registry *registry,
                                           const struct registry_endpoint *endpoint,
                                           registry_done_fn done, void *context);
// An instance is a lineage (LINEAGE_BYTES) and the id that it sent: nobody ends another's.
// Takes its endpoints out, after `grace_ms` unless it registered again meanwhile.
void registry_unregister(struct registry *registry, const uint8_t *lineage, const char *instance_id,
                         uint32_t grace_ms);
// Takes out what it no longer offers: endpoints of other services than these.
void registry_keep(struct registry *registry, const uint8_t *lineage, const char *instance_id,
                   const char *const *services, size_t count);
// Every instance leaves after `grace_ms` unless it registers: after our own restart.
void registry_expect_return(struct registry *registry, uint32_t grace_ms);
