// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "crypto/crypto.h"
#include "crypto_fixture.h"

#define DRAWS 64

static void every_draw_differs_and_fills_all_bytes(void **state)
{
    (void)state;
    uint8_t drawn[DRAWS][16];
    uint8_t seen[1000] = {0};
    for (size_t i = 0; i < DRAWS; i++) {
        assert_int_equal(random_bytes(drawn[i], sizeof(drawn[i])), RM_OK);
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(drawn[i], drawn[j], sizeof(drawn[i]));
        }
    }
    // More than one call of the kernel's; a byte that is never written would stay 0 each time.
    for (int round = 0; round < 16; round++) {
        uint8_t bytes[sizeof(seen)] = {0};
        assert_int_equal(random_bytes(bytes, sizeof(bytes)), RM_OK);
        for (size_t i = 0; i < sizeof(seen); i++) {
            seen[i] |= bytes[i];
        }
    }
    assert_null(memchr(seen, 0, sizeof(seen)));
}

static void numbers_for_jitter_spread(void **state)
{
    (void)state;
    uint32_t any = 0;
    uint32_t all = UINT32_MAX;
    for (int i = 0; i < 1000; i++) {
        uint32_t value = random_u32();
        any |= value;
        all &= value;
    }
    assert_int_equal(any, UINT32_MAX);
    assert_int_equal(all, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_draw_differs_and_fills_all_bytes),
        cmocka_unit_test(numbers_for_jitter_spread),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
