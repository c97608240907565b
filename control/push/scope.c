// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a sidecar may see: bundles and withdrawals; the services it calls with their endpoints (not
// their rules); the services it hosts, with the rules it must enforce.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "identity/spiffe.h"
#include "push/push_internal.h"

enum variant { VARIANT_WHOLE, VARIANT_STRIPPED, VARIANT_COUNT };

struct name {
    const char *text;
    size_t length;
};

static int name_order(const void *key, const void *element)
{
    const struct name *name = key;
    const char *other = *(char *const *)element;
    int order = strncmp(name->text, other, name->length);
    return order != 0 || other[name->length] == '\0' ? order : -1;
}

// The lists of a Hello are sorted.
static bool has_name(char *const *names, size_t count, const char *name, size_t length)
{
    const struct name wanted = {name, length};
    return count > 0 && bsearch(&wanted, names, count, sizeof *names, name_order) != NULL;
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

bool scope_contains(const struct session *session, enum mesh_kind kind, const char *key)
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

#define CACHE_KEY_BYTES (2 + SPIFFE_ID_MAX_BYTES + 64) // a withdrawn SPIFFE ID is the longest

static size_t cache_key(enum mesh_kind kind, enum variant variant, const char *key,
                        uint8_t out[CACHE_KEY_BYTES])
{
    size_t length = strnlen(key, CACHE_KEY_BYTES - 2);
    out[0] = (uint8_t)kind;
    out[1] = (uint8_t)variant;
    memcpy(out + 2, key, length);
    return length + 2;
}

void encoded_unref(struct encoded *encoded)
{
    if (encoded != NULL && --encoded->ref_count == 0) {
        mesh_resource_unref((struct mesh_resource *)(uintptr_t)encoded->source);
        mesh_resource_unref(encoded->seen);
        rm_free(encoded->bytes.bytes);
        rm_free(encoded);
    }
}

static enum rm_err encode(const struct mesh_resource *resource, enum variant variant,
                          struct encoded **out)
{
    struct rm_error error = {0};
    struct encoded *encoded = rm_calloc(1, sizeof *encoded);
    enum rm_err result = RM_ERR_NO_MEMORY;
    if (encoded == NULL) {
        return result;
    }
    encoded->ref_count = 1;
    encoded->source = mesh_resource_ref(resource);
    encoded->seen = variant == VARIANT_STRIPPED ? strip(resource) : mesh_resource_ref(resource);
    if (encoded->seen != NULL) {
        result = mesh_wire_encode_resource(encoded->seen, &encoded->bytes, &error);
    }
    if (result != RM_OK) {
        encoded_unref(encoded);
        return result;
    }
    *out = encoded;
    return RM_OK;
}

enum rm_err scope_encoded(const struct session *session, const struct mesh_resource *resource,
                          struct encoded **out)
{
    struct map *cache = session->push->encoded;
    enum variant variant = variant_for(session, resource);
    uint8_t key[CACHE_KEY_BYTES];
    void *previous = NULL;
    size_t length = cache_key(resource->kind, variant, resource->key, key);
    struct encoded *encoded = map_get(cache, key, length);
    if (encoded == NULL || encoded->source != resource) {
        RM_TRY(encode(resource, variant, &encoded));
        enum rm_err result = map_put(cache, key, length, encoded, &previous);
        if (result != RM_OK) {
            encoded_unref(encoded);
            return result;
        }
        encoded_unref(previous);
    }
    encoded->ref_count++;
    *out = encoded;
    return RM_OK;
}

void encoded_cache_drop(struct push *push, enum mesh_kind kind, const char *key)
{
    uint8_t bytes[CACHE_KEY_BYTES];
    for (enum variant variant = VARIANT_WHOLE; variant < VARIANT_COUNT; variant++) {
        size_t length = cache_key(kind, variant, key, bytes);
        encoded_unref(map_remove(push->encoded, bytes, length));
    }
}

static void visit_encoded(void *context, const void *key, size_t key_length, void *value)
{
    (void)context;
    (void)key;
    (void)key_length;
    encoded_unref(value);
}

void encoded_cache_free(struct map *cache)
{
    if (cache != NULL) {
        map_visit(cache, visit_encoded, NULL);
        map_free(cache);
    }
}

void encoded_cache_clear(struct push *push)
{
    struct map *empty = map_new();
    if (empty != NULL) { // otherwise what is old is replaced when it is asked for
        encoded_cache_free(push->encoded);
        push->encoded = empty;
    }
}
