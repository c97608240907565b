// SPDX-License-Identifier: GPL-3.0-or-later
//
// Who may reach a service: one ordered table, decided here and nowhere else.
//   1. an enforced deny matches                  -> deny (a plaintext peer matches each of them)
//   2. an enforced allow matches                 -> allow
//   3. the service is guarded                    -> deny (the first allow rule guards it)
//   4. the default: our own trust domain allowed -> else deny
// Audit rules never decide. A plaintext peer passes only where `allow_unauthenticated` says so.
// A policy is immutable and counted; shared between threads.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "faults/faults.h"

#define POLICY_MAX_RULES 1024 // per service; a longer list belongs in a glob
#define POLICY_MAX_PATTERN_BYTES 2048

enum policy_effect { POLICY_DENY, POLICY_ALLOW };
enum policy_mode { POLICY_ENFORCE, POLICY_AUDIT };

struct policy_rule {
    enum policy_effect effect; // deny or allow
    enum policy_mode mode;     // audit rules are reported, never decide
    char *pattern;             // SPIFFE ID or glob; owned
};

struct policy {
    struct policy_rule *rules;  // owned; denies first, then allows, each sorted by pattern
    size_t rule_count;          // 0..POLICY_MAX_RULES
    bool is_guarded;            // set by the first allow rule; cleared only by a command
    bool allow_unauthenticated; // plaintext peers pass step 4 (never step 1)
    char *own_trust_domain;     // for the default; owned
    uint32_t ref_count;         // private, atomic
};

enum policy_verdict { POLICY_DENIED = 0, POLICY_ALLOWED = 1 };

// Which row decided: name, the fault that it is for whoever is denied.
#define POLICY_REASON_LIST(X)                                                                      \
    X(DEFAULT_DENY, "default_deny", DEFAULT_DENY)                                                  \
    X(DENY_RULE, "deny_rule", DENY_RULE)                                                           \
    X(ALLOW_RULE, "allow_rule", OK)                                                                \
    X(GUARDED, "guarded", GUARDED)                                                                 \
    X(UNAUTHENTICATED, "unauthenticated", UNAUTHENTICATED)                                         \
    X(DEFAULT_ALLOW, "default_allow", OK)

enum policy_reason {
#define POLICY_REASON_ENUM(id, name, fault) POLICY_REASON_##id,
    POLICY_REASON_LIST(POLICY_REASON_ENUM)
#undef POLICY_REASON_ENUM
        POLICY_REASON_COUNT,
};

struct policy_decision {
    enum policy_verdict verdict;     // DENIED unless a row of the table says allow
    enum policy_reason reason;       // which row decided
    const struct policy_rule *rule;  // the rule that decided, or NULL; borrowed from the policy
    const struct policy_rule *audit; // first audit rule that matched, or NULL
};

// Copies the rules. `own_trust_domain` NULL or "" means that the default denies all. Errors:
// RM_ERR_MALFORMED (a pattern), RM_ERR_LIMIT, RM_ERR_NO_MEMORY.
RM_NODISCARD enum rm_err policy_new(const struct policy_rule *rules, size_t rule_count,
                                    bool is_guarded, bool allow_unauthenticated,
                                    const char *own_trust_domain, struct policy **out,
                                    struct rm_error *error);
struct policy *policy_ref(struct policy *policy);
// `policy` may be NULL.
void policy_unref(struct policy *policy);

// `spiffe_id` NULL means a plaintext peer. `policy` NULL denies, and so does an ID that is none.
struct policy_decision policy_decide(const struct policy *policy, const char *spiffe_id,
                                     size_t spiffe_id_length);
// Static.
const char *policy_reason_name(enum policy_reason reason);
// FAULT_OK exactly when the decision allows.
enum fault policy_fault(const struct policy_decision *decision);
