// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the files of the registry share.
#pragma once

#include "base/list.h"
#include "base/machine.h"
#include "base/map.h"
#include "records/records.h"
#include "records/transaction.h"
#include "registry/registry.h"

#define REGISTRY_MAX_LISTENERS 4
#define REGISTRY_READ_PAGE 1000
#define REGISTRY_WATCHED_COUNT 3   // services, endpoints, withdrawals
#define REGISTRY_LOG_MIN 1024      // changes kept however small the view is
#define REGISTRY_RETRY_MS 1000     // after a change that memory or the store did not let us follow
#define REGISTRY_TAKE_OUT_MS 5000  // removals that the store did not take are asked for again
#define REGISTRY_KEEP_PENDING 1024 // room for gathered changes that is kept between two views

enum registry_state {
    REGISTRY_LOADING,   // everything is read; changes gather
    REGISTRY_FOLLOWING, // the view is in step
    REGISTRY_BEHIND,    // a change was lost: waits to read everything anew
    REGISTRY_CLOSED,    // freed once the reads on their way are answered
};

// --- The change log: which keys changed with which version.
// ----------------------------------------

struct registry_change {
    uint64_t number; // of the view that brought it
    enum mesh_kind kind;
    char *key; // owned
};

struct change_log {
    struct registry_change *items; // ring; owned
    size_t room;                   // of items
    size_t start;                  // oldest
    size_t count;                  // of items in use
    uint64_t floor;                // changes up to this number are not in it
};

// Keeps at most `limit` changes. Without memory everything is forgotten: whoever asks must resync.
void change_log_add(struct change_log *log, struct registry_change change, size_t limit);
// Forgets everything; changes up to `floor` are unknown.
void change_log_reset(struct change_log *log, uint64_t floor);
void change_log_deinit(struct change_log *log);
// The `index`th change, from the oldest.
const struct registry_change *change_log_at(const struct change_log *log, size_t index);
// Index of the first change after `number`.
size_t change_log_after(const struct change_log *log, uint64_t number);

// --- Records as they are held.
// ----------------------------------------------------------------------

struct registry_pending {
    enum mesh_kind kind;
    char *key;                      // owned
    struct mesh_resource *resource; // owned reference; NULL: removed
};

// One record of a watched prefix, as part of what is kept of it.
struct held {
    struct list node; // of registry->held
    char *key;        // in the store; owned
    bool is_stale;    // not met yet while everything is read anew
};

// What the store holds of one service, beyond what the view shows.
struct service_entry {
    struct held held;
    uint64_t revision;            // of its record
    struct service_record record; // owned
};

// One process of one workload: a lineage and the instance id that it sent. Another lineage with the
// same id is another instance. Lives from its first registration until it left and has no endpoint.
struct instance {
    struct registry *registry;
    uint8_t lineage[LINEAGE_BYTES];
    char *instance_id;     // owned
    struct list endpoints; // struct endpoint_entry, of_instance
    size_t registering;    // registrations that the store has not answered
    bool is_leaving;       // it did not register, its stream ended, or it said Goodbye
    bool leaves_at_once;   // what is registered when the store answers goes, too
    struct timer timer;    // the grace; afterwards: asks again
};

// An endpoint record and who holds it.
struct endpoint_entry {
    struct held held;
    char *address;             // owned
    struct instance *instance; // a holder of it
    struct list of_instance;   // of instance->endpoints
    struct list at_address;    // of address_entry->endpoints
    bool is_removing;          // its removal was handed to the store
};

// Who is at one address.
struct address_entry {
    struct list endpoints; // struct endpoint_entry, at_address
};

struct withdrawal_entry {
    struct held held;
    char *mesh_key; // owned
};

// A prefix that is being read.
struct page {
    struct registry *registry;
    const char *prefix;
    char next[STORE_MAX_KEY_BYTES + 2]; // "" at the beginning
};

