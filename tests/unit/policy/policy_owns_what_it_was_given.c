// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/alloc.h"
#include "cases.h"
#include "policy/policy.h"

static void rules_are_copied_and_sorted(void **state)
{
    (void)state;
    char b[] = "spiffe://td/b";
    char a[] = "spiffe://td/a";
    char c[] = "spiffe://td/c";
    const struct policy_rule rules[] = {
        {POLICY_ALLOW, POLICY_ENFORCE, b},
        {POLICY_DENY, POLICY_ENFORCE, c},
        {POLICY_ALLOW, POLICY_AUDIT, a},
    };
    char domain[] = "td";
    struct policy *policy = NULL;
    assert_int_equal(policy_new(rules, 3, true, true, domain, &policy, NULL), RM_OK);
    memset(a, 'x', sizeof(a) - 1);
    memset(b, 'x', sizeof(b) - 1);
    memset(c, 'x', sizeof(c) - 1);
    domain[0] = 'x';
    assert_int_equal(policy->rule_count, 3);
    assert_string_equal(policy->rules[0].pattern, "spiffe://td/c");
    assert_string_equal(policy->rules[1].pattern, "spiffe://td/a");
    assert_int_equal(policy->rules[1].mode, POLICY_AUDIT);
    assert_string_equal(policy->rules[2].pattern, "spiffe://td/b");
    assert_string_equal(policy->own_trust_domain, "td");
    assert_true(policy->is_guarded);
    assert_true(policy->allow_unauthenticated);
    assert_ptr_equal(policy_ref(policy), policy);
    policy_unref(policy);
    assert_int_equal(policy->rule_count, 3);
    policy_unref(policy);
    policy_unref(NULL);
}

static void faults_are_named(void **state)
{
    (void)state;
    char good[] = "spiffe://td/a";
    char bad[] = "spiffe://*/a";
    const struct policy_rule rules[] = {
        {POLICY_ALLOW, POLICY_ENFORCE, good},
        {POLICY_DENY, POLICY_AUDIT, bad},
    };
    struct policy *policy = (struct policy *)1;
    struct rm_error error = {0};
    assert_int_equal(policy_new(rules, 2, false, false, "td", &policy, &error), RM_ERR_MALFORMED);
    assert_null(policy);
    assert_string_equal(rm_error_message(&error),
                        "rule 2: the trust domain of a pattern must be literal");
    assert_int_equal(policy_new(rules, 2, false, false, "td", &policy, NULL), RM_ERR_MALFORMED);
    assert_int_equal(policy_new(rules, 1, false, false, "Td", &policy, &error), RM_ERR_MALFORMED);
    assert_string_equal(rm_error_message(&error),
                        "own trust domain: 'T' is not allowed in a trust domain (offset 0)");
}

static void the_number_of_rules_is_bounded(void **state)
{
    (void)state;
    static struct policy_rule rules[POLICY_MAX_RULES + 1];
    char pattern[] = "spiffe://td/a";
    for (size_t i = 0; i < POLICY_MAX_RULES + 1; i++) {
        rules[i] = (struct policy_rule){POLICY_ALLOW, POLICY_ENFORCE, pattern};
    }
    struct policy *policy = NULL;
    assert_int_equal(policy_new(rules, POLICY_MAX_RULES, true, false, "td", &policy, NULL), RM_OK);
    policy_unref(policy);
    assert_int_equal(policy_new(rules, POLICY_MAX_RULES + 1, true, false, "td", &policy, NULL),
                     RM_ERR_LIMIT);
    assert_null(policy);
}

static void failed_allocations_leak_nothing(void **state)
{
    (void)state;
    char pattern[] = "spiffe://td/a";
    const struct policy_rule rules[] = {
        {POLICY_ALLOW, POLICY_ENFORCE, pattern},
        {POLICY_DENY, POLICY_ENFORCE, pattern},
    };
    struct policy *policy = NULL;
    uint64_t failures = 0;
    for (;; failures++) {
        rm_alloc_fail_at(failures + 1);
        enum rm_err err = policy_new(rules, 2, true, false, "td", &policy, NULL);
        rm_alloc_fail_at(0);
        if (err == RM_OK) {
            break;
        }
        assert_int_equal(err, RM_ERR_NO_MEMORY);
        assert_null(policy);
    }
    assert_int_equal(failures, 5);
    policy_unref(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_are_copied_and_sorted),
        cmocka_unit_test(faults_are_named),
        cmocka_unit_test(the_number_of_rules_is_bounded),
        cmocka_unit_test(failed_allocations_leak_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
