// SPDX-License-Identifier: GPL-3.0-or-later
#include "identity/trust.h"

#include <string.h>

#include "base/alloc.h"
#include "identity/trust_internal.h"

int trust_withdrawal_compare(const struct trust_withdrawal *a, const struct trust_withdrawal *b)
{
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    size_t common = a->key_length < b->key_length ? a->key_length : b->key_length;
    int order = memcmp(a->key, b->key, common);
    if (order != 0) {
        return order;
    }
    return (a->key_length > b->key_length) - (a->key_length < b->key_length);
}

void trust_snapshot_free(struct trust_snapshot *trust)
{
    for (size_t i = 0; i < trust->domain_count; i++) {
        struct trust_domain *domain = &trust->domains[i];
        for (size_t j = 0; j < domain->root_count; j++) {
            rm_free((void *)(uintptr_t)domain->roots[j].der);
        }
        rm_free(domain->roots);
        rm_free((void *)(uintptr_t)domain->name);
    }
    rm_free(trust->domains);
    for (size_t i = 0; i < trust->withdrawal_count; i++) {
        rm_free(trust->withdrawals[i].key);
    }
    rm_free(trust->withdrawals);
    rm_free(trust);
}

struct trust_snapshot *trust_ref(struct trust_snapshot *trust)
{
    atomic_fetch_add_explicit(&trust->ref_count, 1, memory_order_relaxed);
    return trust;
}

void trust_unref(struct trust_snapshot *trust)
{
    if (trust != NULL &&
        atomic_fetch_sub_explicit(&trust->ref_count, 1, memory_order_acq_rel) == 1) {
        trust_snapshot_free(trust);
    }
}

size_t trust_domain_count(const struct trust_snapshot *trust)
{
    return trust->domain_count;
}

const struct trust_domain *trust_domain_at(const struct trust_snapshot *trust, size_t index)
{
    return index < trust->domain_count ? &trust->domains[index] : NULL;
}

const struct trust_domain *trust_domain_find(const struct trust_snapshot *trust, const char *name,
                                             size_t name_length)
{
    for (size_t i = 0; i < trust->domain_count; i++) {
        const struct trust_domain *domain = &trust->domains[i];
        if (strlen(domain->name) == name_length && memcmp(domain->name, name, name_length) == 0) {
            return domain;
        }
    }
    return NULL;
}

bool trust_root_is_in_domain(const struct trust_domain *domain, const uint8_t key_id[KEY_ID_BYTES])
{
    for (size_t i = 0; i < domain->root_count; i++) {
        if (memcmp(domain->roots[i].key_id, key_id, KEY_ID_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

bool trust_is_withdrawn(const struct trust_snapshot *trust, enum trust_withdrawal_kind kind,
                        const void *key, size_t key_length, int64_t *before_s)
{
    const struct trust_withdrawal wanted = {
        .kind = kind, .key = (uint8_t *)(uintptr_t)key, .key_length = key_length};
    size_t low = 0;
    size_t high = trust->withdrawal_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = trust_withdrawal_compare(&trust->withdrawals[middle], &wanted);
        if (order == 0) {
            if (before_s != NULL) {
                *before_s = trust->withdrawals[middle].before_s;
            }
            return true;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

static bool same_domain(const struct trust_domain *a, const struct trust_domain *b)
{
    if (a->root_count != b->root_count || strcmp(a->name, b->name) != 0) {
        return false;
    }
    for (size_t i = 0; i < a->root_count; i++) {
        if (a->roots[i].der_length != b->roots[i].der_length ||
            memcmp(a->roots[i].der, b->roots[i].der, a->roots[i].der_length) != 0) {
            return false;
        }
    }
    return true;
}

bool trust_same_roots(const struct trust_snapshot *a, const struct trust_snapshot *b)
{
    if (a == b) {
        return true;
    }
    if (a == NULL || b == NULL || a->domain_count != b->domain_count) {
        return false;
    }
    for (size_t i = 0; i < a->domain_count; i++) {
        if (!same_domain(&a->domains[i], &b->domains[i])) {
            return false;
        }
    }
    return true;
}
