// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>
#include <string.h>

#include "audit/audit.h"
#include "base/alloc.h"
#include "identity/spiffe.h"
#include "policy/glob.h"
#include "registry/registry_internal.h"

// One asynchronous change and whom to tell.
struct change {
    struct registry *registry;
    registry_done_fn done;
    void *context;
    char what[320]; // for the sentence of a failure
};

static void change_finish(struct change *change, enum rm_err result, const char *sentence)
{
    struct rm_error error = {0};
    if (result != RM_OK) {
        (void)rm_error_set(&error, result, "%s: %s", change->what, sentence);
    }
    change->done(change->context, result, &error);
    rm_free(change);
}

static void registry_on_committed(void *context, enum rm_err result, uint64_t revision)
{
    (void)revision;
    const char *sentence = result == RM_ERR_CONFLICT
                               ? "it was changed by someone else meanwhile, or exists already"
                               : "the store did not accept the write; nothing was changed";
    change_finish(context, result, sentence);
}

static struct change *change_new(struct registry *registry, registry_done_fn done, void *context,
                                 const char *kind, const char *name)
{
    struct change *change = rm_calloc(1, sizeof *change);
    if (change != NULL) {
        change->registry = registry;
        change->done = done;
        change->context = context;
        snprintf(change->what, sizeof change->what, "%s '%s'", kind, name);
    }
    return change;
}

static enum rm_err check_identity(const struct registry *registry, const char *identity,
                                  struct rm_error *error)
{
    struct spiffe_id id;
    if (spiffe_id_parse(identity, strlen(identity), &id, error) != RM_OK) {
        return rm_error_wrap(error, "'%.128s' is no SPIFFE ID", identity);
    }
    if (!spiffe_id_in_domain(&id, registry->trust_domain)) {
        return rm_error_set(error, RM_ERR_MALFORMED, "identity '%s' is not in the trust domain %s",
                            identity, registry->trust_domain);
    }
    if (spiffe_id_is_reserved(&id)) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "identity '%s' is reserved for the mesh itself", identity);
    }
    return RM_OK;
}

static enum rm_err check_service(const struct registry *registry,
                                 const struct registry_service *service, struct rm_error *error)
{
    if (mesh_name_check(service->name, error) != RM_OK) {
        return rm_error_wrap(error, "service '%s'", service->name);
    }
    if (service->port == 0) {
        return rm_error_set(error, RM_ERR_MALFORMED, "service '%s': the port must be 1 to 65535",
                            service->name);
    }
    if (service->identity_count == 0 || service->identity_count > MESH_MAX_IDENTITIES) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "service '%s' needs 1 to %d identities that own it, not %zu",
                            service->name, MESH_MAX_IDENTITIES, service->identity_count);
    }
    for (size_t i = 0; i < service->identity_count; i++) {
        RM_TRY(check_identity(registry, service->identities[i], error));
    }
    for (size_t i = 0; i < service->allow_count; i++) {
        if (glob_check(service->allow[i], error) != RM_OK) {
            return rm_error_wrap(error, "allow pattern '%s'", service->allow[i]);
        }
    }
    if (service->dns_count > CERTIFICATE_MAX_NAMES) {
        return rm_error_set(error, RM_ERR_MALFORMED, "service '%s' has more than %d DNS names",
                            service->name, CERTIFICATE_MAX_NAMES);
    }
    for (size_t i = 0; i < service->dns_count; i++) {
        if (mesh_name_check(service->dns_names[i], error) != RM_OK) {
            return rm_error_wrap(error, "DNS name '%s'", service->dns_names[i]);
        }
    }
    return RM_OK;
}

