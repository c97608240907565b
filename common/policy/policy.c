// SPDX-License-Identifier: GPL-3.0-or-later
#include "policy/policy.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "identity/spiffe.h"
#include "policy/glob.h"

// Denies first, then allows, each by pattern; enforced before audit where all else is equal.
static int rule_order(const void *left, const void *right)
{
    const struct policy_rule *a = left;
    const struct policy_rule *b = right;
    if (a->effect != b->effect) {
        return a->effect == POLICY_DENY ? -1 : 1;
    }
    int order = strcmp(a->pattern, b->pattern);
    return order != 0 ? order : (a->mode > b->mode) - (a->mode < b->mode);
}

static enum rm_err check_rules(const struct policy_rule *rules, size_t rule_count,
                               const char *own_trust_domain, struct rm_error *error)
{
    if (rule_count > POLICY_MAX_RULES) {
        return rm_error_set(error, RM_ERR_LIMIT, "%zu rules are over the limit of %d", rule_count,
                            POLICY_MAX_RULES);
    }
    for (size_t i = 0; i < rule_count; i++) {
        if (glob_check(rules[i].pattern, error) != RM_OK) {
            (void)rm_error_wrap(error, "rule %zu", i + 1);
            return RM_ERR_MALFORMED;
        }
    }
    if (own_trust_domain[0] != '\0' &&
        spiffe_trust_domain_check(own_trust_domain, strlen(own_trust_domain), error) != RM_OK) {
        (void)rm_error_wrap(error, "own trust domain");
        return RM_ERR_MALFORMED;
    }
    return RM_OK;
}

static enum rm_err copy_rules(struct policy *policy, const struct policy_rule *rules,
                              size_t rule_count)
{
    policy->rules = rm_calloc(rule_count, sizeof(*rules));
    if (policy->rules == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < rule_count; i++) {
        policy->rules[i] = rules[i];
        policy->rules[i].pattern = rm_strdup(rules[i].pattern);
        if (policy->rules[i].pattern == NULL) {
            return RM_ERR_NO_MEMORY;
        }
        policy->rule_count++;
    }
    if (rule_count > 0) {
        qsort(policy->rules, rule_count, sizeof(*rules), rule_order);
    }
    return RM_OK;
}

enum rm_err policy_new(const struct policy_rule *rules, size_t rule_count, bool is_guarded,
                       bool allow_unauthenticated, const char *own_trust_domain,
                       struct policy **out, struct rm_error *error)
{
    *out = NULL;
    const char *domain = own_trust_domain == NULL ? "" : own_trust_domain;
    RM_TRY(check_rules(rules, rule_count, domain, error));
    struct policy *policy = rm_calloc(1, sizeof(*policy));
    if (policy == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "no memory for a policy");
    }
    policy->ref_count = 1;
    policy->is_guarded = is_guarded;
    policy->allow_unauthenticated = allow_unauthenticated;
    policy->own_trust_domain = rm_strdup(domain);
    if (policy->own_trust_domain == NULL || copy_rules(policy, rules, rule_count) != RM_OK) {
        policy_unref(policy);
        return rm_error_set(error, RM_ERR_NO_MEMORY, "no memory for a policy");
    }
    *out = policy;
    return RM_OK;
}

struct policy *policy_ref(struct policy *policy)
{
    (void)__atomic_fetch_add(&policy->ref_count, 1, __ATOMIC_RELAXED);
    return policy;
}

void policy_unref(struct policy *policy)
{
    if (policy == NULL || __atomic_fetch_sub(&policy->ref_count, 1, __ATOMIC_ACQ_REL) != 1) {
        return;
    }
    for (size_t i = 0; i < policy->rule_count; i++) {
        rm_free(policy->rules[i].pattern);
    }
    rm_free(policy->rules);
    rm_free(policy->own_trust_domain);
    rm_free(policy);
}

// `id` NULL is a plaintext peer: each deny could mean it, no allow does.
static bool rule_matches(const struct policy_rule *rule, const struct spiffe_id *id)
{
    if (id == NULL) {
        return rule->effect == POLICY_DENY;
    }
    return glob_match(rule->pattern, id->text, id->length);
}

// Rows 1 and 2: rules are in order, denies first, so the first enforced match decides.
static void apply_rules(const struct policy *policy, const struct spiffe_id *id,
                        struct policy_decision *decision)
{
    for (size_t i = 0; i < policy->rule_count; i++) {
        const struct policy_rule *rule = &policy->rules[i];
        bool is_audit = rule->mode == POLICY_AUDIT;
        bool is_wanted = is_audit ? decision->audit == NULL : decision->rule == NULL;
        if (!is_wanted || !rule_matches(rule, id)) {
            continue;
        }
        if (is_audit) {
            decision->audit = rule;
        } else {
            decision->rule = rule;
        }
    }
}

// Rows 3 and 4, when no rule decided.
static void apply_default(const struct policy *policy, const struct spiffe_id *id,
                          struct policy_decision *decision)
{
    if (policy->is_guarded) {
        decision->reason = POLICY_REASON_GUARDED;
    } else if (id == NULL) {
        decision->verdict = policy->allow_unauthenticated ? POLICY_ALLOWED : POLICY_DENIED;
        decision->reason = POLICY_REASON_UNAUTHENTICATED;
    } else if (spiffe_id_in_domain(id, policy->own_trust_domain)) {
        decision->verdict = POLICY_ALLOWED;
        decision->reason = POLICY_REASON_DEFAULT_ALLOW;
    }
}

struct policy_decision policy_decide(const struct policy *policy, const char *spiffe_id,
                                     size_t spiffe_id_length)
{
    struct policy_decision decision = {.verdict = POLICY_DENIED,
                                       .reason = POLICY_REASON_DEFAULT_DENY};
    struct spiffe_id parsed;
    if (policy == NULL || (spiffe_id != NULL &&
                           spiffe_id_parse(spiffe_id, spiffe_id_length, &parsed, NULL) != RM_OK)) {
        return decision;
    }
    const struct spiffe_id *id = spiffe_id == NULL ? NULL : &parsed;
    apply_rules(policy, id, &decision);
    if (decision.rule == NULL) {
        apply_default(policy, id, &decision);
    } else if (decision.rule->effect == POLICY_ALLOW) {
        decision.verdict = POLICY_ALLOWED;
        decision.reason = POLICY_REASON_ALLOW_RULE;
    } else {
        decision.reason = POLICY_REASON_DENY_RULE;
    }
    return decision;
}

const char *policy_reason_name(enum policy_reason reason)
{
    static const char *const names[] = {
#define REASON_NAME(id, name, fault) name,
        POLICY_REASON_LIST(REASON_NAME)
#undef REASON_NAME
    };
    return names[(unsigned)reason < POLICY_REASON_COUNT ? reason : POLICY_REASON_DEFAULT_DENY];
}

enum fault policy_fault(const struct policy_decision *decision)
{
    static const enum fault faults[] = {
#define REASON_FAULT(id, name, fault) FAULT_##fault,
        POLICY_REASON_LIST(REASON_FAULT)
#undef REASON_FAULT
    };
    if (decision->verdict == POLICY_ALLOWED) {
        return FAULT_OK;
    }
    enum fault fault = (unsigned)decision->reason < POLICY_REASON_COUNT ? faults[decision->reason]
                                                                        : FAULT_DEFAULT_DENY;
    return fault == FAULT_OK ? FAULT_DEFAULT_DENY : fault;
}
