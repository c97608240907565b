// SPDX-License-Identifier: GPL-3.0-or-later
//
// One example of each message, with a real certificate in it.
#pragma once

#include "../mesh/cases.h"
#include "base/alloc.h"
#include "crypto/certificate.h"
#include "crypto/crypto.h"
#include "crypto/issue.h"
#include "crypto/key.h"
#include "mesh/mesh_wire.h"

#define INSTANCE "0123456789abcdef"

static inline int crypto_up(void **state)
{
    (void)state;
    return crypto_init(NULL) == RM_OK ? 0 : -1;
}

static inline int crypto_down(void **state)
{
    (void)state;
    crypto_deinit();
    return 0;
}

// A bundle of one root, made now.
static inline struct mesh_resource *real_bundle(const char *domain)
{
    struct private_key *key = NULL;
    assert_int_equal(key_generate(&key), RM_OK);
    const struct authority_request request = {.trust_domain = domain,
                                              .common_name = "test root",
                                              .not_before_s = 1000000000,
                                              .not_after_s = 2000000000,
                                              .serial = {0x10, 1}};
    struct mesh_resource *resource = mesh_resource_new(MESH_BUNDLE, domain);
    assert_non_null(resource);
    struct mesh_bundle *bundle = &resource->of.bundle;
    bundle->roots = rm_calloc(1, sizeof(*bundle->roots));
    bundle->key_ids = rm_calloc(1, sizeof(*bundle->key_ids));
    assert_non_null(bundle->roots);
    assert_non_null(bundle->key_ids);
    bundle->root_count = 1;
    assert_int_equal(issue_root(key, &request, &bundle->roots[0].bytes, &bundle->roots[0].length),
                     RM_OK);
    assert_int_equal(
        certificate_key_id(bundle->roots[0].bytes, bundle->roots[0].length, bundle->key_ids[0]),
        RM_OK);
    key_unref(key);
    return resource;
}

static inline struct mesh_view *example_view(void)
{
    struct mesh_resource *guarded = make_service("cache", 6379, LIST(CACHE_ID), LIST());
    guarded->of.service.is_guarded = true;
    struct mesh_resource *draining = make_endpoint("web/b", "[2001:db8::1]:1", WEB_ID, "zone-1");
    draining->of.endpoint.is_ready = false;
    return full_view(PUTS(
        real_bundle("td"), make_service("web", 80, LIST(CACHE_ID, WEB_ID), LIST("spiffe://td/**")),
        guarded, make_endpoint("web/a", "10.0.0.1:15008", WEB_ID, ""), draining,
        make_withdrawal(TRUST_REVOKED_LINEAGE, "lineage1", 8, 0),
        make_withdrawal(TRUST_LAPSED_LINEAGE, "lineage2", 8, 0),
        make_withdrawal(TRUST_REVOKED_IDENTITY, WEB_ID, strlen(WEB_ID), 77),
        make_withdrawal(TRUST_REVOKED_ISSUER, "12345678901234567890123456789012", 32, 0)));
}

// A full response with all of `view`. Caller frees *bytes with rm_free().
static inline void encode_view(const struct mesh_view *view, const struct mesh_removal *removals,
                               size_t removal_count, uint8_t **bytes, size_t *length)
{
    struct mesh_bytes resources[32];
    struct mesh_response_parts parts = {.version = mesh_view_version(view),
                                        .is_full = removal_count == 0,
                                        .resources = resources,
                                        .removals = removals,
                                        .removal_count = removal_count,
                                        .server_time_ms = 1234567890123};
    for (int kind = 0; kind < MESH_KIND_COUNT; kind++) {
        for (size_t i = 0; i < mesh_view_count(view, (enum mesh_kind)kind); i++) {
            assert_true(parts.resource_count < 32);
            assert_int_equal(mesh_wire_encode_resource(mesh_view_at(view, (enum mesh_kind)kind, i),
                                                       &resources[parts.resource_count++], NULL),
                             RM_OK);
        }
    }
    assert_int_equal(mesh_wire_encode_response(&parts, bytes, length), RM_OK);
    for (size_t i = 0; i < parts.resource_count; i++) {
        rm_free(resources[i].bytes);
    }
}

static char web[] = "web";
static char cache[] = "cache";
static char star[] = "*";
static char *both[] = {cache, web};
static char *all[] = {star};

#define REQUEST_COUNT 5

// Borrows static memory: not for mesh_request_deinit().
static inline struct mesh_request example_request(size_t index)
{
    static char software[] = "remora-sidecar/0.1.0";
    static char zone[] = "eu-1";
    static char address[] = ":15008";
    static char text[] = "root 1: malformed input";
    const struct mesh_request requests[REQUEST_COUNT] = {
        {MESH_REQUEST_HELLO, .of.hello = {INSTANCE, both, 2, both, 2, true, version_of(7, 42),
                                          software, zone, address}},
        {MESH_REQUEST_ACK, .of.ack = {version_of(7, 43), {1, 2, 3}, text}},
        {MESH_REQUEST_SUBSCRIBE, .of.subscribe = {all, 1}},
        {MESH_REQUEST_STATUS, .of.status = {2000, 1500, text, {0x11, 2, 3}, 16}},
        {MESH_REQUEST_GOODBYE},
    };
    return requests[index];
}
