// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a mesh view is made of: bundles, services, endpoints and withdrawals, each with a key.
// Whoever makes a resource fills it and gives it away; from then on it is immutable and counted,
// shared between views and threads. Pure.
// Life: mesh_resource_new -> fill `of` -> mesh_resource_check -> ref/unref.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "identity/trust.h"
#include "policy/policy.h"

#define MESH_MAX_NAME_BYTES 253   // a service name is a DNS name
#define MESH_MAX_LABEL_BYTES 63   // of a DNS name; also of an instance id and a zone
#define MESH_MAX_IDENTITIES 64    // that may own one service
#define MESH_MAX_ADDRESS_BYTES 64 // "[v6]:port"

enum mesh_kind {
    MESH_BUNDLE,     // key: trust domain
    MESH_SERVICE,    // key: service name
    MESH_ENDPOINT,   // key: service name '/' instance id
    MESH_WITHDRAWAL, // key: see mesh_withdrawal_key()
    MESH_KIND_COUNT,
};

struct mesh_bytes {
    uint8_t *bytes; // owned by the resource
    size_t length;  // of bytes
};

struct mesh_bundle {
    struct mesh_bytes *roots;         // certificate DER
    uint8_t (*key_ids)[KEY_ID_BYTES]; // SPKI SHA-256, one per root; derived, so never compared
    size_t root_count;                // 1..TRUST_MAX_ROOTS_PER_DOMAIN
};

struct mesh_service {
    uint16_t port;         // that applications name; not 0
    char **identities;     // SPIFFE IDs that own it; sorted, no two alike
    size_t identity_count; // 1..MESH_MAX_IDENTITIES
    char **allow;          // patterns; sorted, no two alike; guards the service when not empty
    size_t allow_count;    // 0..POLICY_MAX_RULES
    bool is_guarded;       // see policy
};

struct mesh_endpoint {
    char *address;  // "10.0.0.1:15008", the instance's tunnel address
    char *identity; // the SPIFFE ID this endpoint registered with; one of its service's
    char *zone;     // "" when unknown
    bool is_ready;  // false: only live connections go on
};

struct mesh_withdrawal {
    enum trust_withdrawal_kind kind; // what key is
    struct mesh_bytes key;           // see trust_builder_withdraw()
    int64_t before_s;                // see trust_builder_withdraw()
    int64_t expires_s;               // Unix seconds after which no certificate it covers can live
};

struct mesh_resource {
    enum mesh_kind kind; // which member of `of` counts
    char *key;           // unique within its kind; printable ASCII; owned
    union {
        struct mesh_bundle bundle;
        struct mesh_service service;
        struct mesh_endpoint endpoint;
        struct mesh_withdrawal withdrawal;
    } of;               // which one: kind
    uint32_t ref_count; // private, atomic
};

// An empty resource of that kind; fill `of` with memory from rm_malloc. NULL when memory is gone.
struct mesh_resource *mesh_resource_new(enum mesh_kind kind, const char *key);
struct mesh_resource *mesh_resource_ref(const struct mesh_resource *resource);
// `resource` may be NULL; a half-filled one is freed as far as it was filled.
void mesh_resource_unref(struct mesh_resource *resource);
bool mesh_resource_equal(const struct mesh_resource *a, const struct mesh_resource *b);

// Every rule of this file: names, SPIFFE IDs, addresses, patterns, order, limits. The message names
// kind, key and fault. Errors: RM_ERR_MALFORMED, RM_ERR_LIMIT, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err mesh_resource_check(const struct mesh_resource *resource,
                                             struct rm_error *error);
// A DNS name in lower case (RFC 1123 2.1). Errors: RM_ERR_MALFORMED with the fault.
RM_NODISCARD enum rm_err mesh_name_check(const char *name, struct rm_error *error);
// "10.0.0.1:15008" or "[2001:db8::1]:15008" in the one canonical spelling; no unspecified or
// multicast address. With `may_lack_host` also ":15008". Errors: RM_ERR_MALFORMED with the fault.
RM_NODISCARD enum rm_err mesh_address_check(const char *address, bool may_lack_host,
                                            struct rm_error *error);
// [A-Za-z0-9._-], 1..MESH_MAX_LABEL_BYTES: instance ids and zones.
bool mesh_label_is_valid(const char *label);

// Brings a list of strings into the order that identities and allow need and drops repeated ones.
void mesh_sort_strings(char **strings, size_t *count);
bool mesh_service_has_identity(const struct mesh_service *service, const char *spiffe_id,
                               size_t spiffe_id_length);
// The policy of a hosted service, from its allow list. Errors as policy_new().
RM_NODISCARD enum rm_err mesh_service_policy(const struct mesh_service *service,
                                             const char *own_trust_domain, struct policy **out,
                                             struct rm_error *error);
// The key of a withdrawal: kind digit ('1' revoked lineage, '2' lapsed lineage, '3' revoked
// identity, '4' revoked issuer: the wire's numbers), ':', then the SPIFFE ID or lower-case hex of
// what is withdrawn. NULL when memory is gone; free with rm_free().
char *mesh_withdrawal_key(enum trust_withdrawal_kind kind, const void *subject, size_t length);
