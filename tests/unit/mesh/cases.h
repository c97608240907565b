// SPDX-License-Identifier: GPL-3.0-or-later
//
// Resources and deltas in one line each.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "mesh/view.h"

#define WEB_ID "spiffe://td/ns/shop/sa/web"
#define CACHE_ID "spiffe://td/ns/shop/sa/cache"

// A NULL-terminated list as an owned array.
static inline char **strings_of(const char *const *list, size_t *count)
{
    for (*count = 0; list[*count] != NULL;) {
        ++*count;
    }
    char **strings = rm_calloc(*count, sizeof(*strings));
    assert_non_null(strings);
    for (size_t i = 0; i < *count; i++) {
        strings[i] = rm_strdup(list[i]);
        assert_non_null(strings[i]);
    }
    return strings;
}

#define LIST(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

// Each root is the bytes of its name; its key id begins with the first of them.
static inline struct mesh_resource *make_bundle(const char *domain, const char *const *roots)
{
    struct mesh_resource *resource = mesh_resource_new(MESH_BUNDLE, domain);
    assert_non_null(resource);
    struct mesh_bundle *bundle = &resource->of.bundle;
    char **names = strings_of(roots, &bundle->root_count);
    bundle->roots = rm_calloc(bundle->root_count, sizeof(*bundle->roots));
    bundle->key_ids = rm_calloc(bundle->root_count, sizeof(*bundle->key_ids));
    assert_non_null(bundle->roots);
    assert_non_null(bundle->key_ids);
    for (size_t i = 0; i < bundle->root_count; i++) {
        bundle->roots[i] = (struct mesh_bytes){(uint8_t *)names[i], strlen(names[i])};
        bundle->key_ids[i][0] = (uint8_t)names[i][0];
    }
    rm_free(names);
    return resource;
}

static inline struct mesh_resource *make_service(const char *name, uint16_t port,
                                                 const char *const *identities,
                                                 const char *const *allow)
{
    struct mesh_resource *resource = mesh_resource_new(MESH_SERVICE, name);
    assert_non_null(resource);
    struct mesh_service *service = &resource->of.service;
    service->port = port;
    service->identities = strings_of(identities, &service->identity_count);
    service->allow = strings_of(allow, &service->allow_count);
    return resource;
}

static inline struct mesh_resource *make_endpoint(const char *key, const char *address,
                                                  const char *identity, const char *zone)
{
    struct mesh_resource *resource = mesh_resource_new(MESH_ENDPOINT, key);
    assert_non_null(resource);
    resource->of.endpoint = (struct mesh_endpoint){.address = rm_strdup(address),
                                                   .identity = rm_strdup(identity),
                                                   .zone = rm_strdup(zone),
                                                   .is_ready = true};
    return resource;
}

static inline struct mesh_resource *make_withdrawal(enum trust_withdrawal_kind kind,
                                                    const void *subject, size_t length,
                                                    int64_t before_s)
{
    char *key = mesh_withdrawal_key(kind, subject, length);
    struct mesh_resource *resource = mesh_resource_new(MESH_WITHDRAWAL, key);
    assert_non_null(resource);
    rm_free(key);
    resource->of.withdrawal = (struct mesh_withdrawal){
        .kind = kind,
        .key = {rm_memdup(subject, length), length},
        .before_s = before_s,
        .expires_s = 99,
    };
    return resource;
}

static inline struct mesh_version version_of(uint8_t store, uint64_t number)
{
    return (struct mesh_version){.store_id = {store}, .number = number};
}

// Takes the references of `puts` (NULL-terminated); the view before is given back.
static inline struct mesh_view *apply_all(struct mesh_view *base, bool is_full,
                                          struct mesh_version version,
                                          struct mesh_resource *const *puts,
                                          struct mesh_removal *removals, size_t removal_count)
{
    struct mesh_delta delta = {.version = version,
                               .is_full = is_full,
                               .puts = (struct mesh_resource **)(uintptr_t)puts,
                               .removals = removals,
                               .removal_count = removal_count};
    while (puts[delta.put_count] != NULL) {
        delta.put_count++;
    }
    struct mesh_view *view = NULL;
    struct rm_error error = {0};
    if (mesh_view_apply(base, &delta, &view, &error) != RM_OK) {
        fail_msg("%s", rm_error_message(&error));
    }
    for (size_t i = 0; i < delta.put_count; i++) {
        mesh_resource_unref(puts[i]);
    }
    mesh_view_unref(base);
    return view;
}

#define PUTS(...) ((struct mesh_resource *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static inline struct mesh_view *full_view(struct mesh_resource *const *puts)
{
    struct mesh_view *base = mesh_view_empty();
    assert_non_null(base);
    return apply_all(base, true, version_of(1, 1), puts, NULL, 0);
}

// Canonical bytes, gathered. Caller frees with free().
struct gathered {
    uint8_t *bytes;
    size_t length;
};

static inline void gather(void *context, const void *bytes, size_t length)
{
    struct gathered *gathered = context;
    gathered->bytes = realloc(gathered->bytes, gathered->length + length);
    assert_non_null(gathered->bytes);
    memcpy(gathered->bytes + gathered->length, bytes, length);
    gathered->length += length;
}

static inline bool same_canonical(const struct mesh_view *a, const struct mesh_view *b)
{
    struct gathered left = {0};
    struct gathered right = {0};
    mesh_view_canonical(a, gather, &left);
    mesh_view_canonical(b, gather, &right);
    bool is_same = left.length == right.length &&
                   (left.length == 0 || memcmp(left.bytes, right.bytes, left.length) == 0);
    free(left.bytes);
    free(right.bytes);
    return is_same;
}

// xorshift32 (Marsaglia 2003); *state is never 0.
static inline uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}
