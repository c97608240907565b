// SPDX-License-Identifier: GPL-3.0-or-later
//
// Each fault has its own lower-case name and a sentence that says what to do; alerts have the RFC's
// names; nothing is written past the caller's buffer.
#include "tls_fixture.h"

#include <ctype.h>
#include <string.h>

static void each_fault_has_a_name_and_a_sentence(void **state)
{
    const char *names[TLS_FAULT_COUNT];
    (void)state;
    for (int fault = 0; fault < TLS_FAULT_COUNT; fault++) {
        struct tls_failure failure = {.fault = (enum tls_fault)fault,
                                      .verdict_reason = VERDICT_REASON_WRONG_IDENTITY,
                                      .detail = "this was found"};
        char text[512];
        names[fault] = tls_failure_name(&failure);
        assert_true(strlen(names[fault]) > 2);
        for (const char *c = names[fault]; *c != '\0'; c++) {
            assert_true(islower((unsigned char)*c) || *c == '_');
        }
        for (int other = 0; other < fault; other++) {
            assert_string_not_equal(names[other], names[fault]);
        }
        tls_failure_text(&failure, text, sizeof(text));
        assert_non_null(strstr(text, "this was found"));
        assert_true(fault == TLS_FAULT_NONE || strchr(text, ';') != NULL);
    }
}

static void verdict_names_the_reason(void **state)
{
    struct tls_failure failure = {.fault = TLS_FAULT_VERDICT,
                                  .verdict_reason = VERDICT_REASON_CERTIFICATE_REVOKED};
    (void)state;
    assert_string_equal(tls_failure_name(&failure), "certificate_revoked");
}

static void sentence_is_cut_at_the_buffer(void **state)
{
    struct tls_failure failure = {.fault = TLS_FAULT_EXPIRED, .detail = "detail"};
    (void)state;
    for (size_t size = 0; size < 300; size++) {
        char text[304];
        memset(text, '#', sizeof(text));
        tls_failure_text(&failure, text, size);
        assert_int_equal(text[size], '#');
        assert_true(size == 0 || memchr(text, '\0', size) != NULL);
    }
}

static void alerts_have_their_names(void **state)
{
    (void)state;
    assert_string_equal(tls_alert_name(0), "close_notify");
    assert_string_equal(tls_alert_name(45), "certificate_expired");
    assert_string_equal(tls_alert_name(48), "unknown_ca");
    assert_string_equal(tls_alert_name(90), "user_canceled");
    assert_string_equal(tls_alert_name(116), "certificate_required");
    assert_string_equal(tls_alert_name(120), "no_application_protocol");
    assert_string_equal(tls_alert_name(1), "unknown");
    assert_string_equal(tls_alert_name(255), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_has_a_name_and_a_sentence),
        cmocka_unit_test(verdict_names_the_reason),
        cmocka_unit_test(sentence_is_cut_at_the_buffer),
        cmocka_unit_test(alerts_have_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
