// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the files of the registry share.
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "records/records.h"
#include "records/transaction.h"
#include "registry/registry.h"

#define REGISTRY_MAX_LISTENERS 4
#define REGISTRY_READ_PAGE 1000

struct registry_change {
    uint64_t number; // of the view that brought it
    enum mesh_kind kind;
    char *key; // owned
};

struct registry_pending {
    enum mesh_kind kind;
    char *key;                      // owned
    struct mesh_resource *resource; // owned reference; NULL: removed
};

// What the store holds of one service, beyond what the view shows.
struct service_entry {
    uint64_t revision;            // of its record
    struct service_record record; // owned
};

// An endpoint record and who holds it.
struct endpoint_entry {
    uint8_t lineage[LINEAGE_BYTES]; // of the certificate that registered it
    char *address;                  // owned
    char *service;                  // owned
    char *instance_id;              // owned
};

// An instance whose Sync stream ended; its endpoints leave when the grace is over.
struct leaving {
    struct list node; // of registry->leaving
    struct registry *registry;
    struct timer timer; // the grace
    char *instance_id;  // owned
};

struct registry {
    struct loop *loop;
    struct store *store;
    char *trust_domain;             // own; owned
    struct mesh_view *view;         // in force
    struct map *services;           // name -> struct service_entry *
    struct map *holders;            // endpoint key -> struct endpoint_entry *
    struct store_watch *watches[3]; // services, endpoints, withdrawals
    size_t watch_count;
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
    struct registry_change *log; // ring of REGISTRY_CHANGE_LOG
    size_t log_start;            // oldest
    size_t log_count;
    uint64_t log_floor; // changes up to this number are not in the log
    struct {
        registry_change_fn on_change;
        void *context;
    } listeners[REGISTRY_MAX_LISTENERS];
    size_t listener_count;
    struct list leaving; // struct leaving
};

// One change of a watched prefix; decodes and queues it.
void registry_take_entry(struct registry *registry, const struct store_entry *entry,
                         bool is_deleted);
// Queues a put (takes the reference) or a removal for the next view.
void registry_queue_put(struct registry *registry, struct mesh_resource *resource,
                        uint64_t revision);
void registry_queue_removal(struct registry *registry, enum mesh_kind kind, const char *key,
                            uint64_t revision);
void registry_free_leaving(struct leaving *leaving);
