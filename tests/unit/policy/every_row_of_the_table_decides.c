// SPDX-License-Identifier: GPL-3.0-or-later
//
// Every combination of what a policy can hold and who can come, against the table said once more in
// other words.
#include "cases.h"
#include "policy/policy.h"

#define OWN_ID "spiffe://own.org/ns/shop/sa/web"
#define FOREIGN_ID "spiffe://foreign.org/ns/shop/sa/web"

enum match { MATCH_ABSENT, MATCH_NOT, MATCH_YES, MATCH_COUNT };
enum visitor { VISITOR_OWN, VISITOR_FOREIGN, VISITOR_PLAIN, VISITOR_BROKEN, VISITOR_COUNT };

static const char *const visitor_ids[] = {OWN_ID, FOREIGN_ID, NULL, "spiffe://own.org//web"};

struct scene {
    enum match deny;        // an enforced deny rule
    enum match audit_deny;  // an audit deny rule
    enum match allow;       // an enforced allow rule
    enum match audit_allow; // an audit allow rule
    bool is_guarded;        // of the service
    bool plain_may;         // plaintext peers are allowed by name
    enum visitor visitor;   // who comes
};

static size_t add_rule(struct policy_rule *rules, size_t count, enum policy_effect effect,
                       enum policy_mode mode, enum match match, enum visitor visitor)
{
    static char own[] = "spiffe://own.org/ns/*/sa/*";
    static char foreign[] = "spiffe://foreign.org/**";
    static char nobody[] = "spiffe://own.org/ns/shop/sa/nobody";
    if (match == MATCH_ABSENT) {
        return count;
    }
    char *hit = visitor == VISITOR_FOREIGN ? foreign : own;
    rules[count] = (struct policy_rule){effect, mode, match == MATCH_YES ? hit : nobody};
    return count + 1;
}

static struct policy *policy_of(const struct scene *scene)
{
    // Given in the reverse of the table's order: precedence must not come from the caller's.
    struct policy_rule rules[4];
    size_t count = 0;
    count = add_rule(rules, count, POLICY_ALLOW, POLICY_ENFORCE, scene->allow, scene->visitor);
    count = add_rule(rules, count, POLICY_ALLOW, POLICY_AUDIT, scene->audit_allow, scene->visitor);
    count = add_rule(rules, count, POLICY_DENY, POLICY_AUDIT, scene->audit_deny, scene->visitor);
    count = add_rule(rules, count, POLICY_DENY, POLICY_ENFORCE, scene->deny, scene->visitor);
    struct policy *policy = NULL;
    assert_int_equal(
        policy_new(rules, count, scene->is_guarded, scene->plain_may, "own.org", &policy, NULL),
        RM_OK);
    return policy;
}

// The table, for one who reads it aloud.
static const char *expected_reason(const struct scene *scene, bool *is_allowed)
{
    *is_allowed = false;
    bool is_plain = scene->visitor == VISITOR_PLAIN;
    if (scene->visitor == VISITOR_BROKEN) {
        return "default_deny";
    }
    if (scene->deny == MATCH_YES || (is_plain && scene->deny == MATCH_NOT)) {
        return "deny_rule";
    }
    if (scene->allow == MATCH_YES && !is_plain) {
        *is_allowed = true;
        return "allow_rule";
    }
    if (scene->is_guarded) {
        return "guarded";
    }
    if (is_plain) {
        *is_allowed = scene->plain_may;
        return "unauthenticated";
    }
    *is_allowed = scene->visitor == VISITOR_OWN;
    return *is_allowed ? "default_allow" : "default_deny";
}

static bool expects_audit(const struct scene *scene)
{
    switch (scene->visitor) {
    case VISITOR_PLAIN:
        return scene->audit_deny != MATCH_ABSENT;
    case VISITOR_OWN:
    case VISITOR_FOREIGN:
        return scene->audit_deny == MATCH_YES || scene->audit_allow == MATCH_YES;
    case VISITOR_BROKEN:
    case VISITOR_COUNT:
        break;
    }
    return false;
}

