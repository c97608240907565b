// SPDX-License-Identifier: GPL-3.0-or-later
#include "spoil.h"

// A later fault must not hide an earlier one: what operators read is the first that counts. Facts
// are spoilt late-first, so that an earlier spoiling of the same fact wins.
static bool spoil_pair(struct court *court, int earlier, int later)
{
    return court_spoil(court, (enum verdict_reason)later) &&
           court_spoil(court, (enum verdict_reason)earlier);
}

static void of_two_faults_the_earlier_is_named(void **state)
{
    (void)state;
    unsigned pairs = 0;
    for (int earlier = 0; earlier < VERDICT_REASON_COUNT; earlier++) {
        for (int later = earlier + 1; later < VERDICT_REASON_COUNT; later++) {
            struct court court = court_open();
            bool is_both_uri = earlier == VERDICT_REASON_NO_SPIFFE_ID &&
                               later == VERDICT_REASON_SEVERAL_SPIFFE_IDS;
            if (is_both_uri || !spoil_pair(&court, earlier, later)) {
                trust_builder_free(court.builder);
                continue;
            }
            assert_denied(&court, (enum verdict_reason)earlier);
            pairs++;
        }
    }
    assert_int_equal(pairs, 12 * 11 / 2 - 1);
}

static void all_faults_at_once_name_the_first(void **state)
{
    (void)state;
    struct court court = court_open();
    for (int i = VERDICT_REASON_COUNT - 1; i > VERDICT_REASON_OK; i--) {
        assert_true(court_spoil(&court, (enum verdict_reason)i));
    }
    assert_denied(&court, VERDICT_REASON_NO_SPIFFE_ID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_two_faults_the_earlier_is_named),
        cmocka_unit_test(all_faults_at_once_name_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
