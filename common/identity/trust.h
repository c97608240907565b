// SPDX-License-Identifier: GPL-3.0-or-later
//
// Whom to trust right now: the roots of each trust domain, never merged, and what was taken back.
// A trust snapshot is immutable and counted; a change makes a new one. Shared between threads.
// Life: trust_builder_new -> add ... -> trust_builder_finish -> ref/unref.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "identity/peer.h"

#define TRUST_MAX_DOMAINS 64          // trust domains in one snapshot: own and federated
#define TRUST_MAX_ROOTS_PER_DOMAIN 16 // a rotation needs two; room for slow ones
#define TRUST_MAX_ROOT_DER_BYTES 8192 // an RSA-8192 root is under 3 KiB
#define TRUST_MAX_WITHDRAWALS 262144  // as many as a mesh view may hold resources

struct trust_root {
    const uint8_t *der;           // certificate; owned by the snapshot
    size_t der_length;            // 1..TRUST_MAX_ROOT_DER_BYTES
    uint8_t key_id[KEY_ID_BYTES]; // SHA-256 of its SubjectPublicKeyInfo
};

struct trust_domain {
    const char *name;         // owned by the snapshot
    struct trust_root *roots; // owned by the snapshot
    size_t root_count;        // 1..TRUST_MAX_ROOTS_PER_DOMAIN
};

enum trust_withdrawal_kind {
    TRUST_REVOKED_LINEAGE,  // all certificates of one lineage: an operator, or a fork
    TRUST_LAPSED_LINEAGE,   // stopped renewing: live connections end
    TRUST_REVOKED_IDENTITY, // every certificate of a SPIFFE ID issued before a time
    TRUST_REVOKED_ISSUER,   // every certificate under one issuer key
};

struct trust_snapshot;
struct trust_builder;

struct trust_builder *trust_builder_new(void);
// The builder and all added so far. `builder` may be NULL.
void trust_builder_free(struct trust_builder *builder);
// Copies. A root that is there already is not added twice.
// Errors: RM_ERR_MALFORMED (domain name), RM_ERR_LIMIT, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err trust_builder_add_root(struct trust_builder *builder, const char *domain,
                                                const uint8_t *der, size_t der_length,
                                                const uint8_t key_id[KEY_ID_BYTES]);
// `key` is a lineage (8 bytes), a SPIFFE ID's text, or an issuer key id (32 bytes).
// `before_s` counts for TRUST_REVOKED_IDENTITY only: leaves with a notBefore at or after it stand;
// of several for one identity the latest counts.
// Errors: RM_ERR_MALFORMED (key of the wrong length, no SPIFFE ID), RM_ERR_LIMIT, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err trust_builder_withdraw(struct trust_builder *builder,
                                                enum trust_withdrawal_kind kind, const void *key,
                                                size_t key_length, int64_t before_s);
// Takes the builder. Sorts, so that equal content gives equal order. NULL when memory is exhausted
// (the builder is freed then too).
struct trust_snapshot *trust_builder_finish(struct trust_builder *builder);

struct trust_snapshot *trust_ref(struct trust_snapshot *trust);
// `trust` may be NULL.
void trust_unref(struct trust_snapshot *trust);

size_t trust_domain_count(const struct trust_snapshot *trust);
// Domains in order of name. Borrowed.
const struct trust_domain *trust_domain_at(const struct trust_snapshot *trust, size_t index);
// NULL when the domain is not trusted. Borrowed.
const struct trust_domain *trust_domain_find(const struct trust_snapshot *trust, const char *name,
                                             size_t name_length);
bool trust_root_is_in_domain(const struct trust_domain *domain, const uint8_t key_id[KEY_ID_BYTES]);
// True when a withdrawal of this kind covers the key. For identities *before_s is its time.
bool trust_is_withdrawn(const struct trust_snapshot *trust, enum trust_withdrawal_kind kind,
                        const void *key, size_t key_length, int64_t *before_s);
// True when both hold the same roots (withdrawals aside): TLS contexts need not be made anew.
bool trust_same_roots(const struct trust_snapshot *a, const struct trust_snapshot *b);
