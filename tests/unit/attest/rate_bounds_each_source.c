// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "attest/rate.h"
#include "base/alloc.h"

static unsigned pass_many(struct rate *rate, const char *source, unsigned tries, uint64_t now_ms)
{
    unsigned passed = 0;
    for (unsigned i = 0; i < tries; i++) {
        passed += rate_pass(rate, source, now_ms) ? 1 : 0;
    }
    return passed;
}

static void burst_then_rate(void **state)
{
    (void)state;
    struct rate *rate = rate_new(2, 10);
    assert_int_equal(pass_many(rate, "192.0.2.1", 100, 1000), 10);
    assert_int_equal(pass_many(rate, "192.0.2.1", 100, 1499), 0);
    assert_int_equal(pass_many(rate, "192.0.2.1", 100, 1500), 1);
    assert_int_equal(pass_many(rate, "192.0.2.1", 100, 3500), 4);
    assert_int_equal(pass_many(rate, "192.0.2.1", 100, 1000000), 10); // never more than the burst
    rate_free(rate);
}

static void sources_do_not_share(void **state)
{
    (void)state;
    struct rate *rate = rate_new(1, 1);
    assert_true(rate_pass(rate, "192.0.2.1", 0));
    assert_false(rate_pass(rate, "192.0.2.1", 0));
    assert_true(rate_pass(rate, "192.0.2.2", 0));
    rate_free(rate);
}

static void one_network_of_ipv6_is_one_source(void **state)
{
    (void)state;
    struct rate *rate = rate_new(1, 1);
    assert_true(rate_pass(rate, "2001:db8::1", 0));
    assert_false(rate_pass(rate, "2001:db8::ffff:1", 0));
    assert_true(rate_pass(rate, "2001:db8:0:1::1", 0));
    rate_free(rate);
}

static void table_is_bounded_and_forgets_the_oldest(void **state)
{
    (void)state;
    struct rate *rate = rate_new(0.0001, 1);
    char source[32];
    assert_true(rate_pass(rate, "192.0.2.1", 0));
    for (unsigned i = 0; i < RATE_MAX_SOURCES - 1; i++) {
        snprintf(source, sizeof source, "source-%u", i);
        assert_true(rate_pass(rate, source, 0));
    }
    assert_false(rate_pass(rate, "192.0.2.1", 0)); // still known, and now the newest
    assert_true(rate_pass(rate, "one more", 0));   // makes source-0 go
    assert_false(rate_pass(rate, "192.0.2.1", 0));
    assert_true(rate_pass(rate, "source-0", 0));
    rate_free(rate);
}

static void no_memory_refuses(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        struct rate *rate = rate_new(1, 10);
        rm_alloc_fail_at(n);
        assert_false(rate_pass(rate, "192.0.2.1", 0));
        rm_alloc_fail_at(0);
        assert_true(rate_pass(rate, "192.0.2.1", 0));
        rate_free(rate);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(burst_then_rate),
        cmocka_unit_test(sources_do_not_share),
        cmocka_unit_test(one_network_of_ipv6_is_one_source),
        cmocka_unit_test(table_is_bounded_and_forgets_the_oldest),
        cmocka_unit_test(no_memory_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
