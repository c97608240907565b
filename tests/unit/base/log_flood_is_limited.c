// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"

static uint64_t now_ns;

static uint64_t fake_mono_ns(void)
{
    return now_ns;
}

static void a_flood_passes_its_share_and_counts_the_rest(void **state)
{
    (void)state;
    static struct log_limit limit;
    now_ns = UINT64_C(3600) * 1000000000;
    clock_replace(fake_mono_ns, NULL);
    uint64_t suppressed = 99;
    int passed = 0;
    for (int i = 0; i < 100; i++) {
        passed += log_limit_pass(&limit, &suppressed) ? 1 : 0;
    }
    assert_int_equal(passed, LOG_LIMIT_PER_10S);
    assert_int_equal(suppressed, 0);
    now_ns += UINT64_C(9999) * 1000000;
    assert_false(log_limit_pass(&limit, &suppressed));
    now_ns += UINT64_C(1) * 1000000;
    assert_true(log_limit_pass(&limit, &suppressed));
    assert_int_equal(suppressed, 100 - LOG_LIMIT_PER_10S + 1);
    assert_true(log_limit_pass(&limit, &suppressed));
    assert_int_equal(suppressed, 0);
    clock_replace(NULL, NULL);
}

static struct log_limit shared_limit;

static void *flood(void *context)
{
    uint64_t *passed = context;
    for (int i = 0; i < 10000; i++) {
        uint64_t suppressed = 0;
        *passed += log_limit_pass(&shared_limit, &suppressed) ? 1 + suppressed : 0;
    }
    return NULL;
}

static void threads_share_one_limit(void **state)
{
    (void)state;
    now_ns = UINT64_C(7200) * 1000000000;
    clock_replace(fake_mono_ns, NULL);
    uint64_t dropped = 0;
    assert_true(log_limit_pass(&shared_limit, &dropped));
    pthread_t threads[4];
    uint64_t passed[4] = {0};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, flood, &passed[i]), 0);
    }
    uint64_t total = 1;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        total += passed[i];
    }
    // Every line either passed or is still counted as left out.
    assert_int_equal(total + shared_limit.suppressed, 40001);
    assert_true(total >= LOG_LIMIT_PER_10S);
    clock_replace(NULL, NULL);
}

static void count_line(void *context, const char *line)
{
    (void)line;
    ++*(int *)context;
}

static void lines_below_the_level_are_left_out(void **state)
{
    (void)state;
    int lines = 0;
    log_redirect(count_line, &lines);
    log_level_set(LOG_LEVEL_WARN);
    log_info(LOG_MAIN, "quiet");
    log_warn(LOG_MAIN, "loud");
    log_write(LOG_LEVEL_INFO, LOG_MAIN, "quiet", NULL);
    log_level_set(LOG_LEVEL_ERROR);
    log_warn(LOG_MAIN, "quiet");
    log_error(LOG_MAIN, "loud", LOG_ERR(RM_ERR_BUSY));
    log_level_set(LOG_LEVEL_INFO);
    log_debug(LOG_MAIN, "quiet");
    log_redirect(NULL, NULL);
    assert_int_equal(lines, 2);
}

static void levels_are_named(void **state)
{
    (void)state;
    enum log_level level = LOG_LEVEL_INFO;
    assert_int_equal(log_level_parse("debug", &level), RM_OK);
    assert_int_equal(level, LOG_LEVEL_DEBUG);
    assert_int_equal(log_level_parse("error", &level), RM_OK);
    assert_int_equal(level, LOG_LEVEL_ERROR);
    assert_int_equal(log_level_parse("Error", &level), RM_ERR_CONFIG);
    assert_int_equal(log_level_parse("", &level), RM_ERR_CONFIG);
    assert_int_equal(level, LOG_LEVEL_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_passes_its_share_and_counts_the_rest),
        cmocka_unit_test(threads_share_one_limit),
        cmocka_unit_test(lines_below_the_level_are_left_out),
        cmocka_unit_test(levels_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
