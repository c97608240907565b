// SPDX-License-Identifier: GPL-3.0-or-later
//
// A failure's sentence says what was found, why, and what to do; alerts have the RFC's names;
// nothing is written past the caller's buffer.
#include "tls_fixture.h"

#include <string.h>

static void sentence_says_what_was_found_why_and_what_to_do(void **state)
{
    (void)state;
    for (int fault = 0; fault < FAULT_COUNT; fault++) {
        const struct fault_entry *entry = fault_entry((enum fault)fault);
        struct tls_failure failure = {.fault = (enum fault)fault, .detail = "this was found"};
        char text[TLS_FAILURE_TEXT_BYTES];
        tls_failure_text(&failure, text, sizeof(text));
        assert_string_equal(tls_failure_name(&failure), entry->name);
        assert_ptr_equal(strstr(text, entry->what), text);
        assert_non_null(strstr(text, "(this was found)"));
        assert_non_null(strstr(text, entry->cause));
        assert_non_null(strstr(text, entry->remedy));
    }
}

static void longest_detail_leaves_room_for_what_to_do(void **state)
{
    struct tls_failure failure = {.fault = FAULT_OK};
    (void)state;
    memset(failure.detail, 'x', sizeof(failure.detail) - 1);
    for (int fault = 0; fault < FAULT_COUNT; fault++) {
        char text[TLS_FAILURE_TEXT_BYTES];
        failure.fault = (enum fault)fault;
        tls_failure_text(&failure, text, sizeof(text));
        const char *remedy = fault_entry(failure.fault)->remedy;
        assert_string_equal(text + strlen(text) - strlen(remedy), remedy);
    }
}

static void sentence_is_cut_at_the_buffer(void **state)
{
    struct tls_failure failure = {.fault = FAULT_CERTIFICATE_EXPIRED, .detail = "detail"};
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
        cmocka_unit_test(sentence_says_what_was_found_why_and_what_to_do),
        cmocka_unit_test(longest_detail_leaves_room_for_what_to_do),
        cmocka_unit_test(sentence_is_cut_at_the_buffer),
        cmocka_unit_test(alerts_have_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
