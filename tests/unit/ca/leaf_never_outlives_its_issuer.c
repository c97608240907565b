// SPDX-License-Identifier: GPL-3.0-or-later
#include "authority_fixture.h"

#include "base/clock.h"

#define DAY INT64_C(86400)

static void lifetime_counts_from_now_and_is_backdated(void **state)
{
    struct authority_leaf leaf = {0};
    int64_t before_s = clock_wall_s();
    assert_int_equal(authority_fixture_sign(*state, 10, &leaf), RM_OK);
    assert_true(leaf.issued_at_s >= before_s && leaf.issued_at_s <= clock_wall_s());
    assert_int_equal(leaf.not_before_s, leaf.issued_at_s - AUTHORITY_BACKDATE_S);
    assert_int_equal(leaf.not_after_s, leaf.issued_at_s + 10);
    assert_int_equal(leaf.chain.count, 2);

    struct certificate parsed;
    assert_int_equal(certificate_parse(leaf.chain.certificates[0].bytes,
                                       leaf.chain.certificates[0].length, &parsed, NULL),
                     RM_OK);
    assert_int_equal(parsed.not_after_s, leaf.not_after_s);
    assert_int_equal(parsed.not_before_s, leaf.not_before_s);
    certificate_deinit(&parsed);
    chain_deinit(&leaf.chain);
}

// The clock goes on under an authority that does not notice, as when the store takes no renewal.
static void lifetime_is_cut_to_the_issuers_end(void **state)
{
    struct authority_leaf leaf = {0};
    clock_move(30 * DAY - 100);
    assert_int_equal(authority_fixture_sign(*state, 3600, &leaf), RM_OK);
    assert_true(leaf.not_after_s < leaf.issued_at_s + 3600);
    struct certificate issuer;
    assert_int_equal(certificate_parse(leaf.chain.certificates[1].bytes,
                                       leaf.chain.certificates[1].length, &issuer, NULL),
                     RM_OK);
    assert_int_equal(leaf.not_after_s, issuer.not_after_s);
    certificate_deinit(&issuer);
    chain_deinit(&leaf.chain);
}

static void expired_issuer_signs_nothing(void **state)
{
    struct authority_leaf leaf = {0};
    clock_move(31 * DAY);
    assert_int_equal(authority_fixture_sign(*state, 3600, &leaf), RM_ERR_EXPIRED);
}

#define TEST(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, authority_fixture_setup, authority_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lifetime_counts_from_now_and_is_backdated),
        TEST(lifetime_is_cut_to_the_issuers_end),
        TEST(expired_issuer_signs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
