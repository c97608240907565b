// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a sidecar may see: bundles and withdrawals; the services it calls with their endpoints (not
// their rules); the services it hosts, with the rules it must enforce.
#include <string.h>

#include "base/alloc.h"
#include "identity/spiffe.h"
#include "push/push_internal.h"

enum variant { VARIANT_WHOLE, VARIANT_STRIPPED, VARIANT_COUNT };

static bool has_name(char *const *names, size_t count, const char *name, size_t length)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0) {
            return true;
        }
    }
    return false;
}

static bool exposes(const struct session *session, const char *name, size_t length)
{
    const struct mesh_hello *hello = &session->hello.of.hello;
    return has_name(hello->exposes, hello->expose_count, name, length);
}

static bool calls(const struct session *session, const char *name, size_t length)
{
    const struct mesh_hello *hello = &session->hello.of.hello;
    return session->wants_all || has_name(hello->services, hello->service_count, name, length);
}

bool scope_contains_key(const struct session *session, enum mesh_kind kind, const char *key)
{
    switch (kind) {
    case MESH_BUNDLE:
    case MESH_WITHDRAWAL:
        return true;
    case MESH_SERVICE:
        return calls(session, key, strlen(key)) || exposes(session, key, strlen(key));
    case MESH_ENDPOINT:
        return calls(session, key, strcspn(key, "/"));
    case MESH_KIND_COUNT:
        break;
    }
    return false;
}

bool scope_contains(const struct session *session, const struct mesh_resource *resource)
{
    return scope_contains_key(session, resource->kind, resource->key);
}

// Rules are for those who host the service and own it.
static enum variant variant_for(const struct session *session, const struct mesh_resource *resource)
{
    if (resource->kind != MESH_SERVICE) {
        return VARIANT_WHOLE;
    }
    bool is_host = exposes(session, resource->key, strlen(resource->key)) &&
                   mesh_service_has_identity(&resource->of.service, session->peer->spiffe_id,
                                             session->peer->spiffe_id_length);
    return is_host ? VARIANT_WHOLE : VARIANT_STRIPPED;
}

static struct mesh_resource *strip(const struct mesh_resource *resource)
{
    const struct mesh_service *service = &resource->of.service;
    struct mesh_resource *copy = mesh_resource_new(MESH_SERVICE, resource->key);
    if (copy == NULL) {
        return NULL;
    }
    copy->of.service.port = service->port;
    copy->of.service.identities = rm_calloc(service->identity_count, sizeof(char *));
    for (size_t i = 0; copy->of.service.identities != NULL && i < service->identity_count; i++) {
        copy->of.service.identities[i] = rm_strdup(service->identities[i]);
        if (copy->of.service.identities[i] == NULL) {
            break;
        }
        copy->of.service.identity_count++;
    }
    if (copy->of.service.identity_count != service->identity_count) {
        mesh_resource_unref(copy);
        return NULL;
    }
    return copy;
}

static size_t cache_key(enum mesh_kind kind, enum variant variant, const char *key, uint8_t *out,
                        size_t room)
{
    size_t length = strlen(key);
    if (length + 2 > room) {
        return 0;
    }
    out[0] = (uint8_t)kind;
    out[1] = (uint8_t)variant;
    memcpy(out + 2, key, length);
    return length + 2;
}

static void free_encoded(struct encoded *encoded)
{
    if (encoded != NULL) {
        mesh_resource_unref((struct mesh_resource *)(uintptr_t)encoded->source);
        mesh_resource_unref(encoded->seen);
        rm_free(encoded->bytes.bytes);
        rm_free(encoded);
    }
}

static struct encoded *encode(const struct mesh_resource *resource, enum variant variant,
                              enum rm_err *result)
{
    struct rm_error error = {0};
    struct encoded *encoded = rm_calloc(1, sizeof *encoded);
    *result = RM_ERR_NO_MEMORY;
    if (encoded == NULL) {
        return NULL;
    }
    encoded->source = mesh_resource_ref(resource);
    encoded->seen = variant == VARIANT_STRIPPED ? strip(resource) : mesh_resource_ref(resource);
    if (encoded->seen != NULL) {
        *result = mesh_wire_encode_resource(encoded->seen, &encoded->bytes, &error);
    }
    if (*result != RM_OK) {
        free_encoded(encoded);
        return NULL;
    }
    return encoded;
}

const struct encoded *scope_encoded(struct session *session, const struct mesh_resource *resource,
                                    enum rm_err *result)
{
    struct map *cache = session->push->encoded;
    enum variant variant = variant_for(session, resource);
    uint8_t key[SPIFFE_ID_MAX_BYTES + 64];
    void *previous = NULL;
    size_t length = cache_key(resource->kind, variant, resource->key, key, sizeof key);
    *result = length > 0 ? RM_OK : RM_ERR_TOO_LARGE;
    if (length == 0) {
        return NULL;
    }
    struct encoded *encoded = map_get(cache, key, length);
    if (encoded != NULL && encoded->source == resource) {
        return encoded;
    }
    encoded = encode(resource, variant, result);
    if (encoded == NULL) {
        return NULL;
    }
    *result = map_put(cache, key, length, encoded, &previous);
    if (*result != RM_OK) {
        free_encoded(encoded);
        return NULL;
    }
    free_encoded(previous);
    return encoded;
}

void encoded_cache_drop(struct push *push, enum mesh_kind kind, const char *key)
{
    uint8_t bytes[SPIFFE_ID_MAX_BYTES + 64];
    for (enum variant variant = VARIANT_WHOLE; variant < VARIANT_COUNT; variant++) {
        size_t length = cache_key(kind, variant, key, bytes, sizeof bytes);
        if (length > 0) {
            free_encoded(map_remove(push->encoded, bytes, length));
        }
    }
}

static void visit_encoded(void *context, const void *key, size_t key_length, void *value)
{
    (void)context;
    (void)key;
    (void)key_length;
    free_encoded(value);
}

void encoded_cache_free(struct map *cache)
{
    if (cache != NULL) {
        map_visit(cache, visit_encoded, NULL);
        map_free(cache);
    }
}
