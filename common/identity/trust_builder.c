// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "identity/spiffe.h"
#include "identity/trust.h"
#include "identity/trust_internal.h"

struct trust_builder {
    struct trust_snapshot *snapshot; // under construction; owned
    size_t withdrawal_capacity;      // allocated slots of snapshot->withdrawals
};

struct trust_builder *trust_builder_new(void)
{
    struct trust_builder *builder = rm_calloc(1, sizeof(*builder));
    if (builder == NULL) {
        return NULL;
    }
    builder->snapshot = rm_calloc(1, sizeof(*builder->snapshot));
    if (builder->snapshot == NULL) {
        rm_free(builder);
        return NULL;
    }
    atomic_init(&builder->snapshot->ref_count, 1);
    return builder;
}

void trust_builder_free(struct trust_builder *builder)
{
    if (builder != NULL) {
        trust_snapshot_free(builder->snapshot);
        rm_free(builder);
    }
}

// The domain, made when it is not there. A domain stays without roots only when memory ran out.
static enum rm_err domain_of(struct trust_snapshot *trust, const char *name,
                             struct trust_domain **out)
{
    const struct trust_domain *found = trust_domain_find(trust, name, strlen(name));
    if (found != NULL) {
        *out = &trust->domains[found - trust->domains];
        return RM_OK;
    }
    if (trust->domain_count == TRUST_MAX_DOMAINS) {
        return RM_ERR_LIMIT;
    }
    struct trust_domain *grown =
        rm_realloc(trust->domains, (trust->domain_count + 1) * sizeof(*grown));
    if (grown == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    trust->domains = grown;
    char *copy = rm_strdup(name);
    if (copy == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    *out = &trust->domains[trust->domain_count++];
    **out = (struct trust_domain){.name = copy};
    return RM_OK;
}

static bool has_root(const struct trust_domain *domain, const uint8_t *der, size_t der_length)
{
    for (size_t i = 0; i < domain->root_count; i++) {
        if (domain->roots[i].der_length == der_length &&
            memcmp(domain->roots[i].der, der, der_length) == 0) {
            return true;
        }
    }
    return false;
}

static enum rm_err append_root(struct trust_domain *domain, const uint8_t *der, size_t der_length,
                               const uint8_t key_id[KEY_ID_BYTES])
{
    struct trust_root *grown = rm_realloc(domain->roots, (domain->root_count + 1) * sizeof(*grown));
    if (grown == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    domain->roots = grown;
    struct trust_root root = {.der = rm_memdup(der, der_length), .der_length = der_length};
    if (root.der == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    memcpy(root.key_id, key_id, KEY_ID_BYTES);
    domain->roots[domain->root_count++] = root;
    return RM_OK;
}

enum rm_err trust_builder_add_root(struct trust_builder *builder, const char *domain,
                                   const uint8_t *der, size_t der_length,
                                   const uint8_t key_id[KEY_ID_BYTES])
{
    if (spiffe_trust_domain_check(domain, strlen(domain), NULL) != RM_OK) {
        return RM_ERR_MALFORMED;
    }
    if (der_length == 0 || der_length > TRUST_MAX_ROOT_DER_BYTES) {
        return RM_ERR_LIMIT;
    }
    struct trust_domain *target = NULL;
    RM_TRY(domain_of(builder->snapshot, domain, &target));
    if (has_root(target, der, der_length)) {
        return RM_OK;
    }
    if (target->root_count == TRUST_MAX_ROOTS_PER_DOMAIN) {
        return RM_ERR_LIMIT;
    }
    return append_root(target, der, der_length, key_id);
}

static bool is_withdrawal_key(enum trust_withdrawal_kind kind, const void *key, size_t length)
{
    struct spiffe_id id;
    switch (kind) {
    case TRUST_REVOKED_LINEAGE:
    case TRUST_LAPSED_LINEAGE:
        return length == LINEAGE_BYTES;
    case TRUST_REVOKED_ISSUER:
        return length == KEY_ID_BYTES;
    case TRUST_REVOKED_IDENTITY:
        return spiffe_id_parse(key, length, &id, NULL) == RM_OK;
    }
    return false;
}

static enum rm_err reserve_withdrawal(struct trust_builder *builder)
{
    struct trust_snapshot *trust = builder->snapshot;
    if (trust->withdrawal_count < builder->withdrawal_capacity) {
        return RM_OK;
    }
    if (trust->withdrawal_count >= TRUST_MAX_WITHDRAWALS) {
        return RM_ERR_LIMIT;
    }
    size_t capacity = builder->withdrawal_capacity == 0 ? 16 : builder->withdrawal_capacity * 2;
    struct trust_withdrawal *grown = rm_realloc(trust->withdrawals, capacity * sizeof(*grown));
    if (grown == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    trust->withdrawals = grown;
    builder->withdrawal_capacity = capacity;
    return RM_OK;
}

enum rm_err trust_builder_withdraw(struct trust_builder *builder, enum trust_withdrawal_kind kind,
                                   const void *key, size_t key_length, int64_t before_s)
{
    if (!is_withdrawal_key(kind, key, key_length)) {
        return RM_ERR_MALFORMED;
    }
    RM_TRY(reserve_withdrawal(builder));
    uint8_t *copy = rm_memdup(key, key_length);
    if (copy == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    struct trust_snapshot *trust = builder->snapshot;
    trust->withdrawals[trust->withdrawal_count++] = (struct trust_withdrawal){
        .kind = kind, .key = copy, .key_length = key_length, .before_s = before_s};
    return RM_OK;
}

static int domain_order(const void *a, const void *b)
{
    return strcmp(((const struct trust_domain *)a)->name, ((const struct trust_domain *)b)->name);
}

static int root_order(const void *left, const void *right)
{
    const struct trust_root *a = left;
    const struct trust_root *b = right;
    int order = memcmp(a->key_id, b->key_id, KEY_ID_BYTES);
    if (order != 0) {
        return order;
    }
    size_t common = a->der_length < b->der_length ? a->der_length : b->der_length;
    order = memcmp(a->der, b->der, common);
    return order != 0 ? order : (a->der_length > b->der_length) - (a->der_length < b->der_length);
}

// Of several for one key the latest time comes first, so that it is the one that stays.
static int withdrawal_order(const void *left, const void *right)
{
    const struct trust_withdrawal *a = left;
    const struct trust_withdrawal *b = right;
    int order = trust_withdrawal_compare(a, b);
    return order != 0 ? order : (a->before_s < b->before_s) - (a->before_s > b->before_s);
}

static void drop_repeated_withdrawals(struct trust_snapshot *trust)
{
    size_t kept = 0;
    for (size_t i = 0; i < trust->withdrawal_count; i++) {
        struct trust_withdrawal *each = &trust->withdrawals[i];
        if (kept > 0 && trust_withdrawal_compare(&trust->withdrawals[kept - 1], each) == 0) {
            rm_free(each->key);
        } else {
            trust->withdrawals[kept++] = *each;
        }
    }
    trust->withdrawal_count = kept;
}

// A domain that lost its first root to a failed allocation trusts nothing: it is left out.
static void drop_empty_domains(struct trust_snapshot *trust)
{
    size_t kept = 0;
    for (size_t i = 0; i < trust->domain_count; i++) {
        if (trust->domains[i].root_count > 0) {
            trust->domains[kept++] = trust->domains[i];
        } else {
            rm_free(trust->domains[i].roots);
            rm_free((void *)(uintptr_t)trust->domains[i].name);
        }
    }
    trust->domain_count = kept;
}

struct trust_snapshot *trust_builder_finish(struct trust_builder *builder)
{
    struct trust_snapshot *trust = builder->snapshot;
    rm_free(builder);
    drop_empty_domains(trust);
    if (trust->domain_count > 0) {
        qsort(trust->domains, trust->domain_count, sizeof(*trust->domains), domain_order);
    }
    for (size_t i = 0; i < trust->domain_count; i++) {
        struct trust_domain *domain = &trust->domains[i];
        qsort(domain->roots, domain->root_count, sizeof(*domain->roots), root_order);
    }
    if (trust->withdrawal_count > 0) {
        qsort(trust->withdrawals, trust->withdrawal_count, sizeof(*trust->withdrawals),
              withdrawal_order);
    }
    drop_repeated_withdrawals(trust);
    return trust;
}
