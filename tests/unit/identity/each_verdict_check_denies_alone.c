// SPDX-License-Identifier: GPL-3.0-or-later

#include "spoil.h"

static void nothing_wrong_is_accepted(void **state)
{
    (void)state;
    struct court court = court_open();
    assert_accepted(&court);
    court = court_open();
    court.question.role = VERDICT_ROLE_SERVER;
    assert_accepted(&court);
}

static void one_wrong_thing_is_denied_by_its_name(void **state)
{
    (void)state;
    for (int i = 0; i < VERDICT_REASON_COUNT; i++) {
        struct court court = court_open();
        if (court_spoil(&court, (enum verdict_reason)i)) {
            assert_denied(&court, (enum verdict_reason)i);
        } else {
            trust_builder_free(court.builder);
        }
    }
}

static void no_facts_no_trust_no_identity(void **state)
{
    (void)state;
    struct verdict_question question = {0};
    struct verdict_answer answer = verdict_judge(&question);
    assert_int_equal(answer.verdict, VERDICT_DENIED);
    assert_int_equal(answer.reason, VERDICT_REASON_UNJUDGED);
    struct chain_facts facts = good_facts();
    question = (struct verdict_question){.facts = &facts, .now_s = NOW_S};
    answer = verdict_judge(&question);
    assert_int_equal(answer.verdict, VERDICT_DENIED);
    assert_int_equal(answer.reason, VERDICT_REASON_UNKNOWN_TRUST_DOMAIN);
    facts = (struct chain_facts){0};
    assert_int_equal(verdict_judge(&question).verdict, VERDICT_DENIED);
    struct verdict_answer zero = {0};
    assert_int_equal(zero.verdict, VERDICT_DENIED);
    assert_string_equal(fault_name(verdict_fault(zero.reason)), "unjudged");
}

static void ids_that_are_no_workload_s_are_bad(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t length;
    } cases[] = {
        {NULL, 0},
        {"", 0},
        {"spiffe://example.org", 20},
        {"spiffe://example.org/a\0b", 24},
        {"spiffe://example.org/", 21},
        {"https://example.org/a", 21},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct court court = court_open();
        court.facts.spiffe_id = cases[i].text;
        court.facts.spiffe_id_length = cases[i].length;
        assert_denied(&court, VERDICT_REASON_BAD_SPIFFE_ID);
    }
}

// The heart: a root of one trusted domain must not vouch for an ID of another.
static void a_root_of_another_domain_is_no_anchor(void **state)
{
    (void)state;
    struct court court = court_open();
    memcpy(court.facts.anchor_key_id, other_root_key, KEY_ID_BYTES);
    assert_denied(&court, VERDICT_REASON_NOT_ANCHORED);
    court = court_open();
    memset(court.facts.anchor_key_id, 0, KEY_ID_BYTES);
    assert_denied(&court, VERDICT_REASON_NOT_ANCHORED);
}

static void both_ends_of_the_validity_belong_to_it(void **state)
{
    (void)state;
    static const struct {
        int64_t now_s;
        enum verdict_reason reason;
    } cases[] = {
        {NOW_S - 101, VERDICT_REASON_NOT_YET_VALID},
        {NOW_S - 100, VERDICT_REASON_OK},
        {NOW_S + 100, VERDICT_REASON_OK},
        {NOW_S + 101, VERDICT_REASON_CERTIFICATE_EXPIRED},
        {INT64_MIN, VERDICT_REASON_NOT_YET_VALID},
        {INT64_MAX, VERDICT_REASON_CERTIFICATE_EXPIRED},
        {0, VERDICT_REASON_NOT_YET_VALID},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct court court = court_open();
        court.question.now_s = cases[i].now_s;
        assert_int_equal(court_judge(&court).reason, cases[i].reason);
    }
    struct court court = court_open();
    court.facts.leaf_not_before_s = NOW_S + 1;
    assert_denied(&court, VERDICT_REASON_NOT_YET_VALID);
    court = court_open();
    court.facts.leaf_not_after_s = NOW_S - 1;
    assert_denied(&court, VERDICT_REASON_CERTIFICATE_EXPIRED);
}

static void each_usage_counts(void **state)
{
    (void)state;
    struct court court = court_open();
    court.facts.has_digital_signature = false;
    assert_denied(&court, VERDICT_REASON_WRONG_USAGE);
    court = court_open();
    court.facts.has_cert_sign = true;
    assert_denied(&court, VERDICT_REASON_WRONG_USAGE);
    court = court_open();
    court.facts.has_server_auth = false;
    assert_accepted(&court);
    court = court_open();
    court.facts.has_server_auth = false;
    court.question.role = VERDICT_ROLE_SERVER;
    assert_denied(&court, VERDICT_REASON_WRONG_USAGE);
    court = court_open();
    court.question.role = (enum verdict_role)7;
    assert_denied(&court, VERDICT_REASON_WRONG_USAGE);
}