static void judge_scene(const struct scene *scene)
{
    struct policy *policy = policy_of(scene);
    const char *id = visitor_ids[scene->visitor];
    struct policy_decision decision = policy_decide(policy, id, id == NULL ? 0 : strlen(id));
    bool is_allowed = false;
    const char *reason = policy_reason_name(decision.reason);
    assert_string_equal(reason, expected_reason(scene, &is_allowed));
    assert_int_equal(policy_fault(&decision) == FAULT_OK, is_allowed);
    assert_string_equal(fault_name(policy_fault(&decision)), is_allowed ? "ok" : reason);
    assert_int_equal(decision.verdict, is_allowed ? POLICY_ALLOWED : POLICY_DENIED);
    bool is_by_rule = strstr(reason, "_rule") != NULL;
    assert_int_equal(decision.rule != NULL, is_by_rule);
    if (is_by_rule) {
        assert_int_equal(decision.rule->mode, POLICY_ENFORCE);
        assert_int_equal(decision.rule->effect == POLICY_ALLOW, is_allowed);
    }
    assert_int_equal(decision.audit != NULL, expects_audit(scene));
    if (decision.audit != NULL) {
        assert_int_equal(decision.audit->mode, POLICY_AUDIT);
    }
    policy_unref(policy);
}

static void every_combination(void **state)
{
    (void)state;
    const unsigned combinations =
        MATCH_COUNT * MATCH_COUNT * MATCH_COUNT * MATCH_COUNT * 2 * 2 * VISITOR_COUNT;
    for (unsigned i = 0; i < combinations; i++) {
        unsigned rest = i;
        struct scene scene = {0};
        scene.deny = (enum match)(rest % MATCH_COUNT);
        rest /= MATCH_COUNT;
        scene.audit_deny = (enum match)(rest % MATCH_COUNT);
        rest /= MATCH_COUNT;
        scene.allow = (enum match)(rest % MATCH_COUNT);
        rest /= MATCH_COUNT;
        scene.audit_allow = (enum match)(rest % MATCH_COUNT);
        rest /= MATCH_COUNT;
        scene.is_guarded = rest % 2 != 0;
        scene.plain_may = rest / 2 % 2 != 0;
        scene.visitor = (enum visitor)(rest / 4);
        judge_scene(&scene);
    }
}

static void nothing_given_is_denied(void **state)
{
    (void)state;
    struct policy_decision decision = policy_decide(NULL, OWN_ID, sizeof(OWN_ID) - 1);
    assert_int_equal(decision.verdict, POLICY_DENIED);
    assert_int_equal(policy_fault(&decision), FAULT_DEFAULT_DENY);
    assert_int_equal(policy_decide(NULL, NULL, 0).verdict, POLICY_DENIED);
    static const char *const no_domain[] = {NULL, ""};
    for (size_t i = 0; i < 2; i++) {
        struct policy *policy = NULL;
        assert_int_equal(policy_new(NULL, 0, false, false, no_domain[i], &policy, NULL), RM_OK);
        assert_int_equal(policy_decide(policy, OWN_ID, sizeof(OWN_ID) - 1).verdict, POLICY_DENIED);
        assert_int_equal(policy_decide(policy, NULL, 0).verdict, POLICY_DENIED);
        assert_int_equal(policy_decide(policy, "", 0).verdict, POLICY_DENIED);
        policy_unref(policy);
    }
    struct policy_decision zero = {0};
    assert_int_equal(zero.verdict, POLICY_DENIED);
    assert_int_equal(policy_fault(&zero), FAULT_DEFAULT_DENY);
    zero.reason = POLICY_REASON_ALLOW_RULE; // the verdict counts, not the words
    assert_int_equal(policy_fault(&zero), FAULT_DEFAULT_DENY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_combination),
        cmocka_unit_test(nothing_given_is_denied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