// The rules of the view, which otherwise would leave the record out.
static enum rm_err check_record(const char *name, const struct service_record *record,
                                struct rm_error *error)
{
    struct mesh_resource *resource = registry_service_resource(name, record);
    if (resource == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    enum rm_err result = mesh_resource_check(resource, error);
    mesh_resource_unref(resource);
    return result;
}

// Encoding only reads; record strings are not const-correct because decoded ones are owned.
static struct record_strings borrow(const char *const *strings, size_t count)
{
    return (struct record_strings){(char **)(uintptr_t)strings, count};
}

enum rm_err registry_put_service(struct registry *registry, const struct registry_service *service,
                                 uint64_t revision, const char *actor, registry_done_fn done,
                                 void *context, struct rm_error *error)
{
    char key[RECORD_KEY_BYTES];
    struct transaction transaction;
    RM_TRY(check_service(registry, service, error));
    RM_TRY(record_key_service(service->name, key));
    struct service_record record = {
        .port = service->port,
        .identities = borrow(service->identities, service->identity_count),
        .allow = borrow(service->allow, service->allow_count),
        // The first allow rule guards; only an explicit command, with the list empty, clears it.
        .is_guarded = service->is_guarded || service->allow_count > 0,
        .dns_names = borrow(service->dns_names, service->dns_count),
    };
    RM_TRY(check_record(service->name, &record, error));
    struct change *change = change_new(registry, done, context, "service", service->name);
    if (change == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    transaction_init(&transaction);
    transaction_require(&transaction, key, revision);
    transaction_put_service(&transaction, service->name, &record);
    audit_record_operation(&transaction, revision == 0 ? "service_create" : "service_update", actor,
                           service->name, NULL);
    enum rm_err result =
        transaction_commit(&transaction, registry->store, registry_on_committed, change);
    if (result != RM_OK) {
        rm_free(change);
        return rm_error_set(error, result, "service '%s': %s", service->name, rm_err_text(result));
    }
    return RM_OK;
}

enum rm_err registry_delete_service(struct registry *registry, const char *name, const char *actor,
                                    registry_done_fn done, void *context)
{
    char key[RECORD_KEY_BYTES];
    struct transaction transaction;
    const struct service_entry *entry = map_get(registry->services, name, strlen(name));
    if (entry == NULL) {
        return RM_ERR_NOT_FOUND;
    }
    RM_TRY(record_key_service(name, key));
    struct change *change = change_new(registry, done, context, "service", name);
    if (change == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    transaction_init(&transaction);
    transaction_require(&transaction, key, entry->revision);
    transaction_delete(&transaction, key);
    // Its endpoints follow as soon as the view is without it: see registry_sweep().
    audit_record_operation(&transaction, "service_delete", actor, name, NULL);
    enum rm_err result =
        transaction_commit(&transaction, registry->store, registry_on_committed, change);
    if (result != RM_OK) {
        rm_free(change);
    }
    return result;
}

bool registry_service(const struct registry *registry, const char *name,
                      const struct service_record **record, uint64_t *revision)
{
    const struct service_entry *entry = map_get(registry->services, name, strlen(name));
    if (entry == NULL) {
        return false;
    }
    *record = &entry->record;
    *revision = entry->revision;
    return true;
}

struct name_list {
    const char *identity;
    char **names; // owned
    size_t count;
    bool is_failed;
};

bool registry_owns(const struct service_record *record, const char *identity)
{
    for (size_t i = 0; i < record->identities.count; i++) {
        if (strcmp(record->identities.items[i], identity) == 0) {
            return true;
        }
    }
    return false;
}

static void add_name(struct name_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->names[i], name) == 0) {
            return;
        }
    }
    char *copy = rm_strdup(name);
    char **grown = rm_realloc(list->names, (list->count + 1) * sizeof(char *));
    if (grown != NULL) {
        list->names = grown;
    }
    if (copy == NULL || grown == NULL) {
        rm_free(copy);
        list->is_failed = true;
        return;
    }
    grown[list->count++] = copy;
}

static void visit_service(void *context, const void *key, size_t key_length, void *value)
{
    struct name_list *list = context;
    const struct service_entry *entry = value;
    (void)key;
    (void)key_length;
    if (!registry_owns(&entry->record, list->identity)) {
        return;
    }
    for (size_t i = 0; i < entry->record.dns_names.count && list->count < CERTIFICATE_MAX_NAMES;
         i++) {
        add_name(list, entry->record.dns_names.items[i]);
    }
}

enum rm_err registry_dns_names(const struct registry *registry, const char *identity, char ***names,
                               size_t *count)
{
    struct name_list list = {.identity = identity};
    map_visit(registry->services, visit_service, &list);
    if (list.is_failed) {
        for (size_t i = 0; i < list.count; i++) {
            rm_free(list.names[i]);
        }
        rm_free(list.names);
        return RM_ERR_NO_MEMORY;
    }
    mesh_sort_strings(list.names, &list.count);
    *names = list.names;
    *count = list.count;
    return RM_OK;
}