static void issuer_anchor_and_identity_can_be_revoked(void **state)
{
    (void)state;
    struct court court = court_open();
    withdraw(&court, TRUST_REVOKED_ISSUER, issuer_key, KEY_ID_BYTES, 0);
    assert_denied(&court, VERDICT_REASON_CERTIFICATE_REVOKED);
    court = court_open();
    withdraw(&court, TRUST_REVOKED_ISSUER, root_key, KEY_ID_BYTES, 0);
    assert_denied(&court, VERDICT_REASON_CERTIFICATE_REVOKED);
    court = court_open();
    withdraw(&court, TRUST_REVOKED_ISSUER, other_root_key, KEY_ID_BYTES, 0);
    assert_accepted(&court);
    court = court_open();
    withdraw(&court, TRUST_REVOKED_IDENTITY, GOOD_ID, sizeof(GOOD_ID) - 1, NOW_S - 99);
    assert_denied(&court, VERDICT_REASON_CERTIFICATE_REVOKED);
    court = court_open();
    withdraw(&court, TRUST_REVOKED_IDENTITY, GOOD_ID, sizeof(GOOD_ID) - 1, NOW_S - 100);
    assert_accepted(&court);
}

static void a_serial_that_is_no_remora_s_has_no_lineage_to_revoke(void **state)
{
    (void)state;
    struct court court = court_open();
    withdraw(&court, TRUST_REVOKED_LINEAGE, lineage, LINEAGE_BYTES, 0);
    court.facts.serial_length = 15;
    assert_accepted(&court);
    court = court_open();
    court.facts.serial_length = SERIAL_MAX_BYTES + 1;
    assert_denied(&court, VERDICT_REASON_UNJUDGED);
}

static void expectations_are_exact(void **state)
{
    (void)state;
    static const char *const right[] = {"spiffe://example.org/ns/shop/sa/other", GOOD_ID};
    static const char *const wrong[] = {GOOD_ID "x", "spiffe://example.org/ns/shop/sa/we", "", NULL,
                                        "spiffe://example.org/**"};
    struct court court = court_open();
    court.question.expected_ids = right;
    court.question.expected_count = 2;
    assert_accepted(&court);
    court = court_open();
    court.question.expected_ids = right;
    court.question.expected_count = 1;
    assert_denied(&court, VERDICT_REASON_WRONG_IDENTITY);
    court = court_open();
    court.question.expected_ids = right;
    court.question.expected_count = 0;
    assert_denied(&court, VERDICT_REASON_WRONG_IDENTITY);
    court = court_open();
    court.question.expected_ids = wrong;
    court.question.expected_count = 5;
    assert_denied(&court, VERDICT_REASON_WRONG_IDENTITY);
}

static void the_control_plane_proves_its_reserved_id(void **state)
{
    (void)state;
    static const char *const control[] = {"spiffe://example.org/remora/control"};
    struct court court = court_open();
    court.facts.spiffe_id = control[0];
    court.facts.spiffe_id_length = strlen(control[0]);
    court.question.expected_ids = control;
    court.question.expected_count = 1;
    court.question.role = VERDICT_ROLE_SERVER;
    assert_accepted(&court);
}

static void values_that_are_no_reason_are_unjudged(void **state)
{
    (void)state;
    assert_int_equal(verdict_fault(VERDICT_REASON_OK), FAULT_OK);
    assert_int_equal(verdict_fault((enum verdict_reason)1000), FAULT_UNJUDGED);
    assert_int_equal(verdict_fault((enum verdict_reason)(-1)), FAULT_UNJUDGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_wrong_is_accepted),
        cmocka_unit_test(one_wrong_thing_is_denied_by_its_name),
        cmocka_unit_test(no_facts_no_trust_no_identity),
        cmocka_unit_test(ids_that_are_no_workload_s_are_bad),
        cmocka_unit_test(a_root_of_another_domain_is_no_anchor),
        cmocka_unit_test(both_ends_of_the_validity_belong_to_it),
        cmocka_unit_test(each_usage_counts),
        cmocka_unit_test(issuer_anchor_and_identity_can_be_revoked),
        cmocka_unit_test(a_serial_that_is_no_remora_s_has_no_lineage_to_revoke),
        cmocka_unit_test(expectations_are_exact),
        cmocka_unit_test(the_control_plane_proves_its_reserved_id),
        cmocka_unit_test(values_that_are_no_reason_are_unjudged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
