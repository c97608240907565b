// SPDX-License-Identifier: GPL-3.0-or-later
//
// Identities: all that services, lineages or connected sidecars name.
#include <stdlib.h>
#include <string.h>

#include "api/admin_internal.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "mesh/view.h"

struct identity_entry {
    char *identity;               // SPIFFE ID; owned
    const char **services;        // owned array; the names are borrowed from the view
    size_t service_count;         // of services
    uint32_t live_certificates;   // the newest of each live lineage
    uint32_t connected_instances; // Sync streams
};

struct identity_set {
    struct map *by_identity;         // SPIFFE ID -> struct identity_entry
    struct identity_entry **entries; // owned, as each of them
    size_t count;                    // of entries
    size_t room;                     // of entries
    int64_t now_s;                   // when the call came
    bool is_failed;                  // memory ran out
};

static void set_deinit(struct identity_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        rm_free(set->entries[i]->identity);
        rm_free(set->entries[i]->services);
        rm_free(set->entries[i]);
    }
    rm_free(set->entries);
    map_free(set->by_identity);
}

static bool set_has_room(struct identity_set *set)
{
    if (set->count < set->room) {
        return true;
    }
    size_t room = set->room == 0 ? 64 : set->room * 2;
    struct identity_entry **grown = rm_realloc(set->entries, room * sizeof *grown);
    if (grown != NULL) {
        set->entries = grown;
        set->room = room;
    }
    return grown != NULL;
}

static struct identity_entry *set_add(struct identity_set *set, const char *identity)
{
    struct identity_entry *entry = rm_calloc(1, sizeof *entry);
    if (entry == NULL) {
        return NULL;
    }
    entry->identity = rm_strdup(identity);
    if (entry->identity == NULL || !set_has_room(set) ||
        map_put(set->by_identity, identity, strlen(identity), entry, NULL) != RM_OK) {
        rm_free(entry->identity);
        rm_free(entry);
        return NULL;
    }
    set->entries[set->count++] = entry;
    return entry;
}

// NULL when memory ran out.
static struct identity_entry *set_entry(struct identity_set *set, const char *identity)
{
    struct identity_entry *entry = map_get(set->by_identity, identity, strlen(identity));
    if (entry == NULL) {
        entry = set_add(set, identity);
        set->is_failed = set->is_failed || entry == NULL;
    }
    return entry;
}

static void take_service(struct identity_set *set, const char *identity, const char *service)
{
    struct identity_entry *entry = set_entry(set, identity);
    if (entry == NULL) {
        return;
    }
    const char **grown =
        rm_realloc(entry->services, (entry->service_count + 1) * sizeof *entry->services);
    if (grown == NULL) {
        set->is_failed = true;
        return;
    }
    entry->services = grown;
    grown[entry->service_count++] = service;
}

static void take_services(struct identity_set *set, const struct mesh_view *view)
{
    for (size_t i = 0; i < mesh_view_count(view, MESH_SERVICE); i++) {
        const struct mesh_resource *resource = mesh_view_at(view, MESH_SERVICE, i);
        for (size_t j = 0; j < resource->of.service.identity_count; j++) {
            take_service(set, resource->of.service.identities[j], resource->key);
        }
    }
}

static void visit_lineage(void *context, const uint8_t lineage[LINEAGE_BYTES],
                          const struct lineage_record *record)
{
    struct identity_set *set = context;
    (void)lineage;
    struct identity_entry *entry = set_entry(set, record->identity);
    if (entry != NULL && admin_lineage_is_live(record, set->now_s)) {
        entry->live_certificates++;
    }
}

static void visit_session(void *context, const struct push_instance *session)
{
    struct identity_entry *entry = set_entry(context, session->identity);
    if (entry != NULL) {
        entry->connected_instances++;
    }
}

static int compare(const void *a, const void *b)
{
    const struct identity_entry *const *left = a;
    const struct identity_entry *const *right = b;
    return strcmp((*left)->identity, (*right)->identity);
}

static enum rm_err append_set(struct admin_call *call, struct identity_set *set)
{
    if (set->count > 0) {
        qsort(set->entries, set->count, sizeof *set->entries, compare);
    }
    for (size_t i = 0; i < set->count; i++) {
        const struct identity_entry *entry = set->entries[i];
        struct admin_identity identity = {
            .identity = entry->identity,
            .services = entry->services,
            .service_count = entry->service_count,
            .live_certificates = entry->live_certificates,
            .connected_instances = entry->connected_instances,
        };
        RM_TRY(admin_wire_identity(&call->response, &identity));
    }
    return RM_OK;
}

void admin_list_identities(struct admin_call *call)
{
    const struct admin_api_options *options = &call->api->options;
    struct identity_set set = {.by_identity = map_new(), .now_s = clock_wall_s()};
    if (set.by_identity == NULL) {
        admin_call_fail(call, RM_ERR_NO_MEMORY, NULL);
        return;
    }
    take_services(&set, registry_view(options->registry));
    attest_each_lineage(options->attest, visit_lineage, &set);
    push_visit(options->push, visit_session, &set);
    enum rm_err result = set.is_failed ? RM_ERR_NO_MEMORY : append_set(call, &set);
    set_deinit(&set);
    admin_call_answer_if(call, result);
}