struct registry {
    struct sm sm; // enum registry_state
    struct loop *loop;
    struct store *store;
    char *trust_domain;        // own; owned
    struct mesh_view *view;    // in force
    struct list held;          // struct held: every record
    struct map *services;      // name -> struct service_entry *
    struct map *endpoints;     // key in the view -> struct endpoint_entry *
    struct map *addresses;     // address -> struct address_entry *
    struct map *instances;     // lineage and instance id -> struct instance *
    struct map *withdrawals;   // store key -> struct withdrawal_entry *
    struct list registrations; // struct registration: the store has not answered
    struct store_watch *watches[REGISTRY_WATCHED_COUNT];
    size_t watch_count;
    struct page pages[REGISTRY_WATCHED_COUNT];
    size_t loading;             // prefixes that are still being read
    enum rm_err load_result;    // first error of loading
    registry_ready_fn on_ready; // NULL once called
    void *ready_context;
    // Changes that came since the view was made, at most one per key; applied together once per
    // loop turn.
    struct registry_pending *pending; // owned
    size_t pending_count;             // of pending
    size_t pending_room;              // of pending
    struct map *pending_index;        // kind and key -> index + 1, as a pointer
    uint64_t pending_number;          // highest revision among them
    struct deferred apply;
    struct timer retry; // in REGISTRY_BEHIND
    struct timer sweep; // endpoints that no longer count and are still there
    struct change_log log;
    struct {
        registry_change_fn on_change;
        void *context;
    } listeners[REGISTRY_MAX_LISTENERS];
    size_t listener_count;
};

// One change of a watched prefix; decodes and queues it.
void registry_take_entry(struct registry *registry, const struct store_entry *entry,
                         bool is_deleted);
// The service as a resource of the view. NULL when memory is exhausted.
struct mesh_resource *registry_service_resource(const char *name,
                                                const struct service_record *record);
bool registry_owns(const struct service_record *record, const char *identity);
// Before and after everything is read anew: what was not met in between is gone.
void registry_mark_stale(struct registry *registry);
void registry_drop_stale(struct registry *registry);
void registry_free_held(struct registry *registry);

// An entry begins to be held. Errors: RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err held_init(struct held *held, struct registry *registry,
                                   const char *store_key);
void held_deinit(struct held *held);

// Queues a put (takes the reference) or a removal for the next view. Errors: RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err registry_queue_put(struct registry *registry,
                                            struct mesh_resource *resource, uint64_t revision);
RM_NODISCARD enum rm_err registry_queue_removal(struct registry *registry, enum mesh_kind kind,
                                                const char *key, uint64_t revision);
void registry_clear_pending(struct registry *registry);
void registry_on_apply(void *context);
// A change could not be taken: the view stays as it is until everything was read anew.
void registry_lose_change(struct registry *registry, enum rm_err cause);
void registry_fall_behind(struct registry *registry, enum rm_err cause);

RM_NODISCARD enum rm_err registry_follow(struct registry *registry);
void registry_load(struct registry *registry);
void registry_on_retry(void *context);

// Finds or makes; NULL when memory is exhausted.
struct instance *registry_instance(struct registry *registry, const uint8_t *lineage,
                                   const char *instance_id);
// Frees it when nothing holds it.
void registry_release_instance(struct instance *instance);
void registry_free_instances(struct registry *registry);
// Hands the removal of its endpoints to the store. The instance may be gone afterwards.
void registry_take_out(struct instance *instance);
// An endpoint's record came, or went. `key` as in the view. Errors: RM_ERR_MALFORMED,
// RM_ERR_NO_MEMORY; then there is none of this key.
RM_NODISCARD enum rm_err registry_hold_endpoint(struct registry *registry, const char *key,
                                                const struct endpoint_record *record);
void registry_forget_endpoint(struct registry *registry, const char *key);
// Takes out endpoints that no longer count: service gone, identity no longer its owner, lineage
// withdrawn. `key` NULL: looks at all.
void registry_sweep(struct registry *registry, const char *key);
void registry_on_sweep(void *context);
// Registrations on their way outlive the registry; they only tell their callers.
void registry_forget_registrations(struct registry *registry);
