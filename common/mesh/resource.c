// SPDX-License-Identifier: GPL-3.0-or-later
#include "mesh/resource.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/encode.h"

struct mesh_resource *mesh_resource_new(enum mesh_kind kind, const char *key)
{
    assert((unsigned)kind < MESH_KIND_COUNT);
    struct mesh_resource *resource = rm_calloc(1, sizeof(*resource));
    if (resource == NULL) {
        return NULL;
    }
    resource->kind = kind;
    resource->ref_count = 1;
    resource->key = rm_strdup(key);
    if (resource->key == NULL) {
        rm_free(resource);
        return NULL;
    }
    return resource;
}

struct mesh_resource *mesh_resource_ref(const struct mesh_resource *resource)
{
    struct mesh_resource *counted = (struct mesh_resource *)(uintptr_t)resource;
    (void)__atomic_fetch_add(&counted->ref_count, 1, __ATOMIC_RELAXED);
    return counted;
}

static void free_strings(char **strings, size_t count)
{
    for (size_t i = 0; i < count && strings != NULL; i++) {
        rm_free(strings[i]);
    }
    rm_free(strings);
}

static void free_bundle(struct mesh_bundle *bundle)
{
    for (size_t i = 0; i < bundle->root_count && bundle->roots != NULL; i++) {
        rm_free(bundle->roots[i].bytes);
    }
    rm_free(bundle->roots);
    rm_free(bundle->key_ids);
}

static void free_content(struct mesh_resource *resource)
{
    switch (resource->kind) {
    case MESH_BUNDLE:
        free_bundle(&resource->of.bundle);
        break;
    case MESH_SERVICE:
        free_strings(resource->of.service.identities, resource->of.service.identity_count);
        free_strings(resource->of.service.allow, resource->of.service.allow_count);
        break;
    case MESH_ENDPOINT:
        rm_free(resource->of.endpoint.address);
        rm_free(resource->of.endpoint.identity);
        rm_free(resource->of.endpoint.zone);
        break;
    case MESH_WITHDRAWAL:
        rm_free(resource->of.withdrawal.key.bytes);
        break;
    case MESH_KIND_COUNT:
        break;
    }
}

void mesh_resource_unref(struct mesh_resource *resource)
{
    if (resource != NULL && __atomic_fetch_sub(&resource->ref_count, 1, __ATOMIC_ACQ_REL) == 1) {
        free_content(resource);
        rm_free(resource->key);
        rm_free(resource);
    }
}

static bool same_bytes(const struct mesh_bytes *a, const struct mesh_bytes *b)
{
    return a->length == b->length && (a->length == 0 || memcmp(a->bytes, b->bytes, a->length) == 0);
}

static bool same_strings(char *const *a, size_t a_count, char *const *b, size_t b_count)
{
    for (size_t i = 0; i < a_count && a_count == b_count; i++) {
        if (strcmp(a[i], b[i]) != 0) {
            return false;
        }
    }
    return a_count == b_count;
}

static bool same_bundle(const struct mesh_bundle *a, const struct mesh_bundle *b)
{
    for (size_t i = 0; i < a->root_count && a->root_count == b->root_count; i++) {
        if (!same_bytes(&a->roots[i], &b->roots[i])) {
            return false;
        }
    }
    return a->root_count == b->root_count;
}

static bool same_service(const struct mesh_service *a, const struct mesh_service *b)
{
    return a->port == b->port && a->is_guarded == b->is_guarded &&
           same_strings(a->identities, a->identity_count, b->identities, b->identity_count) &&
           same_strings(a->allow, a->allow_count, b->allow, b->allow_count);
}

static bool same_endpoint(const struct mesh_endpoint *a, const struct mesh_endpoint *b)
{
    return a->is_ready == b->is_ready && strcmp(a->address, b->address) == 0 &&
           strcmp(a->identity, b->identity) == 0 && strcmp(a->zone, b->zone) == 0;
}

static bool same_withdrawal(const struct mesh_withdrawal *a, const struct mesh_withdrawal *b)
{
    return a->kind == b->kind && a->before_s == b->before_s && a->expires_s == b->expires_s &&
           same_bytes(&a->key, &b->key);
}

bool mesh_resource_equal(const struct mesh_resource *a, const struct mesh_resource *b)
{
    if (a == b) {
        return true;
    }
    if (a->kind != b->kind || strcmp(a->key, b->key) != 0) {
        return false;
    }
    switch (a->kind) {
    case MESH_BUNDLE:
        return same_bundle(&a->of.bundle, &b->of.bundle);
    case MESH_SERVICE:
        return same_service(&a->of.service, &b->of.service);
    case MESH_ENDPOINT:
        return same_endpoint(&a->of.endpoint, &b->of.endpoint);
    case MESH_WITHDRAWAL:
        return same_withdrawal(&a->of.withdrawal, &b->of.withdrawal);
    case MESH_KIND_COUNT:
        break;
    }
    return false;
}

static int string_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void mesh_sort_strings(char **strings, size_t *count)
{
    if (*count == 0) {
        return;
    }
    qsort(strings, *count, sizeof(*strings), string_order);
    size_t kept = 1;
    for (size_t i = 1; i < *count; i++) {
        if (strcmp(strings[kept - 1], strings[i]) == 0) {
            rm_free(strings[i]);
        } else {
            strings[kept++] = strings[i];
        }
    }
    *count = kept;
}

bool mesh_service_has_identity(const struct mesh_service *service, const char *spiffe_id,
                               size_t spiffe_id_length)
{
    for (size_t i = 0; i < service->identity_count; i++) {
        if (strlen(service->identities[i]) == spiffe_id_length &&
            memcmp(service->identities[i], spiffe_id, spiffe_id_length) == 0) {
            return true;
        }
    }
    return false;
}

enum rm_err mesh_service_policy(const struct mesh_service *service, const char *own_trust_domain,
                                struct policy **out, struct rm_error *error)
{
    *out = NULL;
    struct policy_rule *rules = rm_calloc(service->allow_count, sizeof(*rules));
    if (rules == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "no memory for a policy");
    }
    for (size_t i = 0; i < service->allow_count; i++) {
        rules[i] = (struct policy_rule){
            .effect = POLICY_ALLOW, .mode = POLICY_ENFORCE, .pattern = service->allow[i]};
    }
    bool is_guarded = service->is_guarded || service->allow_count > 0;
    enum rm_err err =
        policy_new(rules, service->allow_count, is_guarded, false, own_trust_domain, out, error);
    rm_free(rules);
    return err;
}

char *mesh_withdrawal_key(enum trust_withdrawal_kind kind, const void *subject, size_t length)
{
    char *key = rm_malloc(2 + HEX_BYTES(length));
    if (key == NULL) {
        return NULL;
    }
    key[0] = (char)('1' + (int)kind);
    key[1] = ':';
    if (kind == TRUST_REVOKED_IDENTITY) {
        memcpy(key + 2, subject, length);
        key[2 + length] = '\0';
    } else {
        hex_encode(subject, length, key + 2);
    }
    return key;
}
